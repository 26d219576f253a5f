//! Tests of the authorization of senders (R20), and of attempts to bypass it.

use waxseal_policy::{Decision, Mailbox, Message, MessageBuilder, Verdict};

use super::{configure, decide, from, pointed_at, relays};

/// Two customers without authorized senders.
const TWO: &str = r#"
sign = true
[domain."acme.test"]
subdomains = true
relays = "a"
[domain."globex.test"]
relays = "g"
"#;

/// Two customers with authorized senders.
const AUTHORIZED: &str = r#"
sign = true
[domain."acme.test"]
subdomains = true
relays = "a"
users = ["*@acme.test", "crm", "app@*"]
networks = ["192.0.2.0/24", "2001:db8::/32", "127.0.0.1"]
[domain."globex.test"]
relays = "g"
users = "*@globex.test"
"#;

fn refused(decision: &Decision) -> Option<&str> {
    match &decision.verdict {
        Verdict::Reject(reply) => {
            assert_eq!((reply.code, reply.enhanced.as_str()), (550, "5.7.1"));
            assert!(decision.sign.is_empty() && decision.route.is_empty());
            Some(&reply.text)
        }
        _ => None,
    }
}

fn assert_refused(settings: &str, message: MessageBuilder) {
    let decision = decide(settings, message);
    assert!(refused(&decision).is_some(), "{decision:?}");
}

fn assert_sent(settings: &str, message: MessageBuilder, relay: &str) {
    let decision = decide(settings, message);
    assert_eq!(decision.verdict, Verdict::Accept, "{decision:?}");
    assert_eq!(relays(&decision), [relay], "{decision:?}");
    assert_eq!(decision.sign.len(), 1, "{decision:?}");
}

fn server(author: &str, address: &str) -> MessageBuilder {
    from(author).client(address, None, "client")
}

#[test]
fn h3_a_login_of_one_domain_is_refused_in_the_name_of_another() {
    for settings in [TWO, AUTHORIZED] {
        let decision = decide(settings, from("ceo@globex.test").user("ann@acme.test"));
        let text = refused(&decision).expect("refused");
        assert!(
            text.starts_with("You are not allowed to send as globex.test. "),
            "{text}"
        );
        assert!(text.is_ascii() && !text.contains("acme"), "{text}");
        assert_eq!(
            decision.reasons.last().map(String::as_str),
            Some("user ann@acme.test may not send as globex.test (author)")
        );
        assert_sent(settings, from("ann@acme.test").user("ann@acme.test"), "a");
        assert_sent(
            settings,
            from("bob@globex.test").user("bob@globex.test"),
            "g",
        );
    }
}

#[test]
fn r20_a_login_may_send_for_its_own_domain_and_those_below_it() {
    let ann = |author: &str| from(author).user("Ann@ACME.test");
    assert_sent(TWO, ann("news@acme.test"), "a");
    assert_sent(TWO, ann("news@Mail.Acme.test"), "a");
    // Not a parent, not a sibling, and not a domain of another entry.
    let below = |author: &str| from(author).user("ann@eu.acme.test");
    assert_sent(TWO, below("ann@eu.acme.test"), "a");
    assert_refused(TWO, below("ceo@acme.test"));
    assert_refused(TWO, below("ceo@us.acme.test"));
    let apart = format!("{TWO}[domain.\"shop.acme.test\"]\nrelays = \"s\"\n");
    assert_refused(&apart, ann("x@shop.acme.test"));
    assert_refused(&apart, from("x@acme.test").user("eve@shop.acme.test"));
    assert_sent(
        &apart,
        from("x@shop.acme.test").user("x@shop.acme.test"),
        "s",
    );
    // A name with the same end.
    assert_refused(TWO, from("x@globex.test").user("x@notglobex.test"));
    assert_refused(TWO, from("x@globex.test").user("x@test"));
    assert_refused(TWO, from("x@globex.test").user("x@"));
}

#[test]
fn r20_a_login_without_a_domain_has_to_be_listed_where_there_are_several_domains() {
    assert_refused(TWO, from("ann@acme.test").user("crm"));
    assert_sent(AUTHORIZED, from("ann@acme.test").user("CRM"), "a");
    assert_refused(AUTHORIZED, from("ann@globex.test").user("crm"));
    assert_refused(AUTHORIZED, from("ann@acme.test").user("crm2"));
    // A realm is part of the login.
    assert_refused(
        AUTHORIZED,
        from("ann@acme.test").user("crm@mail.globex.test"),
    );
    assert_sent(
        AUTHORIZED,
        from("ann@acme.test").user("App@mx1.host.test"),
        "a",
    );
}

