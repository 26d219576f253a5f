//! Decisions that cannot be carried out.

use waxseal_policy::{Charge, Decision, ReturnPath};

/// The decision that the subject names; none where it names nothing of this
/// module.
pub(crate) fn commit(subject: &str) -> Option<Result<Decision, String>> {
    let accept = Decision::accept();
    let decision = match subject {
        "invalid" => accept.add_header("X-Waxseal-Route", "anywhere"),
        "no such code" => Decision::reject(250, "2.0.0", "fine"),
        "another class" => Decision::defer(451, "5.7.1", "later"),
        "reply with lines" => Decision::reject(550, "5.7.1", "no\r\n250 yes"),
        "no address" => accept.copy_to(""),
        "address with lines" => accept.copy_to("a@b.test>\r\nDATA\r\n<c@d.test"),
        "no return path" => accept.return_path(ReturnPath::Address("a b@c.test".into())),
        "no domain" => accept.return_path(ReturnPath::Verp("a b.test".into())),
        "no signing domain" => accept.sign("a b.test"),
        "sign" => accept.sign("acme.test"),
        "charge" => accept.charge(Charge::messages("all")),
        "forged field" => accept.add_header("Authentication-Results", "all good"),
        "route field" => accept.add_header("X-Waxseal-Route", "relay"),
        "field with lines" => accept.add_header("X-Note", "a\r\nBcc: b@c.test"),
        "no field" => accept.add_header("X Note:", "a"),
        "host counter" => accept.charge(Charge::messages("relay/northwind")),
        "counter with lines" => accept.charge(Charge::messages("user/a\nb")),
        "long counter" => accept.charge(Charge::messages(&"n".repeat(10_000))),
        "long value" => accept.add_header("X-Note", &"v".repeat(10_000)),
        "reason flood" => (0..100).fold(accept, |decision, _| {
            decision
                .reason(&"word ".repeat(1000))
                .label(&"n".repeat(500), &"v".repeat(500))
        }),
        "too many" => (0..1000).fold(accept, |decision, number| {
            decision.relay(&format!("relay{number}"))
        }),
        _ => return None,
    };
    Some(Ok(decision))
}
