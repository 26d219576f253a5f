//! A test for each requirement that the policy implements.

use waxseal_policy::{HeaderChange, Message, ReturnPath, Unit, WhenFull};

use super::settings::warned;
use super::{configure, decide, from, label, relays};

const TYPES: &str = r#"
default-type = "individual"
[type.bulk]
when = [{ header = "X-Mail-Type", is = "bulk" }, { list-id = true }, { precedence = ["bulk", "list"] }]
[type.workflow]
when = [{ user = "crm@*" }, { listener = "workflow" }, { auto-submitted = true }]
[type.own]
never-relayed = true
when = { author = "info@acme.test" }
[type.individual]
"#;

fn with_types(rest: &str) -> String {
    format!("{TYPES}{rest}")
}

#[test]
fn r1_a_message_takes_the_relay_of_its_domain() {
    let settings = "[domain.\"acme.test\"]\nrelays = [\"a\", \"b\"]\n";
    let decision = decide(settings, from("alice@acme.test"));
    assert_eq!(relays(&decision), ["a", "b"]);
    assert_eq!(
        decision.reasons,
        ["domain acme.test by author", "type mail", "relays a, b"]
    );
}

#[test]
fn r2_the_sending_domain_is_that_of_the_author() {
    let settings = "networks = \"127.0.0.1\"\n[domain.\"acme.test\"]\nrelays = \"a\"\n[domain.\"globex.test\"]\nrelays = \"g\"\n";
    let route = |message| relays(&decide(settings, message)).join(",");
    // The author, not the envelope sender.
    assert_eq!(
        route(
            Message::builder()
                .author("x@acme.test")
                .sender("y@globex.test")
        ),
        "a"
    );
    assert_eq!(
        route(Message::builder().author("x@ACME.Test.").sender("")),
        "a"
    );
    // Several authors: Sender.
    let two = || {
        Message::builder()
            .author("x@acme.test")
            .author("y@acme.test")
            .sender("z@acme.test")
    };
    assert_eq!(route(two().header("Sender", "Zoe <z@globex.test>")), "g");
    // No valid author: the envelope sender.
    assert_eq!(route(Message::builder().sender("y@globex.test")), "g");
    assert_eq!(
        route(Message::builder().author("nobody").sender("y@globex.test")),
        "g"
    );
    assert_eq!(route(two().sender("y@globex.test")), "g");
    assert_eq!(route(Message::builder()), "");
}

#[test]
fn r2_a_default_entry_takes_what_is_not_listed() {
    let listed = "networks = \"127.0.0.1\"\n[domain.\"acme.test\"]\nrelays = \"a\"\nsubdomains = true\n[domain.\"b.test\"]\nrelays = \"b\"\n";
    let with_default = format!("{listed}[domain.default]\nrelays = \"rest\"\n");
    let unlisted = decide(listed, from("x@initech.test"));
    assert!(unlisted.route.is_empty());
    assert_eq!(label(&unlisted, "domain"), "default");
    let taken = decide(&with_default, from("x@initech.test"));
    assert_eq!(relays(&taken), ["rest"]);
    assert_eq!(label(&taken, "domain"), "default");
    // Subdomains only if the entry includes them.
    assert_eq!(
        relays(&decide(&with_default, from("x@mail.acme.test"))),
        ["a"]
    );
    assert_eq!(
        relays(&decide(&with_default, from("x@mail.b.test"))),
        ["rest"]
    );
}

#[test]
fn r2_internationalized_domains_are_the_same_in_both_forms() {
    let settings = "[domain.\"bücher.test\"]\nrelays = \"a\"\n";
    for author in ["x@bücher.test", "x@BÜCHER.test", "x@xn--bcher-kva.test"] {
        assert_eq!(relays(&decide(settings, from(author))), ["a"], "{author}");
    }
}