#[test]
fn r20_mail_without_a_login_comes_from_a_network_that_the_domain_lists() {
    for address in ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1", "127.0.0.1"] {
        assert_sent(AUTHORIZED, server("crm@acme.test", address), "a");
        assert_refused(AUTHORIZED, server("crm@globex.test", address));
        assert_refused(TWO, server("crm@acme.test", address));
    }
    assert_refused(AUTHORIZED, server("crm@acme.test", "198.51.100.1"));
    // A program on this host is 127.0.0.1.
    assert_sent(AUTHORIZED, from("cron@acme.test"), "a");
    assert_refused(AUTHORIZED, from("cron@globex.test"));
    assert_refused(TWO, from("cron@acme.test"));
}

#[test]
fn r20_the_address_of_a_login_does_not_matter() {
    let webmail = server("ceo@acme.test", "127.0.0.1").user("bob@globex.test");
    assert_refused(AUTHORIZED, webmail);
}

#[test]
fn r20_a_single_domain_needs_no_authorized_senders() {
    let one = "sign = true\n[domain.\"acme.test\"]\nrelays = \"a\"\n";
    for message in [
        from("x@acme.test").user("crm"),
        from("x@acme.test").user("eve@initech.test"),
        server("x@acme.test", "192.0.2.9"),
        server("x@acme.test", "192.0.2.9").listener("submission"),
        from("x@acme.test"),
    ] {
        assert_sent(one, message, "a");
    }
    // An entry that neither signs nor is relayed makes no second one.
    let quiet = format!("{one}[domain.\"own.acme.test\"]\nsign = false\n");
    assert_sent(&quiet, server("x@acme.test", "192.0.2.9"), "a");
    // Once it has authorized senders, they are required.
    let said = format!("{one}networks = \"192.0.2.0/24\"\n");
    assert_sent(&said, server("x@acme.test", "192.0.2.9"), "a");
    assert_sent(&said, from("x@acme.test").user("ann@acme.test"), "a");
    assert_refused(&said, server("x@acme.test", "198.51.100.1"));
    assert_refused(&said, from("x@acme.test").user("crm"));
    let nobody = format!("{one}users = []\n");
    assert_refused(&nobody, from("x@acme.test").user("ann@acme.test"));
    assert_refused(&nobody, server("x@acme.test", "192.0.2.9"));
}

#[test]
fn r20_the_top_of_the_file_is_the_default_for_all_domains() {
    let settings = format!("users = \"*\"\nnetworks = \"127.0.0.1\"\n{TWO}users = \"boss\"\n");
    assert_sent(&settings, from("x@acme.test").user("anybody"), "a");
    assert_sent(&settings, from("x@acme.test"), "a");
    assert_sent(&settings, from("x@globex.test"), "g");
    assert_sent(&settings, from("x@globex.test").user("boss"), "g");
    assert_refused(&settings, from("x@globex.test").user("anybody"));
}

#[test]
fn h3_every_author_has_to_be_permitted() {
    let both = |first: &str, second: &str| {
        let message = Message::builder().author(first).author(second);
        message.sender("ann@acme.test").user("ann@acme.test")
    };
    assert_sent(
        AUTHORIZED,
        both("ann@acme.test", "bob@mail.acme.test").header("Sender", "ann@acme.test"),
        "a",
    );
    assert_refused(AUTHORIZED, both("ann@acme.test", "ceo@globex.test"));
    assert_refused(AUTHORIZED, both("ceo@globex.test", "ann@acme.test"));
    // `Sender` is no way around it, whichever it names.
    for sender in ["ann@acme.test", "x@initech.test", "ceo@globex.test"] {
        let message = both("ann@acme.test", "ceo@globex.test").header("Sender", sender);
        assert_refused(AUTHORIZED, message);
    }
    // Nor is an author of an unlisted domain.
    assert_refused(
        AUTHORIZED,
        both("a@nowhere.test", "b@nowhere.test").header("Sender", "Z <z@globex.test>"),
    );
    // If authors of several domains are all permitted, nothing is signed.
    let mixed = both("ann@acme.test", "x@initech.test").header("Sender", "ann@acme.test");
    let decision = decide(AUTHORIZED, mixed);
    assert_eq!(relays(&decision), ["a"]);
    assert!(decision.sign.is_empty(), "{decision:?}");
}

