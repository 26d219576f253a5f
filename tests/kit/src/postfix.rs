//! A private Postfix: its own folder, queue and ports, on loopback only.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::auth;
use crate::process::Process;
use crate::test_dir::TestDir;

/// Port of the unauthenticated smtpd.
pub const MX: u16 = 2525;

/// Port of the service `submission`.
pub const SUBMISSION: u16 = 2587;

/// Settings of a rig's Postfix.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Destination of the default route, as `[host]:port`.
    pub default_route: String,
    /// Local domain and its nexthop.
    pub transports: Vec<(String, String)>,
    /// Further lines for `main.cf`.
    pub main: String,
    /// Further entries for `master.cf`.
    pub master: String,
    /// Options (`-o`) of the submission service.
    pub submission: Vec<String>,
    /// Whether its smtpd runs in the chroot.
    pub chroot: bool,
}

/// A running Postfix, stopped on drop.
#[derive(Debug)]
pub struct Postfix {
    folder: PathBuf,
    mx: SocketAddr,
    submission: SocketAddr,
}

impl Postfix {
    /// Writes its configuration and starts it.
    ///
    /// # Panics
    ///
    /// If the user is not root, Postfix is missing, or does not start.
    pub fn start(dir: &TestDir, wishes: &Wishes) -> Self {
        let postfix = Self {
            folder: dir.folder().to_owned(),
            mx: dir.port(MX),
            submission: dir.port(SUBMISSION),
        };
        for folder in ["etc", "queue", "data"] {
            fs::create_dir_all(dir.path(folder)).expect("folder for Postfix");
        }
        run("chown", ["postfix".as_ref(), dir.path("data").as_os_str()]);
        postfix.configure(wishes);
        let started = postfix.command("postfix", ["start"]);
        assert!(
            started.status.success(),
            "Postfix did not start (is this root?): {}{}",
            String::from_utf8_lossy(&started.stderr),
            postfix.log()
        );
        auth::serve(&dir.path("queue/private/auth"));
        postfix
    }

    fn configure(&self, wishes: &Wishes) {
        let etc = self.etc();
        let transports: String = wishes
            .transports
            .iter()
            .map(|(domain, nexthop)| format!("{domain} smtp:{nexthop}\n"))
            .collect();
        fs::write(etc.join("transport"), transports).expect("transport map");
        let folder = self.folder.display().to_string();
        let main = MAIN
            .replace("@FOLDER@", &folder)
            .replace("@DEFAULT@", &wishes.default_route);
        fs::write(etc.join("main.cf"), format!("{main}{}", wishes.main)).expect("main.cf");
        let submission: String = wishes
            .submission
            .iter()
            .map(|option| format!("  -o {option}\n"))
            .collect();
        let master = MASTER
            .replace("@MX@", &self.mx.to_string())
            .replace("@SUBMISSION@", &self.submission.to_string())
            .replace("@CHROOT@", if wishes.chroot { "y" } else { "n" })
            .replace("@OPTIONS@", &submission);
        fs::write(etc.join("master.cf"), format!("{master}{}", wishes.master)).expect("master.cf");
    }

