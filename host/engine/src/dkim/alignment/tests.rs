use super::*;

/// Keys of acme.test and mailer.test.
fn keys() -> Keys {
    let domains = ["acme.test", "mailer.test"].map(domain);
    Keys::for_tests(&domains).expect("keys")
}

fn domain(name: &str) -> Domain {
    name.parse().expect("a domain")
}

fn message(fields: &str) -> Content {
    Content::new(format!("{fields}\r\nTo: bob@x.test\r\n\r\nHi\r\n").into_bytes())
}

/// The verdict on signing for these domains with this value of `From`.
fn verdict_with(from: &str, signing: &[&str], allowed: &[UnalignedPair]) -> String {
    let authors = match author_domains(&message(&format!("From: {from}"))) {
        Ok(authors) => authors,
        Err(error) => return error.to_string(),
    };
    let signing: Vec<_> = signing.iter().copied().map(domain).collect();
    match aligned(&authors, &signing, &keys(), allowed) {
        Ok(()) => "aligned".to_owned(),
        Err(AlignmentError::Unaligned(it)) => format!("{} with {}", it.sign, it.author),
        Err(AlignmentError::Message(error)) => error.to_string(),
    }
}

fn verdict(from: &str) -> String {
    verdict_with(from, &["acme.test"], &[])
}

#[test]
fn h3_a_signature_is_aligned_with_its_own_domain_and_those_below() {
    for (author, signing, aligned) in [
        ("acme.test", "acme.test", true),
        ("ACME.Test.", "acme.test", true),
        ("news.acme.test", "acme.test", true),
        ("acme.test", "mail.acme.test", true),
        // Subdomains of a domain with a key, as acme.test is and others are not.
        ("news.acme.test", "mail.acme.test", true),
        ("news.other.test", "mail.other.test", false),
        ("globex.test", "acme.test", false),
        ("notacme.test", "acme.test", false),
        // A top-level domain is not aligned with its subdomains.
        ("acme.test", "test", false),
        ("test", "acme.test", false),
        ("test", "test", true),
    ] {
        let reported = verdict_with(&format!("Ann <ann@{author}>"), &[signing], &[]);
        assert_eq!(
            reported == "aligned",
            aligned,
            "{signing} for {author}: {reported}"
        );
    }
}

#[test]
fn h3_an_allowed_pair_need_not_be_aligned() {
    let pair = |author: Option<&str>, sign: &str| UnalignedPair {
        author: author.map(domain),
        sign: domain(sign),
        span: 0..0,
    };
    let globex = [pair(Some("globex.test"), "mailer.test")];
    let from =
        |from: &str, allowed: &[UnalignedPair]| verdict_with(from, &["mailer.test"], allowed);
    assert_eq!(from("a@globex.test", &[]), "mailer.test with globex.test");
    assert_eq!(from("a@globex.test", &globex), "aligned");
    assert_eq!(from("a@eu.globex.test", &globex), "aligned");
    assert_eq!(
        from("a@initech.test", &globex),
        "mailer.test with initech.test"
    );
    // Only for that signing domain.
    let both = verdict_with("a@globex.test", &["mailer.test", "acme.test"], &globex);
    assert_eq!(both, "acme.test with globex.test");
    assert_eq!(
        from("a@initech.test", &[pair(None, "mailer.test")]),
        "aligned"
    );
    let reported = Unaligned {
        author: domain("globex.test"),
        sign: domain("mailer.test"),
    };
    assert!(
        reported
            .to_string()
            .contains("allow-unaligned = [{ author = \"globex.test\", sign = \"mailer.test\" }]"),
        "{reported}"
    );
}

