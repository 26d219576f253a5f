//! H4, H5, L1: special files, and control sequences in output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use waxseal_testkit::waxseal::{command, policy, repository};

/// A folder with a configuration of the guard, whose files can be replaced.
struct TestDir {
    folder: tempfile::TempDir,
}

impl TestDir {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = Self { folder };
        let settings = repository("examples/policies/guard/settings.toml");
        fs::copy(settings, dir.path("settings.toml")).expect("settings");
        fs::copy(policy("guard_rust"), dir.path("policy.wasm")).expect("the component");
        fs::write(dir.path("table"), "ann@acme.test yes\n").expect("a table");
        fs::write(dir.path("message.eml"), MESSAGE).expect("a message");
        dir.configure("policy.wasm", "settings.toml", "table");
        dir
    }

    fn configure(&self, component: &str, settings: &str, table: &str) {
        let text = format!(
            "hostname = \"mx.test\"\nstate = \"state\"\n[policy]\nfile = \"{component}\"\n\
             settings = \"{settings}\"\n[table.may-send-anything]\nfile = \"{table}\"\n\
             [relay.bulk]\nhost = \"bulk.test\"\n[[listener]]\nname = \"mx\"\n\
             address = \"unix:milter.sock\"\n[admin]\nsocket = \"admin.sock\"\n"
        );
        fs::write(self.path("waxseal.toml"), text).expect("waxseal.toml");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command()
            .current_dir(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("waxseal")
    }

    /// Checks that the command fails with this reason, on either stream.
    fn rejects(&self, arguments: &[&str], reason: &str) {
        let output = self.run(arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        assert!(!output.status.success(), "{arguments:?}: {text}");
        assert!(
            text.contains(reason),
            "{arguments:?}: no {reason:?} in {text}"
        );
    }
}

/// An attachment whose name would write a line of its own, and color what follows.
const MESSAGE: &str = "From: Bob <bob@acme.test>\r\nTo: eve@outside.test\r\nSubject: =?utf-8?q?a=0A=1B[2Jb?=\r\n\
    Date: Mon, 05 Oct 2026 09:01:00 +0900\r\nMessage-ID: <1@acme.test>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
    Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''x%0A\
    2026-11-24T11%3A00%3A00.000000Z%20%20INFO%20in%20service%3A%20rollback%20%1B%5B31m%E2%80%AE%C2%9B.exe\r\n\r\n\
    MZ\r\n--b--\r\n";

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn h5_a_file_name_writes_no_line_and_no_escape_sequence_to_the_terminal() {
    let dir = TestDir::new();
    let output = dir.run(&["try", "message.eml"]);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(text.contains("hold"), "{text}");
    for line in text.lines() {
        assert!(!line.chars().any(is_unsafe), "{line:?}");
        assert!(!line.starts_with("2026"), "{line:?}");
    }
    assert!(
        text.contains("x\\n2026-11-24T11:00:00.000000Z  INFO"),
        "{text}"
    );
    assert!(text.contains("\\u001b[31m\\u202e\\u009b.exe"), "{text}");
    let output = dir.run(&["try", "message.eml", "--json"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        !text.lines().any(|line| line.chars().any(is_unsafe)),
        "{text}"
    );
    let object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let reason = object["reasons"][0].as_str().expect("a reason");
    assert!(reason.contains("x\n2026-11-24"), "{reason:?}");
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

fn image(path: &Path) {
    fs::File::create(path)
        .expect("made")
        .set_len(300 << 20)
        .expect("sparse");
}

#[test]
fn h4_commands_reject_special_files_and_files_that_are_too_large() {
    let dir = TestDir::new();
    fifo(&dir.path("fifo"));
    image(&dir.path("image"));
    let kinds = [
        ("/dev/zero", "character device"),
        ("fifo", "FIFO"),
        (".", "directory"),
        ("image", "314572800 bytes"),
    ];
    for (file, reason) in kinds {
        dir.rejects(&["inspect", file], reason);
        dir.rejects(&["inspect", "policy.wasm", "--settings", file], reason);
        dir.rejects(&["try", file], reason);
        dir.rejects(&["replay", "--policy", file, "recording"], "recording");
        let config = ["check", "--config", file];
        dir.rejects(&config, reason);
        for (component, settings, table) in [
            (file, "settings.toml", "table"),
            ("policy.wasm", file, "table"),
            ("policy.wasm", "settings.toml", file),
        ] {
            dir.configure(component, settings, table);
            dir.rejects(&["check"], reason);
            dir.configure("policy.wasm", "settings.toml", "table");
        }
        if file != "." {
            dir.rejects(&["test", file], reason);
        }
        let case = format!(
            "policy = \"policy.wasm\"\nsettings = \"settings.toml\"\n[relay.bulk]\n\
             [table.may-send-anything]\nfile = \"table\"\n[[case]]\nname = \"one\"\nmessage = \"{file}\"\nexpect = {{ verdict = \"hold\" }}\n"
        );
        fs::write(dir.path("test.toml"), case).expect("a test");
        dir.rejects(&["test", "test.toml"], reason);
    }
}

/// The daemon continues and reports the reason at once: the next request follows immediately.
#[test]
fn h4_the_daemon_rejects_files_that_are_no_component() {
    let dir = TestDir::new();
    fifo(&dir.path("fifo"));
    image(&dir.path("image"));
    let mut daemon = command();
    let log = fs::File::create(dir.path("log")).expect("a log");
    let mut daemon = daemon
        .current_dir(dir.folder.path())
        .args(["run", "--allow-root", "--config", "waxseal.toml"])
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("waxseal");
    let log = || fs::read_to_string(dir.path("log")).unwrap_or_default();
    waxseal_testkit::wait_for("the daemon to listen", || {
        let ended = daemon.try_wait().expect("its state");
        assert!(ended.is_none(), "it ended: {}", log());
        std::os::unix::net::UnixStream::connect(dir.path("milter.sock")).ok()
    });
    for (file, reason) in [
        ("/dev/zero", "character device"),
        ("fifo", "FIFO"),
        ("image", "314572800 bytes"),
    ] {
        dir.rejects(&["policy", "swap", file], reason);
        dir.rejects(
            &["policy", "swap", "policy.wasm", "--settings", file],
            reason,
        );
        dir.rejects(&["policy", "shadow", file], reason);
    }
    // A watched file is replaced by a FIFO.
    fs::remove_file(dir.path("settings.toml")).expect("removed");
    fifo(&dir.path("settings.toml"));
    waxseal_testkit::wait_for("the watched file to be rejected", || {
        log().contains("FIFO").then_some(())
    });
    let status = dir.run(&["policy", "status"]);
    assert!(status.status.success(), "{}", log());
    let memory = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its status");
    let peak = memory
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("its peak");
    let kib: u64 = peak
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("KiB");
    assert!(kib < 250 << 10, "it never held one of these: {peak}");
    daemon.kill().expect("killed");
    daemon.wait().expect("its end");
}

/// Checked for the user of the tests: root or another.
#[test]
fn l10_the_daemon_runs_as_root_only_with_a_flag() {
    let dir = TestDir::new();
    fs::remove_file(dir.path("policy.wasm")).expect("removed");
    let output = dir.run(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let root = rustix::process::geteuid().is_root();
    assert_eq!(words.contains("does not run as root"), root, "{words}");
    assert_eq!(words.contains("User=waxseal"), root, "{words}");
    // With the flag, it continues until it reads the policy, which does not exist.
    let output = dir.run(&["run", "--allow-root"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("policy.wasm"), "{words}");
}

/// A field of a process's status.
fn status(process: &Path, field: &str) -> String {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.unwrap_or_default().to_owned()
}

/// The process of `waxseal compile` that another one has started.
fn compiling(parent: u32) -> Option<PathBuf> {
    let processes = fs::read_dir("/proc").expect("listed").flatten();
    processes.map(|entry| entry.path()).find(|process| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        command == b"waxseal\0compile\0" && status(process, "PPid:") == parent.to_string()
    })
}

/// `configure` never ends, so the process that runs it can be examined.
#[test]
fn l11_commands_compile_in_a_confined_process_of_their_own() {
    let dir = TestDir::new();
    fs::copy(policy("waxseal_misbehaving"), dir.path("policy.wasm")).expect("the component");
    fs::write(dir.path("settings.toml"), "loop").expect("settings");
    fs::create_dir(dir.path("recording")).expect("made");
    fs::write(dir.path("recording/decisions.jsonl"), "").expect("a recording");
    let case = "policy = \"policy.wasm\"\nsettings = \"settings.toml\"\n[[case]]\nname = \"one\"\n\
                message = \"message.eml\"\nexpect = { verdict = \"hold\" }\n";
    fs::write(dir.path("test.toml"), case).expect("a test");
    for arguments in [
        &["check"][..],
        &["try", "message.eml"],
        &["test", "test.toml"],
        &["inspect", "policy.wasm", "--settings", "settings.toml"],
        &["replay", "recording"],
    ] {
        let mut command = command();
        let mut running = command
            .current_dir(dir.folder.path())
            .args(arguments)
            .env("XDG_CACHE_HOME", dir.path("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("waxseal");
        let confined = waxseal_testkit::wait_for(&format!("{arguments:?} to compile"), || {
            let ended = running.try_wait().expect("its state");
            assert!(ended.is_none(), "{arguments:?} ended: {ended:?}");
            // It reads its request first.
            let process = compiling(running.id())?;
            (status(&process, "Seccomp:") == "2").then_some(process)
        });
        assert_eq!(status(&confined, "NoNewPrivs:"), "1", "{arguments:?}");
        let limits = fs::read_to_string(confined.join("limits")).expect("its limits");
        for limit in [
            "Max core file size        0 ",
            "Max cpu time              120 ",
        ] {
            assert!(limits.contains(limit), "{arguments:?}: {limits}");
        }
        running.kill().expect("killed");
        running.wait().expect("its end");
    }
}
