//! The part of this program that is about policies: an engine, its reloads, and
//! the servers of a route.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use waxseal::Engine;
use waxseal::config::{self, Config, Security};
use waxseal::intake::Transaction;
use waxseal::pipeline::{Delivery, PolicySnapshot};

/// Name of our only listener, as policies see it.
const LISTENER: &str = "embedded";

/// The engine, and where its mail goes.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    config: PathBuf,
    next_hop: SocketAddr,
    listener: Arc<str>,
}

impl Host {
    /// Loads the policy that the configuration names.
    ///
    /// # Errors
    ///
    /// All problems at once.
    pub(crate) async fn open(path: &Path, next_hop: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            engine: Engine::builder(read(path)?).build().await?,
            config: path.to_owned(),
            next_hop,
            listener: LISTENER.into(),
        })
    }

    /// Reads everything again and activates it. If it has problems, they are
    /// logged and the active version is unchanged.
    pub(crate) async fn reload(self: Arc<Self>) {
        let reloaded = match read(&self.config) {
            Ok(config) => self.engine.reload(config).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        match reloaded {
            Ok(version) => tracing::info!(version, "reloaded"),
            Err(error) => tracing::error!("not reloaded, the old version stays active: {error:#}"),
        }
    }

    /// Begins a message, at its MAIL command.
    pub(crate) fn begin(&self) -> Transaction {
        self.engine.intake().begin(&self.listener)
    }

    /// The servers to try for a message, in order: host and port.
    pub(crate) fn route(
        &self,
        snapshot: &PolicySnapshot,
        delivery: Option<&Delivery>,
    ) -> Vec<(String, u16)> {
        let relays = snapshot.relays();
        let names = delivery.into_iter().flat_map(Delivery::relays);
        let mut route: Vec<_> = names
            .filter_map(|name| relays.get(name.as_str()))
            .map(|relay| (relay.host.clone(), relay.port))
            .collect();
        route.push((self.next_hop.ip().to_string(), self.next_hop.port()));
        route
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
