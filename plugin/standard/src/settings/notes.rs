//! References and warnings found while reading.

use std::cell::RefCell;
use std::ops::Range;

use waxseal_policy::{Problem, Reference, ReferenceKind};

/// References and warnings found while reading.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    references: RefCell<Vec<Reference>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Notes {
    /// Adds a name that the host defines.
    pub(crate) fn refer(&self, kind: ReferenceKind, name: &str, span: Range<usize>) {
        let reference = Reference::at(span, kind, name);
        self.references.borrow_mut().push(reference);
    }

    /// Adds a warning about a setting that is probably not intended.
    pub(crate) fn warn(&self, span: Range<usize>, message: String, expected: &str) {
        let warning = Problem::at(span, message).expected(expected);
        self.warnings.borrow_mut().push(warning);
    }

    /// References and warnings, in the order of the text.
    pub(crate) fn into_parts(self) -> (Vec<Reference>, Vec<Problem>) {
        let mut references = self.references.into_inner();
        references.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
        references.dedup();
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|warning| warning.offset);
        (references, warnings)
    }
}
