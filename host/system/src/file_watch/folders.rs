//! The folders on the way to a file, through symbolic links.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest number of links on the way to one file, as in the kernel.
const MAX_LINKS: usize = 40;

/// The folders in which a change can make `path` another file: its own, those
/// of the links that it goes through, and those of their targets.
pub(super) fn folders_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut ways = vec![path.to_owned()];
    while let Some(way) = ways.pop() {
        if seen.len() > MAX_LINKS || !seen.insert(way.clone()) {
            continue;
        }
        folders.insert(folder_of(&way));
        for link in way.ancestors() {
            let Ok(target) = fs::read_link(link) else {
                continue;
            };
            let around = folder_of(link);
            let mut further = around.join(target);
            if let Ok(rest) = way.strip_prefix(link)
                && !rest.as_os_str().is_empty()
            {
                further.push(rest);
            }
            folders.insert(around);
            ways.push(further);
        }
    }
    folders
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_in_a_circle_end() {
        let root = tempfile::tempdir().expect("folder");
        let at = |name: &str| root.path().join(name);
        symlink("b", at("a")).expect("linked");
        symlink("a", at("b")).expect("linked");
        assert_eq!(
            folders_of(&at("a")),
            BTreeSet::from([root.path().to_owned()])
        );
    }
}