#[test]
fn h3_sender_and_envelope_are_checked_in_the_same_way() {
    let ann = || from("ann@acme.test").user("ann@acme.test");
    for sender in [
        "ceo@globex.test",
        "CEO <ceo@GLOBEX.test>",
        "<ceo@ globex.test>",
        "\"ann@acme.test\" <ceo@globex.test> (ann@acme.test)",
    ] {
        assert_refused(AUTHORIZED, ann().header("Sender", sender));
    }
    let twice = ann().header("Sender", "ann@acme.test");
    assert_refused(AUTHORIZED, twice.header("Sender", "ceo@globex.test"));
    assert_refused(AUTHORIZED, ann().sender("ceo@globex.test"));
    assert_refused(AUTHORIZED, ann().sender("ceo@GLOBEX.test."));
    assert_sent(
        AUTHORIZED,
        ann().sender("bounce-17@lists.initech.test"),
        "a",
    );
    assert_sent(
        AUTHORIZED,
        ann().sender("").header("Sender", "x@initech.test"),
        "a",
    );
}

#[test]
fn h3_a_message_without_a_readable_author_is_not_signed() {
    // An empty group, and an address without a domain: `From` names nobody.
    for message in [
        Message::builder().header("From", "ceo@globex.test:;"),
        Message::builder().author("ceo"),
        Message::builder().author("ceo@"),
        Message::builder(),
    ] {
        let ann = message.user("ann@acme.test");
        assert_refused(AUTHORIZED, ann.clone().sender("x@globex.test"));
        let decision = decide(AUTHORIZED, ann.sender("ann@acme.test"));
        assert_eq!(relays(&decision), ["a"], "routed by the envelope");
        assert!(decision.sign.is_empty(), "{decision:?}");
    }
}

#[test]
fn a_display_name_with_an_unquoted_comma_is_no_second_author() {
    let message = Message::builder().author("Acme").author("info@acme.test");
    let message = message.sender("info@acme.test").user("info@acme.test");
    assert_sent(AUTHORIZED, message, "a");
}

#[test]
fn r20_domains_in_other_scripts_are_the_same_in_both_forms() {
    let settings = r#"
sign = true
[domain."bücher.test"]
relays = "b"
users = ["*@Bücher.test", "*@*.BÜCHER.test"]
[domain."globex.test"]
relays = "g"
users = []
"#;
    for domain in ["bücher.test", "BÜCHER.test", "xn--bcher-kva.test"] {
        for login in ["bücher.test", "xn--bcher-kva.test", "eu.XN--bcher-kva.test"] {
            let message = from(&format!("eva@{domain}")).user(&format!("eva@{login}"));
            assert_sent(settings, message, "b");
        }
        let decision = decide(
            settings,
            from(&format!("eva@{domain}")).user("a@globex.test"),
        );
        let text = refused(&decision).expect("refused");
        assert!(text.contains("as xn--bcher-kva.test."), "{text}");
    }
    // The same by the login's own domain.
    let unsaid = settings
        .replace("users = [\"*@Bücher.test\", \"*@*.BÜCHER.test\"]\n", "")
        .replace("users = []", "");
    assert_sent(
        &unsaid,
        from("eva@bücher.test").user("eva@xn--bcher-kva.test"),
        "b",
    );
    assert_sent(
        &unsaid,
        from("eva@xn--bcher-kva.test").user("eva@BÜCHER.test"),
        "b",
    );
}

#[test]
fn r20_the_content_of_a_header_does_not_break_the_reply() {
    let odd = "ceo@\u{7f}x\n\u{e9}\u{301} .acme.test";
    let message = Message::builder().author_mailbox(Mailbox::new(odd));
    let decision = decide(AUTHORIZED, message.user("bob@globex.test"));
    let text = refused(&decision).expect("refused");
    assert!(
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.len() < 400,
        "{text:?}"
    );
}

#[test]
fn r20_mail_without_permission_can_pass_unsigned_and_unrelayed() {
    let pass = AUTHORIZED.replace("relays = \"g\"", "relays = \"g\"\nunauthorized = \"pass\"");
    let decision = decide(&pass, from("ceo@globex.test").user("ann@acme.test"));
    assert_eq!(decision.verdict, Verdict::Accept);
    assert!(decision.sign.is_empty() && decision.route.is_empty());
    assert_eq!(decision.return_path, waxseal_policy::ReturnPath::Keep);
    let reason = decision.reasons.last().expect("a reason");
    assert!(reason.ends_with("neither signed nor relayed"), "{reason}");
    assert_refused(&pass, from("ceo@acme.test").user("bob@globex.test"));
    // For all domains at once.
    let all = format!("unauthorized = \"pass\"\n{AUTHORIZED}");
    let decision = decide(&all, from("ceo@acme.test").user("bob@globex.test"));
    assert!(refused(&decision).is_none() && decision.route.is_empty());
    let one_refuses = format!("{all}unauthorized = \"refuse\"\n");
    assert_refused(&one_refuses, from("ceo@globex.test").user("ann@acme.test"));
}

