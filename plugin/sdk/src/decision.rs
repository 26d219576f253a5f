//! Constructors of decisions and problems.

use std::ops::Range;

use crate::{
    Charge, Configured, Decision, Description, Disclaimer, HeaderChange, HeaderField, Hop, Problem,
    Reference, ReferenceKind, Reply, ReturnPath, Unit, Verdict, WhenFull,
};

impl Default for Decision {
    /// Accept the message unchanged, by the default route.
    fn default() -> Self {
        Self::with(Verdict::Accept)
    }
}

impl Decision {
    /// Accept the message.
    pub fn accept() -> Self {
        Self::default()
    }

    /// Reject the message permanently. `code` is 550 to 559, `enhanced` of class 5 (RFC 3463):
    /// `Decision::reject(550, "5.7.1", "not from here")`.
    pub fn reject(code: u16, enhanced: &str, text: &str) -> Self {
        Self::with(Verdict::Reject(Reply::new(code, enhanced, text)))
    }

    /// Reject the message temporarily. `code` is 421 or 450 to 459, `enhanced` of class 4.
    pub fn defer(code: u16, enhanced: &str, text: &str) -> Self {
        Self::with(Verdict::Defer(Reply::new(code, enhanced, text)))
    }

    /// Accept the message and drop it.
    pub fn discard() -> Self {
        Self::with(Verdict::Discard)
    }

    /// Put the message into the MTA's hold queue; `why` is the reason.
    pub fn hold(why: &str) -> Self {
        Self::with(Verdict::Hold(why.to_owned()))
    }

    fn with(verdict: Verdict) -> Self {
        Self {
            verdict,
            route: Vec::new(),
            charges: Vec::new(),
            return_path: ReturnPath::Keep,
            author: None,
            sender: None,
            sign: Vec::new(),
            disclaimers: Vec::new(),
            headers: Vec::new(),
            copies: Vec::new(),
            labels: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// Adds a relay to try, after those added before.
    #[must_use]
    pub fn relay(self, name: &str) -> Self {
        self.hop(Hop {
            relay: name.to_owned(),
            return_path: None,
        })
    }

    /// Adds a relay to try, with an envelope sender of its own.
    #[must_use]
    pub fn hop(mut self, hop: Hop) -> Self {
        self.route.push(hop);
        self
    }

    /// Adds a charge.
    #[must_use]
    pub fn charge(mut self, charge: Charge) -> Self {
        self.charges.push(charge);
        self
    }

    /// Sets the envelope sender of the outgoing message.
    #[must_use]
    pub fn return_path(mut self, return_path: ReturnPath) -> Self {
        self.return_path = return_path;
        self
    }

    /// Adds a domain to sign for.
    #[must_use]
    pub fn sign(mut self, domain: &str) -> Self {
        self.sign.push(domain.to_owned());
        self
    }

    /// Adds a disclaimer to insert.
    #[must_use]
    pub fn disclaimer(mut self, disclaimer: Disclaimer) -> Self {
        self.disclaimers.push(disclaimer);
        self
    }

    /// Adds a header field, in addition to existing ones of that name.
    #[must_use]
    pub fn add_header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .push(HeaderChange::Add(HeaderField::new(name, value)));
        self
    }

    /// Replaces all header fields of that name.
    #[must_use]
    pub fn replace_header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .push(HeaderChange::Replace(HeaderField::new(name, value)));
        self
    }

    /// Removes all header fields of that name.
    #[must_use]
    pub fn remove_header(mut self, name: &str) -> Self {
        self.headers.push(HeaderChange::Remove(name.to_owned()));
        self
    }

    /// Adds an address that gets a blind copy.
    #[must_use]
    pub fn copy_to(mut self, address: &str) -> Self {
        self.copies.push(address.to_owned());
        self
    }

    /// Adds a name and value for logs and metrics. There should be few different values.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push(HeaderField::new(name, value));
        self
    }

    /// Adds a reason, for people.
    #[must_use]
    pub fn reason(mut self, text: &str) -> Self {
        self.reasons.push(text.to_owned());
        self
    }
}

impl Reply {
    /// A reply: SMTP code, enhanced status code (RFC 3463) and text.
    pub fn new(code: u16, enhanced: &str, text: &str) -> Self {
        Self {
            code,
            enhanced: enhanced.to_owned(),
            text: text.to_owned(),
        }
    }
}

