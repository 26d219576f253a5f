//! The services of a `master.cf` file (master(5)).

use super::lines::{logical_lines, split_outside_braces};

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Line of the file.
    pub(super) line: usize,
    pub(super) name: String,
    /// `inet`, `unix` and so on.
    pub(super) kind: String,
    pub(super) command: String,
    /// Parameters that the service overrides, in order.
    pub(super) options: Vec<(String, String)>,
}

impl Entry {
    /// The value of an overridden parameter: the last one counts.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter().rev();
        let (_, value) = options.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Name, kind and command.
    pub(super) fn title(&self) -> String {
        [&*self.name, &*self.kind, &*self.command].join(" ")
    }

    /// Whether the service offers messages to no milter, by its own options.
    pub(super) fn is_without_milters(&self) -> bool {
        let excludes = |value: &str| value.split([',', ' ']).any(|option| option == "no_milters");
        self.option("smtpd_milters").is_some_and(str::is_empty)
            || self
                .option("receive_override_options")
                .is_some_and(excludes)
    }
}

/// The services of a file, in order. Lines that are none are left out.
pub(super) fn entries(text: &str) -> impl Iterator<Item = Entry> + use<> {
    logical_lines(text).filter_map(|(line, text)| entry(line, &text))
}

fn entry(line: usize, text: &str) -> Option<Entry> {
    let words = split_outside_braces(text, char::is_whitespace);
    let &[name, kind, _, _, _, _, _, command, ref arguments @ ..] = words.as_slice() else {
        return None;
    };
    Some(Entry {
        line,
        name: name.to_owned(),
        kind: kind.to_owned(),
        command: command.to_owned(),
        options: options(arguments),
    })
}

/// The `-o` options, in both forms: `name=value` and `{ name = value }`.
fn options(arguments: &[&str]) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let text = match word.strip_prefix("-o") {
            Some("") => words.next().copied().unwrap_or_default(),
            Some(rest) => rest,
            None => continue,
        };
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        if let Some((name, value)) = inner.unwrap_or(text).split_once('=') {
            options.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_both_forms_are_read() {
        let text = "smtp inet n - y - - smtpd\n  -o content_filter=x:y -v\n  \
                    -o { smtpd_milters = { unix:a, default_action=accept } }\n\
                    -o smtpd_milters=\nbroken line\n";
        let found: Vec<_> = entries(&text.replace("\n-o", "\n  -o")).collect();
        let [entry] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(entry.title(), "smtp inet smtpd");
        assert_eq!(entry.option("content_filter"), Some("x:y"));
        assert_eq!(
            entry.options[1],
            (
                "smtpd_milters".to_owned(),
                "{ unix:a, default_action=accept }".to_owned()
            )
        );
        assert_eq!(entry.option("smtpd_milters"), Some(""));
        assert!(entry.is_without_milters());
    }
}
