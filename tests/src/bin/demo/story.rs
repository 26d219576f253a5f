//! The scenes of the demo.

use mail_parser::MessageParser;
use serde_json::Value;
use waxseal_testkit::dkim::verify;
use waxseal_testkit::{Delivery, Rig};

use crate::page::Page;
use crate::swap;

/// A message with a title.
pub(crate) struct Scene {
    pub(crate) title: &'static str,
    pub(crate) author: &'static str,
    pub(crate) recipients: &'static [&'static str],
    pub(crate) message: &'static str,
}

/// Destinations and their descriptions.
const DESTINATIONS: [(&str, &str); 5] = [
    ("northwind", "relay northwind"),
    ("bluebird", "relay bluebird"),
    ("quarry", "relay quarry"),
    ("inside", "local mailboxes"),
    ("default", "the default route"),
];

/// Recipient of archive copies in the settings.
const ARCHIVE: &str = "archive@acme.test";

/// Header fields that are not shown.
const NOISE: [&str; 1] = ["Received"];

const SCENES: [Scene; 5] = [
    Scene {
        title: "A personal message",
        author: "alice@acme.test",
        recipients: &["bob@customer.test"],
        message: "From: Alice Example <alice@acme.test>\nTo: Bob <bob@customer.test>\nSubject: Your order\n\
            Date: Mon, 02 Mar 2026 09:30:00 +0100\nMessage-ID: <1@acme.test>\n\n\
            Dear Bob,\n\nyour order is on its way.\n\nBest regards\nAlice\n",
    },
    Scene {
        title: "A newsletter: another mail type, another relay, no disclaimer",
        author: "news@acme.test",
        recipients: &["bob@customer.test", "eve@elsewhere.test"],
        message: "From: Acme News <news@acme.test>\nTo: customers@acme.test\nSubject: What is new in March\n\
            Date: Mon, 02 Mar 2026 09:31:00 +0100\nMessage-ID: <2@acme.test>\n\
            List-Id: News <news.acme.test>\n\nThe new wax is here.\n",
    },
    Scene {
        title: "To a remote and a local recipient, in text and HTML: one copy is relayed",
        author: "alice@acme.test",
        recipients: &["bob@customer.test", "carol@acme.test"],
        message: "From: Alice Example <alice@acme.test>\nTo: Bob <bob@customer.test>, Carol <carol@acme.test>\n\
            Subject: Meeting on Friday\nDate: Mon, 02 Mar 2026 09:32:00 +0100\nMessage-ID: <3@acme.test>\n\
            MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=\"b\"\n\n\
            --b\nContent-Type: text/plain; charset=utf-8\n\nShall we meet on Friday?\n\n\
            --b\nContent-Type: text/html; charset=utf-8\n\n<html><body><p>Shall we meet on <b>Friday</b>?</p></body></html>\n\n--b--\n",
    },
    Scene {
        title: "A Japanese order confirmation in ISO-2022-JP; the charset is kept",
        author: "shop@acme.test",
        recipients: &["hanako@customer.test"],
        message: "From: Acme Shop <shop@acme.test>\nTo: Hanako <hanako@customer.test>\n\
            Subject: Order 4711\nDate: Mon, 02 Mar 2026 17:33:00 +0900\nMessage-ID: <4@acme.test>\n\
            X-Mail-Type: workflow\nMIME-Version: 1.0\nContent-Type: text/plain; charset=ISO-2022-JP\n\
            Content-Transfer-Encoding: 7bit\n\n\x1b$B$4CmJ8$\"$j$,$H$&$4$6$$$^$9!#\x1b(B\n",
    },
    Scene {
        title: "From a domain that is not in the settings",
        author: "carol@elsewhere.test",
        recipients: &["bob@customer.test"],
        message: "From: Carol <carol@elsewhere.test>\nTo: Bob <bob@customer.test>\nSubject: Hello\n\
            Date: Mon, 02 Mar 2026 09:34:00 +0100\nMessage-ID: <5@elsewhere.test>\n\nHello Bob!\n",
    },
];