#[test]
fn r20_a_bounce_of_this_host_is_never_rejected() {
    // From the MTA itself: no client, no login, no sender.
    let bounce = || from("MAILER-DAEMON@globex.test").sender("");
    let decision = decide(AUTHORIZED, bounce());
    assert_eq!(decision.verdict, Verdict::Accept);
    assert!(decision.sign.is_empty() && decision.route.is_empty());
    // From any other client, the null sender makes no difference.
    assert_refused(AUTHORIZED, bounce().user("ann@acme.test"));
    assert_refused(AUTHORIZED, bounce().client("198.51.100.1", None, "x"));
    assert_sent(AUTHORIZED, bounce().user("bob@globex.test"), "g");
}

#[test]
fn r20_the_default_entry_is_open_unless_it_has_authorized_senders() {
    let open = format!("{AUTHORIZED}[domain.default]\nrelays = \"rest\"\n");
    let stranger = || from("x@initech.test").user("bob@globex.test");
    assert_eq!(relays(&decide(&open, stranger())), ["rest"]);
    assert_eq!(relays(&decide(&open, from("x@initech.test"))), ["rest"]);
    let closed = format!("{open}users = \"forwarder\"\n");
    assert_refused(&closed, stranger());
    assert_refused(&closed, from("x@initech.test"));
    let forwarder = from("x@initech.test").user("forwarder");
    assert_eq!(relays(&decide(&closed, forwarder)), ["rest"]);
    // A domain without an entry is not checked.
    assert!(refused(&decide(AUTHORIZED, stranger())).is_none());
}

fn warnings(settings: &str) -> Vec<(String, String)> {
    let (_, configured) = configure(settings);
    let warnings = configured.warnings.into_iter();
    warnings
        .map(|it| {
            let at = pointed_at(settings, it.offset, it.length).to_owned();
            (
                format!("{} | {}", it.message, it.expected.unwrap_or_default()),
                at,
            )
        })
        .collect()
}

#[test]
fn r20_several_domains_without_authorized_senders_cause_one_warning() {
    let warned = warnings(TWO);
    assert_eq!(warned.len(), 1, "{warned:?}");
    let (text, at) = &warned[0];
    assert_eq!(at, "\"acme.test\"");
    for part in ["acme.test, globex.test", "`users = [\"*@acme.test\"]`"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(warnings(AUTHORIZED), []);
    assert_eq!(warnings(&format!("users = \"*\"\n{TWO}")), []);
    assert_eq!(warnings("sign = true\n[domain.\"acme.test\"]\n"), []);
    let one_of_two = AUTHORIZED.replace("users = \"*@globex.test\"", "");
    let warned = warnings(&one_of_two);
    assert!(warned[0].0.contains("send as globex.test:"), "{warned:?}");
    let many: String = (0..9)
        .map(|n| format!("[domain.\"d{n}.test\"]\nsign = true\n"))
        .collect();
    let warned = warnings(&many);
    assert!(
        warned.len() == 1 && warned[0].0.contains("d4.test, 4 more"),
        "{warned:?}"
    );
}

#[test]
fn h3_signatures_that_are_not_aligned_cause_a_warning() {
    let settings = r#"
[domain."mail.acme.test"]
sign = ["acme.test", "eu.mail.acme.test", "mailer.test"]
"#;
    let warned = warnings(settings);
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0]
            .0
            .contains("mailer.test is not aligned with mail.acme.test")
            && warned[0].0.contains(
                "allow-unaligned = [{ author = \"mail.acme.test\", sign = \"mailer.test\" }]"
            ),
        "{warned:?}"
    );
    let inherited = "sign = \"acme.test\"\n[domain.\"acme.test\"]\n[domain.\"globex.test\"]\n[domain.\"own.test\"]\nsign = true\n";
    let of_sign = |it: &&(String, String)| it.0.contains("not aligned");
    let warned = warnings(inherited);
    let warned: Vec<_> = warned.iter().filter(of_sign).collect();
    assert!(
        warned.len() == 1 && warned[0].0.contains("with globex.test"),
        "{warned:?}"
    );
}

#[test]
fn problems_with_senders_are_reported_with_their_places() {
    let settings =
        "users = [\"\", \"a\"]\nnetworks = [\"192.0.2.0/33\", \"here\"]\nunauthorized = \"drop\"\n";
    let problems = super::problems(settings);
    let places: Vec<_> = problems
        .iter()
        .map(|it| pointed_at(settings, it.offset, it.length))
        .collect();
    assert_eq!(places, ["\"\"", "\"192.0.2.0/33\"", "\"here\"", "\"drop\""]);
}
