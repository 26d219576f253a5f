//! What every front relies on: classification, tokens, charges, returned copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waxseal::Engine;
use waxseal::config;
use waxseal::decision::Verdict;
use waxseal::intake::{Direction, Intake, PassReason, Received, Transaction};
use waxseal::message::{Address, Client, Content, InvalidAddress, ReversePath};
use waxseal::pipeline::{Disposition, PolicySource};
use waxseal::quota::{Charge, ChargeRequest, Day, Ledger, Receipt};
use waxseal::rollout::{PolicyService, VersionHistory};

use crate::given::{Place, component, message, now, process, sandbox};

/// A ledger with room for everything, which counts.
#[derive(Default)]
struct Counting {
    charged: AtomicU64,
    refunded: AtomicU64,
}

impl Counting {
    fn numbers(&self) -> (u64, u64) {
        let charged = self.charged.load(Ordering::Relaxed);
        (charged, self.refunded.load(Ordering::Relaxed))
    }
}

impl Ledger for Counting {
    fn charge(&self, _: &Day, _: &[ChargeRequest]) -> Charge {
        self.charged.fetch_add(1, Ordering::Relaxed);
        Charge::ready(Ok(Receipt::default()))
    }

    fn refund(&self, _: Receipt) {
        self.refunded.fetch_add(1, Ordering::Relaxed);
    }

    fn used(&self, _: &Day, _: &str) -> u64 {
        0
    }
}

fn ann() -> Client {
    Client::default().with_user("ann".to_owned())
}

fn stranger() -> Client {
    Client::default().with_address("198.51.100.1".parse().ok())
}

fn received(client: Client, recipient: Result<Address, InvalidAddress>, text: &str) -> Received {
    Received {
        queue_id: "Q1".to_owned(),
        client,
        sender: Ok(ReversePath::Null),
        recipients: vec![recipient],
        arrival: now(),
        content: Content::new(text.as_bytes().to_vec()),
    }
}

fn address(text: &str) -> Result<Address, InvalidAddress> {
    Ok(text.parse().expect("an address"))
}