pub(crate) fn run(page: &Page, rig: &mut Rig) {
    for (number, scene) in (1..).zip(&SCENES) {
        page.title(&format!("{number}  {}", scene.title));
        show(page, rig, scene);
    }
    stranger(page, rig);
    killed(page, rig);
    page.title("8  The policy changes while mail flows");
    swap::run(page, rig, &SCENES[0]);
}

fn show(page: &Page, rig: &Rig, scene: &Scene) {
    let message = scene.message.replace('\n', "\r\n").into_bytes();
    page.entry(
        "sent",
        &format!(
            "by {}, logged in, to {}",
            scene.author,
            scene.recipients.join(" and ")
        ),
    );
    decided(page, rig, scene, &message);
    let before = counts(rig);
    rig.send_as(scene.author, scene.recipients, &message);
    let mut shown = false;
    for (name, delivery) in arrived(rig, &before) {
        match delivery.recipients.as_slice() {
            [one] if one == ARCHIVE => {
                page.entry("copied", &format!("to {one}, not shown in the header"));
            }
            _ => {
                arrival(page, rig, name, &delivery, scene.author);
                // All copies are the same.
                if !std::mem::replace(&mut shown, true) {
                    page.diff(&readable(&message), &readable(&delivery.bytes));
                }
            }
        }
    }
}

/// Prints the decision of `waxseal try`, which is also the milter's.
fn decided(page: &Page, rig: &Rig, scene: &Scene, message: &[u8]) {
    let path = rig.path("scene.eml");
    std::fs::write(&path, message).expect("the message");
    let path = path.display().to_string();
    let mut arguments = vec![
        "try",
        path.as_str(),
        "--sender",
        scene.author,
        "--user",
        scene.author,
    ];
    for recipient in scene.recipients {
        arguments.extend(["--recipient", recipient]);
    }
    let decision = rig.waxseal.json(&arguments);
    let relay = match decision["relay"].as_str() {
        Some(relay) => format!("relay {relay}"),
        None => "the default route".to_owned(),
    };
    let next: Vec<&str> = texts(&decision["fallbacks"]);
    let next = match next.is_empty() {
        true => String::new(),
        false => format!(" (fallbacks: {})", next.join(", ")),
    };
    page.entry("decided", &format!("{relay}{next}"));
    for reason in texts(&decision["reasons"]) {
        page.entry("  reason", reason);
    }
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

pub(crate) fn counts(rig: &Rig) -> Vec<usize> {
    DESTINATIONS
        .iter()
        .map(|(name, _)| rig.sink(name).count())
        .collect()
}

pub(crate) fn arrived(rig: &Rig, before: &[usize]) -> Vec<(&'static str, Delivery)> {
    rig.settle();
    let ends = DESTINATIONS.iter().zip(before);
    ends.flat_map(|((name, called), &before)| {
        let new = rig.sink(name).deliveries().into_iter().skip(before);
        new.map(move |delivery| (*called, delivery))
    })
    .collect()
}

pub(crate) fn arrival(page: &Page, rig: &Rig, at: &str, delivery: &Delivery, sender: &str) {
    page.entry(
        "arrived",
        &format!("at {at}, for {}", delivery.recipients.join(" and ")),
    );
    if delivery.sender != sender {
        page.entry(
            "envelope",
            &format!("{sender} → {}", shortened(&delivery.sender)),
        );
    }
    signatures(page, rig, delivery);
}

/// Whether this is the archive copy.
pub(crate) fn is_archive(delivery: &Delivery) -> bool {
    delivery.recipients == [ARCHIVE]
}

/// A VERP address, shortened.
fn shortened(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) if local.len() > 16 => format!("{}…@{domain}", &local[..12]),
        _ => address.to_owned(),
    }
}

