//! Hostile mail costs other mail nothing, and stops and reloads are not delayed
//! by it.

use std::fs;
use std::thread;

use rustix::process::Signal;
use waxseal_testkit::hostile::quoted_printable_blanks;
use waxseal_testkit::{Rig, wait_for};

use crate::mail::{acme, plain};

const DISCLAIMER: &str = "[disclaimer.legal]\ntext = \"Acme Ltd\"\n";

/// Hostile messages at one time: more than there are threads that process mail.
fn many() -> usize {
    2 * thread::available_parallelism().map_or(1, usize::from)
}

fn send_well(rig: &Rig) {
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "well"),
    );
}

#[test]
fn h1_the_message_of_250_kilobytes_fails_no_other_mail() {
    let rig = Rig::builder("h1-blanks")
        .settings(&(acme("disclaimers = [\"legal\"]\nrelays = []") + DISCLAIMER))
        .start();
    thread::scope(|scope| {
        let hostile: Vec<_> = (0..many())
            .map(|_| {
                scope.spawn(|| {
                    let message = quoted_printable_blanks(250_000);
                    rig.try_as("alice@acme.test", &["bob@outside.test"], &message)
                })
            })
            .collect();
        for _ in 0..20 {
            send_well(&rig);
            // Mail that comes in does not wait either.
            let mail = plain("carol@outside.test", "in");
            let reply = rig
                .stranger()
                .send("carol@outside.test", &["bob@inside.test"], &mail);
            assert!(reply.expect("a reply").is_positive());
        }
        for hostile in hostile {
            hostile.join().expect("a reply");
        }
    });
    assert!(!rig.postfix.log().contains("timed out"));
}

#[test]
fn h1_other_mail_is_answered_while_messages_loop_on_every_thread() {
    let rig = Rig::builder("h1-loop")
        .policy("waxseal_misbehaving")
        .config("[limits]\ndecision-time = \"5s\"\ninstructions = 900000000000")
        .start();
    thread::scope(|scope| {
        let looping: Vec<_> = (0..many())
            .map(|_| {
                scope.spawn(|| {
                    let mut message = plain("alice@acme.test", "loop");
                    // Some of them are large, and begin on the slow threads.
                    message.extend(b"word\r\n".repeat(100_000));
                    rig.try_as("alice@acme.test", &["bob@outside.test"], &message)
                })
            })
            .collect();
        let mut through = 0;
        while !looping.iter().any(thread::ScopedJoinHandle::is_finished) {
            send_well(&rig);
            through += 1;
        }
        assert!(through > 1, "no message went through while others looped");
        for looping in looping {
            assert!(looping.join().expect("a reply").is_temporary());
        }
    });
}

#[test]
fn h1_a_message_past_its_processing_time_is_deferred_and_its_step_is_logged() {
    let rig = Rig::builder("h1-deadline")
        .settings(&(acme("disclaimers = [\"legal\"]\nrelays = []") + DISCLAIMER))
        .config("[limits]\nprocessing-time = \"5ms\"")
        .start();
    let mut message = plain("alice@acme.test", "long");
    message.extend(
        "a line of text = with a sign\r\n"
            .repeat(500_000)
            .into_bytes(),
    );
    let reply = rig.try_as("alice@acme.test", &["bob@outside.test"], &message);
    assert!(reply.is_temporary(), "{reply:?}");
    let log = rig.waxseal.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let [line] = lines[..] else {
        panic!("one line: {lines:#?}");
    };
    assert!(line.contains("limits.processing-time"), "{line}");
    assert!(line.contains("queue_id=\""), "{line}");
    let steps = [
        "mapping",
        "editing",
        "deciding",
        "waiting",
        "processing",
        "charging",
    ];
    let named = steps.iter().any(|step| line.contains(step));
    assert!(named || line.contains(": deadline exceeded"), "{line}");
}

