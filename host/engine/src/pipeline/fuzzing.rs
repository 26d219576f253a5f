//! Lookup tables for the fuzz targets. Not part of the public interface.

use std::collections::HashMap;

use super::tables;
use crate::config::{Problem, Source};

/// The entries of a table's file, and its problems.
pub fn read_table(text: &str) -> (HashMap<String, String>, Vec<Problem>) {
    let file = Source {
        path: "table".into(),
        text: text.into(),
    };
    let mut problems = Vec::new();
    let entries = tables::read(&file, &mut problems);
    (entries, problems)
}
