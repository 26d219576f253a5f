//! Names of header fields, compared without regard to case (RFC 5322, section 1.2.2).

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use crate::work;

/// A field name with case-insensitive equality and hash, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct FieldName<'a>(
    /// The name as written.
    pub &'a [u8],
);

impl PartialEq for FieldName<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for FieldName<'_> {}

impl Hash for FieldName<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lower = [0; 32];
        for part in self.0.chunks(lower.len()) {
            let lower = &mut lower[..part.len()];
            lower.copy_from_slice(part);
            lower.make_ascii_lowercase();
            state.write(lower);
        }
        state.write_u8(0xFF);
    }
}

/// Number of fields of each name, counted in one pass.
#[derive(Debug)]
pub struct NameCounts<'a>(HashMap<FieldName<'a>, usize>);

impl<'a> NameCounts<'a> {
    /// Counts field names.
    pub fn of(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut counts = HashMap::new();
        for name in names {
            work::spend(1 + name.len());
            *counts.entry(FieldName(name)).or_insert(0) += 1;
        }
        Self(counts)
    }

    /// Number of fields with this name, in any case.
    pub fn get(&self, name: &str) -> usize {
        let found = self.0.get(&FieldName(name.as_bytes()));
        found.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_in_any_case() {
        let long = "X-".to_owned() + &"Long".repeat(20);
        let names = ["A", "b", "a", "B", &long, &long.to_lowercase(), "A "];
        let counts = NameCounts::of(names.iter().map(|name| name.as_bytes()));
        let found = ["a", "B", &long.to_uppercase(), "a ", "c", ""].map(|name| counts.get(name));
        assert_eq!(found, [2, 2, 2, 1, 0, 0]);
    }
}
