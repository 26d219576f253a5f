//! The daemon ends, in order or by force, while mail comes in: every message is
//! either refused for now or delivered exactly once, decided on and signed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use waxseal_testkit::dkim::verify;
use waxseal_testkit::waxseal::Waxseal;
use waxseal_testkit::{Client, Rig, wait_for};

use crate::mail::{acme, plain};

const CLIENTS: usize = 4;

fn rig(name: &str) -> Rig {
    Rig::builder(name)
        .relay("northwind", "")
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true")
        .start()
}

/// The replies to clients.
#[derive(Default)]
struct Replies {
    next: AtomicUsize,
    enough: AtomicBool,
    refused: AtomicUsize,
    accepted: Mutex<Vec<String>>,
    other: Mutex<Vec<String>>,
}

impl Replies {
    fn accepted(&self) -> usize {
        self.accepted.lock().expect("a list").len()
    }
}

/// Sends messages under ever new names until it is enough, as a program with a
/// queue of its own would: refused for now means later.
fn load(rig: &Rig, replies: &Replies) {
    let mut client: Option<Client> = None;
    while !replies.enough.load(Ordering::Relaxed) {
        let Some(connected) = client.as_mut() else {
            match rig.try_user("alice@acme.test") {
                Ok(connected) => client = Some(connected),
                Err(_) => {
                    replies.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            continue;
        };
        let name = format!("m{}", replies.next.fetch_add(1, Ordering::Relaxed));
        let message = plain("alice@acme.test", &name);
        match connected.send("alice@acme.test", &["bob@outside.test"], &message) {
            Ok(reply) if reply.is_positive() => replies.accepted.lock().expect("a list").push(name),
            Ok(reply) if reply.is_temporary() => {
                replies.refused.fetch_add(1, Ordering::Relaxed);
                // Postfix gives up a milter for the rest of a connection.
                client = None;
            }
            Ok(reply) => replies
                .other
                .lock()
                .expect("a list")
                .push(format!("{name}: {reply:?}")),
            Err(error) => {
                replies
                    .other
                    .lock()
                    .expect("a list")
                    .push(format!("{name}: {error}"));
                client = None;
            }
        }
    }
}

/// Ends the daemon `times` times under load, each time with messages on their
/// way before and refused after, and looks at what came out.
fn under_load(mut rig: Rig, times: usize, end: impl Fn(&mut Waxseal)) {
    let replies = Replies::default();
    // The daemon is taken out so that clients can use the rig meanwhile.
    let nothing = Waxseal::new(&rig.path(""), Vec::new());
    let mut waxseal = std::mem::replace(&mut rig.waxseal, nothing);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load(&rig, &replies));
        }
        for _ in 0..times {
            let before = replies.accepted();
            wait_for("messages to flow", || {
                (replies.accepted() >= before + 25).then_some(())
            });
            let refused = replies.refused.load(Ordering::Relaxed);
            end(&mut waxseal);
            wait_for("messages to be refused", || {
                (replies.refused.load(Ordering::Relaxed) > refused).then_some(())
            });
            waxseal.start();
        }
        let before = replies.accepted();
        wait_for("messages to flow again", || {
            (replies.accepted() >= before + 25).then_some(())
        });
        replies.enough.store(true, Ordering::Relaxed);
    });
    rig.waxseal = waxseal;
    let accepted = replies.accepted.into_inner().expect("a list");
    let other = replies.other.into_inner().expect("a list");
    assert!(
        other.is_empty(),
        "neither taken nor refused for now: {other:?}"
    );
    assert_came_out(&rig, &accepted);
}

fn assert_came_out(rig: &Rig, accepted: &[String]) {
    let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
    let deliveries = rig.arrived("northwind");
    for delivery in &deliveries {
        *delivered
            .entry(delivery.header("Subject").concat())
            .or_default() += 1;
        assert_eq!(
            delivery.header("DKIM-Signature").len(),
            1,
            "unsigned: {:?}",
            delivery.header("Subject")
        );
        assert!(delivery.header("X-Waxseal-Route").is_empty());
    }
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for name in accepted {
        *expected.entry(name.clone()).or_default() += 1;
    }
    let lost: Vec<_> = expected
        .keys()
        .filter(|name| !delivered.contains_key(*name))
        .collect();
    let unasked: Vec<_> = delivered
        .keys()
        .filter(|name| !expected.contains_key(*name))
        .collect();
    let twice: Vec<_> = delivered.iter().filter(|(_, count)| **count > 1).collect();
    assert!(lost.is_empty(), "taken and lost: {lost:?}");
    assert!(unasked.is_empty(), "refused and delivered: {unasked:?}");
    assert!(twice.is_empty(), "delivered twice: {twice:?}");
    assert_eq!(
        rig.sink("default").count(),
        0,
        "some went by the default route"
    );
    let records = rig.records("acme.test");
    for delivery in deliveries.iter().step_by(deliveries.len() / 8 + 1) {
        let signatures = verify(&delivery.bytes, &records);
        assert!(
            signatures.iter().all(|signature| signature.valid),
            "{signatures:?}"
        );
    }
}

#[test]
fn killed_in_the_middle_no_message_is_lost_or_doubled_or_leaves_unsigned() {
    under_load(rig("kill"), 5, Waxseal::kill);
}

#[test]
fn stopped_in_order_no_message_is_lost_or_doubled_or_leaves_unsigned() {
    under_load(rig("stop"), 3, |waxseal| {
        let status = waxseal.stop();
        assert!(status.success(), "{status}");
    });
}