    /// Runs `postfix check`.
    ///
    /// # Panics
    ///
    /// If it reports a problem.
    pub fn check(&self) {
        for (program, arguments) in [
            ("postconf", &["-n"][..]),
            ("postconf", &["-Mf"]),
            ("postfix", &["check"]),
        ] {
            let output = self.command(program, arguments);
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && complaints.is_empty(),
                "{program} {arguments:?} complains: {complaints}"
            );
        }
    }

    /// Address of the unauthenticated smtpd.
    pub fn mx(&self) -> SocketAddr {
        self.mx
    }

    /// Address of the submission service.
    pub fn submission(&self) -> SocketAddr {
        self.submission
    }

    /// Its configuration.
    pub fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("maillog")).unwrap_or_default()
    }

    /// Submits a message by `sendmail`, as a local user does.
    ///
    /// # Panics
    ///
    /// If `sendmail` fails.
    pub fn sendmail(&self, sender: &str, recipients: &[&str], message: &[u8]) {
        use std::io::Write as _;
        let mut command = Command::new("/usr/sbin/sendmail");
        command
            .arg("-C")
            .arg(self.etc())
            .args(["-i", "-f", sender, "--"])
            .args(recipients)
            .stdin(Stdio::piped());
        let mut process = Process::start(&mut command).expect("sendmail");
        // Local programs end lines with LF.
        let text: Vec<u8> = message
            .iter()
            .copied()
            .filter(|&byte| byte != b'\r')
            .collect();
        let mut input = process.stdin.take().expect("its input");
        input.write_all(&text).expect("the message handed over");
        drop(input);
        assert!(
            process.wait().expect("its end").success(),
            "sendmail failed"
        );
    }

    /// Flushes the queue.
    pub fn flush(&self) {
        self.command("postqueue", ["-f"]);
        // Messages that pickup could not submit wait for a minute unless it is triggered.
        self.command("postkick", ["public", "pickup", "W"]);
    }

    /// Number of messages in its queues, without `hold`.
    pub fn queued(&self) -> usize {
        ["maildrop", "incoming", "active", "deferred"]
            .iter()
            .map(|queue| files(&self.folder.join("queue").join(queue)))
            .sum()
    }

    /// Number of held messages.
    pub fn held(&self) -> usize {
        files(&self.folder.join("queue/hold"))
    }

    /// Runs a command of Postfix on this instance.
    pub fn command<I: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Output {
        Command::new(format!("/usr/sbin/{program}"))
            .arg("-c")
            .arg(self.etc())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error} (is Postfix installed?)"))
    }
}

impl Drop for Postfix {
    /// Stops it. `postfix stop` polls once a second; this does the same without the delay.
    fn drop(&mut self) {
        let pid_file = self.folder.join("queue/pid/master.pid");
        let pid = fs::read_to_string(pid_file).ok();
        let pid = pid.and_then(|pid| rustix::process::Pid::from_raw(pid.trim().parse().ok()?));
        let Some(pid) = pid else {
            return;
        };
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        for _ in 0..200 {
            if rustix::process::test_kill_process(pid).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.command("postfix", ["stop"]);
    }
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) {
    let status = Command::new(program).args(arguments).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{program} failed (is this root?)"
    );
}

/// Number of files in a queue folder and its subfolders: Postfix hashes some queues by the first letters of the names.
fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            Ok(_) => 1,
            Err(_) => 0,
        })
        .sum()
}

/// Needs no resolver, no syslog and no other user than `postfix`.
const MAIN: &str = "\
compatibility_level = 3.6
queue_directory = @FOLDER@/queue
data_directory = @FOLDER@/data
maillog_file = @FOLDER@/maillog
maillog_file_prefixes = @FOLDER@
myhostname = mx.test
mydomain = test
myorigin = mx.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_bind_address = 127.0.0.1
disable_dns_lookups = yes
smtp_host_lookup = native
smtputf8_enable = no
biff = no
relayhost = @DEFAULT@
transport_maps = texthash:@FOLDER@/etc/transport
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
message_size_limit = 60000000
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
smtp_tls_security_level = none
smtp_tls_loglevel = 1
smtpd_tls_security_level = none
";

const MASTER: &str = "\
@MX@ inet n - @CHROOT@ - - smtpd
@SUBMISSION@ inet n - @CHROOT@ - - smtpd
  -o syslog_name=postfix/submission
@OPTIONS@pickup     unix n - n 60 1 pickup
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
trace      unix - - n - 0 bounce
verify     unix - - n - 1 verify
flush      unix n - n 1000? 0 flush
proxymap   unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp       unix - - n - - smtp
relay      unix - - n - - smtp
showq      unix n - n - - showq
error      unix - - n - - error
retry      unix - - n - - error
discard    unix - - n - - discard
anvil      unix - - n - 1 anvil
scache     unix - - n - 1 scache
postlog    unix-dgram n - n - 1 postlogd

";
