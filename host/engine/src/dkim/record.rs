//! The DNS record of a key.

use serde::Serialize;

/// Longest character string of a TXT record, in bytes (RFC 1035, section
/// 3.3.14).
const MAX_STRING: usize = 255;

/// The TXT record to publish for a key (RFC 6376, section 3.6.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Name, without a final dot: `SELECTOR._domainkey.DOMAIN`.
    pub name: String,
    /// Text, in one piece.
    pub value: String,
}

impl Record {
    pub(super) fn new(domain: &str, selector: &str, key_type: &str, public: &str) -> Self {
        Self {
            name: format!("{selector}._domainkey.{domain}"),
            value: format!("v=DKIM1; k={key_type}; p={public}"),
        }
    }

    /// The text as character strings of a TXT record, at most 255 bytes each. Resolvers concatenate them without a separator.
    pub fn strings(&self) -> Vec<&str> {
        // A record's text is ASCII, so it can be split at any byte.
        let ends = (MAX_STRING..self.value.len())
            .step_by(MAX_STRING)
            .chain([self.value.len()]);
        let mut start = 0;
        ends.map(|end| {
            let string = &self.value[start..end];
            start = end;
            string
        })
        .collect()
    }

    /// The record as a line of a zone file (RFC 1035, section 5.1).
    pub fn zone_line(&self) -> String {
        let strings: Vec<String> = self
            .strings()
            .iter()
            .map(|string| format!("\"{string}\""))
            .collect();
        match strings.as_slice() {
            [one] => format!("{}. IN TXT {one}", self.name),
            many => format!("{}. IN TXT (\n    {}\n)", self.name, many.join("\n    ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_record_is_one_string() {
        let record = Record::new(
            "acme.test",
            "s1",
            "ed25519",
            "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        );
        assert_eq!(
            record.zone_line(),
            "s1._domainkey.acme.test. IN TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\""
        );
    }

    #[test]
    fn a_long_record_is_split_and_nothing_is_lost() {
        for length in [238, 239, 240, 500, 1200] {
            let record = Record::new("acme.test", "s1", "rsa", &"A".repeat(length));
            let strings = record.strings();
            assert!(
                strings
                    .iter()
                    .all(|string| (1..=255).contains(&string.len())),
                "{length}"
            );
            assert_eq!(strings.concat(), record.value);
            assert_eq!(record.zone_line().matches('"').count(), 2 * strings.len());
        }
    }
}
