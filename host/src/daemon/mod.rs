//! The daemon: everything put together and kept running.
//!
//! Which policy is in service is the [`Keeper`]'s affair: it builds versions
//! beside the one in service and swaps them. Messages in flight finish with the
//! version that was in service when they began.

mod filter;
mod listeners;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::admin;
use crate::config::{self, Config, ConfigError, Problem};
use crate::milter::{BindError, Server};
use crate::pipeline::{Pipeline, Secrets};
use crate::policy::{CODE_FOLDER, CodeCache, Compiler, Limits, LoadError, Sandbox};
use crate::quota::{Day, Ledger, Live};
use crate::service::{Keeper, Recordings, Service, Shadows};
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
    // Before anything of the state is touched: it tells whether another daemon
    // is using it.
    let admin = admin::Server::bind(&config.admin.socket)?;
    let store = Arc::new(SqliteStore::open(&config.state)?);
    let sandbox = sandbox(&config, Limits::from(&config.limits), &secret)?;
    let listeners = listeners::settings(&config.listeners)?;
    let limits = listeners::limits(&config.limits);
    let state = config.state.clone();
    let day = Day::of(Timestamp::now(), &config.time_zone);
    let new_counters = config.limits.new_counters;
    let keeper = Keeper::start(sandbox, secrets, config, Timestamp::now())
        .await
        .map_err(DaemonError::Problems)?;
    let ledger = Arc::new(Live::open(store as Arc<dyn Store>, &day, new_counters)?);
    let pipeline = Pipeline::new(Arc::clone(&ledger));
    let service = Arc::new(Service::new(pipeline, Arc::clone(keeper.versions())));
    let recordings = Recordings::begin(Arc::clone(&service)).await;
    let shadows = shadows(&keeper, &service, secret);
    let server = Server::bind(&listeners, limits, Arc::new(PolicyFilter::new(service)))?;
    for endpoint in server.endpoints() {
        tracing::info!(%endpoint, "listening");
    }
    let control = admin::Control {
        keeper: Arc::clone(&keeper),
        shadows,
        recordings: Arc::clone(&recordings),
    };
    let mut beside = JoinSet::new();
    beside.spawn(admin.run(control));
    beside.spawn(Arc::clone(&keeper).keep());
    beside.spawn(state::watch(state));
    beside.spawn(Arc::clone(&recordings).follow());
    server.run(stopped(keeper, path)?).await;
    beside.shutdown().await;
    recordings.end().await;
    if let Err(error) = ledger.close().await {
        // Leases that are not given back are lost until tomorrow, no more.
        tracing::error!("giving back what was not used of today's maxima: {error}");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Candidates are compiled as versions in service are, and kept where those
/// are: one that is promoted need not be compiled again.
fn shadows<L: Ledger>(
    keeper: &Arc<Keeper>,
    service: &Arc<Service<L>>,
    secret: Secret,
) -> Arc<Shadows> {
    let single = move |config: &Config| {
        let limits = Limits {
            decisions: 1,
            ..Limits::from(&config.limits)
        };
        sandbox(config, limits, &secret)
    };
    Arc::new(Shadows::new(
        Arc::clone(keeper),
        Arc::clone(service),
        Box::new(single),
    ))
}

/// A sandbox that compiles in a process of its own. Without a cache it does as
/// well, and starts more slowly.
fn sandbox(config: &Config, limits: Limits, secret: &Secret) -> Result<Sandbox, LoadError> {
    let builder = Sandbox::builder(limits).compiler(Compiler::this_program());
    match CodeCache::open(&config.state.join(CODE_FOLDER), secret) {
        Ok(cache) => builder.cache(cache).build(),
        Err(error) => {
            tracing::error!("policies are compiled anew at each start: {error}");
            builder.build()
        }
    }
}

/// Is done when the daemon is asked to stop; reloads when asked to.
fn stopped(keeper: Arc<Keeper>, path: PathBuf) -> Result<impl Future<Output = ()>, DaemonError> {
    let listen = |kind| signal(kind).map_err(DaemonError::Signals);
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = received(&mut hangup) => reload(&keeper, &path).await,
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

/// Puts what the configuration says now in service, or keeps the old one and
/// tells why.
async fn reload(keeper: &Arc<Keeper>, path: &Path) {
    let config = match config::read(path) {
        Ok(config) => config,
        Err(error) => {
            if let ConfigError::Problems(problems) = &error {
                problems
                    .iter()
                    .for_each(|problem| tracing::error!("{problem}"));
            }
            tracing::error!("not reloaded: {error}; the configuration in service stays");
            return;
        }
    };
    let old = keeper.versions().in_service();
    if listeners::differ(&old.generation().config().listeners, &config.listeners) {
        tracing::warn!("changed listeners take effect at the next start");
    }
    match keeper.reload(config, Timestamp::now()).await {
        Ok(_) => tracing::info!("reloaded: messages in flight finish as they began"),
        // Why has been told.
        Err(_) => tracing::error!("not reloaded: what is in service stays"),
    }
}
