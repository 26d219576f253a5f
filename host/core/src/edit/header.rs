//! Conversion of a decision's header changes into edits that the milter protocol can express.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::decision::{AuthorRewrite, Decision, HeaderChange, HeaderField};
use crate::message::{Address, Content, Mailbox, NameCounts, parse_mailboxes};
use crate::work;

use super::HeaderEdit;
use super::encoded_word::{mailboxes, one_line, unstructured};

/// Values for a missing `Date` or `Message-ID`. They involve neither clock nor randomness: the same message
/// gets the same fields.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Host name, the right side of a Message-ID.
    pub hostname: &'a str,
    /// When the message arrived.
    pub arrival: Timestamp,
    /// The MTA's queue id.
    pub queue_id: &'a str,
}

/// Fields that list mailboxes, in which only display names are encoded.
const MAILBOX_FIELDS: [&str; 10] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
];

/// All header changes for a decision, in this order: delete Waxseal's own fields that the sender wrote, apply
/// the policy's changes, rewrite author and sender, add missing fields.
pub fn header_edits(content: &Content, decision: &Decision, stamp: &Stamp<'_>) -> Vec<HeaderEdit> {
    let _stage = work::stage("editing the header");
    let mut plan = HeaderPlan::new(content);
    plan.remove_all(crate::message::ROUTE_FIELD);
    plan.remove_all(crate::message::SPLIT_FIELD);
    plan.remove_all(crate::message::PLAN_FIELD);
    for change in &decision.headers {
        match change {
            HeaderChange::Add(field) => plan.append(&field.name, encode(field)),
            HeaderChange::Replace(field) => plan.set(&field.name, encode(field)),
            HeaderChange::Remove(name) => plan.remove_all(name),
        }
    }
    if let Some(rewrite) = &decision.author {
        rewrite_author(content, rewrite, &mut plan);
    }
    if let Some(sender) = &decision.sender {
        let field = HeaderField {
            name: "Sender".to_owned(),
            value: sender.clone(),
        };
        plan.set("Sender", encode(&field));
    }
    add_missing(stamp, &mut plan);
    plan.into_edits()
}

/// The raw value of a field, encoded according to its name.
fn encode(field: &HeaderField) -> Vec<u8> {
    let text = one_line(&field.value);
    let lists_mailboxes = MAILBOX_FIELDS
        .iter()
        .any(|name| name.eq_ignore_ascii_case(&field.name));
    if lists_mailboxes {
        let mut parsed = Vec::new();
        parse_mailboxes(text.as_bytes(), &mut parsed);
        // A value that is not a list, or that would lose something, is written as the policy returned it.
        let written = |mailbox: &Mailbox| mailbox.address.is_ascii() && has_address(mailbox);
        if !parsed.is_empty() && parsed.iter().all(written) {
            return mailboxes(&field.name, &parsed);
        }
    }
    unstructured(&field.name, &text)
}

/// Whether SMTP accepts the mailbox's address. Others cannot receive mail, and cannot be folded: an address of
/// thousands of bytes makes a line as long.
fn has_address(mailbox: &Mailbox) -> bool {
    Address::parse(&mailbox.address).is_ok()
}

/// Replaces the author; the old one stays visible (R19).
fn rewrite_author(content: &Content, rewrite: &AuthorRewrite, plan: &mut HeaderPlan<'_>) {
    let old = content.author();
    let mut new = Mailbox {
        name: rewrite.mailbox.name.clone(),
        address: rewrite.mailbox.address.as_str().to_owned(),
    };
    if rewrite.keep_in_name && !old.is_empty() {
        let names: Vec<&str> = old
            .iter()
            .map(|author| author.name.as_deref().unwrap_or(&author.address))
            .collect();
        let through = new.name.as_deref().or(rewrite.mailbox.address.domain());
        let through = through.map_or(String::new(), |through| format!(" via {through}"));
        new.name = Some(names.join(", ") + &through);
    }
    plan.set("From", mailboxes("From", &[new]));
    let answered: Vec<Mailbox> = old.into_iter().filter(has_address).collect();
    if rewrite.reply_to && !answered.is_empty() && plan.count("Reply-To") == 0 {
        plan.append("Reply-To", mailboxes("Reply-To", &answered));
    }
}

