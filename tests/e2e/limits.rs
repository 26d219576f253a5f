//! What hostile messages and connections may take of the daemon: memory and
//! places. No Postfix is needed: the tests speak the milter protocol.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waxseal_testkit::milter::{Client, Mail, MtaProfile};
use waxseal_testkit::test_dir::TestDir;
use waxseal_testkit::wait_for;
use waxseal_testkit::waxseal::{Waxseal, policy};

struct Daemon {
    waxseal: Waxseal,
    dir: TestDir,
}

impl Daemon {
    /// With a listener for users and another one.
    fn start(name: &str, limits: &str) -> Self {
        let dir = TestDir::claim(name);
        let config = format!(
            "hostname = \"mx.test\"\n[policy]\nfile = \"{}\"\nsettings = \"settings.toml\"\n\
             [[listener]]\nname = \"users\"\nmode = \"submission\"\naddress = \"unix:users.sock\"\n\
             [[listener]]\nname = \"mx\"\naddress = \"unix:mx.sock\"\n[limits]\n{limits}\n",
            policy("waxseal_standard").display()
        );
        let settings = "return-path = \"keep\"\n[domain.\"acme.test\"]\ndisclaimers = [\"legal\"]\nrelays = []\n\
                        [disclaimer.legal]\ntext = \"Acme Ltd\"\nhtml = \"<p>Acme Ltd</p>\"\n";
        fs::write(dir.path("waxseal.toml"), config).expect("waxseal.toml");
        fs::write(dir.path("settings.toml"), settings).expect("settings");
        let mut waxseal = Waxseal::new(dir.folder(), Vec::new());
        waxseal.start();
        let daemon = Self { waxseal, dir };
        for listener in ["users", "mx"] {
            wait_for("waxseal to listen", || {
                UnixStream::connect(daemon.socket(listener)).ok()
            });
        }
        daemon
    }

    fn socket(&self, listener: &str) -> PathBuf {
        self.dir.path(&format!("{listener}.sock"))
    }

    /// The reply to a message of a user.
    fn answer(&self, mail: &Mail) -> String {
        let mut client =
            Client::unix(&self.socket("users"), MtaProfile::postfix()).expect("negotiated");
        client.greet().expect("greeted");
        let replies = client.send(mail).expect("answered");
        let last = replies.last().expect("a reply");
        format!("{} {}", char::from(last.name), last.text())
    }
}

fn mail(fields: Vec<(String, Vec<u8>)>, body: Vec<u8>) -> Mail {
    let from = ("From".to_owned(), b" alice@acme.test".to_vec());
    Mail {
        sender: "alice@acme.test".into(),
        fields: [vec![from], fields].concat(),
        ..Mail::with_body(body)
    }
}

const MEGABYTE: usize = 1_000_000;

/// The daemon's memory may grow by this much beside what it is charged with: what
/// its threads and its policies take.
const CONSTANT: usize = 60 * MEGABYTE;

/// Sends six of a message at once, and gives the answers.
fn six_at_once(daemon: &Daemon, mail: &Mail) -> Vec<String> {
    thread::scope(|scope| {
        let sent: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| daemon.answer(mail)))
            .collect();
        let answers = sent.into_iter().map(|sent| sent.join().expect("an answer"));
        answers.collect()
    })
}

#[test]
fn m1_messages_of_nothing_but_header_fields_are_refused_and_cost_next_to_nothing() {
    let daemon = Daemon::start("m1-fields", "held = \"60 MB\"");
    let before = daemon.waxseal.peak_memory();
    let fields = vec![("A".to_owned(), Vec::new()); 10 * MEGABYTE / 4];
    for answer in six_at_once(&daemon, &mail(fields, b"x\r\n".to_vec())) {
        assert!(answer.starts_with("y 552 5.3.4"), "{answer}");
    }
    let grown = daemon.waxseal.peak_memory() - before;
    assert!(grown < CONSTANT, "{grown} bytes");
    let log = daemon.waxseal.log();
    assert_eq!(log.matches("limits.header-fields").count(), 6, "{log}");
}

