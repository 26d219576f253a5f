//! Lookup tables.

use waxseal::pipeline::fuzzing::read_table;

use crate::config::are_shown;
use crate::cost::Cost;
use crate::input::Input;

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = input.document();
    let read = || read_table(&text);
    let (entries, problems) = Cost::DOCUMENT.hold("reading a table", text.len(), read);
    let lines = text.split('\n').filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    assert!(entries.len() <= lines.count(), "more entries than lines");
    for (key, value) in &entries {
        assert!(
            !key.is_empty() && !key.contains(char::is_whitespace),
            "{key:?}"
        );
        assert!(!value.contains('\n'), "{value:?}");
    }
    are_shown(&problems, &text);
}
