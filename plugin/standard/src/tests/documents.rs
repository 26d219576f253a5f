//! The examples in the documentation are correct.

use serde_json::Value;
use waxseal_policy::{Policy, ReturnPath, Verdict};

use super::{decide, from, relays};
use crate::StandardPolicy;

const GUIDE: &str = include_str!("../../../../docs/standard-policy.md");
const EXAMPLE: &str = include_str!("../../../../examples/acme/settings.toml");

/// The TOML examples of the guide.
fn examples() -> Vec<&'static str> {
    let mut blocks = GUIDE.split("```toml\n").skip(1);
    let examples: Vec<_> = blocks
        .by_ref()
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect();
    assert!(examples.len() > 10, "{}", examples.len());
    examples
}

#[test]
fn every_example_of_the_guide_is_free_of_problems() {
    for example in examples() {
        if let Err(problems) = StandardPolicy::configure(example) {
            panic!("{problems:#?}\nin:\n{example}");
        }
    }
}

#[test]
fn the_example_settings_do_what_their_comments_say() {
    let (_, configured) = super::configure(EXAMPLE);
    assert_eq!(configured.warnings, []);
    let bulk = decide(
        EXAMPLE,
        from("news@shop.acme.test")
            .user("alice@acme.test")
            .header("X-Mail-Type", "bulk"),
    );
    assert_eq!(relays(&bulk), ["bluebird", "quarry"]);
    assert_eq!(bulk.return_path, ReturnPath::Keep);
    assert_eq!(bulk.sign, ["acme.test"]);
    assert!(bulk.copies.is_empty() && bulk.disclaimers.is_empty());

    let person = decide(
        EXAMPLE,
        from("alice@acme.test")
            .user("alice@acme.test")
            .text("ご確認をお願いします。"),
    );
    assert_eq!(relays(&person), ["northwind", "bluebird"]);
    assert_eq!(person.copies, ["archive@acme.test"]);
    assert!(person.disclaimers[0].text.starts_with("このメール"));

    let globex = decide(EXAMPLE, from("hank@globex.test").user("hank@globex.test"));
    assert!(globex.route.is_empty());
    assert_eq!(globex.sign, ["globex.test"]);
    assert_eq!(globex.disclaimers.len(), 2);

    let pretended = decide(EXAMPLE, from("hank@globex.test").user("alice@acme.test"));
    assert!(matches!(pretended.verdict, Verdict::Reject(_)));
    let server = || from("crm@acme.test").client("192.0.2.7", None, "crm");
    assert_eq!(decide(EXAMPLE, server()).sign, ["acme.test"]);
    let other = decide(EXAMPLE, server().sender("crm@globex.test"));
    assert!(matches!(other.verdict, Verdict::Reject(_)));

    let stranger = decide(EXAMPLE, from("eve@initech.test"));
    assert!(stranger.route.is_empty() && stranger.sign.is_empty());
    assert_eq!(stranger.return_path, ReturnPath::Keep);
}

/// The schema defines a table's keys if `properties` or `additionalProperties`
/// do; `$ref` refers to `$defs`.
fn keys_are_known(schema: &Value, root: &Value, value: &Value, path: &str) {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(name) => {
            let name = name.trim_start_matches("#/$defs/");
            root.pointer(&format!("/$defs/{name}"))
                .expect("a definition")
        }
        None => schema,
    };
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let of_type = |it: &&Value| type_fits(it, root, value);
        let fitting = choices.iter().find(of_type);
        let fitting = fitting.unwrap_or_else(|| panic!("no form for {path} = {value}"));
        return keys_are_known(fitting, root, value, path);
    }
    match value {
        Value::Object(table) => {
            for (key, inner) in table {
                let known = schema.pointer(&format!("/properties/{}", key.replace('/', "~1")));
                let known = known.or_else(|| schema.get("additionalProperties"));
                let known = known.filter(|it| it.is_object());
                let known = known.unwrap_or_else(|| panic!("{path}.{key} is not in the schema"));
                keys_are_known(known, root, inner, &format!("{path}.{key}"));
            }
        }
        Value::Array(list) => {
            for inner in list {
                keys_are_known(&schema["items"], root, inner, path);
            }
        }
        _ => assert!(type_fits(schema, root, value), "{path} = {value}"),
    }
}

fn type_fits(schema: &Value, root: &Value, value: &Value) -> bool {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let definition = root.pointer(&name[1..]).expect("a definition");
        return type_fits(definition, root, value);
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return choices.iter().any(|it| type_fits(it, root, value));
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.contains(value);
    }
    let name = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        _ => "integer",
    };
    schema.get("type").and_then(Value::as_str) == Some(name)
}

#[test]
fn the_schema_knows_every_setting_that_the_documents_show() {
    let schema = StandardPolicy::describe()
        .settings_schema
        .expect("a schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    for example in examples().into_iter().chain([EXAMPLE]) {
        let settings: toml::Table = example.parse().expect("TOML");
        let settings = serde_json::to_value(settings).expect("JSON");
        keys_are_known(&schema, &schema, &settings, "settings");
    }
}
