use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use data_encoding::BASE64;
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use mail_auth::dkim::Signature;
use tempfile::TempDir;

use super::*;
use crate::config::{Dkim, Domain, KeyFile, Severity};
use waxseal_core::edit::{Edits, HeaderEdit};
use waxseal_core::message::Content;

const DAY: jiff::civil::Date = date(2026, 11, 21);

fn settings(folder: &Path) -> Dkim {
    Dkim {
        keys: folder.join("keys"),
        generate: false,
        expire: None,
        allow_unaligned: Vec::new(),
        files: Vec::new(),
    }
}

fn domain(name: &str) -> Domain {
    name.parse().expect("domain")
}

/// Keys of both kinds, generated once for all tests.
fn keys() -> &'static [Arc<Key>] {
    static KEYS: LazyLock<(TempDir, Keys)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("folder");
        let settings = settings(folder.path());
        for algorithm in [Algorithm::Ed25519, Algorithm::Rsa] {
            generate(&settings, &domain("acme.test"), algorithm, None, DAY).expect("key");
        }
        let (keys, problems) = Keys::load(&settings);
        assert!(problems.is_empty(), "{problems:?}");
        (folder, keys)
    });
    KEYS.1.for_domain("acme.test")
}

fn at() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("time")
}

const HEADER: &str = "Received: from a by b; Sat, 21 Nov 2026 12:00:00 +0000\r\n\
    From: Ann <ann@acme.test>\r\n\
    To: bob@example.org\r\n\
    Subject: Two\r\n\tlines  of\t it \r\n\
    Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n\
    Message-ID: <1@acme.test>\r\n\
    Bcc: eve@example.org\r\n\
    List-Unsubscribe: <https://acme.test/u>\r\n";

fn message(body: &str) -> Vec<u8> {
    format!("{HEADER}\r\n{body}").into_bytes()
}

fn tag(signed: &Signed, name: &str) -> String {
    let value = String::from_utf8(signed.value.clone()).expect("ASCII");
    let bare: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let found = bare
        .split(';')
        .find_map(|tag| tag.strip_prefix(&format!("{name}=")).map(str::to_owned));
    found.expect("tag")
}

/// Whether the message with these signatures verifies at a receiver.
fn verifies(message: &[u8], signed: &[Signed]) -> Result<(), String> {
    let signatures: Vec<Signature> = signed
        .iter()
        .map(|signed| Signature::parse(&signed.value).expect("signature"))
        .collect();
    signature::verify(message, keys(), &signatures).map_err(|error| error.to_string())
}

#[test]
fn r15_both_algorithms_sign_rsa_first() {
    let message = message("Hello\r\n");
    let signed = sign(&message, keys(), at(), None).expect("signed");
    let reported: Vec<_> = signed
        .iter()
        .map(|s| (s.domain.as_str(), s.selector.as_str(), s.algorithm))
        .collect();
    assert_eq!(
        reported,
        [
            ("acme.test", "w20261121r", Algorithm::Rsa),
            ("acme.test", "w20261121e", Algorithm::Ed25519)
        ]
    );
    assert_eq!(
        signed
            .iter()
            .map(|signed| tag(signed, "a"))
            .collect::<Vec<_>>(),
        ["rsa-sha256", "ed25519-sha256"]
    );
    assert_eq!(verifies(&message, &signed), Ok(()));
}

#[test]
fn r15_a_signature_repeats_exactly_and_bears_the_time_of_arrival() {
    let message = message("Hello\r\n");
    let first = sign(&message, keys(), at(), None).expect("signed");
    assert_eq!(sign(&message, keys(), at(), None).expect("signed"), first);
    assert_eq!(tag(&first[0], "t"), at().as_second().to_string());
}

#[test]
fn the_value_has_the_form_of_header_edits() {
    let message = message("Hello\r\n");
    for signed in sign(&message, keys(), at(), None).expect("signed") {
        let value = std::str::from_utf8(&signed.value).expect("ASCII");
        assert!(
            value.starts_with(" v=1;") && !value.ends_with('\n'),
            "{value}"
        );
        let lines: Vec<_> = value.split("\r\n").collect();
        assert!(
            lines
                .iter()
                .skip(1)
                .all(|line| line.starts_with('\t') && line.len() <= 100),
            "{value}"
        );
        assert!(!value.replace("\r\n", "").contains(['\r', '\n']), "{value}");
        assert!(!value.contains("l="), "{value}");
        // Applied as an edit, the message verifies as a whole.
        let edits = Edits {
            headers: vec![HeaderEdit::Prepend {
                name: "DKIM-Signature".into(),
                value: signed.value.clone(),
            }],
            ..Edits::default()
        };
        let sent = edits.apply(&Content::new(message.clone()));
        assert_eq!(verifies(&sent, &[signed]), Ok(()));
    }
}

