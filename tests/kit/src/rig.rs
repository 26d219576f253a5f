//! Everything a test needs, put together: Postfix, Waxseal and far ends.
//!
//! Mail that enters at Postfix can leave it to the sinks `default` (the default
//! route), `inside` (the domain inside.test) and one for each relay.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dkim::Record;
use crate::guard::Guard;
use crate::postfix::{Postfix, Wishes};
use crate::sink::{Delivery, Sink, Sinks, Spec};
use crate::smtp::{Client, Reply};
use crate::test_dir::TestDir;
use crate::wait::wait_for;
use crate::waxseal::{self, Listening, Waxseal};

/// A client here is in no list.
pub const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 8));

/// A client here is in `outgoing.networks`.
pub const LISTED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));

const MILTER: u16 = 8891;
const MILTER_SUBMISSION: u16 = 8893;
const MILTER_SPLIT: u16 = 8892;
const SPLIT_SMTPD: u16 = 10025;

/// Folder of the milters' sockets, in Postfix's queue folder.
const SOCKETS: &str = "queue/waxseal";

/// What a rig is to be made of.
#[derive(Debug)]
pub struct RigBuilder {
    specs: Vec<Spec>,
    relays: String,
    policy: PathBuf,
    settings: Option<String>,
    config: String,
    networks: String,
    local_domain: String,
    on_error: Option<&'static str>,
    split: bool,
    tcp: bool,
    chroot: bool,
    main: String,
    dir: TestDir,
}

/// A running whole. What it holds ends in the order of its fields.
#[derive(Debug)]
pub struct Rig {
    /// Waxseal.
    pub waxseal: Waxseal,
    /// Postfix.
    pub postfix: Postfix,
    sinks: Sinks,
    _guard: Guard,
    dir: TestDir,
}

impl Rig {
    /// Begins a rig; `name` is seen in its folder's name.
    pub fn builder(name: &str) -> RigBuilder {
        RigBuilder {
            dir: TestDir::claim(name),
            networks: format!("\"{LISTED}\""),
            specs: vec![Spec::open("default"), Spec::open("inside")],
            relays: String::new(),
            policy: waxseal::policy("waxseal_standard"),
            settings: None,
            config: String::new(),
            local_domain: "inside.test".into(),
            on_error: None,
            split: false,
            tcp: false,
            chroot: false,
            main: String::new(),
        }
    }
}

impl RigBuilder {
    /// A relay that takes everything; `lines` go into its table as well.
    pub fn relay(mut self, name: &str, lines: &str) -> Self {
        self.specs.push(Spec::open(name));
        self.relays.push_str(&format!(
            "[relay.{name}]\nhost = \"@HOST-{name}@\"\nport = @PORT-{name}@\nsecurity = \"none\"\n{lines}\n"
        ));
        self
    }

    /// A relay whose server is as `spec` says; `lines` say all but its port.
    pub fn relay_as(mut self, spec: Spec, lines: &str) -> Self {
        let name = &spec.name;
        self.relays
            .push_str(&format!("[relay.{name}]\nport = @PORT-{name}@\n{lines}\n"));
        self.specs.push(spec);
        self
    }

    /// The policy's settings.
    pub fn settings(mut self, settings: &str) -> Self {
        self.settings = Some(settings.into());
        self
    }

    /// Another policy than the standard one.
    pub fn policy(mut self, name: &str) -> Self {
        self.policy = waxseal::policy(name);
        self
    }

    /// More tables for `waxseal.toml`.
    pub fn config(mut self, tables: &str) -> Self {
        self.config.push_str(tables);
        self.config.push('\n');
        self
    }

    /// Another local domain than inside.test.
    pub fn local_domain(mut self, domain: &str) -> Self {
        self.local_domain = domain.into();
        self
    }

    /// What happens when the policy fails, in place of the default.
    pub fn on_error(mut self, action: &'static str) -> Self {
        self.on_error = Some(action);
        self
    }

    /// With a split listener.
    pub fn split(mut self) -> Self {
        self.split = true;
        self
    }

    /// With milters on TCP, in place of sockets in Postfix's queue folder.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// With Postfix's smtpd in its chroot, as Debian has it.
    pub fn chroot(mut self) -> Self {
        self.chroot = true;
        self
    }

    /// A further line for Postfix's `main.cf`.
    pub fn main_cf(mut self, line: &str) -> Self {
        self.main.push_str(line);
        self.main.push('\n');
        self
    }

    /// Other networks of outgoing mail than the listed one, as TOML strings.
    pub fn networks(mut self, networks: &str) -> Self {
        self.networks = networks.into();
        self
    }

    /// The configuration's folder, for files that it names.
    pub fn folder(&self) -> &Path {
        self.dir.folder()
    }

