//! Logical lines of Postfix configuration files (postconf(5), master(5)).

/// The logical lines of a file with the numbers of their first lines. Comments
/// and empty lines are left out, and do not end a logical line.
pub(super) fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> + use<> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some((_, last)) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push((number, line.trim_end().to_owned())),
        }
    }
    lines.into_iter()
}

/// One parameter of `main.cf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Line of the file.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// The parameters of `main.cf` in order. If a name occurs twice, the last one is
/// the one that Postfix uses.
pub(super) fn parameters(main_cf: &str) -> impl Iterator<Item = Parameter> + use<> {
    logical_lines(main_cf).filter_map(|(line, text)| {
        let (name, value) = text.split_once('=')?;
        Some(Parameter {
            line,
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    })
}

/// The items of a list, which are separated by commas or white space outside
/// braces.
pub(super) fn items(list: &str) -> Vec<&str> {
    split_outside_braces(list, |character| {
        character == ',' || character.is_whitespace()
    })
}

/// The parts of a text between separators outside braces, without empty ones.
pub(super) fn split_outside_braces(text: &str, separates: impl Fn(char) -> bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut start = None;
    for (at, character) in text.char_indices() {
        match (depth == 0 && separates(character), start) {
            (true, Some(first)) => {
                parts.push(&text[first..at]);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    parts.extend(start.map(|first| &text[first..]));
    parts
}

/// What an item of a list of milters connects to: `unix:PATH`, `inet:HOST:PORT`.
pub(super) fn milter_address(item: &str) -> &str {
    let inner = item.trim_start_matches('{').trim_end_matches('}');
    items(inner).first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logical_line_goes_on_after_comments_and_empty_lines() {
        let text = "a = 1\n# comment\n\n  2\nb=3  \n";
        let found: Vec<_> = parameters(text)
            .map(|it| (it.line, it.name, it.value))
            .collect();
        assert_eq!(
            found,
            [
                (1, "a".to_owned(), "1 2".to_owned()),
                (5, "b".to_owned(), "3".to_owned())
            ]
        );
    }

    #[test]
    fn a_list_is_separated_outside_braces_only() {
        let list = "inet:a:1, { unix:b, default_action=accept }  $more,,{inet:c:2}";
        let found = items(list);
        assert_eq!(
            found,
            [
                "inet:a:1",
                "{ unix:b, default_action=accept }",
                "$more",
                "{inet:c:2}"
            ]
        );
        let addresses: Vec<_> = found.into_iter().map(milter_address).collect();
        assert_eq!(addresses, ["inet:a:1", "unix:b", "$more", "inet:c:2"]);
        assert_eq!(items(" , "), [""; 0]);
        assert_eq!(items("} a"), ["}", "a"]);
    }
}
