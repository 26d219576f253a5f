//! R25: settings are read once, when the policy is loaded, and problems are
//! reported.

use waxseal::runtime::{LoadError, PolicyError, SetupCall};

use crate::given::{SEED, answer, component, decide, error, sandbox, with_settings};

async fn refused(settings: &str) -> LoadError {
    let component = component("waxseal_misbehaving");
    match sandbox().load(component, settings.into(), &SEED).await {
        Ok(_) => panic!("{settings:?} was taken"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_settings_are_baked_in_and_decisions_see_them() {
    let policy = with_settings("a \"setting\"\nand ünother").await;
    assert!(policy.is_preinitialized());
    assert_eq!(
        answer(&policy, "settings").await,
        "a \"setting\"\nand ünother"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_what_a_rust_policy_prints_while_it_is_configured_is_no_hindrance() {
    let policy = with_settings("print").await;
    assert!(policy.is_preinitialized());
    let decided = decide(&policy, "print").await;
    let lines: Vec<_> = decided.log.iter().map(|line| &*line.text).collect();
    let printed = [
        "half a line, and the rest",
        "one line on print's stderr",
        "no end",
    ];
    assert_eq!(lines, printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_a_policy_that_cannot_be_baked_is_configured_for_each_message() {
    let policy = with_settings("stderr").await;
    assert!(!policy.is_preinitialized());
    for _ in 0..2 {
        assert_eq!(answer(&policy, "settings").await, "stderr");
        assert_eq!(answer(&policy, "count").await, "1");
    }
    let decided = decide(&policy, "settings").await;
    assert_eq!(decided.log[0].text, "words", "from configure");
    let failed = error(&policy, "trap").await;
    assert!(
        matches!(&failed, PolicyError::Trapped(text) if text.ends_with("the subject asked for it")),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_policy_that_fails_to_read_its_settings_is_not_loaded() {
    let failed = refused("panic").await;
    let LoadError::Setup {
        call: SetupCall::Configure,
        error: PolicyError::Trapped(text),
    } = failed
    else {
        panic!("{failed:?}");
    };
    assert!(text.ends_with("the settings asked for it"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_problems_at_places_that_are_none_are_put_where_there_is_text() {
    let failed = refused("problems").await;
    let LoadError::Settings(problems) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(problems[0].span, 8..8);
    assert_eq!(problems[1].span, 0..8);
    assert_eq!(problems[1].message, "two lines");
}