#[test]
fn m1_the_largest_messages_that_are_admitted_stay_within_what_may_be_held() {
    let held = 150 * MEGABYTE;
    let limits = "held = \"150 MB\"\nheader-size = \"10 MB\"\nheader-fields = 100000";
    let daemon = Daemon::start("m1-held", limits);
    let short = mail(Vec::new(), b"x\r\n".to_vec());
    assert!(daemon.answer(&short).starts_with('a'));
    let before = daemon.waxseal.peak_memory();
    let text = mail(
        Vec::new(),
        b"words = and more\r\n".repeat(10 * MEGABYTE / 18),
    );
    let fields = vec![("A".to_owned(), Vec::new()); 50_000];
    let fields = mail(fields, b"words\r\n".repeat(MEGABYTE));
    let kind = |kind: &str| ("Content-Type".to_owned(), kind.as_bytes().to_vec());
    let parts = mail(
        vec![kind(" multipart/mixed; boundary=b")],
        b"--b\r\n\r\nx\r\n".repeat(MEGABYTE),
    );
    let html = mail(
        vec![kind(" text/html; charset=utf-8")],
        "<p>wörds</p>\r\n".repeat(10 * MEGABYTE / 16).into_bytes(),
    );
    for (mail, answer) in [
        (text, "a"),
        (fields, "a"),
        (parts, "y 552 5.3.4"),
        (html, "a"),
    ] {
        for answered in six_at_once(&daemon, &mail) {
            assert!(answered.starts_with(answer), "{answered}");
        }
    }
    let grown = daemon.waxseal.peak_memory() - before;
    println!("grown by {grown} bytes");
    assert!(grown < held + CONSTANT, "{grown} bytes");
}

#[test]
fn m1_more_recipients_and_addresses_than_allowed_are_refused_and_logged() {
    let daemon = Daemon::start("m1-lists", "recipients = 1000\naddresses = 1000");
    let mut many = mail(Vec::new(), b"x\r\n".to_vec());
    many.recipients = (0..1001)
        .map(|number| format!("u{number}@far.test"))
        .collect();
    let answer = daemon.answer(&many);
    assert!(
        answer.starts_with("y 552 5.5.3 the message has more than 1000 recipients"),
        "{answer}"
    );
    let list = " a@far.test,".repeat(1001).into_bytes();
    let answer = daemon.answer(&mail(vec![("To".to_owned(), list)], b"x\r\n".to_vec()));
    assert!(
        answer.starts_with("y 552 5.3.4 the message has more than 1000 addresses"),
        "{answer}"
    );
    let log = daemon.waxseal.log();
    for setting in ["limits.recipients", "limits.addresses"] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(setting)).collect();
        assert!(
            lines.len() == 1 && lines[0].contains("queue_id=\"4F00D\""),
            "{lines:?}"
        );
    }
}

#[test]
fn m2_a_thousand_silent_connections_hold_off_nobody() {
    let all = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: all.maximum,
        ..all
    };
    setrlimit(Resource::Nofile, raised).expect("room for connections");
    let daemon = Daemon::start(
        "m2-silent",
        "connections = 200\nfirst-command-time = \"3000s\"",
    );
    let silent: Vec<UnixStream> = (0..1000)
        .map(|_| UnixStream::connect(daemon.socket("users")).expect("a connection"))
        .collect();
    let short = mail(Vec::new(), b"x\r\n".to_vec());
    assert!(daemon.answer(&short).starts_with('a'));
    let mut other = Client::unix(&daemon.socket("mx"), MtaProfile::postfix()).expect("negotiated");
    other.greet().expect("greeted");
    assert!(daemon.answer(&short).starts_with('a'));
    let log = daemon.waxseal.log();
    assert!(!log.contains("no place for a new connection"), "{log}");
    drop(silent);
}
