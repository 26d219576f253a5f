//! Policies, messages and facts for these tests.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::OnceCell;
use waxseal::message::{Content, Message};
use waxseal::runtime::{Evaluation, Limits, Policy, PolicyError, Sandbox, Seed, StaticFacts};

/// Limits that only those come near who mean to.
pub(crate) const LIMITS: Limits = Limits {
    time: Duration::from_secs(600),
    instructions: 2_000_000_000,
    memory: 64 << 20,
    decisions: 4,
};

pub(crate) const SEED: Seed = Seed::new([7; 32]);

/// The policy that fails in the way that the subject names, under [`LIMITS`].
pub(crate) async fn misbehaving() -> &'static Policy {
    static POLICY: OnceCell<Policy> = OnceCell::const_new();
    POLICY.get_or_init(|| with_settings("")).await
}

/// The same with settings.
pub(crate) async fn with_settings(settings: &str) -> Policy {
    load(sandbox(), settings).await
}

/// The same in a sandbox with other limits.
pub(crate) async fn with_limits(limits: Limits) -> Policy {
    let sandbox = Sandbox::new(limits).expect("a sandbox");
    load(&sandbox, "").await
}

async fn load(sandbox: &Sandbox, settings: &str) -> Policy {
    let component = component("waxseal_misbehaving");
    let loaded = sandbox.load(component, settings.into(), &SEED).await;
    loaded.expect("the policy loads")
}

/// One sandbox for all tests: each has address space for its slots.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(LIMITS).expect("a sandbox"))
}

/// A component of this project.
pub(crate) fn component(name: &str) -> Arc<[u8]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies");
    let path = folder.join(name).with_extension("wasm");
    match std::fs::read(&path) {
        Ok(bytes) => bytes.into(),
        Err(error) => panic!("{}: {error}: `make policies` builds it", path.display()),
    }
}

pub(crate) const ARRIVAL: i64 = 1_790_000_000;

/// A message with that subject.
pub(crate) fn message(subject: &str) -> Arc<Message> {
    with_text(subject, "Hello\r\n")
}

pub(crate) fn with_text(subject: &str, text: &str) -> Arc<Message> {
    let content = format!("From: a@acme.test\r\nSubject: {subject}\r\n\r\n{text}");
    let arrival = Timestamp::from_second(ARRIVAL).expect("an instant");
    let message = Message::builder(Content::new(content.into_bytes()), arrival);
    Arc::new(message.queue_id("4ABC").listener("mx").build())
}

/// Facts of a host with one table.
pub(crate) fn facts() -> Arc<StaticFacts> {
    let arrival = Timestamp::from_second(ARRIVAL).expect("an instant");
    let mut facts = StaticFacts::at(arrival.to_zoned(TimeZone::UTC));
    let place = ("table".to_owned(), "key".to_owned());
    facts.lookups.insert(place, "v".to_owned());
    Arc::new(facts)
}

/// Decides on a message with that subject.
pub(crate) async fn decide(policy: &Policy, subject: &str) -> Evaluation {
    policy.decide(message(subject), facts(), SEED).await
}

/// The error that a message with that subject comes to.
pub(crate) async fn error(policy: &Policy, subject: &str) -> PolicyError {
    match decide(policy, subject).await.decision {
        Err(error) => error,
        Ok(decision) => panic!("{subject:?} was decided on: {decision:?}"),
    }
}

/// The one reason of the decision on a message with that subject: what the
/// policy found out.
pub(crate) async fn answer(policy: &Policy, subject: &str) -> String {
    answer_of(decide(policy, subject).await, subject)
}

pub(crate) fn answer_of(decided: Evaluation, subject: &str) -> String {
    match decided.decision {
        Ok(mut decision) => decision.reasons.pop().expect("a reason"),
        Err(error) => panic!("{subject:?}: {error}"),
    }
}
