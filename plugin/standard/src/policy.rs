//! The policy: `configure` and `decide`.

use waxseal_policy::{
    Charge, Configured, Decision, Description, Disclaimer, Facts, HeaderField, Message, Policy,
    Problem, ReturnPath, Verdict,
};

use crate::author::Sending;
use crate::domains::DomainTable;
use crate::permission::{Permissions, Violation};
use crate::plan::{Plan, Plans, SignPlan};
use crate::recognize::View;
use crate::settings::{LocalizedDisclaimer, MailType, Notes, Settings, UserLimits};
use crate::{author, language, settings, warnings};

/// Name of all domains that are not listed, in labels and counters, so that the
/// number of labels and counters does not depend on the content of messages.
const REST: &str = "default";

/// The standard policy with its settings read.
#[derive(Debug)]
pub struct StandardPolicy {
    table: DomainTable,
    /// Names of the domains by number; last, the default entry's if it exists.
    names: Vec<String>,
    has_rest: bool,
    permissions: Permissions,
    plans: Plans,
    types: Vec<MailType>,
    default_type: usize,
    /// The reason for a message of the default type.
    default_reason: String,
    headers: Vec<String>,
    disclaimers: Vec<LocalizedDisclaimer>,
    /// Charges of every message of a type: the organization's and the type's.
    charges: Vec<Vec<Charge>>,
    users: UserLimits,
}

waxseal_policy::export!(StandardPolicy);

impl Policy for StandardPolicy {
    fn describe() -> Description {
        Description {
            name: "standard".to_owned(),
            settings_schema: Some(include_str!("../settings.schema.json").to_owned()),
            ..Description::default()
        }
    }

    fn configure(text: &str) -> Result<(Self, Configured), Vec<Problem>> {
        let notes = Notes::default();
        let (policy, problems) = waxseal_settings::read(text, |top| {
            let settings = settings::read(top, &notes);
            let plans = Plans::new(&settings, top, &notes);
            warnings::warn(&settings, &plans, &notes);
            Self::new(settings, plans)
        });
        if !problems.is_empty() {
            return Err(problems.into_iter().map(problem).collect());
        }
        let (references, warnings) = notes.into_parts();
        let configured = Configured {
            references,
            warnings,
        };
        Ok((policy, configured))
    }

    fn decide(&self, message: &Message, _: &Facts) -> Result<Decision, String> {
        let authors = message.author();
        let domains = author::domains(&authors);
        let sending = author::sending_domain(message, &domains);
        let mut view = View::new(message, &authors, &self.headers);
        let (type_index, type_reason) = match view.recognize(&self.types) {
            Some((index, rule)) => (index, &rule.reason),
            None => (self.default_type, &self.default_reason),
        };
        let type_name = &self.types[type_index].name;

        let mut decision = Decision::accept();
        decision.charges.clone_from(&self.charges[type_index]);
        self.charge_user(message, &mut decision);
        let entry = self.entry(&sending);
        let domain = entry.map_or(REST, |index| &self.names[index]);
        decision.labels = vec![
            HeaderField::new("domain", domain),
            HeaderField::new("type", type_name),
        ];
        decision.reasons = vec![
            domain_reason(&sending, entry.map(|_| domain)),
            type_reason.clone(),
        ];
        let violation = self
            .permissions
            .violation(message, &sending, &domains, &self.table);
        if let Some(violation) = violation {
            self.restrict(&violation, message, &mut decision);
            return Ok(decision);
        }
        let Some(index) = entry else {
            return Ok(decision);
        };
        if let Some(plan) = self.plans.get(index, type_index) {
            self.apply_plan(plan, domain, type_name, message, &mut decision);
            self.sign(plan, index, &domains, &mut decision);
        }
        Ok(decision)
    }
}

impl StandardPolicy {
    fn new(settings: Settings, plans: Plans) -> Self {
        let permissions = Permissions::new(&settings, &plans.active());
        let listed = settings.domains.iter();
        let listed: Vec<_> = listed.map(|it| (it.name.clone(), it.subdomains)).collect();
        let names = settings.domains.into_iter().chain(settings.rest);
        let names: Vec<_> = names.map(|entry| entry.name).collect();
        let default = &settings.types[settings.default_type].name;
        let default_reason = match settings.types.len() {
            1 => format!("type {default}"),
            _ => format!("type {default}: no rule matches"),
        };
        let charges = settings.types.iter().map(|mail_type| {
            let organization = settings.organization.iter();
            let organization = organization.map(|limit| limit.charge("organization"));
            let scope = format!("type/{}", mail_type.name);
            let of_type = mail_type.limits.iter().map(|it| it.charge(&scope));
            organization.chain(of_type).collect()
        });
        Self {
            charges: charges.collect(),
            table: DomainTable::new(&listed),
            has_rest: names.len() > listed.len(),
            permissions,
            names,
            plans,
            default_type: settings.default_type,
            default_reason,
            types: settings.types,
            headers: settings.headers,
            disclaimers: settings.disclaimers,
            users: settings.users,
        }
    }

    /// Number of the domain's entry, or of the default entry.
    fn entry(&self, sending: &Sending) -> Option<usize> {
        self.entry_of(&sending.domain)
    }

