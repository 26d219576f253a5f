//! The result for each domain and type, computed from the settings in advance.
//!
//! Hundreds of domains usually share a handful of plans. So a plan contains no
//! name of its domain unless the settings name it, and equal plans are stored
//! once. Each pair of domain and type has the number of its plan.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use waxseal_policy::{Hop, ReferenceKind, ReturnPath};
use waxseal_settings::{Spanned, Table};

use crate::settings::{
    Choices, DomainEntry, Limit, MailType, Notes, RelayEntry, ReturnPathWord, Settings, Sign,
};

/// The result for messages of one domain and type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Plan {
    pub(crate) route: Vec<Hop>,
    pub(crate) return_path: ReturnPath,
    pub(crate) sign: SignPlan,
    /// Indices into the disclaimers.
    pub(crate) disclaimers: Vec<usize>,
    pub(crate) copies: Vec<String>,
    /// The language of disclaimers if the message does not identify its own.
    pub(crate) language: Option<String>,
    /// Limits of the domain.
    pub(crate) domain: Vec<Limit>,
    /// Limits of the type in this domain.
    pub(crate) domain_type: Vec<Limit>,
    /// The reason for the route.
    pub(crate) reason: String,
}

impl Plan {
    fn signs(&self) -> bool {
        match &self.sign {
            SignPlan::Own => true,
            SignPlan::Domains(domains) => !domains.is_empty(),
        }
    }
}

/// Which domains sign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SignPlan {
    /// The domain of the entry.
    Own,
    /// These; an empty list is no signature.
    Domains(Vec<String>),
}

/// The plans of all domains and types.
#[derive(Debug)]
pub(crate) struct Plans {
    plans: Vec<Plan>,
    /// A row for each domain, with a plan for each type.
    cells: Vec<u32>,
    types: usize,
}

impl Plans {
    /// The plan of a domain and a type, both by number. The default entry has the
    /// number after the last domain.
    pub(crate) fn get(&self, domain: usize, mail_type: usize) -> Option<&Plan> {
        let cell = self.cells.get(domain * self.types + mail_type)?;
        self.plans.get(*cell as usize)
    }

    /// Which domains sign or have relays for any type of mail, by number.
    pub(crate) fn active(&self) -> Vec<bool> {
        let acts = |plan: &Plan| !plan.route.is_empty() || plan.signs();
        let rows = self.cells.chunks(self.types.max(1));
        let plans = |row: &[u32]| {
            let mut plans = row.iter().filter_map(|&cell| self.plans.get(cell as usize));
            plans.any(acts)
        };
        rows.map(plans).collect()
    }

    /// Computes all plans. Reports combinations that are not allowed to `top`.
    pub(crate) fn new(settings: &Settings, top: &Table<'_>, notes: &Notes) -> Self {
        let mut resolver = Resolver {
            settings,
            top,
            reported: BTreeSet::new(),
            verp: BTreeMap::new(),
        };
        let mut unique: BTreeMap<Plan, u32> = BTreeMap::new();
        let mut cells = Vec::new();
        for domain in settings.domains.iter().chain(&settings.rest) {
            let mut signs = false;
            for index in 0..settings.types.len() {
                let plan = resolver.plan(domain, index);
                signs |= plan.sign == SignPlan::Own;
                let next = u32::try_from(unique.len()).unwrap_or(u32::MAX);
                cells.push(*unique.entry(plan).or_insert(next));
            }
            if signs {
                notes.refer(ReferenceKind::DkimDomain, &domain.name, domain.span.clone());
            }
        }
        resolver.warn_of_verp(notes);
        let mut plans: Vec<_> = unique.into_iter().collect();
        plans.sort_by_key(|&(_, number)| number);
        Self {
            plans: plans.into_iter().map(|(plan, _)| plan).collect(),
            cells,
            types: settings.types.len(),
        }
    }
}

/// Computes plans; the first place that has a setting is used.
struct Resolver<'a> {
    settings: &'a Settings,
    top: &'a Table<'a>,
    /// Offsets of reported problems: one mistake in a place that many domains
    /// share is reported once.
    reported: BTreeSet<usize>,
    /// Each "verp" that a plan uses, by its offset, with its bounce domains.
    verp: BTreeMap<usize, (Range<usize>, BTreeSet<String>)>,
}

