//! The milters as processes. All of them end with the value that stands for
//! them; an interrupt from the keyboard reaches them by itself.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use waxseal_testkit::process::Process;
use waxseal_testkit::test_dir::TestDir;
use waxseal_testkit::wait_for;
use waxseal_testkit::waxseal::{binary, policy};

use crate::load::Endpoint;
use crate::settings::settings;

/// Ticks of processor time in a second: the same on every Linux.
const TICKS: u32 = 100;

/// Domains in the settings.
const DOMAINS: usize = 200;

/// All milters, with one key.
pub(crate) struct Milters {
    pub(crate) noop: Milter,
    pub(crate) opendkim: Milter,
    pub(crate) waxseal: Milter,
    /// The key in PEM form.
    pub(crate) key: Vec<u8>,
}

/// A milter on a Unix socket and on TCP.
pub(crate) struct Milter {
    pub(crate) unix: Endpoint,
    pub(crate) tcp: Endpoint,
    /// The process behind `unix` first.
    processes: Vec<Process>,
}

impl Milters {
    pub(crate) fn start(dir: &TestDir) -> anyhow::Result<Self> {
        let (file, key) = key(dir)?;
        Ok(Self {
            noop: noop(dir)?,
            opendkim: opendkim(dir, &file)?,
            waxseal: waxseal(dir)?,
            key,
        })
    }
}

impl Milter {
    fn started(
        dir: &TestDir,
        name: &str,
        port: u16,
        commands: Vec<Command>,
    ) -> anyhow::Result<Self> {
        let log = File::create(dir.path(&format!("{name}.log")))?;
        let mut processes = Vec::new();
        for mut command in commands {
            command
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?);
            let process = Process::start(&mut command);
            processes.push(process.with_context(|| format!("starting {name}"))?);
        }
        let milter = Self {
            unix: Endpoint::Unix(socket(dir, name)),
            tcp: Endpoint::Tcp(dir.port(port)),
            processes,
        };
        for endpoint in [&milter.unix, &milter.tcp] {
            wait_for(
                &format!("{name} to listen; its log is in {name}.log"),
                || endpoint.connect().ok(),
            );
        }
        Ok(milter)
    }

    /// Most megabytes that the process behind the Unix socket has had.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .context("no VmHWM")?;
        Ok(kilobytes.trim().parse::<f64>()? / 1000.0 * 1.024)
    }

    /// Begins a new peak from what is in use.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(fs::write(self.proc("clear_refs"), "5")?)
    }

    /// Processor time of all its processes so far.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let stat = |process: &Process| format!("/proc/{}/stat", process.id());
        self.processes
            .iter()
            .map(|process| processor_time(&stat(process)))
            .sum()
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.processes[0].id()))
    }
}

/// Processor time, in user and kernel mode, that a `stat` file tells of.
pub(crate) fn processor_time(stat: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(stat)?;
    // The second field, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no stat file")?;
    let mut times = fields.split_whitespace().skip(11).take(2);
    let ticks = times.try_fold(0, |sum, ticks| {
        ticks.parse::<u32>().map(|ticks| sum + ticks)
    })?;
    Ok(Duration::from_secs(1) * ticks / TICKS)
}

fn socket(dir: &TestDir, name: &str) -> PathBuf {
    dir.path(&format!("{name}.sock"))
}

/// One key for all: a file that nobody else may read, as signers demand it.
fn key(dir: &TestDir) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-quiet",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ])
        .output()?;
    ensure!(
        made.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let folder = dir.path("keys/acme.test");
    fs::create_dir_all(&folder)?;
    let file = folder.join("bench.pem");
    let mut written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)?;
    written.write_all(&made.stdout)?;
    Ok((file, made.stdout))
}

/// Our own server around a filter that does nothing.
fn noop(dir: &TestDir) -> anyhow::Result<Milter> {
    let program = binary().with_file_name("examples").join("milter_noop");
    ensure!(
        program.exists(),
        "{} is missing: `make bench` builds it",
        program.display()
    );
    let on = |endpoint: String| {
        let mut command = Command::new(&program);
        command.arg(endpoint);
        command
    };
    let unix = on(format!("unix:{}", socket(dir, "noop").display()));
    Milter::started(
        dir,
        "noop",
        8891,
        vec![unix, on(format!("inet:{}", dir.port(8891)))],
    )
}

/// OpenDKIM takes one socket, so there are two of it.
fn opendkim(dir: &TestDir, key: &Path) -> anyhow::Result<Milter> {
    let tcp = dir.port(8892);
    let on = |name: &str, endpoint: String| -> anyhow::Result<Command> {
        let hosts = dir.path("opendkim.hosts");
        fs::write(&hosts, "127.0.0.0/8\n192.0.2.0/24\n")?;
        let text = format!(
            "Mode s\nDomain acme.test\nSelector bench\nKeyFile {}\nRequireSafeKeys no\n\
             Canonicalization relaxed/relaxed\nSignatureAlgorithm rsa-sha256\nInternalHosts {}\n\
             Socket {endpoint}\nSyslog no\nBackground no\n",
            key.display(),
            hosts.display(),
        );
        let file = dir.path(name);
        fs::write(&file, text)?;
        let mut command = Command::new("/usr/sbin/opendkim");
        command.arg("-f").arg("-x").arg(file);
        Ok(command)
    };
    let commands = vec![
        on(
            "opendkim-unix.conf",
            format!("local:{}", socket(dir, "opendkim").display()),
        )?,
        on(
            "opendkim-tcp.conf",
            format!("inet:{}@{}", tcp.port(), tcp.ip()),
        )?,
    ];
    Milter::started(dir, "opendkim", tcp.port(), commands)
}

/// The daemon, as an administrator runs it, but for the wall clock of a decision:
/// see `limits` of the decisions.
fn waxseal(dir: &TestDir) -> anyhow::Result<Milter> {
    let relay = |name: &str| {
        format!("[relay.{name}]\nhost = \"{name}.test\"\nport = 25\nsecurity = \"none\"\n")
    };
    let config = format!(
        "hostname = \"mail.acme.test\"\nlocal-domains = [\"inside.test\"]\n\
         [policy]\nfile = \"{}\"\nsettings = \"settings.toml\"\n\
         [dkim]\nkeys = \"keys\"\n\
         [limits]\ndecision-time = \"10s\"\n\
         [[listener]]\nname = \"unix\"\nmode = \"mixed\"\naddress = \"unix:{}\"\n\
         [[listener]]\nname = \"tcp\"\nmode = \"mixed\"\naddress = \"inet:{}\"\n\
         [[listener]]\nname = \"split\"\nmode = \"split\"\naddress = \"inet:{}\"\nsmtpd = \"{}\"\n{}",
        policy("waxseal_standard").display(),
        socket(dir, "waxseal").display(),
        dir.port(8893),
        dir.port(8894),
        dir.port(10025),
        ["northwind", "bluebird", "quarry"].map(relay).concat(),
    );
    let file = dir.path("waxseal.toml");
    fs::write(&file, config)?;
    fs::write(dir.path("settings.toml"), settings(DOMAINS))?;
    let mut command = Command::new(binary());
    command.args(["run", "--allow-root", "--config"]).arg(file);
    Milter::started(dir, "waxseal", 8893, vec![command])
}
