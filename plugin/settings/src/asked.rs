//! What was asked of the tables of one text, and the problems that were found.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr;
use std::rc::Rc;

use toml::de::{DeTable, DeValue};

use crate::problem::Problem;
use crate::suggest;

/// The record that all tables of one text share.
#[derive(Default, Debug)]
pub(crate) struct Asked {
    problems: RefCell<Vec<Problem>>,
    /// Each table that was given out, by its address in the parsed text.
    tables: RefCell<BTreeMap<usize, Questions>>,
    /// Each key that was asked for, once: many tables are asked for the same keys.
    names: RefCell<BTreeSet<Rc<str>>>,
}

/// What was asked of one table.
#[derive(Clone, Debug)]
pub(crate) struct Questions {
    path: Rc<str>,
    keys: Rc<RefCell<BTreeSet<Rc<str>>>>,
}

impl Asked {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self {
            problems: RefCell::new(problems),
            ..Self::default()
        }
    }

    pub(crate) fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Begins to ask a table; one that was given out before continues.
    pub(crate) fn table(&self, entries: &DeTable<'_>, path: String) -> Questions {
        let questions = || Questions {
            path: path.into(),
            keys: Rc::default(),
        };
        let mut tables = self.tables.borrow_mut();
        tables
            .entry(address(entries))
            .or_insert_with(questions)
            .clone()
    }

    /// Notes that a table was asked for a key.
    pub(crate) fn key(&self, questions: &Questions, key: &str) {
        let mut keys = questions.keys.borrow_mut();
        if !keys.contains(key) {
            keys.insert(self.name(key));
        }
    }

    fn name(&self, key: &str) -> Rc<str> {
        let mut names = self.names.borrow_mut();
        match names.get(key) {
            Some(name) => Rc::clone(name),
            None => {
                let name: Rc<str> = key.into();
                names.insert(Rc::clone(&name));
                name
            }
        }
    }

    /// The problems, with one for each key that nobody asked for. A table that was
    /// not given out is part of such a key.
    pub(crate) fn finish(self, root: &DeTable<'_>) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        unknown_keys(root, &self.tables.into_inner(), &mut problems);
        problems
    }
}

impl Questions {
    /// The path of a key, from the top of the text.
    pub(crate) fn full(&self, key: &str) -> String {
        let key = match key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            true => key.to_owned(),
            false => format!("\"{key}\""),
        };
        match &*self.path {
            "" => key,
            path => format!("{path}.{key}"),
        }
    }
}

fn address(entries: &DeTable<'_>) -> usize {
    ptr::from_ref(entries).addr()
}

fn unknown_keys(
    entries: &DeTable<'_>,
    tables: &BTreeMap<usize, Questions>,
    problems: &mut Vec<Problem>,
) {
    let Some(questions) = tables.get(&address(entries)) else {
        return;
    };
    let keys = questions.keys.borrow();
    for (name, value) in entries {
        let key: &str = name.get_ref();
        if keys.contains(key) {
            inside(value.get_ref(), tables, problems);
            continue;
        }
        let expected = match suggest::nearest(key, keys.iter().map(|key| &**key)) {
            Some(meant) => Some(format!("`{meant}`, the most similar key")),
            None if keys.is_empty() => None,
            None => {
                let list: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
                Some(format!("one of {}", list.join(", ")))
            }
        };
        problems.push(Problem {
            span: name.span(),
            message: format!("unknown key `{}`", questions.full(key)),
            expected,
        });
    }
}

fn inside(value: &DeValue<'_>, tables: &BTreeMap<usize, Questions>, problems: &mut Vec<Problem>) {
    if let Some(entries) = value.as_table() {
        unknown_keys(entries, tables, problems);
    } else if let Some(list) = value.as_array() {
        for element in list.iter() {
            inside(element.get_ref(), tables, problems);
        }
    }
}
