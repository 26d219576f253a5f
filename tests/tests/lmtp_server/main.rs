//! The LMTP server behind Postfix's lmtp(8), each test with a Postfix of its own.

mod given;
mod growth;
mod memory;

use std::time::Duration;

use waxseal_lmtp::{Acknowledgement, Reply, ReplyStatus, Source};
use waxseal_testkit::{Client, wait_for};

use given::{Mta, Serving, all_delivered};

/// What the log says of a recipient: the status, and the reply.
fn logged(mta: &Mta, recipient: &str, status: &str) -> Option<String> {
    let log = mta.postfix.log();
    let line = log.lines().find(|line| {
        line.contains(&format!("to=<{recipient}>")) && line.contains(&format!("status={status}"))
    })?;
    Some(line.split_once("status=")?.1.to_owned())
}

fn connect(mta: &Mta) -> Client {
    Client::connect(mta.postfix.mx()).expect("connected")
}

fn send(mta: &Mta, recipients: &[&str], message: &[u8]) {
    let reply = connect(mta).send("", recipients, message).expect("sent");
    assert_eq!(reply.code, 250, "{reply:?}");
}

#[test]
fn three_hundred_recipients_in_one_transaction_have_an_answer_each() {
    let mta = Mta::start("lmtp-300", "");
    let mut serving = Serving::start(&mta.socket, |recipient| {
        let local = recipient.address.local_part();
        let number: u32 = local[1..].parse().expect("a number");
        let text = format!("answer to {local}");
        match number % 3 {
            0 => Reply::delivered(text),
            1 => Reply::deferred(text),
            _ => Reply::rejected(text),
        }
    });
    let recipients: Vec<String> = (0..300).map(|number| format!("u{number}@x.test")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    send(&mta, &recipients, b"Subject: x\r\n\r\nx\r\n");
    let delivery = serving.delivery();
    assert_eq!(delivery.recipients.len(), 300);
    assert_eq!(delivery.sender, None);
    for (number, recipient) in recipients.iter().enumerate() {
        let (status, code) = [
            ("sent", "250 2.0.0"),
            ("deferred", "451 4.3.0"),
            ("bounced", "550 5.0.0"),
        ][number % 3];
        let line = wait_for("the log", || logged(&mta, recipient, status));
        let answer = format!("{code} answer to u{number}");
        assert!(
            line.contains(&format!("{answer})")) || line.contains(&format!("{answer} (in reply")),
            "{line}"
        );
    }
    let answers = serving.answers();
    assert_eq!(answers.statuses, [ReplyStatus::Written; 300]);
    assert_ne!(answers.acknowledgement, Acknowledgement::None);
}

#[test]
fn content_arrives_byte_for_byte() {
    let mta = Mta::start("lmtp-bytes", "");
    let mut serving = Serving::start(&mta.socket, all_delivered);
    let long = "l".repeat(3000);
    let body = [
        b".\r\n..\r\n...a\r\n.b\r\n trailing \t \r\n\r\n\r\n".as_slice(),
        b"8-bit: \xc3\xa4\xff\x80 NUL: \0\0 end\r\n",
        long.as_bytes(),
        b"\r\n.",
        long.as_bytes(),
        b"\r\n.\r\n",
    ]
    .concat();
    let message = [b"Subject: x\r\n\r\n".as_slice(), &body].concat();
    send(&mta, &["a@x.test"], &message);
    let delivery = serving.delivery();
    assert!(delivery.content.starts_with(b"Received: "));
    assert!(delivery.content.ends_with(&body), "{:?}", delivery.content);
    assert!(delivery.declared_size.is_some());
    assert_eq!(
        delivery.body.map(|body| body.to_string()).as_deref(),
        Some("8BITMIME")
    );
}

#[test]
fn parameters_and_the_client_arrive() {
    let mta = Mta::start("lmtp-envelope", "");
    let mut serving = Serving::start(&mta.socket, all_delivered);
    let mut client = connect(&mta);
    for command in [
        "MAIL FROM:<jürgen@bücher.test> SMTPUTF8 RET=HDRS ENVID=QQ+2B314159",
        "RCPT TO:<ü@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+2Bx@example.org",
        "RCPT TO:<\"a b\"@x.test> NOTIFY=NEVER",
    ] {
        assert_eq!(
            client.command(command).expect("answered").code,
            250,
            "{command}"
        );
    }
    assert_eq!(client.command("DATA").expect("answered").code, 354);
    let sent = client
        .command("Subject: ü\r\n\r\nx\r\n.")
        .expect("answered");
    assert_eq!(sent.code, 250);
    let delivery = serving.delivery();
    let sender = delivery.sender.as_ref().map(|sender| sender.as_str());
    assert_eq!(sender, Some("jürgen@bücher.test"));
    assert!(delivery.smtputf8);
    assert_eq!(
        delivery.ret.map(|ret| ret.to_string()).as_deref(),
        Some("HDRS")
    );
    let envid = delivery.envid.as_ref().map(|envid| envid.as_str());
    assert_eq!(envid, Some("QQ+2B314159"));
    let mut recipients: Vec<_> = delivery
        .recipients
        .iter()
        .map(|recipient| {
            let notify = recipient.notify.map(|notify| notify.to_string());
            let orcpt = recipient.orcpt.as_ref().map(|orcpt| orcpt.to_string());
            (recipient.address.to_string(), notify, orcpt)
        })
        .collect();
    recipients.sort();
    assert_eq!(recipients[0].0, "\"a b\"@x.test");
    assert_eq!(recipients[0].1.as_deref(), Some("NEVER"));
    assert_eq!(recipients[1].0, "ü@x.test");
    assert_eq!(recipients[1].1.as_deref(), Some("SUCCESS,DELAY"));
    assert_eq!(
        recipients[1].2.as_deref(),
        Some("rfc822;Bob+2Bx@example.org")
    );
    let forwarded = &delivery.forwarded;
    assert_eq!(forwarded.ip(), "127.0.0.1".parse().ok());
    assert_eq!(forwarded.helo.as_deref(), Some("client.test"));
    assert_eq!(forwarded.proto.as_deref(), Some("ESMTP"));
    // Postfix takes loopback for this host.
    assert_eq!(forwarded.source, Some(Source::Local));
    let ident = forwarded.ident.as_deref().expect("the queue id");
    assert!(sent.text.contains(ident), "{sent:?}");
}

#[test]
fn a_connection_that_is_used_again_acknowledges_what_was_before() {
    let mta = Mta::start(
        "lmtp-reuse",
        "lmtp_destination_concurrency_limit = 1\nlmtp_connection_cache_destinations = static:all\n",
    );
    let mut serving = Serving::start(&mta.socket, all_delivered);
    for _ in 0..20 {
        send(&mta, &["a@x.test"], b"Subject: x\r\n\r\nx\r\n");
    }
    for _ in 0..20 {
        serving.delivery();
        assert_ne!(serving.answers().acknowledgement, Acknowledgement::None);
    }
}

#[test]
fn a_restart_under_load_loses_nothing() {
    let mta = Mta::start("lmtp-restart", "");
    let slowly = |recipient: &waxseal_lmtp::Recipient| {
        std::thread::sleep(Duration::from_millis(5));
        all_delivered(recipient)
    };
    let mut serving = Serving::start(&mta.socket, slowly);
    let mut seen = std::collections::BTreeSet::new();
    let count = |serving: &mut Serving, seen: &mut std::collections::BTreeSet<String>| {
        for delivery in serving.delivered() {
            seen.insert(delivery.recipients[0].address.to_string());
        }
    };
    for number in 0..120 {
        send(
            &mta,
            &[&format!("u{number}@x.test")],
            b"Subject: x\r\n\r\nx\r\n",
        );
        if number % 40 == 20 {
            serving = serving.restart(&mut |serving| count(serving, &mut seen));
        }
    }
    wait_for("all messages", || {
        mta.postfix.flush();
        count(&mut serving, &mut seen);
        (seen.len() == 120).then_some(())
    });
    wait_for("an empty queue", || {
        (mta.postfix.queued() == 0).then_some(())
    });
}
