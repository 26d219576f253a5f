//! What an embedding program writes to have policies.
//!
//! [`Host::open`] loads, [`Host::swap`] puts a new version in service, and
//! [`Host::process`] decides on a message. The rest is the program's own: where
//! messages come from, and who takes them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::{Timestamp, Zoned};
use tokio::sync::Mutex;
use waxseal::config::{self, Config, Mode, Problem, Security, Severity};
use waxseal::crypto::Secret;
use waxseal::message::{Client, Message};
use waxseal::pipeline::{
    BuildReport, Delivery, DerivedKeys, Direction, Outcome, Pipeline, PolicySnapshot,
};
use waxseal::quota::{Day, LeasedLedger, Ledger};
use waxseal::rollout::{ActivationReason, ActiveVersion, PolicyService, VersionHistory};
use waxseal::runtime::{Limits, Sandbox};
use waxseal::state::{self, StateOptions};

/// Name of our only listener, as policies see it.
pub(crate) const LISTENER: &str = "embedded";

/// The policy in service and everything that it needs.
pub(crate) struct Host {
    config: PathBuf,
    next_hop: SocketAddr,
    sandbox: Sandbox,
    secrets: Arc<DerivedKeys>,
    ledger: Arc<LeasedLedger>,
    service: PolicyService,
    /// One swap at a time.
    swapping: Mutex<()>,
}

impl Host {
    /// Loads the policy that the configuration names.
    ///
    /// # Errors
    ///
    /// When anything it names is not in order: all problems at once.
    pub(crate) async fn open(path: &Path, next_hop: SocketAddr) -> anyhow::Result<Self> {
        let config = read(path)?;
        // Seeds of decisions, and return paths that nobody can forge.
        let secrets = Arc::new(DerivedKeys::new(&Secret::open(&config.state)?));
        // Daily maxima hold across restarts.
        let state = state::open(&StateOptions::from(&config))?;
        let now = Timestamp::now();
        let day = Day::of(now, &config.time_zone);
        let ledger = Arc::new(LeasedLedger::open(
            Arc::clone(state.counters()),
            &day,
            config.limits.new_counters,
        )?);
        let sandbox = Sandbox::new(Limits::from(&config.limits))?;
        let snapshot = build(&sandbox, config, &secrets).await?;
        let versions = Arc::new(VersionHistory::new(snapshot, now));
        Ok(Self {
            config: path.to_owned(),
            next_hop,
            sandbox,
            secrets,
            service: PolicyService::new(
                Pipeline::new(Arc::clone(&ledger) as Arc<dyn Ledger>),
                versions,
            ),
            ledger,
            swapping: Mutex::default(),
        })
    }

    /// Reads everything again and puts it in service, in one step. Messages in
    /// flight finish on the version they began with; a version that has problems
    /// is told and left alone.
    pub(crate) async fn swap(self: Arc<Self>) {
        let _one_at_a_time = self.swapping.lock().await;
        let built = match read(&self.config) {
            Ok(config) => build(&self.sandbox, config, &self.secrets).await,
            Err(error) => Err(error),
        };
        match built {
            Ok(snapshot) => {
                let why = ActivationReason::Reload;
                let version =
                    self.service
                        .versions()
                        .put_in_service(snapshot, why, Timestamp::now());
                tracing::info!(version = version.number(), "swapped");
            }
            Err(error) => tracing::error!("not swapped, the old version stays: {error:#}"),
        }
    }

    /// The version for a message that begins now: taken at its MAIL command.
    pub(crate) fn begin(&self) -> Arc<ActiveVersion> {
        self.service.begin()
    }

    /// Whether that client's mail is outgoing, and so ours to take (R20).
    pub(crate) fn takes_mail_of(&self, version: &ActiveVersion, client: &Client) -> bool {
        let config = version.snapshot().config();
        Direction::of(config, Mode::Mixed, client) == Direction::Outgoing
    }

    /// Decides on a message, and charges what it is charged for.
    pub(crate) async fn process(
        &self,
        version: &Arc<ActiveVersion>,
        message: Arc<Message>,
    ) -> Outcome {
        self.service.process(version, message).await
    }

    /// The servers that may take a message, in order: host and port.
    pub(crate) fn route(
        &self,
        version: &ActiveVersion,
        delivery: Option<&Delivery>,
    ) -> Vec<(String, u16)> {
        let relays = version.snapshot().relays();
        let names = delivery
            .into_iter()
            .flat_map(|delivery| delivery.relay.iter().chain(&delivery.fallbacks));
        let mut route: Vec<_> = names
            .filter_map(|name| relays.get(name.as_str()))
            .map(|relay| (relay.host.clone(), relay.port))
            .collect();
        route.push((self.next_hop.ip().to_string(), self.next_hop.port()));
        route
    }

    /// Gives back what was taken of today's maxima and not used.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.ledger.close().await {
            tracing::error!("giving back what was not used of today's maxima: {error}");
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Config> {
    let config = config::read(path).with_context(|| path.display().to_string())?;
    // An example has its limits, and says so before the first message.
    let secured =
        |relay: &&config::Relay| relay.security != Security::None || relay.login.is_some();
    if let Some(relay) = config.relays.iter().find(secured) {
        bail!(
            "this example speaks neither TLS nor AUTH, which relay \"{}\" wants: set security = \
             \"none\" and no login there, or build lettre with a TLS feature and use it in \
             deliver.rs",
            relay.name
        );
    }
    Ok(config)
}

async fn build(
    sandbox: &Sandbox,
    config: Config,
    secrets: &Arc<DerivedKeys>,
) -> anyhow::Result<Arc<PolicySnapshot>> {
    let today = Zoned::now().with_time_zone(config.time_zone.clone()).date();
    match PolicySnapshot::build(sandbox, config, Arc::clone(secrets), today).await {
        Ok(BuildReport { snapshot, warnings }) => {
            warnings
                .iter()
                .for_each(|warning| tracing::warn!("{warning}"));
            Ok(snapshot)
        }
        Err(problems) => {
            let errors = problems
                .iter()
                .filter(|problem| problem.severity == Severity::Error);
            let errors: Vec<String> = errors.map(Problem::to_string).collect();
            bail!("{}", errors.join("\n"))
        }
    }
}
