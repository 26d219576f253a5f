//! The sending domain of a message (R2).

use waxseal_policy::{Mailbox, Message};

use crate::names::{domain_of, normal_domain};

/// The sending domain and the field that it comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// In its normal form; empty if there is none.
    pub(crate) domain: String,
    /// The field, as shown in reasons.
    pub(crate) source: &'static str,
}

/// The domains of the authors, in their normal form. Mailboxes without a domain
/// are ignored: they are parts of a display name that should be quoted (`Acme, Inc.
/// <info@acme.test>`).
pub(crate) fn domains(authors: &[Mailbox]) -> Vec<String> {
    let domains = authors.iter().filter_map(Mailbox::domain);
    domains.map(normal).collect()
}

/// The domain of the author in `From`; with several authors, the domain of
/// `Sender`; if neither has a valid domain, the domain of the envelope sender.
pub(crate) fn sending_domain(message: &Message, authors: &[String]) -> Sending {
    let of_header = match authors {
        [author] => Some((author.clone(), "author")),
        [] => None,
        _ => {
            let sender = message.first_header("Sender");
            let domain = sender.as_deref().and_then(domain_of);
            domain.map(|domain| (normal(domain), "Sender of several authors"))
        }
    };
    let (domain, source) = of_header.unwrap_or_else(|| {
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
