//! What a rollback brings back, what causes one by itself, and what is never
//! lost by one.

use std::path::Path;
use std::sync::Arc;

use waxseal::dkim::{Algorithm, generate};
use waxseal::quota::{Charge, ChargeError, ChargeRequest, Day, Ledger, Receipt};
use waxseal::rollout::{
    ActivationReason, PinReason, PolicyManager, PolicyService, RollbackError, SkipReason,
    VersionHistory,
};

use crate::given::{Place, now, process, process_of, service, settings, start};

/// Fails on what the version before decides.
const FAILING: &str = "trap on poison";

const NETWORK: &str = "[outgoing]\nnetworks = [\"203.0.113.0/24\"]";

fn toml(place: &Place, lines: &str) {
    place.write(
        "waxseal.toml",
        &format!(
            "hostname = \"mx.test\"\n[policy]\nfile = \"policy.wasm\"\n\
             settings = \"settings.txt\"\n{lines}\n"
        ),
    );
}

/// Reads a `waxseal.toml` with these lines.
async fn reload(manager: &Arc<PolicyManager>, place: &Place, lines: &str) -> u64 {
    toml(place, lines);
    let reloaded = manager.reload(place.config(), now()).await;
    reloaded.expect("reloaded").number()
}

async fn change(manager: &Arc<PolicyManager>, place: &Place, settings: &str) {
    place.write("settings.txt", settings);
    let tried = manager.files_changed(now()).await.expect("tried");
    tried.expect("in service");
}

fn number(manager: &PolicyManager) -> u64 {
    manager.versions().active().number()
}

fn networks(manager: &PolicyManager) -> usize {
    let version = manager.versions().active();
    version.snapshot().config().outgoing.networks.len()
}

fn of(manager: &PolicyManager) -> Arc<PolicyService> {
    service(Arc::clone(manager.versions()))
}

async fn serving(manager: &PolicyManager) -> String {
    let service = of(manager);
    settings(&service, &service.begin()).await
}

