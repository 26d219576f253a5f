//! Aggregation of differences by kind, with examples.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use waxseal_core::decision::compare::{Difference, Field};
use waxseal_core::printable::Text;

/// Maximum number of kinds that are distinguished: a policy may name another relay for each message.
const MAX_KINDS: usize = 200;

/// Maximum length of a kind, in bytes.
const MAX_KIND_LENGTH: usize = 300;

/// Number of examples of each kind.
const EXAMPLES: usize = 5;

/// A message with different decisions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Example {
    /// Time of arrival.
    pub arrival: Timestamp,
    /// Its queue id.
    pub queue_id: String,
    /// The difference.
    pub difference: String,
}

/// All messages whose decisions differ in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiffGroup {
    /// The common kind.
    pub kind: String,
    /// The field of the decision.
    pub field: Field,
    /// Whether the difference changes the message.
    pub effect: bool,
    /// Number of messages.
    pub count: u64,
    /// The last messages, newest first.
    pub examples: Vec<Example>,
}

/// Counts differences by kind. The result does not depend on the order of messages.
#[derive(Clone, Debug, Default)]
pub struct DiffAggregator {
    kinds: BTreeMap<String, DiffGroup>,
    overflowed: u64,
}

impl DiffAggregator {
    /// Counts the differences of one message.
    pub fn add(&mut self, queue_id: &str, arrival: Timestamp, differences: &[Difference]) {
        for difference in differences {
            let mut kind = difference.kind.clone();
            kind.truncate(kind.floor_char_boundary(MAX_KIND_LENGTH));
            if !self.kinds.contains_key(&kind) && self.kinds.len() >= MAX_KINDS {
                self.overflowed += 1;
                continue;
            }
            let found = self.kinds.entry(kind.clone()).or_insert_with(|| DiffGroup {
                kind,
                field: difference.field,
                effect: difference.field.has_effect(),
                count: 0,
                examples: Vec::new(),
            });
            found.count += 1;
            insert_example(&mut found.examples, queue_id, arrival, difference);
        }
    }

    /// All kinds: those with an effect first, then by number.
    pub fn kinds(&self) -> Vec<DiffGroup> {
        let mut kinds: Vec<DiffGroup> = self.kinds.values().cloned().collect();
        kinds.sort_by_key(|kind| (!kind.effect, std::cmp::Reverse(kind.count)));
        kinds
    }

    /// Number of differences of further kinds, beyond the limit.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

/// Inserts an example if it is among the newest.
fn insert_example(
    examples: &mut Vec<Example>,
    queue_id: &str,
    arrival: Timestamp,
    difference: &Difference,
) {
    let newest =
        |example: &Example| (example.arrival, example.queue_id.as_str()) < (arrival, queue_id);
    let at = examples.iter().position(newest).unwrap_or(examples.len());
    if at == EXAMPLES {
        return;
    }
    examples.truncate(EXAMPLES - 1);
    examples.insert(
        at,
        Example {
            arrival,
            queue_id: queue_id.to_owned(),
            difference: difference.to_string(),
        },
    );
}

/// Kinds as text for people: number and kind, and examples below.
pub fn text(kinds: &[DiffGroup], overflowed: u64) -> Text {
    let mut text = Text::new();
    for kind in kinds {
        let _ = writeln!(text, "{:>8}  {}", kind.count, kind.kind);
        let ids: Vec<&str> = kind
            .examples
            .iter()
            .map(|example| example.queue_id.as_str())
            .collect();
        let _ = writeln!(text, "{:>8}  {}", "", ids.join(", "));
        if let Some(example) = kind.examples.first()
            && example.difference != kind.kind
        {
            let Example {
                queue_id,
                difference,
                ..
            } = example;
            let _ = writeln!(text, "{:>8}  {queue_id}: {difference}", "");
        }
    }
    if overflowed > 0 {
        let _ = writeln!(text, "{overflowed:>8}  of further kinds");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(after: &str) -> Vec<Difference> {
        let texts = |text: &str| [text.to_owned(), text.to_owned()];
        Difference::value(Field::Relay, texts("north"), texts(after))
            .into_iter()
            .collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("an instant")
    }

    #[test]
    fn the_order_of_messages_does_not_matter() {
        let messages: Vec<i64> = (0..20).collect();
        let diff = |order: &mut dyn Iterator<Item = &i64>| {
            let mut diff = DiffAggregator::default();
            for &message in order {
                let relay = if message % 3 == 0 { "east" } else { "south" };
                diff.add(&format!("4A{message}"), at(message), &difference(relay));
            }
            diff.kinds()
        };
        let forward = diff(&mut messages.iter());
        assert_eq!(forward, diff(&mut messages.iter().rev()));
        assert_eq!(forward[0].kind, "relay: north → south");
        assert_eq!((forward[0].count, forward[1].count), (13, 7));
        let newest: Vec<_> = forward[1]
            .examples
            .iter()
            .map(|example| &*example.queue_id)
            .collect();
        assert_eq!(newest, ["4A18", "4A15", "4A12", "4A9", "4A6"]);
    }

    #[test]
    fn r28_kinds_are_limited_if_a_policy_invents_names() {
        let mut diff = DiffAggregator::default();
        for number in 0..1000 {
            let relay = format!("{number}{}", "ü".repeat(10_000));
            diff.add("4ABC", at(0), &difference(&relay));
        }
        assert_eq!(diff.kinds().len(), MAX_KINDS);
        assert_eq!(diff.overflowed(), 800);
        assert!(
            diff.kinds()
                .iter()
                .all(|kind| kind.kind.len() <= MAX_KIND_LENGTH)
        );
    }
}
