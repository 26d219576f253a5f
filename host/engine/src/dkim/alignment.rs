//! Alignment of signing domains with the authors of a message (RFC 9989, section 4.4), as far as possible without DNS.
//!
//! A receiver looks up the organizational domains of both and compares them. Here nothing is looked up, so the rule is
//! stricter: a signing domain (`d=`) and an author's domain are aligned if
//!
//! - they are equal,
//! - one is a subdomain of the other, or
//! - both are subdomains of a domain with a key,
//!
//! and the parent domain has at least two labels: a signature of `test` for all its subdomains would be meaningless. Each of
//! several authors must be aligned.
//!
//! The authors are read twice. The mail parser returns the mailboxes; a second scan finds everything after an `@` outside of
//! quoted strings and comments. If it finds a domain that the mailboxes lack and that is not aligned, mail programs may
//! disagree about the author, and the message is not signed.

use thiserror::Error;

use super::keys::Keys;
use super::signature::SignError;
use crate::config::{Domain, UnalignedPair};
use waxseal_core::message::Content;
use waxseal_core::work;

/// A signing domain that is not aligned with the author.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a signature of {sign} is not aligned with the author's domain {author}: it is not created unless waxseal.toml has \
     `[dkim] allow-unaligned = [{{ author = \"{author}\", sign = \"{sign}\" }}]`"
)]
pub struct Unaligned {
    /// The author's domain.
    pub author: Domain,
    /// The signing domain.
    pub sign: Domain,
}

/// The domains of the authors of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorDomains {
    /// Domains of the mailboxes in `From`. Never empty.
    mailboxes: Vec<Domain>,
    /// Further domains that a mail program may find there.
    others: Vec<Domain>,
}