    /// Starts everything, Waxseal included.
    pub fn start(self) -> Rig {
        let mut rig = self.prepare();
        rig.waxseal.start();
        rig
    }

    /// Starts all but Waxseal.
    ///
    /// # Panics
    ///
    /// When something is missing or does not start.
    pub fn prepare(self) -> Rig {
        let dir = &self.dir;
        let guard = Guard::of(dir.folder());
        let sinks = Sinks::start(dir, &self.specs);
        fs::write(dir.path("waxseal.toml"), self.toml(&sinks)).expect("waxseal.toml");
        if let Some(settings) = &self.settings {
            fs::write(dir.path("settings.toml"), settings).expect("settings");
        }
        let listeners = self
            .listeners()
            .map(|(name, _, port)| self.listening(name, port));
        let waxseal = Waxseal::new(dir.folder(), listeners.collect());
        self.make_socket_folder();
        let (folder, queue) = (dir.path("etc"), dir.path("queue"));
        fs::create_dir_all(&folder).expect("the folder of Postfix's configuration");
        for name in ["main.cf", "master.cf"] {
            fs::write(folder.join(name), "").expect(name);
        }
        let (shown, queue) = (folder.display().to_string(), queue.display().to_string());
        let directories = ["--postfix-directory", &shown, "--queue-directory", &queue];
        waxseal.output(&[&["postfix", "--write"], &directories[..]].concat());
        let read = |name: &str| {
            fs::read_to_string(folder.join(name)).expect("what `waxseal postfix` wrote")
        };
        let wishes = Wishes {
            default_route: sinks.get("default").nexthop(),
            transports: vec![(self.local_domain.clone(), sinks.get("inside").nexthop())],
            main: read("main.cf") + &self.main,
            master: read("master.cf"),
            submission: vec![format!(
                "{{ smtpd_milters = {{ {}, default_action=tempfail }} }}",
                self.submission_milter()
            )],
            chroot: self.chroot,
        };
        Rig {
            postfix: Postfix::start(dir, &wishes),
            waxseal,
            sinks,
            _guard: guard,
            dir: self.dir,
        }
    }

    /// Name, mode and port of each listener.
    fn listeners(&self) -> impl Iterator<Item = (&'static str, &'static str, u16)> + use<> {
        let split = self.split.then_some(("back", "split", MILTER_SPLIT));
        let always = [
            ("mx", "mixed", MILTER),
            ("users", "submission", MILTER_SUBMISSION),
        ];
        always.into_iter().chain(split)
    }

    fn listening(&self, name: &str, port: u16) -> Listening {
        match self.tcp {
            true => Listening::Tcp(self.dir.port(port)),
            false => Listening::Unix(self.dir.path(&format!("{SOCKETS}/{name}.sock"))),
        }
    }

    /// The submission listener, as Postfix names it within its queue folder.
    fn submission_milter(&self) -> String {
        match self.tcp {
            true => format!("inet:{}", self.dir.port(MILTER_SUBMISSION)),
            false => "unix:waxseal/users.sock".into(),
        }
    }

    /// The folder of the sockets, as the documents have it: Postfix's own user
    /// reaches them, and no other does.
    fn make_socket_folder(&self) {
        let folder = self.dir.path(SOCKETS);
        fs::create_dir_all(&folder).expect("the folder of sockets");
        let status = Command::new("install")
            .args(["-d", "-g", "postfix", "-m", "2710"])
            .arg(&folder)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "install failed (is this root, and Postfix installed?)"
        );
    }

    fn toml(&self, sinks: &Sinks) -> String {
        let mut text = format!(
            "hostname = \"mx.test\"\nlocal-domains = [\"{}\"]\n\
             [policy]\nfile = \"{}\"\n",
            self.local_domain,
            self.policy.display()
        );
        if self.settings.is_some() {
            text.push_str("settings = \"settings.toml\"\n");
        }
        if let Some(action) = self.on_error {
            text.push_str(&format!("on-error = \"{action}\"\n"));
        }
        for (name, mode, port) in self.listeners() {
            let address = self.listening(name, port);
            text.push_str(&format!(
                "[[listener]]\nname = \"{name}\"\nmode = \"{mode}\"\naddress = \"{address}\"\n"
            ));
            if !self.tcp {
                text.push_str("socket-group = \"postfix\"\n");
            }
            if mode == "split" {
                text.push_str(&format!("smtpd = \"{}\"\n", self.dir.port(SPLIT_SMTPD)));
            }
        }
        text.push_str(&format!("[outgoing]\nnetworks = [{}]\n", self.networks));
        let mut relays = self.relays.clone();
        for sink in sinks.all() {
            relays = relays
                .replace(
                    &format!("@HOST-{}@", sink.name),
                    &sink.address.ip().to_string(),
                )
                .replace(
                    &format!("@PORT-{}@", sink.name),
                    &sink.address.port().to_string(),
                );
        }
        format!("{text}{relays}{}", self.config)
    }
}