fn signatures(page: &Page, rig: &Rig, delivery: &Delivery) {
    if delivery.header("DKIM-Signature").is_empty() {
        page.entry("signed", "no");
        return;
    }
    let author = delivery.header("From").concat();
    let domain = author
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .trim_end_matches('>');
    for signature in verify(&delivery.bytes, &rig.records(domain)) {
        let about = format!(
            "{} for {}: {} according to dkimpy and OpenDKIM",
            signature.algorithm,
            signature.domain,
            if signature.valid {
                "valid"
            } else {
                "NOT valid"
            }
        );
        page.check("signed", signature.valid, &about);
    }
}

/// The header fields of a message, one per line, and its decoded text.
fn readable(message: &[u8]) -> String {
    let mut text = String::new();
    for line in header_lines(message) {
        text.push_str(&line);
        text.push('\n');
    }
    let parsed = MessageParser::default().parse(message);
    if let Some(parsed) = &parsed {
        let plain = parsed.body_text(0).unwrap_or_default();
        text.push_str(&format!("\n{}\n", plain.trim_end()));
        let is_html = |delivery: &[u8]| {
            String::from_utf8_lossy(delivery)
                .to_lowercase()
                .contains("text/html")
        };
        if is_html(message) {
            let html = parsed.body_html(0).unwrap_or_default();
            text.push_str(&format!("\n{}\n", html.trim_end().replace("><", ">\n<")));
        }
    }
    text.replace("\r\n", "\n")
}

fn header_lines(message: &[u8]) -> Vec<String> {
    let end = message
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(message.len());
    let header = String::from_utf8_lossy(&message[..end]).into_owned();
    let unfolded = header.replace("\r\n\t", " ").replace("\r\n ", " ");
    let lines = unfolded.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !NOISE.iter().any(|noise| noise.eq_ignore_ascii_case(name))
    });
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Mail of a stranger with a local author passes unsigned.
fn stranger(page: &Page, rig: &Rig) {
    page.title("6  A stranger sends in a local name, without a login");
    let message = SCENES[0].message.replace('\n', "\r\n").into_bytes();
    let before = counts(rig);
    page.entry("sent", "by mallory@stranger.test, From: alice@acme.test");
    rig.send(
        &mut rig.stranger(),
        "mallory@stranger.test",
        &["carol@acme.test"],
        &message,
    );
    for (at, delivery) in arrived(rig, &before) {
        page.entry("arrived", &format!("at {at}"));
        let untouched = delivery.bytes.ends_with(&message);
        page.check("unchanged", untouched, "byte for byte");
        let unsigned = delivery.header("DKIM-Signature").is_empty();
        page.check("unsigned", unsigned, "no DKIM signature is added");
    }
}

/// The daemon is killed: the client keeps the message and retries.
fn killed(page: &Page, rig: &mut Rig) {
    page.title("7  Waxseal is killed and restarted");
    let scene = &SCENES[0];
    let message = scene.message.replace('\n', "\r\n").into_bytes();
    rig.waxseal.kill();
    page.entry("killed", "with SIGKILL; then a message is sent");
    let mut client = rig.listed();
    let reply = client
        .send(scene.author, scene.recipients, &message)
        .expect("a reply");
    page.check(
        "deferred",
        reply.is_temporary(),
        &format!("{} {}", reply.code, reply.text),
    );
    rig.waxseal.start();
    page.entry("restarted", "then the client retries");
    let before = counts(rig);
    rig.send(&mut rig.listed(), scene.author, scene.recipients, &message);
    let mut copies = arrived(rig, &before);
    copies.retain(|(_, delivery)| !is_archive(delivery));
    for (at, delivery) in &copies {
        arrival(page, rig, at, delivery, scene.author);
    }
    page.check(
        "once",
        copies.len() == 1,
        "not lost, not duplicated, signed",
    );
}
