//! Uses every item of the contract, and tells what it saw: frozen as a component
//! for each version of the contract, it shows that what was built once keeps
//! working (`scripts/freeze.sh`).
//!
//! The subject names the verdict. Reasons tell what each function answered.

use waxseal_policy::{
    AuthorRewrite, Charge, Configured, Decision, Description, Disclaimer, Facts, HeaderChange,
    HeaderField, Hop, Mailbox, Message, Placement, Policy, Problem, Reference, ReferenceKind,
    ReturnPath, WhenFull,
};

struct Witness {
    settings: String,
}

waxseal_policy::export!(Witness);

impl Policy for Witness {
    fn describe() -> Description {
        Description {
            name: "witness".to_owned(),
            version: "1.2.3".to_owned(),
            settings_schema: Some("{}".to_owned()),
        }
    }

    fn configure(settings: &str) -> Result<(Self, Configured), Vec<Problem>> {
        if settings == "bad" {
            let problem = Problem::at(0..3, "this is bad").expected("something good");
            return Err(vec![problem, Problem::at(3..3, "and too short")]);
        }
        let kinds = [
            ReferenceKind::Relay,
            ReferenceKind::DkimDomain,
            ReferenceKind::Table,
            ReferenceKind::Counter,
        ];
        let reference = |kind| Reference::at(1..2, kind, "name");
        let configured = Configured {
            references: kinds.map(reference).to_vec(),
            warnings: vec![Problem::at(0..1, "a warning")],
        };
        let settings = settings.to_owned();
        Ok((Self { settings }, configured))
    }

    fn decide(&self, message: &Message, facts: &Facts) -> Result<Decision, String> {
        waxseal_policy::debug!("debug");
        waxseal_policy::info!("info");
        waxseal_policy::warn!("warn");
        waxseal_policy::error!("error");
        let subject = message.first_header("Subject").unwrap_or_default();
        let mut decision = match subject.as_str() {
            "accept" => everything(),
            "reject" => Decision::reject(550, "5.7.1", "no"),
            "defer" => Decision::defer(450, "4.7.1", "later"),
            "discard" => Decision::discard(),
            "hold" => Decision::hold("wait"),
            _ => return Err("the subject names no verdict".to_owned()),
        };
        decision.reasons = vec![self.settings.clone()];
        decision.reasons.extend(envelope(message));
        decision.reasons.extend(content(message));
        decision.reasons.extend(known(facts));
        Ok(decision)
    }
}

/// A decision with each of its fields set, and each case once.
fn everything() -> Decision {
    let hop = |relay: &str, return_path| Hop {
        relay: relay.to_owned(),
        return_path,
    };
    let disclaimer = |id: &str, html: Option<&str>, placement| Disclaimer {
        id: id.to_owned(),
        text: "text".to_owned(),
        html: html.map(str::to_owned),
        placement,
    };
    let mut decision = Decision::accept()
        .relay("plain")
        .hop(hop("keep", Some(ReturnPath::Keep)))
        .hop(hop("author", Some(ReturnPath::Author)))
        .hop(hop(
            "address",
            Some(ReturnPath::Address("a@b.test".to_owned())),
        ))
        .charge(Charge::messages("messages"))
        .charge(Charge::recipients("recipients").at_most(10, WhenFull::Reject))
        .charge(Charge::messages("few").at_most(1, WhenFull::Defer))
        .return_path(ReturnPath::Verp("bounce.test".to_owned()))
        .sign("acme.test")
        .disclaimer(disclaimer("top", None, Placement::Top))
        .disclaimer(disclaimer(
            "quote",
            Some("<p>text</p>"),
            Placement::AboveQuote,
        ))
        .disclaimer(disclaimer("bottom", None, Placement::Bottom))
        .copy_to("archive@acme.test")
        .label("type", "all");
    decision.author = Some(AuthorRewrite {
        mailbox: Mailbox::named("Other", "other@acme.test"),
        keep_in_name: true,
        reply_to: false,
    });
    decision.sender = Some("sender@acme.test".to_owned());
    decision.headers = vec![
        HeaderChange::Add(HeaderField::new("X-Added", "1")),
        HeaderChange::Replace(HeaderField::new("X-Replaced", "2")),
        HeaderChange::Remove("X-Removed".to_owned()),
    ];
    decision
}

fn envelope(message: &Message) -> Vec<String> {
    let some = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let mut lines = vec![
        message.queue_id(),
        message.listener(),
        message.client_address(),
        some(message.client_name()),
        some(message.helo()),
        some(message.user()),
        some(message.tls()),
        message.sender(),
    ];
    for to in message.recipients() {
        lines.push(to.address + if to.local { " inside" } else { " outside" });
    }
    lines
}

fn content(message: &Message) -> Vec<String> {
    let mut lines = vec![message.size().to_string()];
    for author in message.author() {
        lines.push(author.name.unwrap_or_default() + " at " + &author.address);
    }
    lines.push(message.header("X-Twice").join(" and "));
    lines.push(message.has_trait("bulk").to_string());
    lines.push(message.text(5).unwrap_or_default());
    for part in message.attachments() {
        let name = part.name.unwrap_or_default();
        lines.push(part.media_type + " " + &name + " " + &part.size.to_string());
    }
    lines
}

fn known(facts: &Facts) -> Vec<String> {
    let now = facts.now();
    let numbers = [
        now.unix_seconds,
        now.utc_offset_minutes.into(),
        now.year.into(),
        now.month.into(),
        now.day.into(),
        now.hour.into(),
        now.minute.into(),
        now.second.into(),
        now.weekday.into(),
    ];
    vec![
        numbers.map(|number| number.to_string()).join(" "),
        facts.lookup("table", "key").unwrap_or_default(),
        facts.lookup("table", "no key").is_none().to_string(),
        facts.relay_usable("relay").to_string(),
        facts.relay_sent("relay").to_string(),
        facts.domain_authenticated("acme.test").to_string(),
    ]
}