/// The canonical form, derived by hand from RFC 6376 (section 3.4), and the signatures verified over these bytes, without the
/// library that signed.
#[test]
fn r15_the_canonical_form_is_as_specified() {
    let message = message(" C \r\nD \t E\r\n\r\n \t \r\n");
    let signed = sign(&message, keys(), at(), None).expect("signed");
    let canonical_header = "list-unsubscribe:<https://acme.test/u>\r\n\
        message-id:<1@acme.test>\r\n\
        date:Sat, 21 Nov 2026 12:00:00 +0000\r\n\
        subject:Two lines of it\r\n\
        to:bob@example.org\r\n\
        from:Ann <ann@acme.test>\r\n\
        dkim-signature:";
    for signed in &signed {
        let hash = BASE64.encode(digest(&SHA256, b" C\r\nD E\r\n").as_ref());
        assert_eq!(tag(signed, "bh"), hash);
        let value = String::from_utf8(signed.value.clone()).expect("ASCII");
        let (unsigned, _) = value.split_once("; b=").expect("b=");
        let own = unsigned.split_whitespace().collect::<Vec<_>>().join(" ");
        let data = format!("{canonical_header}{own}; b=;").into_bytes();
        let signature = BASE64.decode(tag(signed, "b").as_bytes()).expect("base64");
        let key = keys()
            .iter()
            .find(|key| key.selector() == signed.selector)
            .expect("key");
        let (_, public) = key.record().value.rsplit_once("p=").expect("p=");
        let public = BASE64.decode(public.as_bytes()).expect("base64");
        let verified = match signed.algorithm {
            Algorithm::Rsa => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
                .verify(&data, &signature),
            Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, public)
                .verify(digest(&SHA256, &data).as_ref(), &signature),
        };
        assert!(
            verified.is_ok(),
            "{} over {:?}",
            signed.algorithm,
            String::from_utf8(data)
        );
    }
}

#[test]
fn r15_bodies_of_white_space_are_signed_as_specified() {
    let empty = digest(&SHA256, b"");
    for (body, canonical) in [
        ("", empty),
        ("\r\n", empty),
        (" \t\r\n", empty),
        ("  ", empty),
        ("\r\n \r\n\t\r\n", empty),
        ("text", digest(&SHA256, b"text\r\n")),
        ("text \r\n", digest(&SHA256, b"text\r\n")),
        ("text\r\n\r\n\r\n", digest(&SHA256, b"text\r\n")),
        ("text\r\n  ", digest(&SHA256, b"text\r\n")),
        ("text\r\n \r\n\t \r\n", digest(&SHA256, b"text\r\n")),
        ("\r\n \r\n  text", digest(&SHA256, b"\r\n\r\n text\r\n")),
        ("a \t b\r\n\r\nc", digest(&SHA256, b"a b\r\n\r\nc\r\n")),
    ] {
        let message = message(body);
        let signed = sign(&message, keys(), at(), None).expect(body);
        assert_eq!(
            tag(&signed[0], "bh"),
            BASE64.encode(canonical.as_ref()),
            "{body:?}"
        );
        assert_eq!(verifies(&message, &signed), Ok(()), "{body:?}");
    }
}

#[test]
fn r15_a_field_that_is_added_breaks_the_signature() {
    let message = message("Hello\r\n");
    let signed = sign(&message, keys(), at(), None).expect("signed");
    let oversigned = [
        "From",
        "To",
        "Cc",
        "Subject",
        "Date",
        "Reply-To",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Sender",
        "In-Reply-To",
        "References",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
    ];
    for name in oversigned {
        let mut changed = format!("{name}: added\r\n").into_bytes();
        changed.extend_from_slice(&message);
        assert!(verifies(&changed, &signed).is_err(), "{name}");
    }
    for name in [
        "Received",
        "X-Spam",
        "List-Id",
        "List-Post",
        "Return-Path",
        "Bcc",
        waxseal_core::message::ROUTE_FIELD,
        waxseal_core::message::SPLIT_FIELD,
        waxseal_core::message::PLAN_FIELD,
    ] {
        let mut changed = format!("{name}: added\r\n").into_bytes();
        changed.extend_from_slice(&message);
        assert_eq!(verifies(&changed, &signed), Ok(()), "{name}");
    }
}