impl Resolver<'_> {
    fn plan(&mut self, domain: &DomainEntry, index: usize) -> Plan {
        let mail_type = &self.settings.types[index];
        let (domain_type, limits) = &domain.types[index];
        let places = [
            domain_type,
            &domain.choices,
            &mail_type.choices,
            &self.settings.top,
        ];
        let bounce_domain = nearest(places, |it| it.bounce_domain.as_ref());
        let bounce_domain = bounce_domain.map(|domain| domain.value.0.as_str());
        let route = self.route(places, mail_type, bounce_domain);
        Plan {
            reason: route_reason(&route, mail_type),
            return_path: self.return_path(places, bounce_domain),
            sign: self.sign(places, &route, self.is_rest(domain)),
            route,
            disclaimers: nearest(places, |it| it.disclaimers.clone()).unwrap_or_default(),
            copies: nearest(places, |it| it.archive.clone()).unwrap_or_default(),
            language: nearest(places, |it| it.language.clone()),
            domain: domain.limits.clone(),
            domain_type: limits.clone(),
        }
    }

    fn is_rest(&self, domain: &DomainEntry) -> bool {
        let rest = self.settings.rest.as_ref();
        rest.is_some_and(|rest| std::ptr::eq(rest, domain))
    }

    fn route(
        &mut self,
        places: [&Choices; 4],
        mail_type: &MailType,
        bounce_domain: Option<&str>,
    ) -> Vec<Hop> {
        if mail_type.never_relayed {
            return Vec::new();
        }
        let relays = nearest(places, |it| it.relays.as_deref()).unwrap_or_default();
        let hops = relays.iter().map(|entry| Hop {
            relay: entry.name.value.clone(),
            return_path: self
                .return_path_of(entry)
                .map(|word| self.return_path_from(&word, bounce_domain)),
        });
        hops.collect()
    }

    /// The return path of the entry in the list, or of the relay's own table.
    fn return_path_of(&self, entry: &RelayEntry) -> Option<Spanned<ReturnPathWord>> {
        let of_relay = || {
            let relays = &self.settings.relays;
            let relay = relays.iter().find(|it| it.name == entry.name.value)?;
            relay.return_path.clone()
        };
        entry.return_path.clone().or_else(of_relay)
    }

    /// The first choice found. The default is to keep the message's own: bounces to
    /// an address of this server would not reach the author, because nothing
    /// forwards them yet.
    fn return_path(&mut self, places: [&Choices; 4], bounce_domain: Option<&str>) -> ReturnPath {
        match nearest(places, |it| it.return_path.as_ref()) {
            Some(word) => self.return_path_from(word, bounce_domain),
            None => ReturnPath::Keep,
        }
    }

    fn warn_of_verp(&self, notes: &Notes) {
        for (span, domains) in self.verp.values() {
            let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
            let message = format!(
                "this version does not forward bounces and automatic replies to {} to the authors: deliver that domain \
                 to a mailbox that somebody reads",
                domains.join(", ")
            );
            notes.warn(
                span.clone(),
                message,
                "\"keep\", or a mailbox for that domain",
            );
        }
    }

    fn return_path_from(
        &mut self,
        word: &Spanned<ReturnPathWord>,
        bounce_domain: Option<&str>,
    ) -> ReturnPath {
        match (&word.value, bounce_domain) {
            (ReturnPathWord::Keep, _) => ReturnPath::Keep,
            (ReturnPathWord::Author, _) => ReturnPath::Author,
            (ReturnPathWord::Address(address), _) => ReturnPath::Address(address.clone()),
            (ReturnPathWord::Verp, Some(domain)) => {
                let used = self.verp.entry(word.span.start);
                let (_, domains) = used.or_insert_with(|| (word.span.clone(), BTreeSet::new()));
                domains.insert(domain.to_owned());
                ReturnPath::Verp(domain.to_owned())
            }
            (ReturnPathWord::Verp, None) => {
                let message = "`return-path = \"verp\"` without `bounce-domain`";
                let expected =
                    "`bounce-domain = \"bounce.acme.test\"`, here or at the top of the file";
                self.problem(&word.span, message, expected);
                ReturnPath::Keep
            }
        }
    }

    /// A message is signed if any of its possible routes requires our signature.
    /// The default route ends every list (R15).
    fn sign(&self, places: [&Choices; 4], route: &[Hop], rest: bool) -> SignPlan {
        let nobody = SignPlan::Domains(Vec::new());
        let signs = |hop: &Hop| {
            let mut relays = self.settings.relays.iter();
            relays.any(|relay| relay.signs && relay.name == hop.relay)
        };
        if self.settings.default_route_signs && route.iter().all(signs) {
            return nobody;
        }
        match nearest(places, |it| it.sign.as_ref()).map(|sign| &sign.value) {
            // Inherited: there is no key for a domain that is not listed.
            Some(Sign::Own) if rest => nobody,
            Some(Sign::Own) => SignPlan::Own,
            Some(Sign::Domains(domains)) => SignPlan::Domains(domains.clone()),
            Some(Sign::Nobody) | None => nobody,
        }
    }

    fn problem(&mut self, span: &Range<usize>, message: &str, expected: &str) {
        if self.reported.insert(span.start) {
            let expected = Some(expected.to_owned());
            self.top.problem(span.clone(), message, expected);
        }
    }
}

fn nearest<'a, T>(
    places: [&'a Choices; 4],
    choice: impl Fn(&'a Choices) -> Option<T>,
) -> Option<T> {
    places.into_iter().find_map(choice)
}

fn route_reason(route: &[Hop], mail_type: &MailType) -> String {
    let names: Vec<_> = route.iter().map(|hop| hop.relay.as_str()).collect();
    match names.as_slice() {
        [] if mail_type.never_relayed => {
            format!("default route: type {} is never relayed", mail_type.name)
        }
        [] => "default route: no relay for this domain and type".to_owned(),
        [relay] => format!("relay {relay}"),
        relays => format!("relays {}", relays.join(", ")),
    }
}
