//! The harness itself: that it delivers without Waxseal, that its verifiers tell
//! a good signature from a bad one, and that nothing outlives a test that fails.

use std::process::Command;

use waxseal_testkit::Client;
use waxseal_testkit::guard::Guard;
use waxseal_testkit::postfix::{Postfix, Wishes};
use waxseal_testkit::sink::{Sinks, Spec};
use waxseal_testkit::test_dir::TestDir;
use waxseal_testkit::wait_for;

use crate::mail::plain;

fn deliver_one(dir: &TestDir) -> (Postfix, Sinks) {
    let sinks = Sinks::start(dir, &[Spec::open("default"), Spec::open("inside")]);
    let wishes = Wishes {
        default_route: sinks.get("default").nexthop(),
        transports: vec![("inside.test".into(), sinks.get("inside").nexthop())],
        ..Wishes::default()
    };
    let postfix = Postfix::start(dir, &wishes);
    let mut client = Client::connect(postfix.mx()).expect("a connection");
    client.login("alice").expect("a login");
    let message = plain("alice@acme.test", "harness");
    let recipients = ["bob@outside.test", "bob@inside.test"];
    let reply = client
        .send("alice@acme.test", &recipients, &message)
        .expect("a reply");
    assert!(reply.is_positive(), "{reply:?}");
    wait_for("delivery", || (postfix.queued() == 0).then_some(()));
    for sink in sinks.all() {
        let deliveries = sink.deliveries();
        assert_eq!(deliveries.len(), 1, "{}", postfix.log());
        assert!(deliveries[0].bytes.ends_with(&message));
        assert_eq!(deliveries[0].sender, "alice@acme.test");
    }
    (postfix, sinks)
}

#[test]
fn mail_gets_through_a_private_postfix() {
    let dir = TestDir::claim("harness");
    let _running = deliver_one(&dir);
}

#[test]
fn a_wrong_password_does_not_log_in() {
    let dir = TestDir::claim("harness-login");
    let (postfix, _sinks) = deliver_one(&dir);
    let mut client = Client::connect(postfix.mx()).expect("a connection");
    let reply = client
        .command("AUTH PLAIN AGFsaWNlAHdyb25n")
        .expect("a reply");
    assert_eq!(reply.code, 535, "{reply:?}");
}

#[test]
fn nothing_outlives_a_test_that_cannot_clean_up() {
    let dir = TestDir::claim("harness-guard");
    let guard = Guard::of(dir.folder());
    let (postfix, _sinks) = deliver_one(&dir);
    let master = std::fs::read_to_string(dir.path("queue/pid/master.pid")).expect("a process id");
    // As if the process had been killed: no destructor of Postfix runs.
    std::mem::forget(postfix);
    drop(guard);
    wait_for("Postfix to be gone", || {
        let alive = Command::new("kill")
            .args(["-0", master.trim()])
            .output()
            .expect("kill");
        (!alive.status.success()).then_some(())
    });
    assert!(!dir.folder().exists());
}
