//! Signing of a message, and verification of the signatures.
//!
//! The data to sign, canonical header and body hash, is computed once for all keys of a message. Each key signs it, and the
//! library's verifier verifies the result, reading the message from its bytes again. A signature that does not verify is an error
//! and never sent: it would harm the sender's reputation more than none.

use std::borrow::Borrow;
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mail_auth::crypto::{Algorithm as LibraryAlgorithm, Sha256, SigningKey};
use mail_auth::dkim::{DkimSigner, Signature};
use mail_auth::headers::{HeaderWriter, Writable};
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{
    AuthenticatedMessage, DkimResult, DnsCache, DnsError, Error as LibraryError,
    MessageAuthenticator, NoCache, Parameters, ResolverCache, TxtRecord,
};
use memchr::memchr;
use thiserror::Error;

use super::keys::Key;
use super::others::without_signatures;
use super::pair::Algorithm;
use crate::config::Domain;
use waxseal_core::work;

/// Signed, and listed once more than they occur, so that adding one breaks the signature (RFC 6376, section 8.15).
///
/// In addition to displayed fields, these are the fields that make a replayed message a different one: who submitted it, what it
/// replies to, and where a mail program sends a click on "unsubscribe" (RFC 8058).
const OVERSIGNED: [&str; 15] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Reply-To",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Sender",
    "In-Reply-To",
    "References",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// Signed if present (RFC 6376, section 5.4.1): a mailing list may legitimately add them later. The names of the `List-` family are
/// spelled out: a sender's own name could contain a `;` and break the tag list.
const SIGNED_WHEN_PRESENT: [&str; 7] = [
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "List-Archived-At",
];

/// A verified signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Signing domain (`d=`).
    pub domain: String,
    /// Selector (`s=`).
    pub selector: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Raw value of the `DKIM-Signature` field: with its leading space, with folds as CRLF and white space, without the final line end.
    pub value: Vec<u8>,
}

/// Why a message was not signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// There is no author to sign for (RFC 6376, section 5.4).
    #[error("the message has no From field, so that there is nothing to sign for")]
    NoAuthor,
    /// Mail programs disagree which of them counts (RFC 5322, section 3.6).
    #[error("the message has {0} From fields where one is allowed, so that it cannot be signed")]
    SeveralFrom(usize),
    /// There is no author to sign for.
    #[error("the From field names no author with a domain, so that it cannot be signed")]
    NoAuthorDomain,
    /// Mail programs disagree who the author is.
    #[error(
        "the From field can be read as from {0} as well as from its author, so that it cannot be signed"
    )]
    AmbiguousAuthor(Domain),
    /// Verifiers disagree on such a field, so that no signature is valid for all.
    #[error(
        "the message's {0} field has white space before its colon, which verifiers read in different ways"
    )]
    SpaceBeforeColon(String),
    /// The library could not sign.
    #[error("signing with key \"{selector}\" of {domain} failed: {reason}")]
    Key {
        /// Signing domain.
        domain: String,
        /// Selector.
        selector: String,
        /// The library's error.
        reason: String,
    },
    /// The signature does not verify: it is discarded.
    #[error(
        "the new signature with key \"{selector}\" of {domain} does not verify ({reason}), so it is not sent"
    )]
    Verify {
        /// Signing domain.
        domain: String,
        /// Selector.
        selector: String,
        /// The verifier's error.
        reason: String,
    },
}

impl SignError {
    /// Whether the message is the cause, so that a retry cannot succeed.
    pub fn is_of_message(&self) -> bool {
        match self {
            Self::NoAuthor
            | Self::SeveralFrom(_)
            | Self::NoAuthorDomain
            | Self::AmbiguousAuthor(_)
            | Self::SpaceBeforeColon(_) => true,
            Self::Key { .. } | Self::Verify { .. } => false,
        }
    }
}

/// Signs a message with each of the keys: relaxed/relaxed, the complete body, at the instant `at` (`t=`), valid for the time
/// `expire` (`x=`) or without limit. The message must have its final form, with `Date` and `Message-ID`: missing fields are
/// signed as missing.
///
/// # Errors
///
/// If the message cannot be signed, or a signature does not verify. Then none is returned.
pub fn sign(
    message: &[u8],
    keys: &[Arc<Key>],
    at: Timestamp,
    expire: Option<Duration>,
) -> Result<Vec<Signed>, SignError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let _stage = work::stage("signing");
    let canonical = Canonical::of(message)?;
    let sign = |expiry: Option<u64>| {
        let signatures = keys.iter().map(|key| canonical.sign(key, at, expiry));
        signatures.collect::<Result<Vec<_>, _>>()
    };
    let expiry = expire.map(|expire| seconds(at).saturating_add(expire.as_secs()));
    let signatures = sign(expiry)?;
    match expiry {
        // A message of the past (a trial, a recording): the verifier uses the clock, so it gets a copy that differs only in the expiry.
        Some(expiry) if expiry <= seconds(Timestamp::now()) => verify(message, keys, &sign(None)?)?,
        _ => verify(message, keys, &signatures)?,
    }
    let signed = keys.iter().zip(&signatures).map(|(key, signature)| Signed {
        domain: key.domain().to_owned(),
        selector: key.selector().to_owned(),
        algorithm: key.algorithm(),
        value: field_value(signature),
    });
    Ok(signed.collect())
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}