/// Adds `Date` and `Message-ID` if they are missing. Otherwise a later hop would add them, which breaks a
/// signature over their absence.
fn add_missing(stamp: &Stamp<'_>, plan: &mut HeaderPlan<'_>) {
    if plan.count("Date") == 0 {
        let date = stamp.arrival.strftime("%a, %d %b %Y %H:%M:%S +0000");
        plan.append("Date", format!(" {date}").into_bytes());
    }
    if plan.count("Message-ID") == 0 {
        let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let queue_id: String = stamp.queue_id.chars().filter(safe).collect();
        let id = format!(
            " <{}.{queue_id}@{}>",
            stamp.arrival.as_millisecond(),
            stamp.hostname
        );
        plan.append("Message-ID", id.into_bytes());
    }
}

/// Collected header edits. Fields are counted as the edits change them, because each edit is applied to the
/// result of those before it.
pub(super) struct HeaderPlan<'a> {
    /// Number of fields of each name in the message.
    original: NameCounts<'a>,
    /// Current number of fields of each name (in lower case) that edits refer to.
    counts: HashMap<String, usize>,
    edits: Vec<HeaderEdit>,
}

impl<'a> HeaderPlan<'a> {
    pub(super) fn new(content: &'a Content) -> Self {
        let names = content.fields().iter();
        Self {
            original: NameCounts::of(names.map(|field| content.name_of(field))),
            counts: HashMap::new(),
            edits: Vec::new(),
        }
    }

    pub(super) fn into_edits(self) -> Vec<HeaderEdit> {
        self.edits
    }

    /// Current number of fields of that name.
    pub(super) fn count(&mut self, name: &str) -> usize {
        *self.counted(name)
    }