impl Charge {
    /// Counts each message on `counter`, without a limit.
    pub fn messages(counter: &str) -> Self {
        Self {
            counter: counter.to_owned(),
            unit: Unit::Message,
            maximum: None,
            full: WhenFull::Defer,
        }
    }

    /// Counts each recipient on `counter`, without a limit.
    pub fn recipients(counter: &str) -> Self {
        Self {
            unit: Unit::Recipient,
            ..Self::messages(counter)
        }
    }

    /// Sets the daily limit in units, and how a message over it is rejected.
    #[must_use]
    pub fn at_most(mut self, maximum: u64, full: WhenFull) -> Self {
        self.maximum = Some(maximum);
        self.full = full;
        self
    }
}

/// Maximum length of a counter's name in bytes (`charge.counter` of the contract).
const COUNTER: usize = 200;

/// A counter name from any text, such as `user/` and a login: bytes that are not printable ASCII, blanks and `%` are
/// written as `%` and two hexadecimal digits. A text that is too long is truncated, with a hash of all of it at the end.
pub fn counter_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => name.push_str("%25"),
            byte if byte.is_ascii_graphic() => name.push(char::from(byte)),
            byte => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.len() > COUNTER {
        let hash = format!("~{:016x}", fnv(text.as_bytes()));
        name.truncate(COUNTER - hash.len());
        name.push_str(&hash);
    }
    name
}

/// FNV-1a, 64 bits: the same on every host and in every version.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl HeaderField {
    /// A name and a value.
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }
}

impl Default for Description {
    /// An empty description.
    fn default() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            settings_schema: None,
        }
    }
}

impl Default for Configured {
    /// No references and no warnings.
    fn default() -> Self {
        Self {
            references: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Problem {
    /// A problem at these bytes of the settings.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        let (offset, length) = place(&span);
        Self {
            offset,
            length,
            message: message.into(),
            expected: None,
        }
    }

    /// Sets what is expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }
}

impl Reference {
    /// A name of a relay, domain, table or counter at these bytes of the settings.
    pub fn at(span: Range<usize>, kind: ReferenceKind, name: impl Into<String>) -> Self {
        let (offset, length) = place(&span);
        Self {
            kind,
            name: name.into(),
            offset,
            length,
        }
    }
}

/// Offset and length as the contract has them. Settings of 4 GiB cannot occur: they would not fit into a component's
/// memory.
fn place(span: &Range<usize>) -> (u32, u32) {
    let narrow = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    (narrow(span.start), narrow(span.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_decision_lets_the_message_go_as_it_is() {
        let decision = Decision::default();
        assert_eq!(decision.verdict, Verdict::Accept);
        assert_eq!(decision.return_path, ReturnPath::Keep);
        assert!(decision.route.is_empty() && decision.charges.is_empty());
    }

    #[test]
    fn a_decision_is_made_in_a_sentence() {
        let decision = Decision::accept()
            .relay("one")
            .relay("two")
            .charge(Charge::recipients("all").at_most(10, WhenFull::Reject))
            .label("type", "bulk")
            .reason("because");
        let relays: Vec<_> = decision.route.iter().map(|hop| &hop.relay).collect();
        assert_eq!(relays, ["one", "two"]);
        assert_eq!(decision.charges[0].maximum, Some(10));
        assert_eq!(decision.labels, [HeaderField::new("type", "bulk")]);
    }

    #[test]
    fn m6_any_text_makes_a_name_of_a_counter() {
        assert_eq!(counter_name("user/ann@acme.test"), "user/ann@acme.test");
        assert_eq!(counter_name("user/Ann Müller"), "user/Ann%20M%c3%bcller");
        assert_ne!(counter_name("a%20b"), counter_name("a b"));
        let long = |end: &str| counter_name(&format!("user/{}{end}", "ü".repeat(300)));
        assert_eq!(long("a").len(), 200);
        assert_ne!(long("a"), long("b"));
        assert!(long("a").bytes().all(|byte| byte.is_ascii_graphic()));
    }

    #[test]
    fn a_refusal_carries_its_reply() {
        let Verdict::Reject(reply) = Decision::reject(550, "5.7.1", "no").verdict else {
            panic!("not a refusal");
        };
        assert_eq!(reply, Reply::new(550, "5.7.1", "no"));
    }
}
