//! Start, reloads and stop of the daemon.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::admin;
use waxseal::config::{self, Config, ConfigError};
use waxseal::crypto::Secret;
use waxseal::intake::Intake;
use waxseal::pipeline::DerivedKeys;
use waxseal::quota::{Day, LeasedLedger, Ledger};
use waxseal::rollout::{PolicyManager, PolicyService, Recordings, ShadowController};
use waxseal::state::StateOptions;
use waxseal_milter::Server;
use waxseal_runtime::{CODE_FOLDER, CodeCache, Compiler, Limits, LoadError, Sandbox};

use super::error::DaemonError;
use super::executor::PoolExecutor;
use super::filter::PolicyFilter;
use super::policy_tests::PolicyTests;
use super::signals::{Request, Signals};

/// Runs until SIGTERM or SIGINT, then finishes messages in flight. SIGHUP and
/// SIGUSR1 reload configuration, policy and settings.
///
/// # Errors
///
/// If it cannot start. Later errors are logged and affect one message at most.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    let mut signals = Signals::listen().map_err(DaemonError::Signals)?;
    let started_with = config.clone();
    let mut reload_requested = false;
    let mut starting = Box::pin(Daemon::start(config));
    let daemon = loop {
        tokio::select! {
            daemon = &mut starting => break daemon?,
            request = signals.next() => match request {
                Request::Stop => {
                    tracing::info!("stopped during startup");
                    return Ok(());
                }
                Request::Reload | Request::Ignored(_) => reload_requested = true,
            },
        }
    };
    let reloads = Reloads {
        manager: Arc::clone(&daemon.manager),
        started_with,
        running: None,
        again: reload_requested,
    };
    daemon.serve(reloads.until_stopped(signals)).await;
    Ok(())
}

/// The running components.
struct Daemon {
    manager: Arc<PolicyManager>,
    ledger: Arc<LeasedLedger>,
    recordings: Arc<Recordings>,
    server: Server<PolicyFilter, PoolExecutor>,
    background: JoinSet<()>,
}

impl Daemon {
    async fn start(config: Config) -> Result<Self, DaemonError> {
        if config.listeners.is_empty() {
            return Err(DaemonError::NoListener(config.source.path));
        }
        let secret = Secret::open(&config.state)?;
        let secrets = Arc::new(DerivedKeys::new(&secret));
        // Before the state is opened: fails if another daemon uses it.
        let admin = admin::Server::bind(&config.admin.socket)?;
        let store = waxseal::state::open(&StateOptions::from(&config))?;
        let sandbox = sandbox(&config, Limits::from(&config.limits), &secret)?;
        let listeners = super::listeners::settings(&config.listeners)?;
        let limits = super::listeners::limits(&config.limits);
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
        let charged = Arc::clone(&ledger) as Arc<dyn Ledger>;
        let service = Arc::new(PolicyService::new(charged, Arc::clone(manager.versions())));
        let recordings = Recordings::begin(Arc::clone(&service)).await;
        let shadows = shadows(&manager, &service, secret);
        let executor = PoolExecutor(Arc::clone(service.pool()));
        let filter = Arc::new(PolicyFilter::new(Intake::new(service)));
        let server = Server::bind_with(&listeners, limits, filter, executor)?;
        for endpoint in server.endpoints() {
            tracing::info!(%endpoint, "listening");
        }
        let control = admin::Control {
            manager: Arc::clone(&manager),
            shadows,
            recordings: Arc::clone(&recordings),
        };
        let mut background = JoinSet::new();
        background.spawn(admin.run(control));
        background.spawn(Arc::clone(&manager).watch());
        background.spawn(super::state::watch(state));
        background.spawn(Arc::clone(&recordings).follow());
        Ok(Self {
            manager,
            ledger,
            recordings,
            server,
            background,
        })
    }

    /// Serves until `stopped` completes, then shuts down.
    async fn serve(mut self, stopped: impl Future<Output = ()>) {
        self.server.run(stopped).await;
        self.background.shutdown().await;
        self.recordings.end().await;
        if let Err(error) = self.ledger.close().await {
            // Leases that are not returned stay unavailable until the next day.
            tracing::error!("cannot return unused units of today's limits: {error}");
        }
        tracing::info!("stopped");
    }
}

/// Candidates use the same compiler and code cache as active versions, so that a
/// promoted candidate is not compiled again.
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

/// A sandbox that compiles in a separate process. The code cache is optional.
fn sandbox(config: &Config, limits: Limits, secret: &Secret) -> Result<Sandbox, LoadError> {
    let builder = Sandbox::builder(limits).compiler(Compiler::this_program());
    match CodeCache::open(&config.state.join(CODE_FOLDER), secret) {
        Ok(cache) => builder.cache(cache).build(),
        Err(error) => {
            tracing::error!(
                "cannot open the code cache, policies are compiled at each start: {error}"
            );
            builder.build()
        }
    }
}

/// Reloads, one at a time, in a separate task, so that signals are handled
/// meanwhile.
struct Reloads {
    manager: Arc<PolicyManager>,
    started_with: Config,
    running: Option<JoinHandle<()>>,
    /// Another reload was requested.
    again: bool,
}

impl Reloads {
    /// Completes on a stop signal; reloads on a reload signal.
    async fn until_stopped(mut self, mut signals: Signals) {
        loop {
            if self.running.is_none() && std::mem::take(&mut self.again) {
                let (manager, started_with) =
                    (Arc::clone(&self.manager), self.started_with.clone());
                self.running = Some(tokio::spawn(reload(manager, started_with)));
            }
            tokio::select! {
                request = signals.next() => match request {
                    Request::Stop => break,
                    Request::Reload | Request::Ignored(_) => {
                        if self.running.is_some() {
                            tracing::info!("a reload is in progress; another one follows it");
                        }
                        self.again = true;
                    }
                },
                ended = ended(&mut self.running) => {
                    if let Err(error) = ended {
                        tracing::error!("reload failed: {error}; the active version is unchanged");
                    }
                    self.running = None;
                }
            }
        }
        if let Some(running) = self.running {
            running.abort();
            tracing::info!("the reload in progress was canceled");
        }
        tracing::info!("stopping: finishing messages in flight");
    }
}

/// Waits for a task to end; never completes if there is none.
async fn ended(task: &mut Option<JoinHandle<()>>) -> Result<(), JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Activates the current configuration, or logs why it cannot.
async fn reload(manager: Arc<PolicyManager>, started_with: Config) {
    let config = match config::read(&started_with.source.path) {
        Ok(config) => config,
        Err(error) => {
            if let ConfigError::Problems(problems) = &error {
                problems
                    .iter()
                    .for_each(|problem| tracing::error!("{problem}"));
            }
            tracing::error!("reload failed: {error}; the active configuration is unchanged");
            return;
        }
    };
    let restart = super::restart::needed_for(&started_with, &config);
    if !restart.is_empty() {
        tracing::warn!(
            "these changed settings take effect after a restart: {}",
            restart.join(", ")
        );
    }
    match manager.reload(config, Timestamp::now()).await {
        Ok(_) => tracing::info!("reloaded: messages in flight finish with the previous version"),
        // The reason has been logged.
        Err(_) => tracing::error!("reload failed: the active version is unchanged"),
    }
}