    /// Number of the entry of a domain in its normal form.
    fn entry_of(&self, domain: &str) -> Option<usize> {
        let rest = || self.has_rest.then(|| self.names.len() - 1);
        self.table.find(domain).or_else(rest)
    }

    /// Rejects a message that names a domain which its client may not send for,
    /// or accepts it as mail of a domain that is not listed.
    fn restrict(&self, violation: &Violation, message: &Message, decision: &mut Decision) {
        decision.verdict = self.permissions.verdict(violation, message);
        let user = message.user();
        let who = match &user {
            Some(user) => ["user ", user].concat(),
            None => match message.client_address().as_str() {
                "" => "a program on this host, without a login,".to_owned(),
                address => ["client ", address, ", without a login,"].concat(),
            },
        };
        let Violation { domain, place, .. } = violation;
        let what = match decision.verdict {
            Verdict::Accept => ": neither signed nor relayed",
            _ => "",
        };
        let reason = [&who, " may not send as ", domain, " (", place, ")", what].concat();
        decision.reasons.push(reason);
    }

    fn charge_user(&self, message: &Message, decision: &mut Decision) {
        if self.users.is_empty() {
            return;
        }
        if let Some(user) = message.user() {
            decision.charges.extend(self.users.charges(&user));
        }
    }

    fn apply_plan(
        &self,
        plan: &Plan,
        domain: &str,
        type_name: &str,
        message: &Message,
        decision: &mut Decision,
    ) {
        decision.verdict = Verdict::Accept;
        decision.route.clone_from(&plan.route);
        decision.return_path = plan.return_path.clone();
        keep_null_sender(message, decision);
        decision.copies.clone_from(&plan.copies);
        if !plan.domain.is_empty() {
            let scope = ["domain/", domain].concat();
            let charges = plan.domain.iter().map(|it| it.charge(&scope));
            decision.charges.extend(charges);
        }
        if !plan.domain_type.is_empty() {
            let scope = ["type/", domain, "/", type_name].concat();
            let charges = plan.domain_type.iter().map(|it| it.charge(&scope));
            decision.charges.extend(charges);
        }
        decision.reasons.push(plan.reason.clone());
        for &index in &plan.disclaimers {
            self.add_disclaimer(&self.disclaimers[index], plan, message, decision);
        }
    }

    /// A signature vouches for the authors: a message without an author, or with
    /// authors of several entries, is not signed.
    fn sign(&self, plan: &Plan, entry: usize, authors: &[String], decision: &mut Decision) {
        let of_entry = |domain: &String| self.entry_of(domain) == Some(entry);
        let domains = match &plan.sign {
            SignPlan::Own => vec![self.names[entry].clone()],
            SignPlan::Domains(domains) => domains.clone(),
        };
        if domains.is_empty() {
            return;
        }
        if authors.is_empty() || !authors.iter().all(of_entry) {
            let reason = "not signed: not all authors in From belong to this domain";
            decision.reasons.push(reason.to_owned());
            return;
        }
        decision.sign = domains;
    }

    fn add_disclaimer(
        &self,
        disclaimer: &LocalizedDisclaimer,
        plan: &Plan,
        message: &Message,
        decision: &mut Decision,
    ) {
        let variant = match disclaimer.variants.as_slice() {
            [only] => only,
            variants => {
                let languages: Vec<_> = disclaimer.languages().collect();
                match language::of_message(message, &languages) {
                    Some(index) => &variants[index],
                    None => disclaimer.variant(plan.language.as_deref()),
                }
            }
        };
        decision.reasons.push(match variant.language.as_str() {
            "" => ["disclaimer ", &disclaimer.id].concat(),
            language => ["disclaimer ", &disclaimer.id, " in ", language].concat(),
        });
        decision.disclaimers.push(Disclaimer {
            id: disclaimer.id.clone(),
            text: variant.text.clone(),
            html: variant.html.clone(),
            placement: disclaimer.placement,
        });
    }
}

/// Keeps the null sender, so that bounces cannot bounce.
fn keep_null_sender(message: &Message, decision: &mut Decision) {
    let kept = |path: &ReturnPath| *path == ReturnPath::Keep;
    let mut own = decision
        .route
        .iter()
        .filter_map(|hop| hop.return_path.as_ref());
    if kept(&decision.return_path) && own.all(kept) {
        return;
    }
    if message.sender().is_empty() {
        decision.return_path = ReturnPath::Keep;
        for hop in &mut decision.route {
            hop.return_path = None;
        }
    }
}

fn domain_reason(sending: &Sending, entry: Option<&str>) -> String {
    let Sending { domain, source } = sending;
    match entry {
        _ if domain.is_empty() => "no sending domain found".to_owned(),
        Some(entry) if entry == domain => ["domain ", domain, " by ", source].concat(),
        Some(entry) => ["domain ", domain, " by ", source, ", entry ", entry].concat(),
        None => [
            "domain ",
            domain,
            " by ",
            source,
            " is not listed: default route",
        ]
        .concat(),
    }
}

fn problem(problem: waxseal_settings::Problem) -> Problem {
    let reported = Problem::at(problem.span, problem.message);
    match problem.expected {
        Some(expected) => reported.expected(expected),
        None => reported,
    }
}