/// The common input of all signatures of a message.
struct Canonical {
    /// The signed fields in canonical form.
    header: Vec<u8>,
    /// The values of `h=` and `bh=`.
    template: Signature,
}

impl Canonical {
    fn of(message: &[u8]) -> Result<Self, SignError> {
        // The library cannot be interrupted; it reads the message once.
        work::spend(message.len());
        let mut template = DkimSigner::from_key(Canonicalizer)
            .domain("")
            .selector("")
            .headers(names_to_sign(message)?)
            .sign(message)
            .map_err(|error| SignError::Key {
                domain: String::new(),
                selector: String::new(),
                reason: error.to_string(),
            })?;
        let mut header = std::mem::take(&mut template.b);
        // The data to sign ends in the signature's own field.
        let mut own_field = Vec::with_capacity(1024);
        template.write(&mut own_field, false);
        header.truncate(header.len() - own_field.len());
        Ok(Self { header, template })
    }

    fn sign(&self, key: &Key, at: Timestamp, expiry: Option<u64>) -> Result<Signature, SignError> {
        let mut signature = Signature {
            a: key.algorithm().of_library(),
            d: key.domain().to_owned(),
            s: key.selector().to_owned(),
            t: seconds(at),
            // 0 omits the tag.
            x: expiry.unwrap_or(0),
            ..self.template.clone()
        };
        work::spend(self.header.len());
        let mut data = Vec::with_capacity(self.header.len() + 1024);
        data.extend_from_slice(&self.header);
        signature.write(&mut data, false);
        signature.b = key.pair.sign(&data).map_err(|error| SignError::Key {
            domain: signature.d.clone(),
            selector: signature.s.clone(),
            reason: error.to_string(),
        })?;
        Ok(signature)
    }
}

/// A key that does not sign: its "signature" is the data to sign. The library has no other access to its canonical form, and always
/// uses the wall clock for `t=`.
struct Canonicalizer;

impl SigningKey for Canonicalizer {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        let mut data = Vec::with_capacity(4096);
        input.write(&mut data);
        Ok(data)
    }

    fn algorithm(&self) -> LibraryAlgorithm {
        LibraryAlgorithm::RsaSha256
    }
}

/// The names for `h=`. The library signs all fields of a listed name; an additional listing represents a missing field.
fn names_to_sign(message: &[u8]) -> Result<Vec<&'static str>, SignError> {
    let mut present = Present::default();
    for name in field_names(message) {
        present.note(name)?;
    }
    match present.from {
        0 => return Err(SignError::NoAuthor),
        1 => {}
        several => return Err(SignError::SeveralFrom(several)),
    }
    let mut names = Vec::with_capacity(2 * OVERSIGNED.len() + SIGNED_WHEN_PRESENT.len());
    names.extend(OVERSIGNED);
    names.extend(marked(&OVERSIGNED, &present.oversigned));
    names.extend(marked(&SIGNED_WHEN_PRESENT, &present.when_present));
    Ok(names)
}

fn marked<'a>(
    names: &'a [&'static str],
    marks: &'a [bool],
) -> impl Iterator<Item = &'static str> + 'a {
    names
        .iter()
        .zip(marks)
        .filter(|(_, mark)| **mark)
        .map(|(name, _)| *name)
}

#[derive(Default)]
struct Present {
    from: usize,
    oversigned: [bool; OVERSIGNED.len()],
    when_present: [bool; SIGNED_WHEN_PRESENT.len()],
}

impl Present {
    fn note(&mut self, name: &[u8]) -> Result<(), SignError> {
        let bare = name.trim_ascii_end();
        let place = |names: &[&str]| {
            names
                .iter()
                .position(|known| bare.eq_ignore_ascii_case(known.as_bytes()))
        };
        let mark = if let Some(at) = place(&OVERSIGNED) {
            &mut self.oversigned[at]
        } else if let Some(at) = place(&SIGNED_WHEN_PRESENT) {
            &mut self.when_present[at]
        } else {
            return Ok(());
        };
        if bare.len() != name.len() {
            return Err(SignError::SpaceBeforeColon(
                String::from_utf8_lossy(bare).into_owned(),
            ));
        }
        *mark = true;
        self.from += usize::from(bare.eq_ignore_ascii_case(b"From"));
        Ok(())
    }
}

