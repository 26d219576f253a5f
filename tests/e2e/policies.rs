//! R25 and R28: policies from a file, and policies that fail.

use std::fs;

use waxseal_testkit::{Rig, wait_for};

use crate::mail::{plain, with_fields};

#[test]
fn r25_a_policy_of_ten_lines_is_loaded_from_its_file() {
    let rig = Rig::builder("r25")
        .policy("rust_minimal")
        .relay("bulk", "")
        .start();
    let bulk = with_fields("alice@acme.test", "bulk", "Precedence: bulk\r\n");
    rig.send_as("alice@acme.test", &["bob@outside.test"], &bulk);
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "personal"),
    );
    rig.settle();
    assert_eq!(rig.sink("bulk").deliveries()[0].header("Subject"), ["bulk"]);
    assert_eq!(
        rig.sink("default").deliveries()[0].header("Subject"),
        ["personal"]
    );
}

/// Attacks of a policy, and the kinds of failure that are logged.
const ATTACKS: [(&str, &str); 18] = [
    ("trap", "trapped"),
    ("loop", "out-of-instructions"),
    ("sleep", "timed-out"),
    ("memory", "out-of-memory"),
    ("recursion", "trapped"),
    ("aliases", "too-much-data"),
    ("gigabytes", "too-much-data"),
    ("handles", "too-much-data"),
    ("lookups without end", "out-of-instructions"),
    ("connect", "import-denied"),
    ("abort", "trapped"),
    ("exit", "trapped"),
    ("mojibake", "trapped"),
    ("absurd length", "trapped"),
    ("no such case", "trapped"),
    ("too many", "invalid-decision"),
    ("invalid", "invalid-decision"),
    ("error", "reported"),
];

#[test]
fn r28_an_attack_costs_its_message_a_temporary_failure_and_one_line_and_nothing_else() {
    // Time enough for everything that another limit ends, on a busy machine too.
    let rig = Rig::builder("r28")
        .policy("waxseal_misbehaving")
        .config("[limits]\ndecision-time = \"15s\"")
        .start();
    let send = |subject: &str| {
        let message = plain("alice@acme.test", subject);
        rig.try_as("alice@acme.test", &["bob@outside.test"], &message)
    };
    let mut logged = 0;
    for (subject, kind) in ATTACKS {
        let reply = send(subject);
        assert!(reply.is_temporary(), "{subject}: {reply:?}");
        let log = rig.waxseal.log();
        let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
        let new = &errors[logged..];
        logged = errors.len();
        let [line] = new else {
            panic!("{subject}: {} lines: {new:#?}", new.len());
        };
        assert!(
            line.contains(&format!("kind=\"{kind}\"")),
            "{subject}: {line}"
        );
        let queue_id = line
            .split_once("queue_id=\"")
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or_else(|| panic!("{subject}: no queue id in {line}"));
        let refused = format!("{queue_id}: milter-reject");
        // Postfix writes its log by a process of its own.
        wait_for("Postfix's line about it", || {
            rig.postfix.log().contains(&refused).then_some(())
        });
        let reply = send("well");
        assert!(reply.is_positive(), "after {subject}: {reply:?}");
    }
    let arrived = rig.arrived("default").len();
    assert_eq!(arrived, ATTACKS.len(), "only the well-behaved ones");
}

#[test]
fn r28_while_one_message_loops_others_go_through() {
    let rig = Rig::builder("r28-beside")
        .policy("waxseal_misbehaving")
        .config("[limits]\ndecision-time = \"3s\"\ninstructions = 900000000000")
        .start();
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| {
            rig.try_as(
                "alice@acme.test",
                &["bob@outside.test"],
                &plain("alice@acme.test", "loop"),
            )
        });
        let mut through = 0;
        while !looping.is_finished() {
            rig.send_as(
                "alice@acme.test",
                &["bob@outside.test"],
                &plain("alice@acme.test", "well"),
            );
            through += 1;
        }
        assert!(looping.join().expect("a reply").is_temporary());
        assert!(through > 1, "no message went through while one looped");
    });
}

#[test]
fn r28_what_failed_is_delivered_once_the_policy_is_mended() {
    let mut rig = Rig::builder("r28-later")
        .policy("waxseal_misbehaving")
        .networks("\"127.0.0.1\"")
        .start();
    rig.postfix.sendmail(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "trap"),
    );
    wait_for("the failure to be logged", || {
        rig.waxseal
            .log()
            .contains("the subject asked for it")
            .then_some(())
    });
    assert_eq!((rig.sink("default").count(), rig.postfix.queued()), (0, 1));
    rig.waxseal.stop();
    let path = rig.path("waxseal.toml");
    let config = fs::read_to_string(&path).expect("waxseal.toml");
    fs::write(&path, config.replace("waxseal_misbehaving", "rust_minimal")).expect("waxseal.toml");
    rig.waxseal.start();
    rig.postfix.flush();
    rig.waited_for("default");
    rig.only("default");
}

#[test]
fn r28_a_failing_policy_can_be_set_to_refuse() {
    let rig = Rig::builder("r28-reject")
        .policy("waxseal_misbehaving")
        .on_error("reject")
        .start();
    let reply = rig.try_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "trap"),
    );
    assert!((500..600).contains(&reply.code), "{reply:?}");
}