#[test]
fn r3_each_type_has_its_own_relays() {
    let settings = with_types(
        "[domain.\"acme.test\".type.bulk]\nrelays = \"one\"\n[domain.\"acme.test\".type.workflow]\nrelays = \"two\"\n",
    );
    let of = |message| {
        let decision = decide(&settings, message);
        let kind = label(&decision, "type").to_owned();
        (kind, relays(&decision).join(","))
    };
    let alice = || from("alice@acme.test");
    let expect = |kind: &str, route: &str| (kind.to_owned(), route.to_owned());
    assert_eq!(
        of(alice().header("X-Mail-Type", " Bulk ")),
        expect("bulk", "one")
    );
    assert_eq!(
        of(alice().header("List-Id", "<n.acme.test>")),
        expect("bulk", "one")
    );
    assert_eq!(
        of(alice().header("Precedence", "list")),
        expect("bulk", "one")
    );
    assert_eq!(of(alice().user("CRM@acme.test")), expect("workflow", "two"));
    assert_eq!(of(alice().listener("workflow")), expect("workflow", "two"));
    assert_eq!(
        of(alice().header("Auto-Submitted", "auto-generated; x=y")),
        expect("workflow", "two")
    );
    // A type that is bound to no relay takes the default route.
    assert_eq!(
        of(alice().header("Auto-Submitted", "No")),
        expect("individual", "")
    );
    // The first matching type is used.
    let both = alice().header("X-Mail-Type", "bulk").user("crm@acme.test");
    assert_eq!(of(both), expect("bulk", "one"));
}

#[test]
fn r3_a_type_can_be_marked_never_to_be_relayed() {
    let settings = with_types("[domain.\"acme.test\"]\nrelays = [\"a\"]\n");
    assert_eq!(relays(&decide(&settings, from("bob@acme.test"))), ["a"]);
    let own = decide(&settings, from("Info@acme.test"));
    assert!(own.route.is_empty());
    assert_eq!(own.reasons[2], "default route: type own is never relayed");
}

#[test]
fn r3_conditions_of_one_line_hold_together() {
    let settings = r#"
default-type = "rest"
[type.odd]
when = [{ user = "crm", header = "Subject", contains = ["offer", "sale"], trait = ["reply", "list"] }]
[type.rest]
"#;
    let full = || {
        from("a@b.test")
            .user("crm")
            .header("Subject", "Big SALE")
            .with_trait("reply")
            .with_trait("list")
    };
    assert_eq!(label(&decide(settings, full()), "type"), "odd");
    assert_eq!(
        label(&decide(settings, full().user("other")), "type"),
        "rest"
    );
    let without = from("a@b.test")
        .user("crm")
        .header("Subject", "Big SALE")
        .with_trait("reply");
    assert_eq!(label(&decide(settings, without), "type"), "rest");
}

#[test]
fn r11_every_limit_is_a_counter_of_its_own() {
    let settings = format!(
        "limit = 100\nuser-limit = {{ recipients = 50, full = \"reject\" }}\n{TYPES}\
         limit = 5\n[domain.\"acme.test\"]\nlimit = {{ messages = 7, recipients = 9 }}\n\
         [domain.\"acme.test\".type.individual]\nlimit = {{ messages = 3, full = \"reject\" }}\n\
         [user.\"Boss@acme.test\"]\nlimit = \"none\"\n"
    );
    let charges_of = |message| -> Vec<_> {
        let decision = decide(&settings, message);
        let charges = decision.charges.into_iter();
        charges
            .map(|it| (it.counter, it.unit, it.maximum, it.full))
            .collect()
    };
    let charge = |name: &str, unit, maximum, full| (name.to_owned(), unit, Some(maximum), full);
    let common = vec![
        charge("organization", Unit::Message, 100, WhenFull::Defer),
        charge("type/individual", Unit::Message, 5, WhenFull::Defer),
    ];
    let user = charge(
        "user/alice/recipients",
        Unit::Recipient,
        50,
        WhenFull::Reject,
    );
    let domain = vec![
        charge("domain/acme.test", Unit::Message, 7, WhenFull::Defer),
        charge(
            "domain/acme.test/recipients",
            Unit::Recipient,
            9,
            WhenFull::Defer,
        ),
        charge(
            "type/acme.test/individual",
            Unit::Message,
            3,
            WhenFull::Reject,
        ),
    ];
    let all = [common.clone(), vec![user], domain.clone()].concat();
    assert_eq!(charges_of(from("a@acme.test").user("Alice")), all);
    assert_eq!(
        charges_of(from("a@acme.test").user("boss@ACME.test")),
        [common.clone(), domain].concat()
    );
    assert_eq!(charges_of(from("a@initech.test")), common);
}

