//! Which domain a message is sent for (R2).

use waxseal_policy::{Mailbox, Message};

use crate::names::{domain_of, normal_domain};

/// The domain that a message is sent for, and what says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// In its normal form; "" where there is none at all.
    pub(crate) domain: String,
    /// For people.
    pub(crate) source: &'static str,
}

/// The domains of the authors, in their normal form. Mailboxes without one do not
/// count: they are parts of a display name that should be quoted (`Acme, Inc.
/// <info@acme.test>`).
pub(crate) fn domains(authors: &[Mailbox]) -> Vec<String> {
    let domains = authors.iter().filter_map(Mailbox::domain);
    domains.map(normal).collect()
}

/// The domain of the author in `From`; of several authors, that of `Sender`;
/// where none can be read, that of the envelope sender.
pub(crate) fn sending_domain(message: &Message, authors: &[String]) -> Sending {
    let told = match authors {
        [author] => Some((author.clone(), "author")),
        [] => None,
        _ => {
            let sender = message.first_header("Sender");
            let domain = sender.as_deref().and_then(domain_of);
            domain.map(|domain| (normal(domain), "Sender of several authors"))
        }
    };
    let (domain, source) = told.unwrap_or_else(|| {
        let sender = message.sender();
        let domain = domain_of(&sender).map(normal).unwrap_or_default();
        (domain, "envelope sender")
    });
    Sending { domain, source }
}

/// A domain in its normal form.
pub(crate) fn normal(domain: &str) -> String {
    normal_domain(domain.trim()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_any_domain_is_sent_for_none() {
        let sending = sending_domain(&Message::default(), &[]);
        assert_eq!(
            (sending.domain.as_str(), sending.source),
            ("", "envelope sender")
        );
    }
}
