//! The daemon: everything put together and kept running.
//!
//! Which policy is in service is the [`PolicyManager`]'s affair: it builds versions
//! beside the one in service and swaps them. Messages in flight finish with the
//! version that was in service when they began.

mod executor;
mod filter;
mod listeners;
mod policy_tests;
mod restart;
mod signals;
mod state;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::admin;
use crate::config::{self, Config, ConfigError, Problem};
use crate::crypto::{Secret, SecretError};
use crate::milter::{BindError, Server};
use crate::pipeline::{DerivedKeys, Pipeline};
use crate::quota::{Day, LeasedLedger, Ledger, LedgerError};
use crate::rollout::{PolicyManager, PolicyService, Recordings, ShadowController};
use crate::runtime::{CODE_FOLDER, CodeCache, Compiler, Limits, LoadError, Sandbox};
use crate::state::{StateError, StateOptions};

use executor::PoolExecutor;
pub use filter::PolicyFilter;
pub use listeners::UnknownGroup;
pub use policy_tests::PolicyTests;
use signals::{Asked, Signals};

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
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The sandbox cannot be made.
    #[error("making the sandbox: {0}")]
    Sandbox(#[from] LoadError),
    /// Signals cannot be received.
    #[error("listening for signals: {0}")]
    Signals(std::io::Error),
}

/// Runs until SIGTERM or SIGINT, then lets messages in flight finish. SIGHUP and
/// SIGUSR1 read configuration, policy and settings again.
///
/// # Errors
///
/// When it cannot start. Once it runs, what goes wrong is logged, and costs a
/// message at most.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    let mut signals = Signals::listen().map_err(DaemonError::Signals)?;
    let started_with = config.clone();
    let mut reload_asked = false;
    let mut starting = Box::pin(Daemon::start(config));
    let daemon = loop {
        tokio::select! {
            daemon = &mut starting => break daemon?,
            asked = signals.next() => match asked {
                Asked::Stop => {
                    tracing::info!("stopped before the start was complete");
                    return Ok(());
                }
                Asked::Reload | Asked::Nothing(_) => reload_asked = true,
            },
        }
    };
    let reloads = Reloads {
        manager: Arc::clone(&daemon.manager),
        started_with,
        running: None,
        again: reload_asked,
    };
    daemon.serve(reloads.until_stopped(signals)).await;
    Ok(())
}

/// Everything that runs.
struct Daemon {
    manager: Arc<PolicyManager>,
    ledger: Arc<LeasedLedger>,
    recordings: Arc<Recordings>,
    server: Server<PolicyFilter, PoolExecutor>,
    beside: JoinSet<()>,
}

impl Daemon {
    async fn start(config: Config) -> Result<Self, DaemonError> {
        if config.listeners.is_empty() {
            return Err(DaemonError::NoListener(config.source.path));
        }
        let secret = Secret::open(&config.state)?;
        let secrets = Arc::new(DerivedKeys::new(&secret));
        // Before anything of the state is touched: it tells whether another daemon
        // is using it.
        let admin = admin::Server::bind(&config.admin.socket)?;
        let store = crate::state::open(&StateOptions::from(&config))?;
        let sandbox = sandbox(&config, Limits::from(&config.limits), &secret)?;
        let listeners = listeners::settings(&config.listeners)?;
        let limits = listeners::limits(&config.limits);
        let state = config.state.clone();
        let day = Day::of(Timestamp::now(), &config.time_zone);
        let new_counters = config.limits.new_counters;
        let manager = PolicyManager::start(
            sandbox,
            secrets,
            vec![Arc::new(PolicyTests)],
            config,
            Timestamp::now(),
        )
        .await
        .map_err(DaemonError::Problems)?;
        let ledger = Arc::new(LeasedLedger::open(
            Arc::clone(store.counters()),
            &day,
            new_counters,
        )?);
        let pipeline = Pipeline::new(Arc::clone(&ledger) as Arc<dyn Ledger>);
        let service = Arc::new(PolicyService::new(pipeline, Arc::clone(manager.versions())));
        let recordings = Recordings::begin(Arc::clone(&service)).await;
        let shadows = shadows(&manager, &service, secret);
        let executor = PoolExecutor(Arc::clone(service.pool()));
        let filter = Arc::new(PolicyFilter::new(service));
        let server = Server::bind_with(&listeners, limits, filter, executor)?;
        for endpoint in server.endpoints() {
            tracing::info!(%endpoint, "listening");
        }
        let control = admin::Control {
            manager: Arc::clone(&manager),
            shadows,
            recordings: Arc::clone(&recordings),
        };
        let mut beside = JoinSet::new();
        beside.spawn(admin.run(control));
        beside.spawn(Arc::clone(&manager).keep());
        beside.spawn(state::watch(state));
        beside.spawn(Arc::clone(&recordings).follow());
        Ok(Self {
            manager,
            ledger,
            recordings,
            server,
            beside,
        })
    }