#[test]
fn r13_the_return_path_is_the_nearest_choice() {
    let path = |settings: &str| decide(settings, from("a@acme.test")).return_path;
    let domain = "[domain.\"acme.test\"]\n";
    assert_eq!(path(domain), ReturnPath::Keep);
    let ours = ReturnPath::Verp("bounce.acme.test".into());
    let bounce = "bounce-domain = \"Bounce.acme.test\"\nreturn-path = \"verp\"\n";
    assert_eq!(path(&format!("{bounce}{domain}")), ours);
    assert_eq!(path(&format!("{domain}{bounce}")), ours);
    assert_eq!(
        path(&format!("{bounce}{domain}return-path = \"keep\"\n")),
        ReturnPath::Keep
    );
    assert_eq!(
        path(&format!("{bounce}{domain}return-path = \"author\"\n")),
        ReturnPath::Author
    );
    let fixed = "[domain.\"acme.test\".type.mail]\nreturn-path = \"b@acme.test\"\n[type.mail]\n";
    assert_eq!(
        path(&format!("return-path = \"author\"\n{fixed}")),
        ReturnPath::Address("b@acme.test".into())
    );
}

#[test]
fn d1_a_bounce_domain_alone_changes_no_return_path() {
    for settings in [
        "bounce-domain = \"bounce.acme.test\"\n[domain.\"acme.test\"]\nrelays = \"a\"\n",
        "[domain.\"acme.test\"]\nbounce-domain = \"bounce.acme.test\"\n",
    ] {
        let decision = decide(settings, from("a@acme.test"));
        assert_eq!(decision.return_path, ReturnPath::Keep, "{settings}");
        assert_eq!(warned(settings), [], "{settings}");
    }
}

#[test]
fn d1_each_verp_causes_a_warning_with_its_bounce_domains() {
    let settings = "return-path = \"verp\"\nbounce-domain = \"b.test\"\n[domain.\"acme.test\"]\n\
        relays = [{ relay = \"a\", return-path = \"verp\" }]\n[domain.\"globex.test\"]\n\
        bounce-domain = \"c.test\"\n[domain.\"initech.test\"]\nreturn-path = \"keep\"\n";
    let warned = warned(settings);
    let messages: Vec<_> = warned.iter().map(|(message, _)| message).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains(" b.test, c.test "), "{messages:?}");
    assert!(messages[1].contains(" b.test "), "{messages:?}");
    assert!(warned.iter().all(|(_, at)| *at == "\"verp\""), "{warned:?}");
}

#[test]
fn r13_a_relay_can_have_a_return_path_of_its_own() {
    let settings = r#"
bounce-domain = "bounce.acme.test"
[relay.b]
return-path = "author"
[domain."acme.test"]
relays = ["a", "b", { relay = "c", return-path = "c@acme.test" }]
"#;
    let decision = decide(settings, from("x@acme.test"));
    let own: Vec<_> = decision
        .route
        .into_iter()
        .map(|hop| hop.return_path)
        .collect();
    let fixed = ReturnPath::Address("c@acme.test".into());
    assert_eq!(own, [None, Some(ReturnPath::Author), Some(fixed)]);
    // The null sender is kept on every route.
    let bounce = decide(settings, from("x@acme.test").sender(""));
    assert_eq!(bounce.return_path, ReturnPath::Keep);
    assert!(bounce.route.iter().all(|hop| hop.return_path.is_none()));
}

#[test]
fn r15_a_domain_signs_for_itself_or_by_another() {
    let sign = |settings: &str, author| decide(settings, from(author)).sign;
    let domain = "[domain.\"acme.test\"]\nsubdomains = true\n";
    let on = format!("sign = true\n{domain}");
    assert!(sign(domain, "a@acme.test").is_empty());
    assert_eq!(sign(&on, "a@acme.test"), ["acme.test"]);
    // The domain that holds the key, which is aligned with its subdomains.
    assert_eq!(sign(&on, "a@mail.acme.test"), ["acme.test"]);
    assert!(sign(&format!("{on}sign = false\n"), "a@acme.test").is_empty());
    let two = format!("{on}sign = [\"acme.test\", \"Mailer.test\"]\n");
    assert_eq!(sign(&two, "a@acme.test"), ["acme.test", "mailer.test"]);
}

#[test]
fn r15_mail_of_unlisted_domains_inherits_no_signature() {
    let inherited = "sign = true\n[domain.default]\nrelays = \"a\"\n";
    assert!(decide(inherited, from("a@initech.test")).sign.is_empty());
    assert!(
        decide("sign = true\n", from("a@initech.test"))
            .sign
            .is_empty()
    );
    let meant = "[domain.default]\nsign = \"acme.test\"\n";
    assert_eq!(decide(meant, from("a@initech.test")).sign, ["acme.test"]);
}

