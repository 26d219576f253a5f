//! SMTP servers as the destinations of a rig, and the messages they received.
//!
//! They are `support/sinks.py` with Debian's aiosmtpd, which shares no code with Waxseal or Postfix, and supports TLS and AUTH.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::process::Process;
use crate::test_dir::TestDir;

/// Settings of a server.
#[derive(Clone, Debug, Serialize)]
pub struct Spec {
    /// Its name, also of its folder.
    pub name: String,
    /// `none`, `starttls` (required) or `tls`.
    pub security: &'static str,
    /// Certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Key of the certificate, PEM.
    pub key: Option<PathBuf>,
    /// User and password, required if given.
    pub login: Option<(String, String)>,
    /// Whether 8BITMIME (RFC 6152) is offered.
    pub eight_bit: bool,
    /// Listen on the address of `localhost`, on any free port, because a certificate is for a name.
    #[serde(skip)]
    pub localhost: bool,
}

impl Spec {
    /// A server that accepts everything from everybody.
    pub fn open(name: &str) -> Self {
        Self {
            name: name.into(),
            security: "none",
            certificate: None,
            key: None,
            login: None,
            eight_bit: true,
            localhost: false,
        }
    }

    /// One that is reached as `localhost` over TLS, with a certificate for
    /// `name_in_certificate` made in `folder`.
    ///
    /// # Panics
    ///
    /// When openssl fails.
    pub fn secure(
        name: &str,
        security: &'static str,
        name_in_certificate: &str,
        folder: &Path,
    ) -> Self {
        let path = |end: &str| folder.join(format!("{name}.{end}"));
        let output = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args(["-subj", &format!("/CN={name_in_certificate}")])
            .args([
                "-addext",
                &format!("subjectAltName=DNS:{name_in_certificate}"),
            ])
            .arg("-keyout")
            .arg(path("key"))
            .arg("-out")
            .arg(path("pem"))
            .output()
            .expect("openssl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self {
            security,
            certificate: Some(path("pem")),
            key: Some(path("key")),
            localhost: true,
            ..Self::open(name)
        }
    }
}

/// The process with all servers of a rig, stopped on drop.
#[derive(Debug)]
pub struct Sinks {
    process: Process,
    sinks: Vec<Sink>,
}

/// A server and its received messages.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    folder: PathBuf,
}

/// A received message.
#[derive(Clone, Debug, Deserialize)]
pub struct Delivery {
    /// Envelope sender, empty if null.
    pub sender: String,
    /// Envelope recipients, sorted: Postfix's order is its own.
    pub recipients: Vec<String>,
    /// Whether the connection was encrypted.
    pub tls: bool,
    /// Authenticated user.
    pub user: Option<String>,
    /// The message.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

impl Sinks {
    /// Starts a server for each of `specs`, on ports from 2600 on.
    ///
    /// # Panics
    ///
    /// When python3 or aiosmtpd are missing, or a server does not start.
    pub fn start(dir: &TestDir, specs: &[Spec]) -> Self {
        let folder = dir.path("sinks");
        let mut sinks: Vec<Sink> = (2600..)
            .zip(specs)
            .map(|(port, spec)| Sink {
                name: spec.name.clone(),
                address: match spec.localhost {
                    true => SocketAddr::from(([127, 0, 0, 1], 0)),
                    false => dir.port(port),
                },
                folder: folder.join(&spec.name),
            })
            .collect();
        let servers: Vec<_> = specs
            .iter()
            .zip(&sinks)
            .map(|(spec, sink)| {
                let mut server = serde_json::to_value(spec).expect("JSON");
                server["address"] = sink.address.ip().to_string().into();
                server["port"] = sink.address.port().into();
                server
            })
            .collect();
        let line = serde_json::json!({"folder": folder, "servers": servers});
        let log = std::fs::File::create(dir.path("sinks.log")).expect("log of the sinks");
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(support("sinks.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = Process::start(&mut command).expect("/usr/bin/python3");
        let input = process.stdin.as_mut().expect("its input");
        writeln!(input, "{line}").expect("written to the sinks");
        let mut ready = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output)
            .read_line(&mut ready)
            .expect("an answer");
        let ports: Vec<u16> = serde_json::from_str(&ready).unwrap_or_else(|_| {
            let log = std::fs::read_to_string(dir.path("sinks.log"));
            panic!("the sinks did not start: {}", log.unwrap_or_default())
        });
        for (sink, port) in sinks.iter_mut().zip(ports) {
            sink.address.set_port(port);
        }
        Self { process, sinks }
    }

    /// The server of that name.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn get(&self, name: &str) -> &Sink {
        let found = self.sinks.iter().find(|sink| sink.name == name);
        found.unwrap_or_else(|| panic!("no sink is named {name}"))
    }

    /// All servers.
    pub fn all(&self) -> &[Sink] {
        &self.sinks
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Sink {
    /// `[address]:port`, as Postfix has it.
    pub fn nexthop(&self) -> String {
        format!("[{}]:{}", self.address.ip(), self.address.port())
    }

    /// Number of received messages.
    pub fn count(&self) -> usize {
        let entries = std::fs::read_dir(&self.folder).expect("folder of the sink");
        entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "json"))
            .count()
    }

    /// All messages in order of arrival.
    pub fn deliveries(&self) -> Vec<Delivery> {
        (0..self.count())
            .map(|number| self.delivery(number))
            .collect()
    }

    fn delivery(&self, number: usize) -> Delivery {
        let path = |end: &str| self.folder.join(format!("{number:06}.{end}"));
        let about = std::fs::read(path("json")).expect("a kept envelope");
        let mut delivery: Delivery = serde_json::from_slice(&about).expect("an envelope");
        delivery.recipients.sort();
        delivery.bytes = std::fs::read(path("eml")).expect("a kept message");
        delivery
    }
}

impl Delivery {
    /// Values of all fields of that name, unfolded and trimmed, from the top.
    pub fn header(&self, name: &str) -> Vec<String> {
        header_of(&self.bytes, name)
    }

    /// Names of all fields, from the top.
    pub fn field_names(&self) -> Vec<String> {
        fields(&self.bytes).map(|(name, _)| name).collect()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        body_of(&self.bytes)
    }

    /// The body as text.
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }
}

/// Values of all fields of that name, unfolded and trimmed, from the top.
pub fn header_of(message: &[u8], name: &str) -> Vec<String> {
    fields(message)
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

/// Everything after the first empty line.
pub fn body_of(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(&[], |end| &message[end + 4..])
}

fn fields(message: &[u8]) -> impl Iterator<Item = (String, String)> {
    let end = message.len() - body_of(message).len();
    let header = String::from_utf8_lossy(&message[..end]).into_owned();
    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    let lines: Vec<(String, String)> = unfolded
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    lines.into_iter()
}

/// A file of the harness.
pub(crate) fn support(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("support")
        .join(name)
}