#[test]
fn h3_a_message_has_one_from_field_to_be_signed() {
    let reported = |fields: &str| match author_domains(&message(fields)) {
        Ok(_) => "good".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(reported("From: a@acme.test"), "good");
    assert!(reported("Subject: x").contains("no From field"));
    assert!(reported("From: a@acme.test\r\nfrom: b@acme.test").contains("2 From fields"));
    assert!(
        reported("From: a@x.test\r\nX: y\r\nFROM: b@acme.test\r\nFrom:").contains("3 From fields")
    );
    // A field with a space before its colon counts, too.
    assert!(!reported("From: a@acme.test\r\nFrom : b@acme.test").contains("good"));
}

#[test]
fn h3_every_author_must_be_aligned() {
    assert_eq!(verdict("a@acme.test, \"B\" <b@news.acme.test>"), "aligned");
    for from in [
        "a@acme.test, b@globex.test",
        "b@globex.test, a@acme.test",
        "Team: a@acme.test, b@globex.test;",
        "a@acme.test, Others: b@globex.test, c@acme.test;",
    ] {
        assert_eq!(verdict(from), "acme.test with globex.test", "{from}");
    }
    assert_eq!(verdict("Team: a@acme.test, b@acme.test;"), "aligned");
}

#[test]
fn h3_a_from_without_an_author_is_not_signed() {
    for from in [
        "",
        "ceo@globex.test:;",
        "undisclosed:;",
        "Ann",
        "<>",
        "Ann <ann>",
        "ann@",
        "root@[192.0.2.1]",
        "(ann@acme.test)",
        "\"ann@acme.test\"",
    ] {
        let reported = verdict(from);
        assert!(
            reported.contains("so that it cannot be signed"),
            "{from}: {reported}"
        );
    }
}

#[test]
fn h3_obsolete_and_odd_forms_are_read_as_receivers_may_read_them() {
    for aligned in [
        "Ann (ceo@globex.test) <ann@acme.test>",
        "\"ceo@globex.test\" <ann@acme.test>",
        "\"c\\\"eo@globex.test\" <ann@acme.test>",
        "=?utf-8?q?ceo=40globex.test?= <ann@acme.test>",
        "=?utf-8?q?ceo@globex.test?= <ann@acme.test>",
        "\"ann@globex.test\"@acme.test",
        "Acme, Inc. <ann@acme.test>",
        "ann@acme.test <ann@acme.test>",
        "Ann\r\n\t<ann@acme.test>",
        "ann@bücher.acme.test",
        "J\u{f6}rg <ann@acme.test>",
        "Ann @ Acme <ann@acme.test>",
        "Anna@Acme <ann@acme.test>",
        "Ann | @annacme <ann@acme.test>",
        "=?utf-8?Q?Ann @ Acme?= <ann@acme.test>",
    ] {
        assert_eq!(verdict(aligned), "aligned", "{aligned}");
    }
    for other in [
        "ceo@globex.test <ann@acme.test>",
        "<@globex.test,@x.acme.test:ann@acme.test>",
        "<@globex.test:ann@acme.test>",
        "Ann <ann @ acme . (dot) test>",
        "<ann@acme.test> <ceo@globex.test>",
        "<ceo@globex.test> <ann@acme.test>",
        "ann@acme.test; ceo@globex.test",
        "ann@acme.test ceo@globex.test",
        "ceo @ globex . test, ann@acme.test",
        "ceo@(x)globex.test, ann@acme.test",
        "(unclosed ceo@globex.test <ann@acme.test>",
        "\"unclosed ceo@globex.test <ann@acme.test>",
        "ann@acme.test\r\n (x) , ceo@\r\n globex.test",
        "=?utf-8?q?x ceo@globex.test?= <ann@acme.test>",
        "=?utf-8?q?ann?=@globex.test, ann@acme.test",
        "<=?utf-8?q?ceo=40globex.test?=>, ann@acme.test",
        "Ann <=?utf-8?q?ceo=40globex.test?=@acme.test>",
        "Ann <ann=?utf-8?q?=40globex.test?=@acme.test>",
    ] {
        let reported = verdict(other);
        assert_ne!(reported, "aligned", "{other}");
    }
}

#[test]
fn l12_authors_in_other_scripts_are_aligned_in_both_forms() {
    for from in [
        "eva@bücher.test",
        "eva@BÜCHER.test",
        "eva@xn--bcher-kva.test",
    ] {
        assert_eq!(
            verdict_with(from, &["bücher.test"], &[]),
            "aligned",
            "{from}"
        );
        assert_eq!(verdict(from), "acme.test with xn--bcher-kva.test", "{from}");
    }
}

#[test]
fn h3_reading_authors_grows_with_the_size_of_the_field_alone() {
    for part in [
        "(", "\"", "[", "=?", "@", "@a.", "(@", "\\(", "@(x)", "\"@\"", "=?a?b?c", "@a (", "@ ",
    ] {
        let steps = |size: usize| {
            let value = part.repeat(size / part.len());
            let (_, steps) = work::count(|| mentioned(value.as_bytes()));
            steps
        };
        let (few, many) = (steps(20_000), steps(40_000));
        assert!(
            many as f64 <= 2.6 * few as f64,
            "{part}: {few} steps, {many} for twice the size"
        );
    }
}