/// Different messages that the version in service fails on, each of a login.
async fn fail(
    service: &Arc<PolicyService>,
    subject: &str,
    messages: u64,
    login: impl Fn(u64) -> u64,
) {
    for message in 0..messages {
        let login = format!("login {}", login(message));
        let text = format!("{subject} {message} of {login}");
        let outcome = process_of(service, &login, subject, &text).await;
        assert!(outcome.failure().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_what_a_sender_can_make_any_version_fail_on_causes_no_rollback() {
    let place = Place::new("");
    let manager = start(&place).await;
    let service = of(&manager);
    for login in 1..=4 {
        process_of(&service, &format!("login {login}"), "well", "0").await;
    }
    change(&manager, &place, FAILING).await;
    // Whatever the settings: a trap, and more asked of the host than one
    // decision may take.
    fail(&service, "trap", 38, |message| message).await;
    fail(&service, "gigabytes", 2, |message| message).await;
    assert_eq!(number(&manager), 2);
    let numbers = manager.versions().active().statistics();
    assert_eq!((numbers.consecutive_errors, numbers.own_errors), (40, 0));
    assert_eq!(numbers.recent_messages, 0, "it counts for neither version");
    // What this version alone fails on, by one login.
    fail(&service, "poison", 40, |_| 1).await;
    assert_eq!(number(&manager), 2);
    assert_eq!(manager.versions().active().statistics().own_errors, 40);
    // The same by three more.
    fail(&service, "poison", 15, |message| 2 + message % 3).await;
    assert_eq!(number(&manager), 3);
    assert_eq!(serving(&manager).await, "first");
}

/// A ledger that has no room for another counter today.
struct Exhausted;

impl Ledger for Exhausted {
    fn charge(&self, _: &Day, draws: &[ChargeRequest]) -> Charge {
        Charge::ready(match draws.iter().find(|draw| draw.counter == "all") {
            Some(draw) => Err(ChargeError::TooManyCounters {
                counter: draw.counter.clone(),
                limit: 1,
            }),
            None => Ok(Receipt::default()),
        })
    }

    fn refund(&self, _: Receipt) {}

    fn used(&self, _: &Day, _: &str) -> u64 {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_counters_that_the_version_before_charges_as_well_cause_no_rollback() {
    let place = Place::new("");
    let versions = Arc::new(VersionHistory::new(place.snapshot().await, now()));
    let service = Arc::new(PolicyService::new(
        Arc::new(Exhausted),
        Arc::clone(&versions),
    ));
    process_of(&service, "ann", "well", "0").await;
    let second = place.with_settings("second").await;
    versions.activate(second, ActivationReason::Command, now());
    for message in 0..40 {
        let text = message.to_string();
        let outcome = process_of(&service, &text, "charge", &text).await;
        let failure = outcome.failure().expect("a failure");
        assert_eq!(failure.kind(), "too-many-counters");
    }
    let version = versions.active();
    assert_eq!((version.number(), version.statistics().own_errors), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_a_rollback_by_itself_or_by_command_brings_back_no_network() {
    let place = Place::new(NETWORK);
    let manager = start(&place).await;
    let service = of(&manager);
    process(&service, "well", "0").await;
    assert_eq!(networks(&manager), 1);
    place.write("settings.txt", FAILING);
    assert_eq!(reload(&manager, &place, "").await, 2);
    assert_eq!(networks(&manager), 0);
    fail(&service, "poison", 20, |message| message).await;
    let version = manager.versions().active();
    assert!(matches!(
        version.reason(),
        ActivationReason::AutomaticRollback { .. }
    ));
    assert_eq!(serving(&manager).await, "first");
    assert_eq!(networks(&manager), 0, "taken out is taken out");
    // By command.
    change(&manager, &place, "third").await;
    assert_eq!(reload(&manager, &place, NETWORK).await, 4);
    manager.roll_back(None, now()).await.expect("a version");
    assert_eq!(serving(&manager).await, "first");
    assert_eq!(networks(&manager), 1, "listed is listed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_a_rollback_goes_to_no_version_that_names_a_relay_that_is_gone() {
    let relay = "[relay.north]\nhost = \"north.test\"\nsecurity = \"none\"";
    let place = Place::new(relay);
    place.write("settings.txt", "relay north");
    let manager = start(&place).await;
    let service = of(&manager);
    process(&service, "well", "0").await;
    place.write("settings.txt", FAILING);
    assert_eq!(reload(&manager, &place, "").await, 2);
    fail(&service, "poison", 40, |message| message).await;
    assert_eq!(number(&manager), 2);
    for number in [None, Some(1)] {
        let refused = manager.roll_back(number, now()).await.err();
        let skipped = match refused.expect("refused") {
            RollbackError::NoneBefore(skipped) => skipped.into_iter().next().expect("one"),
            RollbackError::Rejected(skipped) => skipped,
            other => panic!("{other}"),
        };
        assert!(
            matches!(&skipped.reason, SkipReason::Incompatible(problem) if problem.contains("north"))
        );
    }
    assert_eq!(reload(&manager, &place, relay).await, 2);
    manager.roll_back(None, now()).await.expect("a version");
    assert_eq!(serving(&manager).await, "relay north");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn author_h2_reloads_that_change_nothing_lose_no_version() {
    let place = Place::new("");
    let manager = start(&place).await;
    process(&of(&manager), "well", "0").await;
    change(&manager, &place, FAILING).await;
    for _ in 0..3 {
        assert_eq!(reload(&manager, &place, "").await, 2);
    }
    manager.roll_back(None, now()).await.expect("a version");
    assert_eq!(serving(&manager).await, "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn author_h2_three_bad_swaps_in_a_row_lose_no_version() {
    let place = Place::new("");
    let manager = start(&place).await;
    let service = of(&manager);
    process(&service, "well", "0").await;
    for number in 1..=3 {
        let other = place.path("other.txt");
        place.write("other.txt", &format!("{FAILING}\n{number}"));
        let file = place.path("policy.wasm");
        let swapped = manager.swap(file, Some(other), now()).await;
        swapped.expect("in service");
    }
    fail(&service, "poison", 20, |message| message).await;
    let version = manager.versions().active();
    assert!(
        matches!(
            version.reason(),
            ActivationReason::AutomaticRollback { to: 1, .. }
        ),
        "{}",
        version.reason()
    );
    assert_eq!(serving(&manager).await, "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d9_what_changes_nothing_makes_no_version() {
    let place = Place::new("");
    let manager = start(&place).await;
    process(&of(&manager), "well", "0").await;
    change(&manager, &place, "second").await;
    let mut changes = manager.versions().changes();
    for _ in 0..3 {
        assert_eq!(reload(&manager, &place, "").await, 2);
        let file = place.path("policy.wasm");
        let swapped = manager.swap(file, None, now()).await.expect("in service");
        assert_eq!(swapped.number(), 2);
    }
    let status = manager.status(now());
    assert_eq!((status.versions.len(), status.next_rollback), (2, Some(1)));
    // Another waxseal.toml is in service, without a version of the policy, and
    // its users are notified.
    changes.mark_unchanged();
    assert_eq!(reload(&manager, &place, NETWORK).await, 2);
    assert_eq!(networks(&manager), 1);
    assert!(changes.has_changed().expect("a sender"));
    let status = manager.status(now());
    assert_eq!((status.versions.len(), status.pin), (2, None));
    // What was counted goes on.
    assert_eq!(serving(&manager).await, "second");
    assert_eq!(reload(&manager, &place, "").await, 2);
    assert_eq!(manager.versions().active().statistics().messages, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d9_a_reload_puts_waxseal_toml_in_service_while_the_policy_files_are_refused() {
    let place = Place::new(NETWORK);
    let manager = start(&place).await;
    place.write("settings.txt", "panic");
    let tried = manager.files_changed(now()).await.expect("tried");
    assert!(tried.is_err());
    assert_eq!(reload(&manager, &place, "").await, 1);
    assert_eq!((networks(&manager), number(&manager)), (0, 1));
    let status = manager.status(now());
    assert!(status.rejected.is_some());
    assert_eq!(status.pin.map(|pin| pin.reason), Some(PinReason::Rejected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d9_a_rollback_goes_to_the_version_that_is_named() {
    let place = Place::new("");
    let manager = start(&place).await;
    for settings in ["second", "third"] {
        change(&manager, &place, settings).await;
    }
    manager.roll_back(Some(1), now()).await.expect("kept");
    assert_eq!(serving(&manager).await, "first");
    // The one that was left can be had again, and nothing else by itself.
    let nowhere = manager.roll_back(None, now()).await.err();
    assert_eq!(nowhere, Some(RollbackError::NoneBefore(vec![])));
    manager.roll_back(Some(3), now()).await.expect("kept");
    assert_eq!(serving(&manager).await, "third");
    let gone = manager.roll_back(Some(2), now()).await.err();
    assert!(matches!(
        gone,
        Some(RollbackError::NotRetained { number: 2, .. })
    ));
    // Over a restart.
    let restarted = start(&place).await;
    assert_eq!(serving(&restarted).await, "third");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m9_a_version_that_fails_on_half_of_the_messages_is_rolled_back() {
    let place = Place::new("");
    let manager = start(&place).await;
    let service = of(&manager);
    process(&service, "well", "0").await;
    change(&manager, &place, FAILING).await;
    for message in 0..19 {
        process(&service, "well", &message.to_string()).await;
        fail(&service, "poison", 1, |_| message).await;
    }
    let status = manager.status(now());
    let numbers = &status.versions[0].statistics;
    assert_eq!(
        (numbers.recent_own_errors, numbers.recent_messages),
        (19, 38)
    );
    assert_eq!(number(&manager), 2);
    process(&service, "well", "last").await;
    fail(&service, "poison", 1, |_| 20).await;
    let version = manager.versions().active();
    let ActivationReason::AutomaticRollback {
        errors: 20,
        of: Some(40),
        ..
    } = version.reason()
    else {
        panic!("{}", version.reason());
    };
    assert_eq!(serving(&manager).await, "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m9_a_share_of_0_percent_is_never() {
    let place = Place::new("roll-back-share = \"0%\"");
    let manager = start(&place).await;
    let service = of(&manager);
    process(&service, "well", "0").await;
    change(&manager, &place, FAILING).await;
    for message in 0..60 {
        process(&service, "well", &message.to_string()).await;
        fail(&service, "poison", 1, |_| message).await;
    }
    assert_eq!(number(&manager), 2);
}

/// Makes a key file as `waxseal dkim new` does.
fn new_key(place: &Place, domain: &str) {
    let day = jiff::civil::date(2026, 11, 24);
    let domain = domain.parse().expect("a domain");
    let dkim = place.config().dkim;
    generate(&dkim, &domain, Algorithm::Ed25519, None, day).expect("a key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_a_key_that_appears_signs_nothing_before_a_reload() {
    let place = Place::new("");
    let manager = start(&place).await;
    let service = of(&manager);
    new_key(&place, "acme.test");
    for settings in ["second", "third"] {
        change(&manager, &place, settings).await;
        let outcome = process(&service, "sign", settings).await;
        assert_eq!(outcome.failure().expect("a failure").kind(), "no-key");
    }
    assert_eq!(reload(&manager, &place, "").await, 3);
    let outcome = process(&service, "sign", "reloaded").await;
    assert!(outcome.failure().is_none(), "{:?}", outcome.failure());
    assert_eq!(outcome.delivery().expect("delivered").signatures.len(), 1);
    // A key that was taken away signs on until then.
    let keys = place.config().dkim.keys;
    std::fs::remove_dir_all(Path::new(&keys)).expect("removed");
    change(&manager, &place, "fourth").await;
    let outcome = process(&service, "sign", "removed").await;
    assert_eq!(outcome.delivery().expect("delivered").signatures.len(), 1);
    assert_eq!(reload(&manager, &place, "").await, 4);
    manager.roll_back(None, now()).await.expect("a version");
    let outcome = process(&service, "sign", "gone").await;
    assert_eq!(outcome.failure().expect("a failure").kind(), "no-key");
}