    /// Serves until `stopped` is done, and then ends in order.
    async fn serve(mut self, stopped: impl Future<Output = ()>) {
        self.server.run(stopped).await;
        self.beside.shutdown().await;
        self.recordings.end().await;
        if let Err(error) = self.ledger.close().await {
            // Leases that are not given back are lost until tomorrow, no more.
            tracing::error!("giving back what was not used of today's maxima: {error}");
        }
        tracing::info!("stopped");
    }
}

/// Candidates are compiled as versions in service are, and kept where those
/// are: one that is promoted need not be compiled again.
fn shadows(
    manager: &Arc<PolicyManager>,
    service: &Arc<PolicyService>,
    secret: Secret,
) -> Arc<ShadowController> {
    let single = move |config: &Config| {
        let limits = Limits {
            decisions: 1,
            ..Limits::from(&config.limits)
        };
        sandbox(config, limits, &secret)
    };
    Arc::new(ShadowController::new(
        Arc::clone(manager),
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

/// Reloads, one at a time, in a task of their own: what is asked for meanwhile is
/// heard at once.
struct Reloads {
    manager: Arc<PolicyManager>,
    started_with: Config,
    running: Option<JoinHandle<()>>,
    /// Another one was asked for.
    again: bool,
}

impl Reloads {
    /// Is done when the daemon is asked to stop; reloads when asked to.
    async fn until_stopped(mut self, mut signals: Signals) {
        loop {
            if self.running.is_none() && std::mem::take(&mut self.again) {
                let (manager, started_with) =
                    (Arc::clone(&self.manager), self.started_with.clone());
                self.running = Some(tokio::spawn(reload(manager, started_with)));
            }
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => break,
                    Asked::Reload | Asked::Nothing(_) => {
                        if self.running.is_some() {
                            tracing::info!("a reload is under way: another one follows it");
                        }
                        self.again = true;
                    }
                },
                ended = ended(&mut self.running) => {
                    if let Err(error) = ended {
                        tracing::error!("not reloaded: {error}; what is in service stays");
                    }
                    self.running = None;
                }
            }
        }
        if let Some(running) = self.running {
            running.abort();
            tracing::info!("the reload that was under way is given up");
        }
        tracing::info!("stopping: messages in flight finish first");
    }
}

/// Waits for a task to end; for ever where there is none.
async fn ended(task: &mut Option<JoinHandle<()>>) -> Result<(), JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Puts what the configuration says now in service, or keeps the old one and
/// tells why.
async fn reload(manager: Arc<PolicyManager>, started_with: Config) {
    let config = match config::read(&started_with.source.path) {
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
    let restart = restart::needed_for(&started_with, &config);
    if !restart.is_empty() {
        tracing::warn!(
            "these settings differ from those that waxseal runs with, and take effect at its next start: {}",
            restart.join(", ")
        );
    }
    match manager.reload(config, Timestamp::now()).await {
        Ok(_) => tracing::info!("reloaded: messages in flight finish as they began"),
        // Why has been told.
        Err(_) => tracing::error!("not reloaded: what is in service stays"),
    }
}
