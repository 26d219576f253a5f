//! The `waxseal` command, as an administrator runs it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use serde_json::Value;

use crate::dkim::Record;
use crate::process::Process;
use crate::wait::wait_for;

/// Path of the built command; `WAXSEAL_BINARY` overrides it.
///
/// # Panics
///
/// When it has not been built.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WAXSEAL_BINARY") {
        return path.into();
    }
    let path = target().join("debug/waxseal");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p waxseal`",
        path.display()
    );
    path
}

/// The command with a cache folder for tests.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    command.env("XDG_CACHE_HOME", repository("target/cache"));
    command
}

/// A policy that `make policies` has built.
///
/// # Panics
///
/// When it has not.
pub fn policy(name: &str) -> PathBuf {
    let path = target().join("policies").join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `make policies`",
        path.display()
    );
    path
}

fn target() -> PathBuf {
    let folder = repository("target").canonicalize();
    folder.expect("the folder that cargo builds into")
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// Address of a listener of the daemon.
#[derive(Clone, Debug)]
pub enum Listening {
    /// On a TCP address.
    Tcp(SocketAddr),
    /// On a socket file.
    Unix(PathBuf),
}

impl Listening {
    fn answers(&self) -> bool {
        match self {
            Self::Tcp(address) => TcpStream::connect(address).is_ok(),
            Self::Unix(path) => UnixStream::connect(path).is_ok(),
        }
    }
}

/// The form in `waxseal.toml` and `smtpd_milters`.
impl std::fmt::Display for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "inet:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `waxseal` with one configuration.
#[derive(Debug)]
pub struct Waxseal {
    config: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
    listeners: Vec<Listening>,
    daemon: Option<Process>,
}

impl Waxseal {
    /// Writes the configuration; nothing is started. `listeners` are those that the daemon opens.
    pub fn new(folder: &Path, listeners: Vec<Listening>) -> Self {
        Self {
            config: folder.join("waxseal.toml"),
            log: folder.join("waxseal.log"),
            pid_file: folder.join("waxseal.pid"),
            listeners,
            daemon: None,
        }
    }

    /// Runs a subcommand and waits for it.
    pub fn command(&self, arguments: &[&str]) -> Output {
        command()
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .output()
            .expect("waxseal")
    }

    /// Output of a subcommand.
    ///
    /// # Panics
    ///
    /// If its exit code is not 0.
    pub fn output(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(
            output.status.success(),
            "waxseal {arguments:?} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// JSON output (`--json`) of a subcommand.
    ///
    /// # Panics
    ///
    /// If it fails or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let output = self.output(&arguments);
        serde_json::from_str(&output)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{output}"))
    }

    /// The DNS records of a domain's keys, as `waxseal dkim record` shows them.
    ///
    /// # Panics
    ///
    /// When the command fails or has none.
    pub fn records(&self, domain: &str) -> Vec<Record> {
        let shown = self.json(&["dkim", "record", domain]);
        let records: Vec<Record> = shown
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|key| {
                let record = &key["record"];
                Some(Record {
                    name: record["name"].as_str()?.to_owned(),
                    text: record["value"].as_str()?.to_owned(),
                })
            })
            .collect();
        assert!(!records.is_empty(), "no records in {shown}");
        records
    }

    /// Starts the daemon and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it ends instead.
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "waxseal runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("log");
        let mut command = Command::new(binary());
        command
            // Postfix is started by root, and so is what is next to it.
            .args(["run", "--allow-root", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log);
        let child = Process::start(&mut command).expect("waxseal");
        fs::write(&self.pid_file, child.id().to_string()).expect("its process id");
        let daemon = self.daemon.insert(child);
        for listener in &self.listeners {
            wait_for("waxseal to listen", || {
                if let Ok(Some(status)) = daemon.try_wait() {
                    let log = fs::read_to_string(&self.log).unwrap_or_default();
                    panic!("waxseal ended at once with {status}:\n{log}");
                }
                listener.answers().then_some(())
            });
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        let Some(mut daemon) = self.daemon.take() else {
            return;
        };
        // The file goes first, so that its number names no other process.
        let _ = fs::remove_file(&self.pid_file);
        let _ = daemon.kill();
        let _ = daemon.wait();
    }

    /// Stops it and waits for its end.
    ///
    /// # Panics
    ///
    /// If it does not run, or does not end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        let mut daemon = self.daemon.take().expect("a running waxseal");
        let status = wait_for("waxseal to stop", || daemon.try_wait().expect("its state"));
        let _ = fs::remove_file(&self.pid_file);
        status
    }

    /// Reloads its configuration (SIGHUP).
    pub fn reload(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let daemon = self.daemon.as_ref().expect("a running waxseal");
        let pid = rustix::process::Pid::from_child(daemon);
        rustix::process::kill_process(pid, signal).expect("a signal sent");
    }

    /// Peak memory in bytes (`VmHWM`).
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn peak_memory(&self) -> usize {
        let daemon = self.daemon.as_ref().expect("a running waxseal");
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: usize = kilobytes.and_then(|text| text.parse().ok()).expect("kB");
        kilobytes << 10
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Waxseal {
    fn drop(&mut self) {
        self.kill();
    }
}
