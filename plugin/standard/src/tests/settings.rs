//! Problems, warnings and references found in settings.

use waxseal_policy::{Policy, ReferenceKind};

use super::{configure, pointed_at, problems};
use crate::StandardPolicy;

/// The texts to which the problems refer.
fn problem_places(settings: &str) -> Vec<&str> {
    let problems = problems(settings).into_iter();
    problems
        .map(|it| pointed_at(settings, it.offset, it.length))
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
fn empty_settings_are_valid() {
    assert_eq!(warned(""), []);
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
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
limit = { full = "defer" }
"#;
    assert_eq!(
        problem_places(settings),
        [
            "retrun-path",
            "\"bulk\"",
            "\"X Y\"",
            "{}",
            "\"a\"",
            "\"verp\"",
            "\"nobody\"",
            "\"not an address\"",
            "\"ACME.test.\"",
            "[\"a\"]",
            "bluk",
            "\"a b\"",
            "{ full = \"defer\" }",
        ]
    );
}

#[test]
fn a_wrong_return_path_that_many_domains_share_is_reported_once() {
    let settings = "return-path = \"verp\"\n[domain.\"a.test\"]\n[domain.\"b.test\"]\n";
    assert_eq!(problem_places(settings).len(), 1);
}

#[test]
fn the_default_type_must_be_unambiguous() {
    let unclear = "[type.a]\n[type.b]\n";
    assert_eq!(problem_places(unclear)[0], "a");
    let all_recognized = "[type.a]\nwhen = { list-id = true }\n";
    assert_eq!(problem_places(all_recognized)[0], "a");
    let unknown = "default-type = \"c\"\n[type.a]\n";
    assert_eq!(problem_places(unknown)[0], "\"c\"");
    let one_without = "[type.a]\nwhen = { list-id = true }\n[type.b]\n";
    assert_eq!(warned(one_without), []);
}

#[test]
fn the_default_entry_cannot_sign_for_itself() {
    let settings = "[domain.default]\nsign = true\nsubdomains = true\n";
    assert_eq!(problem_places(settings), ["true", "true"]);
}

#[test]
fn a_list_has_at_most_three_relays() {
    let settings = "relays = [\"a\", \"b\", \"c\", \"d\"]\n";
    assert_eq!(problem_places(settings), ["\"d\""]);
}

#[test]
fn settings_that_are_probably_not_intended_cause_warnings() {
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
    let places: Vec<_> = warned(settings).into_iter().map(|(_, at)| at).collect();
    assert_eq!(places, ["bulk", "auto", "unused", "unused"]);
}

#[test]
fn every_name_that_the_host_defines_is_a_reference() {
    let settings = r#"limit = 5
sign = true
[relay.b]
signs = true
[domain."acme.test"]
relays = ["a", { relay = "b" }]
[domain."globex.test"]
sign = ["other.test"]
limit = { recipients = 9 }
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
            (Counter, "organization", "5"),
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
fn invalid_settings_are_problems_and_no_panic() {
    use proptest::prelude::*;
    let words = "(\\[|\\]|\\[domain\\.\"a\\.test\"\\]|\\[type\\.b\\]|relays|sign|disclaimers|when|limit| = |true|\"a\"|5|\\{|\\}|\n|language)";
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