/// Names of the header's fields, white space before the colon included.
fn field_names(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        let (line, after) = rest.split_at(end);
        work::spend(line.len());
        rest = after;
        (!line.trim_ascii().is_empty() || line.starts_with(b" ") || line.starts_with(b"\t"))
            .then_some(line)
    })
    .filter(|line| !matches!(line.first(), Some(b' ' | b'\t')))
    .filter_map(|line| memchr(b':', line).map(|colon| &line[..colon]))
}

fn field(signature: &Signature) -> Vec<u8> {
    let mut field = Vec::with_capacity(1024);
    signature.write_header(&mut field);
    field
}

fn field_value(signature: &Signature) -> Vec<u8> {
    let field = field(signature);
    let value = field.strip_prefix(b"DKIM-Signature:").unwrap_or(&field);
    value.strip_suffix(b"\r\n").unwrap_or(value).to_vec()
}

/// Verifies Waxseal's signatures as a receiver does, from the message's bytes.
pub(super) fn verify(
    message: &[u8],
    keys: &[Arc<Key>],
    signatures: &[Signature],
) -> Result<(), SignError> {
    let _stage = work::stage("verifying the signature");
    let message = without_signatures(message);
    let fields: Vec<u8> = signatures.iter().flat_map(field).collect();
    // The library cannot be interrupted: it reads the message once for each body hash, and the names of all fields for each signed
    // name.
    work::spend(2 * message.len());
    let results = match AuthenticatedMessage::parse_with_opts(&message, Some(&fields), true) {
        Some(parsed) => verified(&parsed, keys, signatures),
        None => signatures
            .iter()
            .map(|_| Err("the message cannot be read".to_owned()))
            .collect(),
    };
    for (signature, result) in signatures.iter().zip(results) {
        if let Err(reason) = result {
            return Err(SignError::Verify {
                domain: signature.d.clone(),
                selector: signature.s.clone(),
                reason,
            });
        }
    }
    Ok(())
}

fn verified(
    parsed: &AuthenticatedMessage<'_>,
    keys: &[Arc<Key>],
    signatures: &[Signature],
) -> Vec<Result<(), String>> {
    let published = Published { keys };
    let Some(authenticator) = authenticator() else {
        return vec![Err("the verifier did not start".to_owned()); signatures.len()];
    };
    let outputs = pin!(authenticator.verify_dkim(Parameters::new(parsed).with_cache(&published)));
    // All records are returned from memory, so nothing waits.
    let Poll::Ready(outputs) = outputs.poll(&mut Context::from_waker(Waker::noop())) else {
        return vec![Err("the verifier waits for DNS".to_owned()); signatures.len()];
    };
    let verdict = |ours: &Signature| {
        let output = outputs
            .iter()
            .find(|output| output.signature().is_some_and(|other| other.b == ours.b));
        match output.map(|output| output.result()) {
            Some(DkimResult::Pass) => Ok(()),
            Some(other) => Err(other.to_string()),
            None => Err("the verifier did not see it".to_owned()),
        }
    };
    signatures.iter().map(verdict).collect()
}

/// The library's verifier. It never queries DNS: it has no server.
fn authenticator() -> Option<&'static MessageAuthenticator> {
    static AUTHENTICATOR: OnceLock<Option<MessageAuthenticator>> = OnceLock::new();
    AUTHENTICATOR
        .get_or_init(|| {
            let nowhere = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            MessageAuthenticator::new(nowhere, ResolverOpts::default()).ok()
        })
        .as_ref()
}

/// DNS with the published records of the keys; no other name exists.
struct Published<'a> {
    keys: &'a [Arc<Key>],
}

impl ResolverCache<Box<str>, TxtRecord> for Published<'_> {
    fn get<Q>(&self, name: &Q) -> Option<TxtRecord>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let record = self.keys.iter().find(|key| {
            let query: &Q = key.query.borrow();
            query == name
        });
        Some(match record {
            Some(key) => key.published.clone(),
            None => TxtRecord::Error(LibraryError::Dns(DnsError::InvalidRecordType)),
        })
    }

    fn remove<Q>(&self, _: &Q) -> Option<TxtRecord>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: TxtRecord, _: Instant) {}
}

impl DnsCache for Published<'_> {
    type Txt = Self;
    type Mx = NoCache;
    type Ipv4 = NoCache;
    type Ipv6 = NoCache;
    type Ptr = NoCache;

    fn txt(&self) -> Option<&Self> {
        Some(self)
    }

    fn mx(&self) -> Option<&NoCache> {
        None
    }

    fn ipv4(&self) -> Option<&NoCache> {
        None
    }

    fn ipv6(&self) -> Option<&NoCache> {
        None
    }

    fn ptr(&self) -> Option<&NoCache> {
        None
    }
}