#[test]
fn signed_fields_are_listed_once_more_than_they_occur() {
    let twice = format!(
        "From: a@acme.test\r\nSubject: a\r\nsubject: b\r\nSender: a@acme.test\r\nList-Id: x\r\n{}",
        "\r\nHi\r\n"
    );
    let signed = sign(twice.as_bytes(), keys(), at(), None).expect("signed");
    let named = tag(&signed[0], "h").to_ascii_lowercase();
    let count = |name: &str| named.split(':').filter(|other| *other == name).count();
    for (name, times) in [
        ("subject", 3),
        ("from", 2),
        ("sender", 2),
        ("to", 1),
        ("references", 1),
        ("in-reply-to", 1),
        ("list-unsubscribe", 1),
        ("list-unsubscribe-post", 1),
        ("list-id", 1),
        ("list-post", 0),
        ("received", 0),
        ("return-path", 0),
        ("bcc", 0),
        ("x-waxseal-route", 0),
        ("x-waxseal-split", 0),
        ("x-waxseal-plan", 0),
    ] {
        assert_eq!(count(name), times, "{name}");
    }
    assert_eq!(verifies(twice.as_bytes(), &signed), Ok(()));
    let three = format!("Subject: c\r\n{twice}");
    assert!(verifies(three.as_bytes(), &signed).is_err());
}

#[test]
fn l9_a_replay_adds_no_field_that_a_mail_program_acts_on() {
    let message = message("Hello\r\n").to_vec();
    let bare = String::from_utf8(message)
        .expect("ASCII")
        .replace("List-Unsubscribe: <https://acme.test/u>\r\n", "");
    let signed = sign(bare.as_bytes(), keys(), at(), None).expect("signed");
    assert_eq!(verifies(bare.as_bytes(), &signed), Ok(()));
    for field in [
        "Sender: ceo@evil.test",
        "List-Unsubscribe: <https://evil.test/u>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "References: <1@evil.test>",
        "In-Reply-To: <1@evil.test>",
    ] {
        let replayed = format!("{field}\r\n{bare}");
        assert!(verifies(replayed.as_bytes(), &signed).is_err(), "{field}");
    }
}

#[test]
fn h3_two_from_fields_are_not_signed() {
    let twice = b"From: a@nowhere.test\r\nTo: b@x.test\r\nfrom: ceo@acme.test\r\n\r\nHi\r\n";
    let error = sign(twice, keys(), at(), None).expect_err("rejected");
    assert!(error.is_of_message(), "{error}");
    assert!(error.to_string().contains("2 From fields"), "{error}");
}

#[test]
fn l9_a_signature_has_the_configured_expiry() {
    let message = message("Hello\r\n");
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let now = Timestamp::now();
    for arrival in [now, at(), at() - SignedDuration::from_hours(24 * 3650)] {
        let signed = sign(&message, keys(), arrival, Some(week)).expect("signed");
        for signed in &signed {
            let (t, x): (i64, i64) = (
                tag(signed, "t").parse().expect("a number"),
                tag(signed, "x").parse().expect("a number"),
            );
            assert_eq!((t, x - t), (arrival.as_second(), 604_800));
        }
        // The verifier goes by the clock.
        let valid = verifies(&message, &signed);
        assert_eq!(
            valid.is_ok(),
            arrival + week > Timestamp::now(),
            "{valid:?}"
        );
    }
    let signed = sign(&message, keys(), now, None).expect("signed");
    let value = String::from_utf8_lossy(&signed[0].value).into_owned();
    assert!(!value.contains("x="), "{value}");
}

#[test]
fn r15_a_changed_body_or_field_breaks_the_signature() {
    let original = message("Hello\r\n");
    let signed = sign(&original, keys(), at(), None).expect("signed");
    for (from, to) in [
        ("Hello", "Hallo"),
        ("Two", "Three"),
        ("acme.test/u", "evil.test/u"),
    ] {
        let changed = String::from_utf8(original.clone())
            .expect("ASCII")
            .replace(from, to);
        let reported = verifies(changed.as_bytes(), &signed).expect_err(from);
        assert!(reported.contains("does not verify"), "{reported}");
    }
}

#[test]
fn existing_signatures_do_not_prevent_signing() {
    let foreign = "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=other.test; s=x; h=From; bh=AAAA; b=AAAA\r\n\
        DKIM-Signature: nonsense\r\n";
    let message = [foreign.as_bytes(), &message("Hello\r\n")].concat();
    let signed = sign(&message, keys(), at(), None).expect("signed");
    assert_eq!(verifies(&message, &signed), Ok(()));
}

