use super::*;

fn decision(change: impl FnOnce(&mut Decision)) -> Decision {
    let mut decision = Decision::default();
    change(&mut decision);
    decision
}

fn by(relays: &[&str]) -> Decision {
    let hop = |relay: &&str| Hop {
        relay: (*relay).to_owned(),
        return_path: None,
    };
    decision(|decision| decision.route = relays.iter().map(hop).collect())
}

fn texts(before: &Decision, after: &Decision) -> Vec<String> {
    let found = compare(before, after);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn the_same_decision_has_no_differences() {
    let one = by(&["bluebird"]);
    assert_eq!(compare(&one, &one.clone()), []);
}

#[test]
fn values_are_reported_before_and_after() {
    let found = compare(&by(&["bluebird"]), &by(&["quarry", "bluebird"]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].to_string(), "relay: bluebird → quarry, bluebird");
    assert_eq!(found[0].kind, "relay: bluebird → quarry, bluebird");
    assert_eq!(
        texts(&by(&[]), &by(&["quarry"])),
        ["relay: default route → quarry"]
    );
}

#[test]
fn values_of_a_message_are_not_in_a_kind() {
    let refused = |text: &str| {
        decision(|decision| {
            decision.verdict = Verdict::Reject(Reply {
                code: 550,
                enhanced: "5.7.1".to_owned(),
                text: text.to_owned(),
            });
        })
    };
    let first = compare(&Decision::default(), &refused("no ann"));
    let second = compare(&Decision::default(), &refused("no bob"));
    assert_eq!(first[0].kind, "verdict: accept → reject 550");
    assert_eq!(first[0].kind, second[0].kind);
    assert_eq!(
        second[0].to_string(),
        "verdict: accept → reject 550 5.7.1 no bob"
    );
    let between = compare(&refused("no ann"), &refused("no bob"));
    assert_eq!(between[0].kind, "verdict: reject 550 (details differ)");
}

#[test]
fn lists_are_reported_as_added_and_removed() {
    let signed = |domains: &[&str]| {
        decision(|decision| {
            decision.sign = domains.iter().map(|&domain| domain.to_owned()).collect();
        })
    };
    let found = compare(
        &signed(&["a.test", "b.test"]),
        &signed(&["b.test", "c.test"]),
    );
    assert_eq!(
        found[0].to_string(),
        "signatures: removed a.test; added c.test"
    );
    let found = compare(
        &signed(&["a.test", "b.test"]),
        &signed(&["b.test", "a.test"]),
    );
    assert_eq!(found[0].kind, "signatures: order changed");
    let found = compare(&signed(&["a.test"]), &signed(&["a.test", "a.test"]));
    assert_eq!(found[0].to_string(), "signatures: added a.test");
}

#[test]
fn every_field_is_compared_and_reasons_have_no_effect() {
    let full: Decision = serde_json::from_value(serde_json::json!({
        "verdict": {"action": "hold", "reply": "odd"},
        "route": [{"relay": "north", "return-path": {"kind": "author"}}],
        "charges": [{"counter": "c", "unit": "recipient", "maximum": 3, "full": "reject"}],
        "return-path": {"kind": "verp", "value": "bounce.test"},
        "author": {"mailbox": {"name": "N", "address": "n@a.test"}, "keep-in-name": true, "reply-to": true},
        "sender": "s@a.test",
        "sign": ["a.test"],
        "disclaimers": [{"id": "legal", "text": "x\ny", "html": null, "placement": "top"}],
        "headers": [{"change": "remove", "field": "X-A"}],
        "copies": ["archive@a.test"],
        "labels": [{"name": "type", "value": "bulk"}],
        "reasons": ["so it is"],
    }))
    .expect("a decision");
    let found = compare(&Decision::default(), &full);
    assert_eq!(found.len(), 12);
    let effects = found.iter().filter(|found| found.field.has_effect());
    assert_eq!(effects.count(), 10);
    let back: Vec<Difference> =
        serde_json::from_str(&serde_json::to_string(&found).expect("JSON")).expect("data");
    assert_eq!(back, found);
    assert!(
        found
            .iter()
            .any(|found| found.to_string() == "disclaimers: added legal (top): x y"),
        "one line: {found:?}"
    );
}
