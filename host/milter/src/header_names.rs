//! Names of header fields, in the order in which the MTA sent them.

/// Names of the header fields of a message, in the order in which the MTA sent them.
/// An MTA counts fields by name in this order.
#[derive(Clone, Debug, Default)]
pub struct HeaderNames {
    bytes: Vec<u8>,
    count: usize,
}

impl HeaderNames {
    /// Appends a field.
    pub fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.count += 1;
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes of memory for the names.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// There are no fields.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The names, in the MTA's order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let (names, _) = self.bytes.split_at(self.bytes.len().saturating_sub(1));
        let some = (self.count > 0).then_some(names);
        some.into_iter()
            .flat_map(|names| names.split(|&byte| byte == 0))
    }

    /// Number of fields with that name, compared without regard to case.
    pub fn count_named(&self, name: &str) -> usize {
        self.bytes
            .split(|&byte| byte == 0)
            .filter(|known| known.eq_ignore_ascii_case(name.as_bytes()))
            .count()
    }
}