#[test]
fn odd_messages_are_signed_or_rejected_with_a_reason() {
    let rejected = |message: &[u8]| {
        sign(message, keys(), at(), None)
            .expect_err("rejected")
            .to_string()
    };
    assert!(
        rejected(b"To: a@b\r\n\r\nHi\r\n").contains("no From"),
        "no author"
    );
    assert!(rejected(b"").contains("no From"));
    assert!(rejected(b"From : a@acme.test\r\n\r\nHi\r\n").contains("white space before its colon"));
    assert!(
        sign(b"From: a@acme.test\r\n", keys(), at(), None).is_ok(),
        "header alone"
    );
    let raw = b"From: J\xf6rg <j@acme.test>\r\nX\xff: y\r\nSubject: \xe4\r\n\r\n\xff\xfe\r\n";
    assert!(
        sign(raw, keys(), at(), None).is_ok(),
        "bytes that are no UTF-8"
    );
    assert_eq!(
        sign(b"From: a@acme.test\r\n\r\n", &[], at(), None).expect("no keys"),
        []
    );
}

#[test]
fn keys_are_found_by_domain_in_any_case_and_not_by_parent() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    generate(
        &settings,
        &domain("Acme.TEST"),
        Algorithm::Ed25519,
        Some("S1"),
        DAY,
    )
    .expect("key");
    let (keys, problems) = Keys::load(&settings);
    assert_eq!(keys.for_domain("ACME.test").len(), 1);
    assert_eq!(keys.for_domain("acme.test.").len(), 1);
    assert!(keys.for_domain("sub.acme.test").is_empty() && keys.for_domain("test").is_empty());
    assert_eq!(keys.all()[0].file(), settings.keys.join("acme.test/s1.pem"));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].severity, Severity::Warning);
    assert!(
        problems[0].message.contains("only an Ed25519 key"),
        "{}",
        problems[0]
    );
    assert!(
        format!("{:?}", keys.all()[0]).len() < 120,
        "only names are shown"
    );
}

#[test]
fn r15_all_problems_of_keys_are_reported_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let mut settings = settings(folder.path());
    generate(
        &settings,
        &domain("good.test"),
        Algorithm::Rsa,
        Some("s"),
        DAY,
    )
    .expect("key");
    let good = fs::read(settings.keys.join("good.test/s.pem")).expect("read");
    let write = |name: &str, bytes: &[u8], mode: u32| {
        let path = settings.keys.join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(&path, bytes).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    write("open.test/s.pem", &good, 0o644);
    write("text.test/s.pem", b"no key", 0o600);
    write(
        "damaged.test/s.pem",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        0o600,
    );
    write("short.test/s.pem", RSA_1024.as_bytes(), 0o600);
    write("not a domain/s.pem", &good, 0o600);
    write("good.test/s.pem.bak", b"left alone", 0o644);
    settings.files.push(KeyFile {
        domain: domain("gone.test"),
        selector: "s".to_owned(),
        file: folder.path().join("gone.pem"),
        span: 0..0,
    });
    settings.files.push(KeyFile {
        domain: domain("good.test"),
        selector: "S".to_owned(),
        file: settings.keys.join("good.test/s.pem"),
        span: 0..0,
    });
    let (keys, problems) = Keys::load(&settings);
    assert_eq!(keys.all().len(), 1);
    let severity_of = |file: &str| {
        let problem = problems.iter().find(|problem| problem.file.ends_with(file));
        problem.map(|problem| problem.severity)
    };
    for file in [
        "open.test/s.pem",
        "text.test/s.pem",
        "damaged.test/s.pem",
        "short.test/s.pem",
        "gone.pem",
        "good.test/s.pem",
    ] {
        assert_eq!(severity_of(file), Some(Severity::Error), "{file}");
    }
    assert_eq!(severity_of("not a domain"), Some(Severity::Warning));
    assert_eq!(problems.len(), 7, "{problems:?}");
    let read = |name: &str| Key::read(&domain("a.test"), "s", &settings.keys.join(name)).err();
    assert!(matches!(
        read("open.test/s.pem"),
        Some(KeyError::File(PrivateFileError::Open { mode: 0o644, .. }))
    ));
    assert!(matches!(read("text.test/s.pem"), Some(KeyError::Pem(_))));
    for name in ["damaged.test/s.pem", "short.test/s.pem"] {
        assert!(matches!(read(name), Some(KeyError::Rejected(_))), "{name}");
    }
}

