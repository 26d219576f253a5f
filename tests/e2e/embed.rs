//! R30: the library in somebody else's SMTP server, `examples/embed`.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use waxseal_testkit::dkim::verify;
use waxseal_testkit::process::Process;
use waxseal_testkit::rig::{LISTED, STRANGER};
use waxseal_testkit::sink::{Sinks, Spec};
use waxseal_testkit::smtp::{Client, Reply};
use waxseal_testkit::test_dir::TestDir;
use waxseal_testkit::wait::wait_for;
use waxseal_testkit::waxseal::{Waxseal, binary, policy};

use crate::mail::{acme, plain};

/// The server, its configuration and far ends. Ends with the test.
struct Embedded {
    process: Process,
    address: SocketAddr,
    sinks: Sinks,
    dir: TestDir,
}

impl Embedded {
    fn start(name: &str, settings: &str) -> Self {
        let dir = TestDir::claim(name);
        let sinks = Sinks::start(&dir, &["northwind", "default"].map(Spec::open));
        let relay = sinks.get("northwind").address;
        let config = format!(
            "hostname = \"mx.test\"\nlocal-domains = [\"inside.test\"]\n\
             [policy]\nfile = \"{}\"\nsettings = \"settings.toml\"\n\
             [outgoing]\nnetworks = [\"{}\"]\n[dkim]\ngenerate = true\n\
             [relay.northwind]\nhost = \"{}\"\nport = {}\nsecurity = \"none\"\n",
            policy("waxseal_standard").display(),
            LISTED,
            relay.ip(),
            relay.port()
        );
        fs::write(dir.path("waxseal.toml"), config).expect("waxseal.toml");
        fs::write(dir.path("settings.toml"), settings).expect("settings.toml");
        let address = dir.port(2525);
        let log = fs::File::create(dir.path("embed.log")).expect("a log");
        let mut command = Command::new(server());
        command
            .arg("--config")
            .arg(dir.path("waxseal.toml"))
            .args(["--listen", &address.to_string()])
            .args(["--next-hop", &sinks.get("default").address.to_string()])
            .stdin(Stdio::null())
            .stderr(log);
        let process = Process::start(&mut command).expect("waxseal-embed");
        let embedded = Self {
            process,
            address,
            sinks,
            dir,
        };
        embedded.wait_for_log("listening");
        embedded
    }

    fn wait_for_log(&self, words: &str) {
        wait_for(words, || self.log().contains(words).then_some(()));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path("embed.log")).unwrap_or_default()
    }

    fn client(&self, from: IpAddr) -> Client {
        Client::connect_from(from, self.address).expect("a connection")
    }

    fn send(&self, recipients: &[&str]) -> Reply {
        let sender = "alice@acme.test";
        let message = plain(sender, "embedded");
        let mut client = self.client(LISTED);
        client.send(sender, recipients, &message).expect("a reply")
    }

    /// Puts other settings in service, as an administrator would.
    fn swap(&self, settings: &str) {
        fs::write(self.dir.path("settings.toml"), settings).expect("settings.toml");
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal");
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- waxseal-embed\n{}", self.log());
        }
    }
}

/// Cargo puts the example beside the command.
fn server() -> PathBuf {
    binary().with_file_name("waxseal-embed")
}

const RELAYED: &str =
    "relays = [\"northwind\"]\nsign = true\nreturn-path = \"bounces@acme.test\"\n";

#[test]
fn r30_an_embedding_server_relays_rewrites_signs_and_swaps() {
    let embedded = Embedded::start("r30", &acme(RELAYED));
    let reply = embedded.send(&["bob@outside.test"]);
    assert!(reply.is_positive(), "{reply:?}");
    let relayed = embedded.sinks.get("northwind").deliveries().remove(0);
    assert_eq!(relayed.sender, "bounces@acme.test");
    assert_eq!(relayed.recipients, ["bob@outside.test"]);
    let records = Waxseal::new(embedded.dir.folder(), vec![]).records("acme.test");
    let signatures = verify(&relayed.bytes, &records);
    assert!(
        !signatures.is_empty() && signatures.iter().all(|one| one.valid),
        "{signatures:?}"
    );

    embedded.swap("nonsense = 1\n");
    embedded.wait_for_log("not reloaded");
    assert!(embedded.send(&["bob@outside.test"]).is_positive());
    assert_eq!(embedded.sinks.get("northwind").count(), 2);

    embedded.swap(&acme("sign = false\n"));
    embedded.wait_for_log("version=2");
    assert!(embedded.send(&["bob@outside.test"]).is_positive());
    let sent = embedded.sinks.get("default").deliveries().remove(0);
    assert!(sent.header("DKIM-Signature").is_empty());
}

#[test]
fn r30_an_embedding_server_has_no_queue_and_takes_nothing_that_it_cannot_hand_on() {
    let mut embedded = Embedded::start("r30-down", &acme(RELAYED));
    let stranger = embedded
        .client(STRANGER)
        .send(
            "alice@acme.test",
            &["bob@outside.test"],
            b"From: a@b\n\nHi\n",
        )
        .expect("a reply");
    assert_eq!(stranger.code, 550, "{stranger:?}");

    // All servers go away: the client keeps the message.
    let none = TestDir::claim("r30-none");
    embedded.sinks = Sinks::start(&none, &[]);
    let reply = embedded.send(&["bob@outside.test"]);
    assert_eq!(reply.code, 451, "{reply:?}");
}
