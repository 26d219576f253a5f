//! Domain names, addresses and patterns of settings and messages.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The text is not of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid(&'static str);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}", self.0)
    }
}

/// A domain name in its normal form: lower case, ASCII (A-labels for other
/// scripts, RFC 5890), without the final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Domain(pub(crate) String);

impl FromStr for Domain {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let name = normal_domain(text.trim());
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        match name.len() <= 253 && name.split('.').all(is_label) {
            true => Ok(Self(name.into_owned())),
            false => Err(Invalid("domain name")),
        }
    }
}

/// A domain name in its normal form. The result for an invalid name equals no
/// valid name.
pub(crate) fn normal_domain(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.is_ascii()
        && let Ok(ascii) = idna::domain_to_ascii(name)
    {
        return Cow::Owned(ascii);
    }
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// An address with a domain, without angle brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) String);

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',');
        let parts = text.rsplit_once('@').filter(|_| !text.contains(wrong));
        match parts {
            Some((local, domain)) if !local.is_empty() => {
                let Domain(domain) = domain.parse().map_err(|_| Invalid("address"))?;
                Ok(Self(format!("{local}@{domain}")))
            }
            _ => Err(Invalid("address")),
        }
    }
}

/// Domain of the address in a text such as `Alice <alice@acme.test>`: the part
/// after its last `@`.
pub(crate) fn domain_of(text: &str) -> Option<&str> {
    let address = match text.rsplit_once('<') {
        Some((_, inner)) => inner.split('>').next().unwrap_or(inner),
        None => text,
    };
    let (_, domain) = address.rsplit_once('@')?;
    let domain = domain.trim();
    (!domain.is_empty()).then_some(domain)
}

/// The texts after each `@` that could be domain names: all domains that a
/// reader of the text could find in it.
pub(crate) fn mentioned_domains(text: &str) -> impl Iterator<Item = &str> {
    let is_domain = |c: char| c.is_alphanumeric() || !c.is_ascii() || matches!(c, '-' | '_' | '.');
    let behind = text.split('@').skip(1).map(str::trim_start);
    let domains = behind.map(move |rest| {
        let end = rest.find(|c| !is_domain(c)).unwrap_or(rest.len());
        &rest[..end]
    });
    domains.filter(|domain| !domain.is_empty())
}

/// A login with its domain, if it has one, in the form of [`normal_domain`].
pub(crate) fn normal_login(login: &str) -> Cow<'_, str> {
    let Some((local, domain)) = login.rsplit_once('@') else {
        return Cow::Borrowed(login);
    };
    match normal_domain(domain) {
        Cow::Borrowed(same) if same.len() == domain.len() => Cow::Borrowed(login),
        domain => Cow::Owned([local, "@", &domain].concat()),
    }
}

/// Whether a domain is `above` or a subdomain of it. Both in their normal form.
pub(crate) fn is_within(domain: &str, above: &str) -> bool {
    match domain.strip_suffix(above) {
        Some("") => true,
        Some(rest) => rest.ends_with('.') && !above.is_empty(),
        None => false,
    }
}

/// A text in which `*` matches any text, compared without regard to ASCII case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) String);

impl Pattern {
    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where to continue with one more byte for the last `*`.
        let mut retry: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p + 1, t));
                    p += 1;
                }
                Some(byte) if byte.eq_ignore_ascii_case(&text[t]) => {
                    (p, t) = (p + 1, t + 1);
                }
                _ => {
                    let Some((after, from)) = retry else {
                        return false;
                    };
                    retry = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
            }
        }
        pattern[p..].iter().all(|&byte| byte == b'*')
    }
}

/// Whether `text` contains `part`, without regard to ASCII case.
pub(crate) fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty()
        || text
            .windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn domains_are_compared_in_one_form() {
        assert_eq!(normal_domain("ACME.Test."), "acme.test");
        assert_eq!(normal_domain("Bücher.test"), "xn--bcher-kva.test");
        assert_eq!(
            "BÜCHER.test".parse(),
            Ok(Domain("xn--bcher-kva.test".into()))
        );
        assert!("a b".parse::<Domain>().is_err());
        assert!("a..b".parse::<Domain>().is_err());
        assert!("".parse::<Domain>().is_err());
    }

    #[test]
    fn addresses_have_a_domain() {
        assert_eq!("A@ACME.test".parse(), Ok(Address("A@acme.test".into())));
        for wrong in [
            "alice",
            "@acme.test",
            "a@",
            "a b@acme.test",
            "<a@acme.test>",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_domain_of_a_written_address_is_found() {
        assert_eq!(domain_of("Alice <alice@acme.test>"), Some("acme.test"));
        assert_eq!(domain_of("\"a@b\" <c@d.test> (x)"), Some("d.test"));
        assert_eq!(domain_of("alice@acme.test "), Some("acme.test"));
        assert_eq!(domain_of("nobody"), None);
        assert_eq!(domain_of("x <y@>"), None);
    }

    #[test]
    fn every_domain_that_a_text_mentions_is_found() {
        let mentioned = |text| mentioned_domains(text).collect::<Vec<_>>();
        assert_eq!(mentioned("Zoe <z@globex.test>"), ["globex.test"]);
        assert_eq!(
            mentioned("\"a@b.test\" <c@ d.test>, e@ü.test (x@)"),
            ["b.test", "d.test", "ü.test"]
        );
        assert!(mentioned("nobody").is_empty());
    }

    #[test]
    fn logins_are_compared_by_the_a_labels_of_their_domains() {
        assert_eq!(normal_login("ann@Bücher.test"), "ann@xn--bcher-kva.test");
        assert_eq!(normal_login("*@*.BÜCHER.test."), "*@*.xn--bcher-kva.test");
        assert_eq!(normal_login("Ann@acme.test."), "Ann@acme.test");
        assert_eq!(normal_login("crm"), "crm");
    }

    #[test]
    fn a_domain_is_within_itself_and_those_above() {
        assert!(is_within("acme.test", "acme.test"));
        assert!(is_within("eu.acme.test", "acme.test"));
        assert!(!is_within("notacme.test", "acme.test"));
        assert!(!is_within("acme.test", "eu.acme.test"));
        assert!(!is_within("acme.test.", ""));
    }

    #[test]
    fn a_star_matches_any_text() {
        let fits = |pattern: &str, text| Pattern(pattern.into()).matches(text);
        assert!(fits("*@acme.test", "Alice@ACME.test"));
        assert!(fits("*@*.acme.test", "a@b.acme.test"));
        assert!(!fits("*@*.acme.test", "a@acme.test"));
        assert!(fits("*", "") && fits("bulk", "Bulk"));
        assert!(!fits("bulk", "bulky") && !fits("", "x"));
        assert!(fits("a*b*c", "aXbXbc") && !fits("a*b*c", "aXbXb"));
    }

    proptest! {
        #[test]
        fn a_text_fits_itself_with_any_part_starred(text in "[a-z@.é]{0,12}", at in 0usize..12) {
            let whole = Pattern(text.clone()).matches(&text);
            prop_assert!(whole);
            let cut = text.floor_char_boundary(at);
            let starred = Pattern(format!("{}*", &text[..cut])).matches(&text);
            prop_assert!(starred);
        }

        #[test]
        fn no_domain_is_changed_by_a_second_reading(text in "\\PC{0,20}") {
            if let Ok(domain) = text.parse::<Domain>() {
                prop_assert_eq!(domain.0.parse::<Domain>(), Ok(domain));
            }
        }
    }
}
