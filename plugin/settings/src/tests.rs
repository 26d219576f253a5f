//! Tests of reading and of reported problems.

use crate::{Item, line_and_column, read};

#[test]
fn every_problem_is_reported_with_its_position() {
    let text = "a = 1\nb = \"x\"\nlist = [\"p\", 3]\n[t]\nc = true\nmode = \"of\"\n[t.u]\nz = 1\n";
    let ((), problems) = read(text, |top| {
        top.string("a");
        top.integer("b", 0..=u64::MAX);
        assert_eq!(top.strings("list").map(|list| list.len()), Some(1));
        let table = top.table("t").expect("t");
        assert_eq!(table.boolean("c"), Some(true));
        table.choice("mode", &[("on", 1), ("off", 0)]);
        table.require("d", "a text");
        table.table("u").expect("u").string("q");
    });
    let reported: Vec<_> = problems
        .iter()
        .map(|problem| {
            (
                line_and_column(text, problem.span.start).0,
                problem.message.as_str(),
            )
        })
        .collect();
    assert_eq!(
        reported,
        [
            (1, "`a` is of type integer"),
            (2, "`b` is of type string"),
            (3, "`list` is of type integer"),
            (4, "`t.d` is missing"),
            (6, "`t.mode` is \"of\""),
            (8, "unknown key `t.u.z`"),
        ]
    );
    assert_eq!(problems[4].expected.as_deref(), Some("\"on\", \"off\""));
}

#[test]
fn invalid_toml_is_a_problem_with_its_position() {
    let text = "a = \"x\nb = 2\n";
    let (b, problems) = read(text, |top| {
        top.string("a");
        top.integer("b", 0..=9)
    });
    assert!(
        problems[0].message.starts_with("invalid TOML"),
        "{problems:?}"
    );
    assert_eq!(line_and_column(text, problems[0].span.start).0, 1);
    assert!(b.is_none_or(|b| b.value == 2));
}

#[test]
fn names_of_the_administrators_own() {
    let (names, problems) = read("[domain.\"acme.test\"]\n[domain.b]\n", |top| {
        let entries = top.named_tables("domain");
        entries
            .iter()
            .map(|entry| entry.name.value.clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        (names, problems),
        (vec!["acme.test".to_owned(), "b".to_owned()], vec![])
    );
}

#[test]
fn a_list_may_mix_texts_and_tables() {
    let text = "one = \"a\"\nlist = [\"b\", { c = 1, d = 2 }, 3]\n";
    let (found, problems) = read(text, |top| {
        assert_eq!(top.type_of("list"), Some("array"));
        assert_eq!(top.type_of("none"), None);
        let items = top.items("one").into_iter().flatten();
        let items = items.chain(top.items("list").into_iter().flatten());
        let found = items.map(|item| match item {
            Item::Text(text) => text.value,
            Item::Table(table) => table.integer("c", 0..=9).expect("c").value.to_string(),
        });
        found.collect::<Vec<_>>()
    });
    assert_eq!(found, ["a", "b", "1"]);
    let messages: Vec<_> = problems.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        messages,
        ["unknown key `list.d`", "`list` is of type integer"]
    );
}

#[test]
fn l15_a_text_that_is_wrong_throughout_has_a_bounded_number_of_problems() {
    let text: String = (0..5000).map(|number| format!("a{number} = 1\n")).collect();
    let ((), problems) = read(&text, |_| ());
    assert_eq!(problems.len(), crate::MAX_PROBLEMS + 1);
    let last = &problems[crate::MAX_PROBLEMS];
    assert_eq!(last.message, "4900 more problems follow");
    assert_eq!(line_and_column(&text, last.span.start).0, 101);
}

#[test]
fn unknown_keys_are_reported_of_every_table_that_was_given_out() {
    let text = "a.b = 1\nlist = [{ c = 1 }, { x = 2 }]\n[t]\nhost = 1\nhots = 2\n[t.deep]\nx = 1\n[none]\ny = 1\n\
                [no-question]\nz = 1\n";
    let ((), problems) = read(text, |top| {
        top.table("a").expect("a").integer("c", 0..=9);
        for item in top.items("list").into_iter().flatten() {
            if let Item::Table(table) = item {
                table.integer("c", 0..=9);
            }
        }
        // Asked in two parts, and a table that is leaked is asked all the same.
        let first = top.table("t").expect("t");
        first.integer("host", 0..=9);
        top.table("t").expect("t").integer("port", 0..=9);
        std::mem::forget(first);
        top.table("no-question");
    });
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.message.as_str(), problem.expected.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("unknown key `a.b`", Some("one of `c`")),
            ("unknown key `list.x`", Some("one of `c`")),
            ("unknown key `t.hots`", Some("`host`, the most similar key")),
            ("unknown key `t.deep`", Some("one of `host`, `port`")),
            (
                "unknown key `none`",
                Some("one of `a`, `list`, `no-question`, `t`")
            ),
            ("unknown key `no-question.z`", None),
        ]
    );
}
