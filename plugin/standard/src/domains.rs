//! The table of sending domains, for binary search.
//!
//! A decision runs on fresh memory, where the first access to each page costs more
//! than the search itself. So all names are in one text and the entries in one
//! compact vector: 2,000 domains take some 20 pages, and a search accesses a
//! handful of them.

/// Index of an entry in the list that the table was made from.
pub(crate) type EntryIndex = usize;

/// All domains of the settings but the default entry.
#[derive(Debug, Default)]
pub(crate) struct DomainTable {
    /// All names, sorted, without anything between them.
    names: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    start: u32,
    end: u32,
    index: u32,
    subdomains: bool,
}

impl DomainTable {
    /// Makes the table from names in their normal form, each with a flag whether
    /// its entry includes subdomains.
    pub(crate) fn new(domains: &[(String, bool)]) -> Self {
        let mut order: Vec<usize> = (0..domains.len()).collect();
        order.sort_by(|&a, &b| domains[a].0.cmp(&domains[b].0));
        let mut table = Self::default();
        for index in order {
            let (name, subdomains) = &domains[index];
            let start = narrow(table.names.len());
            table.names.push_str(name);
            table.entries.push(Entry {
                start,
                end: narrow(table.names.len()),
                index: narrow(index),
                subdomains: *subdomains,
            });
        }
        table
    }

    /// The entry of a domain in its normal form: its own, or that of the closest
    /// parent domain which includes subdomains.
    pub(crate) fn find(&self, domain: &str) -> Option<EntryIndex> {
        if let Some(entry) = self.exact(domain) {
            return Some(entry.index as usize);
        }
        let mut rest = domain;
        while let Some((_, above)) = rest.split_once('.') {
            if let Some(entry) = self.exact(above).filter(|entry| entry.subdomains) {
                return Some(entry.index as usize);
            }
            rest = above;
        }
        None
    }

    fn exact(&self, name: &str) -> Option<&Entry> {
        let name_of = |entry: &Entry| &self.names[entry.start as usize..entry.end as usize];
        let found = self
            .entries
            .binary_search_by(|entry| name_of(entry).cmp(name));
        found.ok().map(|at| &self.entries[at])
    }
}

/// A component's memory ends at 4 GiB, and so does any index into it.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(domains: &[(&str, bool)]) -> DomainTable {
        let owned: Vec<_> = domains
            .iter()
            .map(|&(name, subdomains)| (name.to_owned(), subdomains))
            .collect();
        DomainTable::new(&owned)
    }

    #[test]
    fn a_domain_is_found_by_its_own_name() {
        let table = table(&[("globex.test", false), ("acme.test", false)]);
        assert_eq!(table.find("acme.test"), Some(1));
        assert_eq!(table.find("globex.test"), Some(0));
        assert_eq!(table.find("initech.test"), None);
        assert_eq!(table.find(""), None);
    }

    #[test]
    fn subdomains_match_only_if_the_entry_includes_them() {
        let table = table(&[
            ("acme.test", true),
            ("eu.acme.test", false),
            ("b.test", false),
        ]);
        assert_eq!(table.find("eu.acme.test"), Some(1));
        assert_eq!(table.find("x.eu.acme.test"), Some(0));
        assert_eq!(table.find("notacme.test"), None);
        assert_eq!(table.find("a.b.test"), None);
    }

    #[test]
    fn every_one_of_two_thousand_domains_is_found() {
        let domains: Vec<_> = (0..2000)
            .map(|number| (format!("domain-{number}.test"), number % 2 == 0))
            .collect();
        let table = DomainTable::new(&domains);
        for (index, (name, subdomains)) in domains.iter().enumerate() {
            assert_eq!(table.find(name), Some(index));
            let below = table.find(&format!("mail.{name}"));
            assert_eq!(below, subdomains.then_some(index));
        }
    }
}
