//! The state of a message that has begun.

use std::sync::Arc;

use super::received::Received;
use crate::config::Mode;
use crate::pipeline::PolicySnapshot;
use crate::rollout::ActiveVersion;
use waxseal_core::decision::Reply;
use waxseal_core::message::Message;

/// Policy version and listener of a message.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    version: Arc<ActiveVersion>,
    listener: Arc<str>,
    mode: Mode,
}

impl Begun {
    pub(super) fn new(version: Arc<ActiveVersion>, listener: &Arc<str>) -> Self {
        let listeners = &version.snapshot().config().listeners;
        let known = listeners.iter().find(|known| *known.name == **listener);
        Self {
            // A listener that a reload removed from the configuration, or that
            // the front has and the configuration has not: what comes through it
            // is mixed mail, which signs nothing for strangers.
            mode: known.map_or(Mode::Mixed, |known| known.mode),
            listener: Arc::clone(listener),
            version,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn version(&self) -> &Arc<ActiveVersion> {
        &self.version
    }

    pub(super) fn snapshot(&self) -> &Arc<PolicySnapshot> {
        self.version.snapshot()
    }

    pub(super) fn message(&self, received: Received) -> Result<Message, Reply> {
        received.into_message(self.snapshot().config(), &self.listener)
    }
}