impl Rig {
    /// A far end by its name.
    pub fn sink(&self, name: &str) -> &Sink {
        self.sinks.get(name)
    }

    /// Where the split listener's smtpd takes mail.
    pub fn split_smtpd(&self) -> SocketAddr {
        self.dir.port(SPLIT_SMTPD)
    }

    /// A path in the configuration's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path(name)
    }

    /// A client that nobody knows.
    ///
    /// # Panics
    ///
    /// When Postfix does not answer.
    pub fn stranger(&self) -> Client {
        Client::connect_from(STRANGER, self.postfix.mx()).expect("a connection")
    }

    /// A client in a listed network.
    ///
    /// # Panics
    ///
    /// When Postfix does not answer.
    pub fn listed(&self) -> Client {
        Client::connect_from(LISTED, self.postfix.mx()).expect("a connection")
    }

    /// A client who has logged in.
    ///
    /// # Panics
    ///
    /// When Postfix does not answer or refuses the login.
    pub fn user(&self, name: &str) -> Client {
        let mut client = self.stranger();
        client.login(name).expect("a login");
        client
    }

    /// A client who tries to log in: Postfix refuses that for now while it misses
    /// its milter.
    ///
    /// # Errors
    ///
    /// When there is no connection, or the login is refused.
    pub fn try_user(&self, name: &str) -> std::io::Result<Client> {
        let mut client = Client::connect_from(STRANGER, self.postfix.mx())?;
        client.login(name)?;
        Ok(client)
    }

    /// A client of the service `submission`, from an address in no list.
    ///
    /// # Panics
    ///
    /// When Postfix does not answer.
    pub fn submission(&self) -> Client {
        Client::connect_from(STRANGER, self.postfix.submission()).expect("a connection")
    }

    /// Sends a message that has to be taken.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn send(&self, client: &mut Client, sender: &str, recipients: &[&str], message: &[u8]) {
        let reply = client.send(sender, recipients, message).expect("a reply");
        assert!(reply.is_positive(), "the message was not taken: {reply:?}");
    }

    /// Sends one as a user whose name is the sender's address.
    ///
    /// # Panics
    ///
    /// When it is not taken.
    pub fn send_as(&self, user: &str, recipients: &[&str], message: &[u8]) {
        self.send(&mut self.user(user), user, recipients, message);
    }

    /// Sends one as a user and gives the reply.
    ///
    /// # Panics
    ///
    /// When the connection breaks.
    pub fn try_as(&self, user: &str, recipients: &[&str], message: &[u8]) -> Reply {
        self.user(user)
            .send(user, recipients, message)
            .expect("a reply")
    }

    /// Waits until Postfix has nothing left to deliver.
    pub fn settle(&self) {
        wait_for("Postfix's queue to be empty", || {
            (self.postfix.queued() == 0).then_some(())
        });
    }

    /// Waits until a far end has got anything.
    pub fn waited_for(&self, sink: &str) {
        let sink = self.sink(sink);
        wait_for("a message to arrive", || (sink.count() > 0).then_some(()));
    }

    /// Waits until all is delivered, and gives what a far end got.
    pub fn arrived(&self, sink: &str) -> Vec<Delivery> {
        self.settle();
        self.sink(sink).deliveries()
    }

    /// The one message that has been delivered at all.
    ///
    /// # Panics
    ///
    /// When it went elsewhere, or there are several.
    pub fn only(&self, sink: &str) -> Delivery {
        self.settle();
        let counts: Vec<(&str, usize)> = self
            .sinks
            .all()
            .iter()
            .map(|sink| (sink.name.as_str(), sink.count()))
            .collect();
        let everywhere: usize = counts.iter().map(|(_, count)| count).sum();
        let mut deliveries = self.sink(sink).deliveries();
        assert!(
            everywhere == 1 && deliveries.len() == 1,
            "one message for {sink}, but: {counts:?}"
        );
        deliveries.remove(0)
    }

    /// The DNS records of a domain's keys, as `waxseal dkim record` shows them.
    pub fn records(&self, domain: &str) -> Vec<Record> {
        self.waxseal.records(domain)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("--- Postfix\n{}", self.postfix.log());
        eprintln!("--- Waxseal\n{}", self.waxseal.log());
        for sink in self.sinks.all() {
            eprintln!("--- {} got {} message(s)", sink.name, sink.count());
        }
    }
}