#[test]
fn a_missing_key_folder_is_not_a_problem() {
    let folder = tempfile::tempdir().expect("folder");
    let (keys, problems) = Keys::load(&settings(folder.path()));
    assert!(keys.all().is_empty() && problems.is_empty());
}

#[test]
fn r15_generated_keys_are_private_and_not_overwritten() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path());
    let acme = domain("acme.test");
    let made = generate(&settings, &acme, Algorithm::Rsa, None, DAY).expect("key");
    assert_eq!(made.key.record().name, "w20261121r._domainkey.acme.test");
    assert!(
        made.key
            .record()
            .value
            .starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA")
    );
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(
        (
            mode(made.key.file()),
            mode(&settings.keys),
            mode(&settings.keys.join("acme.test"))
        ),
        (0o600, 0o700, 0o700)
    );

    let again =
        generate(&settings, &acme, Algorithm::Rsa, Some("other"), DAY).expect_err("rejected");
    assert!(
        matches!(&again, GenerateError::Signs { selector, .. } if selector == "w20261121r"),
        "{again}"
    );
    assert!(
        again.to_string().contains("before its record is published"),
        "{again}"
    );
    let taken = generate(
        &settings,
        &acme,
        Algorithm::Ed25519,
        Some("w20261121r"),
        DAY,
    )
    .expect_err("rejected");
    assert!(matches!(taken, GenerateError::Exists(_)), "{taken}");
    for selector in ["", "a b", "../x", "a/b"] {
        let rejected = generate(&settings, &acme, Algorithm::Ed25519, Some(selector), DAY)
            .expect_err(selector);
        assert!(matches!(rejected, GenerateError::Selector(_)), "{rejected}");
    }
    let second = generate(&settings, &acme, Algorithm::Ed25519, None, DAY).expect("key");
    assert_eq!(second.key.selector(), "w20261121e");

    fs::write(settings.keys.join("acme.test/w20261121r.pem"), "damaged").expect("written");
    let unsure =
        generate(&settings, &acme, Algorithm::Rsa, Some("new"), DAY).expect_err("rejected");
    assert!(
        matches!(unsure, GenerateError::Unreadable { .. }),
        "{unsure}"
    );
}

/// A key that nobody uses, of a length that nobody should.
const RSA_1024: &str = "-----BEGIN RSA PRIVATE KEY-----
MIICXAIBAAKBgQDf2KRJtD0NWa/WWGpN4G5aXgkB7Ooco2PKWso0dgPL7hDL7C3W
t1+6iJeUvmT8yDINzqiaSF+971eFGn6rkw6OZl3o2o/RpxAJ50art4HhZMLHbHUn
qLnGNrOouSBzOVqvr5RaEZTHP8e0+3y456NB22rZ6TpRyko/vgxe4FXRRwIDAQAB
AoGANS8Q4Z4cP1bGy2OYZkZjkb7z3uw+N22uoP5vOoWro0E95mWIApLxAK3BbgrK
jbC3C8bFElsNvF/oaGyCGhvHgiXZcwoF6PnpAI2Bx7VoYEhOefRkCX/mV9g+zkWr
KsigqJivKdeJn7HjtshxIStEjqVmieL9utpRGa1sl/2VpakCQQD/zd0kHHpjLQPF
XC6GiffPP0XdA+EAzgSeSqvOgiDKUulvz4FI1uzrfekH/KiGdNwU5jqh7Pg/zAwy
zHfXP399AkEA4ASDrHBdd2E7hh4HByyo4NENmvvsWPmFemDj/AFvr3AvthjzC4hz
Abc7bw3wLpS1z2BqLrJQvo/TdIYhfwG3EwJAEM6j4wWD/RQuFT+TRv+1qoZLvtPM
atMedpANbcobAXAlKlWF9xU4B9kEAKRXJk5zT2Q5If6B6R8tBgFtNlVTuQJAVrZo
oZ79DvC8MbX90nEfDabeNVe+rNIpMK3AkhOcP7SVQ091BMnUep2Ki/pBNkap+ZPA
hkLPrnPNzhT9ckQfsQJBAJbgi+baum0DIOIYgbBCDReB3mamvC0chjPmgRWcnAGU
hjIwmKVErcJXIO2YkD1MtCVdoz9075UbDcI8IqL2Pe8=
-----END RSA PRIVATE KEY-----
";
