//! The daemon: everything put together and kept running.
//!
//! A reload builds another [`Generation`] beside the one in service, and takes
//! over only when nothing is wrong with it. Messages in flight finish with the
//! version that was in service when they began.

mod filter;
mod listeners;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Timestamp, Zoned};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, Config, ConfigError, Problem, Severity};
use crate::milter::{BindError, Server};
use crate::pipeline::{Built, Generation, Pipeline, Secrets};
use crate::policy::{Limits, LoadError, Sandbox};
use crate::quota::{Day, Live};
use crate::service::{Service, Versions, Why};
use crate::store::{Secret, SecretError, SqliteStore, Store, StoreError};

pub use filter::PolicyFilter;
pub use listeners::UnknownGroup;

/// Why the daemon does not run.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration can be read, but something it names is not in order.
    #[error("{} problem(s) in what the configuration names; `waxseal check` shows them", .0.len())]
    Problems(Vec<Problem>),
    /// There is nothing to listen on.
    #[error("{0} has no [[listener]]: there is nowhere for the mail server to connect to")]
    NoListener(PathBuf),
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket's group does not exist.
    #[error(transparent)]
    Group(#[from] UnknownGroup),
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox cannot be made.
    #[error("making the sandbox: {0}")]
    Sandbox(#[from] LoadError),
    /// Signals cannot be received.
    #[error("listening for signals: {0}")]
    Signals(std::io::Error),
}

/// What outlives a generation.
struct Host {
    sandbox: Sandbox,
    secrets: Arc<Secrets>,
    path: PathBuf,
    versions: Arc<Versions>,
}

/// Runs until SIGTERM or SIGINT, then lets messages in flight finish. SIGHUP
/// reads configuration, policy and settings again.
///
/// # Errors
///
/// When it cannot start. Once it runs, what goes wrong is logged, and costs a
/// message at most.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    let path = config.source.path.clone();
    if config.listeners.is_empty() {
        return Err(DaemonError::NoListener(path));
    }
    let secret = Secret::open(&config.state)?;
    let secrets = Arc::new(Secrets::new(&secret));
    let store = Arc::new(SqliteStore::open(&config.state)?);
    let sandbox = Sandbox::new(Limits::from(&config.limits))?;
    let listeners = listeners::settings(&config.listeners)?;
    let limits = listeners::limits(&config.limits);
    let day = Day::of(Timestamp::now(), &config.time_zone);
    let built = build(&sandbox, config, &secrets).await?;
    let ledger = Arc::new(Live::open(store as Arc<dyn Store>, &day)?);
    let versions = Arc::new(Versions::new(built, Timestamp::now()));
    let pipeline = Pipeline::new(Arc::clone(&ledger));
    let service = Arc::new(Service::new(pipeline, Arc::clone(&versions)));
    let filter = PolicyFilter::new(service);
    let server = Server::bind(&listeners, limits, Arc::new(filter))?;
    for endpoint in server.endpoints() {
        tracing::info!(%endpoint, "listening");
    }
    let host = Host {
        sandbox,
        secrets,
        path,
        versions,
    };
    server.run(stopped(host)?).await;
    if let Err(error) = ledger.close().await {
        // Leases that are not given back are lost until tomorrow, no more.
        tracing::error!("giving back what was not used of today's maxima: {error}");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn build(
    sandbox: &Sandbox,
    config: Config,
    secrets: &Arc<Secrets>,
) -> Result<Arc<Generation>, DaemonError> {
    let today = today(&config);
    let built = Generation::build(sandbox, config, Arc::clone(secrets), today).await;
    let Built {
        generation,
        warnings,
    } = built.map_err(|problems| {
        tell(&problems);
        DaemonError::Problems(problems)
    })?;
    tell(&warnings);
    let id = generation.policy_id();
    tracing::info!(
        policy = id.name,
        version = id.version,
        digest = id.digest,
        "in service"
    );
    Ok(generation)
}

fn today(config: &Config) -> jiff::civil::Date {
    Zoned::now().with_time_zone(config.time_zone.clone()).date()
}

fn tell(problems: &[Problem]) {
    for problem in problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
        }
    }
}

/// Is done when the daemon is asked to stop; reloads when asked to.
fn stopped(host: Host) -> Result<impl Future<Output = ()>, DaemonError> {
    let listen = |kind| signal(kind).map_err(DaemonError::Signals);
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = received(&mut hangup) => host.reload().await,
            }
        }
        tracing::info!("stopping: messages in flight finish first");
    })
}

/// Waits for a signal; for ever where none can come any more.
async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

impl Host {
    /// Puts a new generation in service, or keeps the old one and tells why.
    async fn reload(&self) {
        let path: &Path = &self.path;
        let config = match config::read(path) {
            Ok(config) => config,
            Err(ConfigError::Problems(problems)) => {
                tell(&problems);
                tracing::error!("not reloaded: the configuration in service stays");
                return;
            }
            Err(error) => {
                tracing::error!("not reloaded: {error}; the configuration in service stays");
                return;
            }
        };
        let old = self.versions.in_service();
        if listeners::differ(&old.generation().config().listeners, &config.listeners) {
            tracing::warn!("changed listeners take effect at the next start");
        }
        match build(&self.sandbox, config, &self.secrets).await {
            Ok(generation) => {
                self.versions
                    .put_in_service(generation, Why::Reload, Timestamp::now());
                tracing::info!("reloaded: messages in flight finish as they began");
            }
            Err(error) => tracing::error!("not reloaded: {error}; what is in service stays"),
        }
    }
}