/// Why a message is not signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AlignmentError {
    /// A signing domain of the decision is not aligned.
    #[error(transparent)]
    Unaligned(#[from] Unaligned),
    /// The message cannot be signed.
    #[error(transparent)]
    Message(#[from] SignError),
}

/// Reads the authors' domains.
///
/// # Errors
///
/// If `From` is missing, repeated, or has no author with a domain.
pub fn author_domains(message: &Content) -> Result<AuthorDomains, SignError> {
    let mut fields = message.fields_named("From");
    let Some(field) = fields.next() else {
        return Err(SignError::NoAuthor);
    };
    match fields.count() {
        0 => {}
        more => return Err(SignError::SeveralFrom(more + 1)),
    }
    let mut mailboxes = Vec::new();
    for mailbox in message.author() {
        // A part without `@` belongs to a display name that should be quoted.
        let Some((_, domain)) = mailbox.address.rsplit_once('@') else {
            continue;
        };
        let domain = domain.trim().parse();
        mailboxes.push(domain.map_err(|_| SignError::NoAuthorDomain)?);
    }
    if mailboxes.is_empty() {
        return Err(SignError::NoAuthorDomain);
    }
    mailboxes.sort();
    mailboxes.dedup();
    let mut others = mentioned(message.value_of(field))?;
    others.retain(|domain| mailboxes.binary_search(domain).is_err());
    Ok(AuthorDomains { mailboxes, others })
}

/// Checks that signatures of these domains are aligned with all authors, or allowed nevertheless.
///
/// # Errors
///
/// For the first that is neither.
pub fn aligned(
    authors: &AuthorDomains,
    signing: &[Domain],
    keys: &Keys,
    allowed: &[UnalignedPair],
) -> Result<(), AlignmentError> {
    let fits = |author: &Domain, sign: &Domain| {
        are_aligned(author, sign, keys) || allowed.iter().any(|pair| pair.allows(author, sign))
    };
    for sign in signing {
        let mut mailboxes = authors.mailboxes.iter();
        if let Some(author) = mailboxes.find(|author| !fits(author, sign)) {
            let (author, sign) = (author.clone(), sign.clone());
            return Err(Unaligned { author, sign }.into());
        }
        if let Some(other) = authors.others.iter().find(|other| !fits(other, sign)) {
            return Err(SignError::AmbiguousAuthor(other.clone()).into());
        }
    }
    Ok(())
}

impl UnalignedPair {
    fn allows(&self, author: &Domain, sign: &Domain) -> bool {
        let of_author = |allowed: &Domain| author.is_within(allowed);
        self.sign == *sign && self.author.as_ref().is_none_or(of_author)
    }
}

/// Whether the two are aligned, regardless of exceptions.
pub(crate) fn are_aligned(author: &Domain, sign: &Domain, keys: &Keys) -> bool {
    let is_organization = |domain: &Domain| domain.parent().is_some();
    if author == sign
        || (author.is_within(sign) && is_organization(sign))
        || (sign.is_within(author) && is_organization(author))
    {
        return true;
    }
    let mut above = sign.parent();
    while let Some(domain) = above.filter(is_organization) {
        if author.is_within(&domain) && !keys.for_domain(domain.as_str()).is_empty() {
            return true;
        }
        above = domain.parent();
    }
    false
}

/// The domain names after every `@` of a raw value, except in quoted strings, comments and encoded words.
///
/// An encoded word within angle brackets is an error: some mail programs decode it, and find an address that others do not (RFC
/// 2047, section 5, forbids it).
fn mentioned(value: &[u8]) -> Result<Vec<Domain>, SignError> {
    let _stage = work::stage("reading addresses");
    let mut scan = Scan {
        rest: value,
        unclosed: [false; 3],
    };
    let mut domains = Vec::new();
    let mut in_brackets = false;
    while let Some((&byte, after)) = scan.rest.split_first() {
        work::spend(1);
        match byte {
            b'"' | b'(' | b'[' => scan.skip_delimited(),
            b'=' if after.first() == Some(&b'?') => {
                if in_brackets {
                    return Err(SignError::NoAuthorDomain);
                }
                scan.skip_word();
            }
            b'<' | b'>' => {
                in_brackets = byte == b'<';
                scan.rest = after;
            }
            b'@' => {
                scan.rest = after;
                let name = String::from_utf8(scan.domain()).ok();
                // "Ann @ Acme" is a name: a domain of one label is not an address.
                let name =
                    name.filter(|name| name.contains(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']));
                domains.extend(name.and_then(|name| name.parse::<Domain>().ok()));
            }
            _ => scan.rest = after,
        }
    }
    domains.sort();
    domains.dedup();
    Ok(domains)
}

/// The rest of a raw value.
struct Scan<'a> {
    rest: &'a [u8],
    /// Kinds of quoted strings, comments and literals that are not terminated. From then on they are read as text, since some mail
    /// programs do so, and their end is not searched again.
    unclosed: [bool; 3],
}

impl Scan<'_> {
    /// Skips the quoted string, comment or literal that begins here, or only its first byte if it is not terminated.
    fn skip_delimited(&mut self) {
        let (kind, close) = match self.rest.first() {
            Some(b'(') => (0, b')'),
            Some(b'[') => (1, b']'),
            _ => (2, b'"'),
        };
        let end = match self.unclosed[kind] {
            true => None,
            false => end_of(self.rest, close),
        };
        self.unclosed[kind] |= end.is_none();
        self.rest = &self.rest[end.unwrap_or(1)..];
    }

    /// Skips the encoded word (RFC 2047, section 2) that begins here, or only its first byte if there is none.
    fn skip_word(&mut self) {
        // At most 75 bytes; `=?` charset `?` encoding `?` text `?=`.
        let window = &self.rest[..self.rest.len().min(75)];
        let end = window.iter().position(u8::is_ascii_whitespace);
        let window = &window[..end.unwrap_or(window.len())];
        let mut marks = memchr::memchr_iter(b'?', window).skip(3);
        let mark = marks.find(|&mark| window.get(mark + 1) == Some(&b'='));
        self.rest = &self.rest[mark.map_or(1, |mark| mark + 2)..];
    }

    /// The domain that begins here, without white space and comments around its dots (RFC 5322, section 4.4).
    fn domain(&mut self) -> Vec<u8> {
        let mut name = Vec::new();
        loop {
            self.skip_space();
            let label = self.rest.iter().position(|byte| !is_label(*byte));
            let (label, after) = self.rest.split_at(label.unwrap_or(self.rest.len()));
            work::spend(label.len() + 1);
            name.extend_from_slice(label);
            self.rest = after;
            self.skip_space();
            match self.rest.strip_prefix(b".") {
                Some(after) => {
                    name.push(b'.');
                    self.rest = after;
                }
                None => return name,
            }
        }
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) {
        loop {
            let before = self.rest.len();
            self.rest = self.rest.trim_ascii_start();
            work::spend(before - self.rest.len());
            match self.rest.first() {
                Some(b'(') if !self.unclosed[0] => self.skip_delimited(),
                _ => return,
            }
        }
    }
}

/// End of the quoted string, comment or literal at the beginning.
fn end_of(text: &[u8], close: u8) -> Option<usize> {
    let mut depth = 1_usize;
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate().skip(1) {
        work::spend(1);
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' => escaped = true,
            b'(' if close == b')' => depth += 1,
            _ if byte == close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || !byte.is_ascii()
}

#[cfg(test)]
mod tests;