#[test]
fn h1_a_stop_does_not_wait_for_messages_that_loop() {
    let mut rig = Rig::builder("h1-stop")
        .policy("waxseal_misbehaving")
        .config(
            "[limits]\ndecision-time = \"3000s\"\nprocessing-time = \"3000s\"\n\
             stop-time = \"3000s\"\ninstructions = 900000000000000",
        )
        .start();
    let mut client = rig.user("alice@acme.test");
    thread::scope(|scope| {
        let looping = scope.spawn(move || {
            let message = plain("alice@acme.test", "loop");
            client.send("alice@acme.test", &["bob@outside.test"], &message)
        });
        // From here on Waxseal has it: Postfix has collected all of it.
        wait_for("the message to be in work", || {
            rig.postfix
                .log()
                .contains("message-id=<loop@test>")
                .then_some(())
        });
        send_well(&rig);
        rig.waxseal.stop();
        let reply = looping.join().expect("no panic").expect("a reply");
        assert!(reply.is_temporary(), "{reply:?}");
    });
    let log = rig.waxseal.log();
    assert!(log.contains("the server is stopping"), "{log}");
}

/// With a policy whose settings can make `configure` loop, which a reload alone
/// reads.
fn reloading(name: &str) -> Rig {
    let mut rig = Rig::builder(name)
        .policy("waxseal_misbehaving")
        .settings("")
        .prepare();
    let path = rig.path("waxseal.toml");
    let config = fs::read_to_string(&path).expect("waxseal.toml");
    let config = config.replacen("[policy]\n", "[policy]\nwatch = false\n", 1);
    fs::write(&path, config).expect("waxseal.toml");
    rig.waxseal.start();
    rig
}

fn wait_for_line(rig: &Rig, line: &str, times: usize) {
    wait_for(line, || {
        (rig.waxseal.log().matches(line).count() >= times).then_some(())
    });
}

#[test]
fn l3_a_stop_does_not_wait_for_a_reload() {
    let mut rig = reloading("l3-stop");
    fs::write(rig.path("settings.toml"), "loop").expect("settings");
    rig.waxseal.reload();
    wait_for("the reload to be under way", || {
        let status = rig.waxseal.json(&["policy", "status"]);
        (!status["validating"].is_null()).then_some(())
    });
    // Mail is not held up meanwhile.
    send_well(&rig);
    rig.waxseal.stop();
    let log = rig.waxseal.log();
    assert!(log.contains("the reload in progress was canceled"), "{log}");
    assert!(!log.contains("reload failed"), "{log}");
}

#[test]
fn l3_a_reload_asked_for_during_a_reload_follows_it() {
    let rig = reloading("l3-again");
    fs::write(rig.path("settings.toml"), "loop").expect("settings");
    rig.waxseal.reload();
    wait_for("the reload to be under way", || {
        let status = rig.waxseal.json(&["policy", "status"]);
        (!status["validating"].is_null()).then_some(())
    });
    fs::write(rig.path("settings.toml"), "mended").expect("settings");
    rig.waxseal.reload();
    wait_for_line(&rig, "another one follows it", 1);
    wait_for_line(&rig, "reloaded: messages in flight", 1);
    assert!(rig.waxseal.log().contains("reload failed"));
}

#[test]
fn d11_signals_without_a_meaning_leave_the_daemon_running() {
    let rig = reloading("d11");
    for signal in [Signal::USR2, Signal::ALARM, Signal::PROF, Signal::IO] {
        rig.waxseal.signal(signal);
    }
    wait_for_line(&rig, "ignored SIG", 4);
    rig.waxseal.signal(Signal::USR1);
    wait_for_line(&rig, "reloaded: messages in flight", 1);
    send_well(&rig);
}

#[test]
fn l6_every_reload_names_what_needs_a_restart() {
    let rig = reloading("l6");
    let path = rig.path("waxseal.toml");
    let config = fs::read_to_string(&path).expect("waxseal.toml");
    let changed = config.clone() + "[limits]\nheld = \"1 MiB\"\nmessage-size = \"1 MiB\"\n";
    fs::write(&path, changed).expect("waxseal.toml");
    for times in 1..=2 {
        rig.waxseal.reload();
        wait_for_line(&rig, "take effect after a restart: limits.held\n", times);
    }
    // The rest of it is in force.
    wait_for_line(&rig, "reloaded: messages in flight", 2);
    let mut large = plain("alice@acme.test", "well");
    large.extend(b"word\r\n".repeat(400_000));
    let reply = rig.try_as("alice@acme.test", &["bob@outside.test"], &large);
    assert_eq!(reply.code, 552, "{reply:?}");
    fs::write(&path, config).expect("waxseal.toml");
    rig.waxseal.reload();
    wait_for_line(&rig, "reloaded: messages in flight", 3);
    assert_eq!(rig.waxseal.log().matches("after a restart").count(), 2);
}
