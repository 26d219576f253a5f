//! R29: one policy in three languages. Each of them gets the same messages and
//! settings, and has to decide alike, word for word.
//!
//! `make policies policies-languages` builds them.

use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use tokio::sync::OnceCell;
use waxseal::decision::{Charge, Decision, HeaderField, ReturnPathChoice, Unit, Verdict, WhenFull};
use waxseal::message::{Content, Message, Recipient};
use waxseal::runtime::{
    CacheKey, CodeCache, LoadError, Policy, ReferenceKind, Sandbox, StaticFacts,
};

use crate::given::{ARRIVAL, LIMITS, SEED, component, facts};

/// The example's settings, with the one that they have as a comment.
static SETTINGS: LazyLock<String> = LazyLock::new(|| {
    let settings = include_str!("../../../../examples/policies/guard/settings.toml");
    settings.replace("# bounces = ", "bounces = ")
});

/// The three, under the limits that a host has when nothing is set.
const LANGUAGES: [&str; 3] = ["guard_rust", "guard_javascript", "guard_python"];

/// Engines of interpreters are large: code that runs a few times is compiled
/// quickly, and kept for the next time.
fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/code-of-tests");
        let cache = CodeCache::open(&folder, CacheKey::new([7; 32])).expect("a cache");
        let builder = Sandbox::builder(LIMITS).for_trials().cache(cache);
        builder.build().expect("a sandbox")
    })
}

async fn guards() -> &'static [(&'static str, Policy)] {
    static GUARDS: OnceCell<Vec<(&str, Policy)>> = OnceCell::const_new();
    let load = async || {
        let mut all = Vec::new();
        for name in LANGUAGES {
            let loaded = sandbox().load(component(name), SETTINGS.as_str().into(), &SEED);
            all.push((name, loaded.await.expect(name)));
        }
        all
    };
    GUARDS.get_or_init(load).await
}

/// A message to one recipient outside and one local.
fn message(fields: &str, body: &str) -> Arc<Message> {
    addressed(
        fields,
        body,
        &[("bob@outside.test", false), ("carol@acme.test", true)],
    )
}

fn addressed(fields: &str, body: &str, recipients: &[(&str, bool)]) -> Arc<Message> {
    let content = format!("From: Alice <Alice@acme.test>\r\n{fields}\r\n{body}");
    let recipient = |&(address, local): &(&str, bool)| {
        let address = waxseal::message::Address::parse(address).expect("an address");
        Recipient::new(address, local)
    };
    let arrival = jiff::Timestamp::from_second(ARRIVAL).expect("an instant");
    let message = Message::builder(Content::new(content.into_bytes()), arrival)
        .queue_id("4ABC")
        .listener("mx")
        .recipients(recipients.iter().map(recipient));
    Arc::new(message.build())
}

/// What all of them decide; the policies are compared with the first of them.
async fn decided(message: &Arc<Message>, facts: &Arc<StaticFacts>) -> Decision {
    let mut first: Option<Decision> = None;
    for (name, policy) in guards().await {
        let (message, facts) = (Arc::clone(message), Arc::clone(facts));
        let decided = policy.decide(message, facts, SEED).await;
        let decision = decided.decision.unwrap_or_else(|error| {
            panic!("{name}: {error}, {:?}", decided.log);
        });
        match &first {
            None => first = Some(decision),
            Some(first) => assert_eq!(&decision, first, "{name}"),
        }
    }
    first.expect("a decision")
}

async fn held(fields: &str, body: &str, why: &str) {
    let decision = decided(&message(fields, body), &facts()).await;
    assert_eq!(decision.verdict, Verdict::Hold(why.to_owned()));
    assert_eq!(decision.reasons, [why]);
    assert_eq!(decision.labels, [label("guard", "held")]);
}

