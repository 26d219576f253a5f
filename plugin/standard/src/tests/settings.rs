//! What is told about settings: problems, warnings, references.

use waxseal_policy::{Policy, ReferenceKind};

use super::{configure, pointed_at, problems};
use crate::StandardPolicy;

/// Messages of all problems, and what each points at.
fn told(settings: &str) -> Vec<(String, &str)> {
    let problems = problems(settings).into_iter();
    problems
        .map(|it| (it.message, pointed_at(settings, it.offset, it.length)))
        .collect()
}

pub(super) fn warned(settings: &str) -> Vec<(String, &str)> {
    let (_, configured) = configure(settings);
    let warnings = configured.warnings.into_iter();
    warnings
        .map(|it| (it.message, pointed_at(settings, it.offset, it.length)))
        .collect()
}

#[test]
fn no_settings_at_all_are_good_settings() {
    assert_eq!(warned(""), []);
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let settings = r#"
retrun-path = "keep"
default-type = "bulk"
[type.bulk]
when = [{ is = "bulk" }, { header = "X Y" }]
[type.other]
never-relayed = true
when = [{}]
[domain."acme.test"]
relays = ["a", "a"]
return-path = "verp"
disclaimers = ["nobody"]
archive = "not an address"
[domain."ACME.test."]
[domain."acme.test".type.other]
relays = ["a"]
[domain."acme.test".type.bluk]
[domain."a b"]
maximum = { full = "defer" }
"#;
    let told = told(settings);
    let messages: Vec<_> = told
        .iter()
        .map(|(message, at)| (message.as_str(), *at))
        .collect();
    assert_eq!(
        messages,
        [
            ("`retrun-path` is not known here", "retrun-path"),
            ("`is` of which header field?", "\"bulk\""),
            ("\"X Y\" is no name of a header field", "\"X Y\""),
            ("a rule without a condition fits every message", "{}"),
            ("relay \"a\" is named twice in this list", "\"a\""),
            (
                "`return-path` is \"verp\", and there is no bounce domain",
                "\"verp\""
            ),
            ("there is no disclaimer \"nobody\"", "\"nobody\""),
            (
                "`domain.\"acme.test\".archive` is \"not an address\": this is no address",
                "\"not an address\""
            ),
            ("the domain acme.test has two entries", "\"ACME.test.\""),
            (
                "relays for type \"other\", which is never relayed",
                "[\"a\"]"
            ),
            ("there is no mail type \"bluk\"", "bluk"),
            ("\"a b\": this is no domain name", "\"a b\""),
            ("the maximum of what is missing", "{ full = \"defer\" }"),
        ]
    );
}

#[test]
fn a_wrong_return_path_that_many_domains_share_is_told_once() {
    let settings = "return-path = \"verp\"\n[domain.\"a.test\"]\n[domain.\"b.test\"]\n";
    assert_eq!(told(settings).len(), 1);
}

#[test]
fn the_default_type_has_to_be_clear() {
    let unclear = "[type.a]\n[type.b]\n";
    assert_eq!(told(unclear)[0].1, "a");
    let all_recognised = "[type.a]\nwhen = { list-id = true }\n";
    assert_eq!(told(all_recognised)[0].1, "a");
    let unknown = "default-type = \"c\"\n[type.a]\n";
    assert_eq!(told(unknown)[0].1, "\"c\"");
    let one_without = "[type.a]\nwhen = { list-id = true }\n[type.b]\n";
    assert_eq!(warned(one_without), []);
}

#[test]
fn the_default_entry_cannot_sign_for_itself() {
    let settings = "[domain.default]\nsign = true\nsubdomains = true\n";
    let places: Vec<_> = told(settings).into_iter().map(|(_, at)| at).collect();
    assert_eq!(places, ["true", "true"]);
}

#[test]
fn four_relays_are_one_too_many() {
    let settings = "relays = [\"a\", \"b\", \"c\", \"d\"]\n";
    assert_eq!(
        told(settings),
        [("\"d\" is one relay too many".to_owned(), "\"d\"")]
    );
}

#[test]
fn what_is_likely_not_meant_is_warned_about() {
    let settings = r#"
default-type = "person"
[type.person]
[type.bulk]
[type.auto]
when = { auto-submitted = true }
[disclaimer.unused]
text = "x"
[relay.unused]
signs = true
[domain."acme.test".type.bulk]
relays = "a"
[domain."acme.test".type.person]
relays = []
"#;
    let warned = warned(settings);
    let messages: Vec<_> = warned
        .iter()
        .map(|(message, at)| (message.as_str(), *at))
        .collect();
    assert_eq!(
        messages,
        [
            ("no message is ever of type \"bulk\"", "bulk"),
            ("no domain has a relay for type \"auto\"", "auto"),
            ("the disclaimer \"unused\" is used nowhere", "unused"),
            ("the relay \"unused\" is used nowhere", "unused"),
        ]
    );
}

#[test]
fn every_name_of_the_hosts_is_referred_to() {
    let settings = r#"maximum = 5
sign = true
[relay.b]
signs = true
[domain."acme.test"]
relays = ["a", { relay = "b" }]
[domain."globex.test"]
sign = ["other.test"]
maximum = { recipients = 9 }
"#;
    let (_, configured) = configure(settings);
    let references: Vec<_> = configured
        .references
        .iter()
        .map(|it| {
            (
                it.kind,
                it.name.as_str(),
                pointed_at(settings, it.offset, it.length),
            )
        })
        .collect();
    use ReferenceKind::{Counter, DkimDomain, Relay};
    assert_eq!(
        references,
        [
            (Counter, "organisation", "5"),
            (Relay, "b", "b"),
            (DkimDomain, "acme.test", "\"acme.test\""),
            (Relay, "a", "\"a\""),
            (Relay, "b", "\"b\""),
            (DkimDomain, "other.test", "\"other.test\""),
            (
                Counter,
                "domain/globex.test/recipients",
                "{ recipients = 9 }"
            ),
        ]
    );
}

#[test]
fn broken_settings_of_any_kind_are_problems_and_no_panic() {
    use proptest::prelude::*;
    let words = "(\\[|\\]|\\[domain\\.\"a\\.test\"\\]|\\[type\\.b\\]|relays|sign|disclaimers|when|maximum| = |true|\"a\"|5|\\{|\\}|\n|language)";
    proptest!(|(parts in proptest::collection::vec(words, 0..24))| {
        let settings = parts.concat();
        if let Err(problems) = StandardPolicy::configure(&settings) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                let end = (problem.offset + problem.length) as usize;
                prop_assert!(end <= settings.len());
            }
        }
    });
}
