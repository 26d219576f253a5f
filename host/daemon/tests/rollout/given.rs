//! A service, snapshots and messages for these tests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use waxseal::config::{self, Config};
use waxseal::crypto::Secret;
use waxseal::intake::{Direction, Intake, Transaction};
use waxseal::message::{Client, Content, Message};
use waxseal::pipeline::{BuildReport, DerivedKeys, Outcome, PolicySnapshot};
use waxseal::quota::ReadOnlyLedger;
use waxseal::rollout::{ActiveVersion, PolicyManager, PolicyService, VersionHistory};
use waxseal::runtime::{Limits, Sandbox};
use waxseal_daemon::daemon::PolicyTests;

/// One sandbox for all tests: each has address space for its slots.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    let limits = Limits {
        time: Duration::from_secs(60),
        instructions: 100_000_000,
        memory: 64 << 20,
        decisions: 8,
    };
    SANDBOX.get_or_init(|| Sandbox::for_trials(limits).expect("a sandbox"))
}

/// A component of this project.
pub(crate) fn component(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies");
    let path = folder.join(name).with_extension("wasm");
    assert!(
        path.exists(),
        "{}: `make policies` builds it",
        path.display()
    );
    path
}

/// A folder with a configuration, a policy and its settings.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    /// The policy fails as its subjects ask for, and otherwise says its
    /// settings; `lines` go into the table of the policy.
    pub(crate) fn new(lines: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let policy = component("waxseal_misbehaving");
        std::fs::copy(policy, place.path("policy.wasm")).expect("copied");
        place.write("settings.txt", "first");
        place.write(
            "waxseal.toml",
            &format!(
                "hostname = \"mx.test\"\n[policy]\nfile = \"policy.wasm\"\n\
                 settings = \"settings.txt\"\n{lines}\n"
            ),
        );
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub(crate) fn config(&self) -> Config {
        config::read(&self.path("waxseal.toml")).expect("a configuration")
    }

    /// What the files say now.
    pub(crate) async fn snapshot(&self) -> Arc<PolicySnapshot> {
        let today = now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let built = PolicySnapshot::build(sandbox(), self.config(), secrets(), today).await;
        let BuildReport { snapshot, .. } = built.unwrap_or_else(|problems| panic!("{problems:?}"));
        snapshot
    }

    /// The same with other settings.
    pub(crate) async fn with_settings(&self, settings: &str) -> Arc<PolicySnapshot> {
        self.write("settings.txt", settings);
        self.snapshot().await
    }

    /// A service of what the files say now.
    pub(crate) async fn service(&self) -> Arc<PolicyService> {
        let snapshot = self.snapshot().await;
        service(Arc::new(VersionHistory::new(snapshot, now())))
    }
}

/// A manager of what the files of a place say.
pub(crate) async fn start(place: &Place) -> Arc<PolicyManager> {
    let started = PolicyManager::start(
        sandbox().clone(),
        secrets(),
        vec![Arc::new(PolicyTests)],
        place.config(),
        now(),
    )
    .await;
    started.unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub(crate) fn service(versions: Arc<VersionHistory>) -> Arc<PolicyService> {
    let ledger = Arc::new(ReadOnlyLedger::default());
    Arc::new(PolicyService::new(ledger, versions))
}

pub(crate) fn secrets() -> Arc<DerivedKeys> {
    Arc::new(DerivedKeys::new(&Secret::from_bytes([7; 32])))
}

/// The moment at which all messages come.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("an instant")
}

/// A message with that subject, and a text of its own.
pub(crate) fn message(subject: &str, text: &str) -> Arc<Message> {
    message_of(None, subject, text)
}

/// The same of a login.
fn message_of(login: Option<&str>, subject: &str, text: &str) -> Arc<Message> {
    let content = format!("From: a@acme.test\r\nSubject: {subject}\r\n\r\n{text}\r\n");
    let message = Message::builder(Content::new(content.into_bytes()), now())
        .queue_id(format!("Q{text}"))
        .listener("mx")
        .client(Client::default().with_user(login.map(str::to_owned)))
        .recipient("bob@outside.test".parse().expect("an address"), false);
    Arc::new(message.build())
}

/// Processes a message with the version in service.
pub(crate) async fn process(service: &Arc<PolicyService>, subject: &str, text: &str) -> Outcome {
    process_with(service, &service.begin(), message(subject, text)).await
}

/// Processes a message that began with this version.
pub(crate) async fn process_with(
    service: &Arc<PolicyService>,
    version: &Arc<ActiveVersion>,
    message: Arc<Message>,
) -> Outcome {
    let transaction = Transaction::new(Arc::clone(version), &"mx".into());
    let ann = Client::default().with_user("ann".to_owned());
    let Direction::Outgoing(outgoing) = transaction.classify(&ann, false) else {
        panic!("logins are outgoing");
    };
    let intake = Intake::new(Arc::clone(service));
    intake.process(outgoing, message).await
}

/// The same for a message of a login, and waits until the version before has
/// been asked about it, if it failed.
pub(crate) async fn process_of(
    service: &Arc<PolicyService>,
    login: &str,
    subject: &str,
    text: &str,
) -> Outcome {
    let message = message_of(Some(login), subject, text);
    let outcome = process_with(service, &service.begin(), message).await;
    service.rechecked().await;
    outcome
}

/// The settings that a version decides with, as its policy tells them.
pub(crate) async fn settings(service: &Arc<PolicyService>, version: &Arc<ActiveVersion>) -> String {
    let outcome = process_with(service, version, message("settings", "x")).await;
    outcome.reasons.concat()
}