fn label(name: &str, value: &str) -> HeaderField {
    HeaderField {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// A message with one attachment.
fn attached(media_type: &str, name: &str) -> (&'static str, String) {
    let fields = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let body = format!(
        "--b\r\n\r\nhello\r\n--b\r\nContent-Type: {media_type}\r\n\
         Content-Disposition: attachment; filename*=utf-8''{name}\r\n\r\nbytes\r\n--b--\r\n"
    );
    (fields, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_each_language_is_loaded_with_its_settings_baked_in() {
    for (name, policy) in guards().await {
        let description = policy.description();
        assert_eq!(
            (&*description.name, &*description.version),
            ("guard", "0.1.0")
        );
        assert!(policy.is_preinitialized(), "{name}");
        let schema = description.settings_schema.as_deref().expect("a schema");
        let schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
        assert_eq!(schema["required"][0], "bulk-relay", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_each_language_names_the_same_references_at_the_same_places() {
    for (name, policy) in guards().await {
        let references = &policy.configured().references;
        let found = references
            .iter()
            .map(|at| (at.kind, at.name.as_str(), &SETTINGS[at.span.clone()]));
        let expected = [
            (ReferenceKind::Relay, "bulk", "\"bulk\""),
            (
                ReferenceKind::Table,
                "may-send-anything",
                "\"may-send-anything\"",
            ),
        ];
        assert!(found.eq(expected), "{name}: {references:?}");
        assert!(policy.configured().warnings.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_mail_that_stays_inside_is_let_through_in_each_language() {
    let local = [("carol@acme.test", true)];
    let message = addressed("Subject: company confidential\r\n", "hello\r\n", &local);
    let decision = decided(&message, &facts()).await;
    assert_eq!(decision.verdict, Verdict::Accept);
    assert_eq!(decision.reasons, ["every recipient is local"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_listed_word_holds_the_message_in_each_language() {
    let subject = "Subject: =?utf-8?q?Re=3A_STRENG_vertraulich!?=\r\n";
    held(
        subject,
        "hello\r\n",
        "the subject says \"streng vertraulich\"",
    )
    .await;
    let japanese = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    held(
        japanese,
        "これは社外秘です。\r\n",
        "the text says \"社外秘\"",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_listed_attachment_holds_the_message_in_each_language() {
    let (fields, body) = attached("Application/ZIP", "r%C3%A9sum%C3%A9.txt");
    held(
        fields,
        &body,
        "the attachment résumé.txt is of type application/zip",
    )
    .await;
    let (fields, body) = attached("application/octet-stream", "INVOICE.PDF.EXE");
    held(
        fields,
        &body,
        "the attachment INVOICE.PDF.EXE ends with .exe",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_an_attachment_that_is_too_large_holds_the_message_in_each_language() {
    let (fields, body) = attached("image/png", "wall.png");
    let body = body.replace("bytes", &"x".repeat(10_000_001));
    let why = "the attachment wall.png has 10000001 bytes, more than 10000000";
    held(fields, &body, why).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_table_of_the_hosts_makes_exceptions_in_each_language() {
    let message = message("Subject: company confidential\r\n", "hello\r\n");
    let mut facts = StaticFacts::clone(&facts());
    let place = ("may-send-anything".to_owned(), "alice@acme.test".to_owned());
    facts.lookups.insert(place, "yes".to_owned());
    let decision = decided(&message, &Arc::new(facts)).await;
    assert_eq!(decision.verdict, Verdict::Accept);
    let why = "alice@acme.test is in the table may-send-anything";
    assert_eq!(decision.reasons, [why]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_bulk_mail_takes_its_relay_charge_and_return_path_in_each_language() {
    let message = message(
        "Subject: News\r\nList-Id: <news.acme.test>\r\n",
        "hello\r\n",
    );
    let decision = decided(&message, &facts()).await;
    assert_eq!(decision.route[0].relay, "bulk");
    let charge = Charge {
        counter: "bulk".to_owned(),
        unit: Unit::Message,
        maximum: Some(5000),
        full: WhenFull::Defer,
    };
    assert_eq!(decision.charges, [charge]);
    let path = ReturnPathChoice::Verp("bounce.acme.test".to_owned());
    assert_eq!(decision.return_path, path);
    assert_eq!(decision.labels, [label("type", "bulk")]);
}

/// Each names the same bytes; the words are its own.
#[tokio::test(flavor = "multi_thread")]
async fn r29_each_language_tells_all_problems_of_the_settings_at_their_places() {
    let settings = "# Größe\nkeywords = [\"社外秘\"] # all\nlargest-attachment = \"5\"\n\
                    keyword = \"a\"\nbulk-per-day = 0\n";
    for name in LANGUAGES {
        let loaded = sandbox()
            .load(component(name), settings.into(), &SEED)
            .await;
        let Err(LoadError::Settings(problems)) = loaded else {
            panic!(
                "{name}: {:?}",
                loaded.map(|policy| policy.digest().to_owned())
            );
        };
        let places: Vec<&str> = problems
            .iter()
            .map(|problem| &settings[problem.span.clone()])
            .collect();
        assert_eq!(places, ["", "\"5\"", "keyword", "0"], "{name}");
        assert_eq!(problems[0].message, "`bulk-relay` is missing", "{name}");
        assert_eq!(problems[0].expected.as_deref(), Some("the name of a relay"));
    }
}

/// The cost of a language: printed, not asserted, beyond that an interpreter fits
/// the limits of a host that nobody has set.
#[tokio::test(flavor = "multi_thread")]
async fn r29_each_language_fits_the_limits() {
    let message = message("Subject: hello\r\n", "hello\r\n");
    for (name, policy) in guards().await {
        let decided = policy.decide(Arc::clone(&message), facts(), SEED).await;
        let (instructions, memory) = (decided.instructions, decided.memory >> 10);
        println!("{name}: {instructions} instructions, {memory} KiB");
        assert!(decided.decision.is_ok(), "{name}");
        assert!(
            decided.memory <= LIMITS.memory && decided.instructions < 100_000_000,
            "{name}"
        );
    }
}