    fn counted(&mut self, name: &str) -> &mut usize {
        let original = &self.original;
        self.counts
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| original.get(name))
    }

    /// Adds a field below all others.
    pub(super) fn append(&mut self, name: &str, value: Vec<u8>) {
        *self.counted(name) += 1;
        self.edits.push(HeaderEdit::Append {
            name: name.to_owned(),
            value,
        });
    }

    /// Removes all fields of that name, the last one first, so that no index depends on how an MTA counts deleted
    /// fields.
    pub(super) fn remove_all(&mut self, name: &str) {
        self.remove_from(name, 1);
    }

    fn remove_from(&mut self, name: &str, first: usize) {
        let count = self.count(name);
        for nth in (first..=count).rev() {
            work::spend(1);
            self.edits.push(HeaderEdit::Remove {
                name: name.to_owned(),
                nth,
            });
        }
        *self.counted(name) = count.min(first - 1);
    }

    /// Replaces all fields of that name by one, at the position of the first.
    pub(super) fn set(&mut self, name: &str, value: Vec<u8>) {
        if self.count(name) == 0 {
            return self.append(name, value);
        }
        self.remove_from(name, 2);
        self.edits.push(HeaderEdit::Replace {
            name: name.to_owned(),
            nth: 1,
            value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Edits;

    const STAMP: Stamp<'_> = Stamp {
        hostname: "mail.acme.test",
        arrival: Timestamp::constant(1_800_000_000, 0),
        queue_id: "4Xy/1",
    };

    fn edited(message: &str, change: impl FnOnce(&mut Decision)) -> String {
        let content = Content::new(message.replace('\n', "\r\n").into_bytes());
        let mut decision = Decision::default();
        change(&mut decision);
        let headers = header_edits(&content, &decision, &STAMP);
        let bytes = Edits {
            headers,
            ..Edits::default()
        }
        .apply(&content);
        String::from_utf8(bytes)
            .expect("ASCII")
            .replace("\r\n", "\n")
    }

    fn field(name: &str, value: &str) -> HeaderField {
        HeaderField {
            name: name.into(),
            value: value.into(),
        }
    }

    const DATED: &str = "Date: x\nMessage-ID: <y>\n";

    #[test]
    fn a_decision_without_changes_changes_nothing() {
        let message = format!("{DATED}A: 1\n\nBody\n");
        assert_eq!(edited(&message, |_| ()), message);
    }

    #[test]
    fn date_and_message_id_are_added_where_they_are_missing() {
        let made = edited("From: a@acme.test\n\n", |_| ());
        assert_eq!(
            made,
            "From: a@acme.test\nDate: Fri, 15 Jan 2027 08:00:00 +0000\n\
             Message-ID: <1800000000000.4Xy1@mail.acme.test>\n\n"
        );
    }

    #[test]
    fn waxseals_own_fields_of_a_sender_are_deleted() {
        let message = format!(
            "{DATED}X-Waxseal-Route: a\nx-waxseal-ROUTE: b\nX-Waxseal-Split: c\nX-Waxseal-Plan: d\n\n"
        );
        assert_eq!(edited(&message, |_| ()), format!("{DATED}\n"));
    }

    #[test]
    fn h2_many_copies_of_our_own_field_cost_their_number() {
        let steps = |copies: usize| {
            let fields = "X-Waxseal-Route: a\n".repeat(copies);
            let message = format!("{DATED}{fields}A: 1\n\n");
            let (made, steps) = crate::work::count(|| edited(&message, |_| ()));
            assert_eq!(made, format!("{DATED}A: 1\n\n"));
            steps
        };
        assert!(
            steps(4000) <= 21 * steps(200),
            "{} {}",
            steps(200),
            steps(4000)
        );
    }

    #[test]
    fn fields_are_added_replaced_and_removed() {
        let message = format!("{DATED}A: 1\nB: 1\na: 2\nC: 1\n\n");
        let made = edited(&message, |decision| {
            decision.headers = vec![
                HeaderChange::Replace(field("A", "new")),
                HeaderChange::Remove("B".into()),
                HeaderChange::Add(field("C", "社")),
                HeaderChange::Replace(field("D", "made")),
                HeaderChange::Remove("D".into()),
            ];
        });
        assert_eq!(
            made,
            format!("{DATED}A: new\nC: 1\nC: =?utf-8?B?56S+?=\n\n")
        );
    }

    #[test]
    fn l15_an_address_that_smtp_cannot_take_makes_no_long_line() {
        let long = format!("{}@other.test", "a".repeat(3000));
        let rewrite = AuthorRewrite {
            mailbox: crate::decision::Mailbox {
                name: Some("Acme".to_owned()),
                address: Address::parse("relay@acme.test").expect("address"),
            },
            keep_in_name: true,
            reply_to: true,
        };
        let made = edited(
            &format!("{DATED}From: {long}, b@other.test\n\n"),
            |decision| {
                decision.author = Some(rewrite);
                decision.headers = vec![HeaderChange::Add(field("Cc", &long))];
            },
        );
        assert!(made.contains("\nReply-To: b@other.test\n"), "{made}");
        assert!(made.lines().all(|line| line.len() <= 998), "{made}");
    }

    #[test]
    fn r19_the_old_author_stays_readable() {
        let rewrite = |name: Option<&str>| AuthorRewrite {
            mailbox: crate::decision::Mailbox {
                name: name.map(str::to_owned),
                address: crate::message::Address::parse("relay@acme.test").expect("address"),
            },
            keep_in_name: true,
            reply_to: true,
        };
        let from = "From: =?utf-8?B?5bGx55Sw?= <y@globex.test>\n";
        let made = edited(&format!("{DATED}{from}\n"), |d| {
            d.author = Some(rewrite(Some("Acme")))
        });
        let content = Content::new(made.replace('\n', "\r\n").into_bytes());
        assert_eq!(content.author()[0].name.as_deref(), Some("山田 via Acme"));
        assert_eq!(content.author()[0].address, "relay@acme.test");
        assert_eq!(content.mailboxes("Reply-To")[0].address, "y@globex.test");
        let kept = edited(
            &format!("{DATED}From: y@globex.test\nReply-To: r@globex.test\n\n"),
            |d| {
                d.author = Some(rewrite(None));
            },
        );
        assert!(
            kept.contains("From: \"y@globex.test via acme.test\" <relay@acme.test>\n"),
            "{kept}"
        );
        assert_eq!(kept.matches("Reply-To").count(), 1);
    }

    #[test]
    fn r19_sender_is_set_with_its_name_encoded() {
        let made = edited(&format!("{DATED}Sender: old@x.test\n\n"), |d| {
            d.sender = Some("山田 <s@acme.test>".into())
        });
        assert_eq!(
            made,
            format!("{DATED}Sender: =?utf-8?B?5bGx55Sw?= <s@acme.test>\n\n")
        );
    }
}