fn invalid(text: &str) -> InvalidAddress {
    let error = Address::parse(text).expect_err("an invalid address");
    InvalidAddress::new(text.as_bytes(), error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_a_charge_that_is_dropped_is_refunded_and_one_that_is_confirmed_is_kept() {
    let place = Place::new("");
    let versions = Arc::new(VersionHistory::new(place.snapshot().await, now()));
    let ledger = Arc::new(Counting::default());
    let service = PolicyService::new(Arc::clone(&ledger) as Arc<dyn Ledger>, versions);
    let service = Arc::new(service);
    let dropped = process(&service, "well", "1").await;
    assert_eq!(ledger.numbers(), (1, 0));
    drop(dropped);
    assert_eq!(ledger.numbers(), (1, 1));
    let outcome = process(&service, "well", "2").await;
    let Disposition::Deliver(delivery) = outcome.disposition else {
        panic!("not delivered");
    };
    delivery.charge.confirm();
    assert_eq!(ledger.numbers(), (2, 1));
    // A decision that is charged and cannot be applied is refunded as well.
    let failed = process(&service, "sign", "3").await;
    assert!(failed.failure().is_some());
    assert_eq!(ledger.numbers(), (3, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r20_mail_is_classified_by_the_listener_that_the_configuration_has() {
    let place = Place::new("");
    let text = std::fs::read_to_string(place.path("waxseal.toml")).expect("read");
    let listeners = "[[listener]]\nname = \"mx\"\naddress = \"inet:127.0.0.1:1\"\nmode = \"mixed\"\n\
                     [[listener]]\nname = \"submission\"\naddress = \"inet:127.0.0.1:2\"\nmode = \"submission\"\n\
                     [[listener]]\nname = \"split\"\naddress = \"inet:127.0.0.1:3\"\nmode = \"split\"\nsmtpd = \"127.0.0.1:4\"\n";
    place.write("waxseal.toml", &format!("{text}{listeners}"));
    let service = place.service().await;
    let intake = Intake::new(service);
    let direction =
        |listener: &str, client: &Client| intake.begin(&listener.into()).classify(client, false);
    assert!(matches!(direction("mx", &ann()), Direction::Outgoing(_)));
    assert!(matches!(
        direction("split", &ann()),
        Direction::Returning(_)
    ));
    let submitted = direction("submission", &stranger());
    assert!(matches!(submitted, Direction::Outgoing(_)));
    for listener in ["mx", "removed by a reload"] {
        let Direction::Passing(passing) = direction(listener, &stranger()) else {
            panic!("{listener}: a stranger's mail is processed");
        };
        assert_eq!(passing.reason(), PassReason::Stranger);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_addresses_are_rejected_with_the_code_of_their_command() {
    let place = Place::new("");
    let service = place.service().await;
    let transaction = Transaction::new(service.begin(), &"mx".into());
    let Direction::Outgoing(outgoing) = transaction.classify(&ann(), false) else {
        panic!("logins are outgoing");
    };
    let mut sender = received(ann(), address("bob@outside.test"), "");
    sender.sender = Err(invalid("a b"));
    let reply = outgoing.message(sender).expect_err("rejected");
    assert_eq!((reply.code, reply.enhanced.as_str()), (553, "5.1.7"));
    let recipient = received(ann(), Err(invalid("a b")), "");
    let reply = outgoing.message(recipient).expect_err("rejected");
    assert_eq!((reply.code, reply.enhanced.as_str()), (553, "5.1.3"));
}

/// A place whose policy takes a relay, with a listener for returned copies.
fn splitting() -> Place {
    let place = Place::new("");
    std::fs::copy(component("waxseal_standard"), place.path("policy.wasm")).expect("copied");
    place.write(
        "settings.txt",
        "[domain.\"acme.test\"]\nrelays = [\"northwind\"]\n",
    );
    let text = std::fs::read_to_string(place.path("waxseal.toml")).expect("read");
    let more = "[relay.northwind]\nhost = \"127.0.0.1\"\nport = 2500\nsecurity = \"none\"\n\
                [[listener]]\nname = \"split\"\naddress = \"inet:127.0.0.1:3\"\nmode = \"split\"\nsmtpd = \"127.0.0.1:4\"\n";
    let text = text.replacen('\n', "\nlocal-domains = [\"inside.test\"]\n", 1);
    place.write("waxseal.toml", &format!("{text}{more}"));
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_copy_is_routed_by_the_seal_of_its_first_pass_and_counted() {
    let place = splitting();
    let service = place.service().await;
    let intake = Intake::new(Arc::clone(&service));
    let Direction::Outgoing(outgoing) = intake.begin(&"mx".into()).classify(&ann(), false) else {
        panic!("logins are outgoing");
    };
    let mut first = received(
        ann(),
        address("bob@outside.test"),
        "From: a@acme.test\r\n\r\nx\r\n",
    );
    first.recipients.push(address("eve@inside.test"));
    let first = Arc::new(outgoing.message(first).expect("a message"));
    let outcome = intake.process(outgoing, Arc::clone(&first)).await;
    let delivery = outcome.delivery().expect("delivered");
    let sealed = delivery.edits.apply(&first.content);
    let sealed = String::from_utf8(sealed).expect("text");
    let resume = |text: &str, recipient: &str| {
        let Direction::Returning(returning) = intake
            .begin(&"split".into())
            .classify(&Client::default(), false)
        else {
            panic!("mail of the split listener returns");
        };
        let copy = received(Client::default(), address(recipient), text);
        let copy = returning.message(copy).expect("a message");
        (intake.resume(&returning, &copy), copy)
    };
    let (outside, copy) = resume(&sealed, "bob@outside.test");
    let delivery = outside.delivery().expect("delivered");
    let relay = delivery.relay.as_ref().map(|relay| relay.as_str());
    assert_eq!(relay, Some("northwind"));
    assert_eq!(delivery.transient_headers.len(), 1);
    let left = delivery.edits.apply(&copy.content);
    assert!(!String::from_utf8_lossy(&left).contains("Waxseal"));
    let (inside, _) = resume(&sealed, "eve@inside.test");
    let delivery = inside.delivery().expect("delivered");
    assert!(delivery.relay.is_none() && delivery.transient_headers.is_empty());
    let (forged, _) = resume("From: a@acme.test\r\n\r\nx\r\n", "bob@outside.test");
    assert_eq!(forged.failure().expect("a failure").kind(), "unroutable");
    assert!(matches!(forged.verdict(), Verdict::Defer(reply) if reply.code == 451));
    let numbers = service.begin().statistics();
    assert_eq!(
        (numbers.messages, numbers.returned, numbers.unroutable),
        (1, 3, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_decides_with_a_component_from_memory_and_reloads_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "hostname = \"mx.test\"\n[policy]\nfile = \"in memory\"\n";
    let config = config::read_text(&folder.path().join("waxseal.toml"), text).expect("config");
    let bytes = std::fs::read(component("waxseal_misbehaving")).expect("a component");
    let source = |settings: &str| {
        PolicySource::new(bytes.clone()).settings("settings.txt", settings.to_owned())
    };
    let builder = Engine::builder(config.clone()).sandbox(sandbox().clone());
    let engine = builder
        .policy(source("first"))
        .build()
        .await
        .expect("an engine");
    let reasons = async || {
        let transaction = engine.intake().begin(&"submission".into());
        let Direction::Outgoing(outgoing) = transaction.classify(&ann(), false) else {
            panic!("logins are outgoing");
        };
        let intake = engine.intake();
        intake
            .process(outgoing, message("settings", "1"))
            .await
            .reasons
    };
    assert_eq!(reasons().await, ["first"]);
    let reloaded = engine.reload_policy(config.clone(), source("second")).await;
    assert_eq!(reloaded.expect("reloaded"), 2);
    assert_eq!(reasons().await, ["second"]);
    let refused = engine
        .reload_policy(config, PolicySource::new(*b"no component"))
        .await;
    let error = refused.expect_err("an invalid component");
    assert_eq!(error.len(), 1);
    assert!(!error.to_string().is_empty());
    assert_eq!(
        reasons().await,
        ["second"],
        "the active version is unchanged"
    );
    engine.close().await.expect("closed");
}