#[test]
fn r15_a_message_that_may_fall_back_to_an_unsigned_route_is_signed() {
    let settings = |default_route_signs: bool, relays: &str| {
        format!(
            "sign = true\ndefault-route-signs = {default_route_signs}\n[relay.own]\nsigns = true\n\
             [domain.\"acme.test\"]\nrelays = {relays}\n"
        )
    };
    let signed = |settings: String| !decide(&settings, from("a@acme.test")).sign.is_empty();
    assert!(signed(settings(false, "[\"own\"]")));
    assert!(signed(settings(true, "[\"own\", \"other\"]")));
    assert!(!signed(settings(true, "[\"own\"]")));
}

#[test]
fn r22_a_disclaimer_is_chosen_by_domain_type_and_language() {
    let settings = with_types(
        r#"
disclaimers = []
[disclaimer.legal.language.en]
text = "confidential"
[disclaimer.legal.language.ja]
text = "機密"
html = "<p>機密</p>"
[disclaimer.promotion]
text = "unsubscribe"
placement = "top"
[domain."acme.test"]
disclaimers = ["legal"]
[domain."acme.test".type.bulk]
disclaimers = ["promotion", "legal"]
[domain."globex.test"]
"#,
    );
    let texts = |message| -> Vec<_> {
        let decision = decide(&settings, message);
        let disclaimers = decision.disclaimers.into_iter();
        disclaimers.map(|it| (it.id, it.text)).collect()
    };
    let disclaimer = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    assert_eq!(
        texts(from("a@acme.test").text("Hello")),
        [disclaimer("legal", "confidential")]
    );
    let japanese = "いつもお世話になっております。";
    assert_eq!(
        texts(from("a@acme.test").text(japanese)),
        [disclaimer("legal", "機密")]
    );
    assert_eq!(
        texts(from("a@acme.test").header("List-Id", "x")),
        [
            disclaimer("promotion", "unsubscribe"),
            disclaimer("legal", "confidential")
        ]
    );
    assert!(texts(from("a@globex.test")).is_empty());
}

#[test]
fn r22_the_domains_language_decides_if_the_messages_language_is_unknown() {
    let disclaimer =
        "[disclaimer.n.language.en]\ntext = \"e\"\n[disclaimer.n.language.de]\ntext = \"d\"\n";
    let settings =
        format!("disclaimers = \"n\"\nlanguage = \"de-AT\"\n[domain.\"acme.test\"]\n{disclaimer}");
    let decision = decide(&settings, from("a@acme.test").text("Guten Tag"));
    assert_eq!(decision.disclaimers[0].text, "d");
    assert!(decision.reasons.contains(&"disclaimer n in de".to_owned()));
    let message = from("a@acme.test").header("Content-Language", "en");
    assert_eq!(decide(&settings, message).disclaimers[0].text, "e");
}

#[test]
fn r23_copies_go_to_the_archive_of_domain_and_type() {
    let settings = with_types(
        "[domain.\"acme.test\"]\narchive = [\"one@acme.test\", \"two@acme.test\"]\n\
         [domain.\"acme.test\".type.bulk]\narchive = []\n",
    );
    let person = decide(&settings, from("a@acme.test"));
    assert_eq!(person.copies, ["one@acme.test", "two@acme.test"]);
    let bulk = decide(&settings, from("a@acme.test").header("List-Id", "x"));
    assert!(bulk.copies.is_empty());
    // No header names the recipient of a copy.
    assert_eq!(person.headers, Vec::<HeaderChange>::new());
}

#[test]
fn two_thousand_domains_are_distinguished() {
    let mut settings = "sign = true\nnetworks = [\"127.0.0.1\"]\n".to_owned();
    for number in 0..2000 {
        settings += &format!(
            "[domain.\"d{number}.test\"]\nrelays = [\"r{}\"]\n",
            number % 3
        );
    }
    let (policy, configured) = configure(&settings);
    assert_eq!(configured.warnings, []);
    for number in [0, 1, 999, 1999] {
        let message = from(&format!("a@d{number}.test")).build();
        let decision = waxseal_policy::Policy::decide(&policy, &message, &Default::default());
        let decision = decision.expect("a decision");
        assert_eq!(relays(&decision), [format!("r{}", number % 3)]);
        assert_eq!(decision.sign, [format!("d{number}.test")]);
    }
}
