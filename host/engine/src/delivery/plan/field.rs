//! The header field of a plan.

use data_encoding::BASE64URL_NOPAD;

use super::{ContentDigest, Plan, PlanError, PlanNonce, SealError, payload};
use crate::crypto::encrypt::{self, OVERHEAD};
use crate::crypto::{Key, Secret};
use waxseal_core::message::{Content, PLAN_FIELD};
use waxseal_core::work;

/// Longest value of the field, line breaks included. Postfix truncates fields of more
/// than 100 kB (`header_size_limit`), and milter frames have 64 KiB.
pub const LONGEST_FIELD: usize = 48 << 10;

/// Characters of a line: with the name of the field, fewer than the 78 that RFC 5322
/// recommends.
const LINE: usize = 60;

/// What is between two lines.
const FOLD: &str = "\r\n ";

/// Version of the format.
const VERSION: u8 = 1;

/// Bytes before the encrypted payload: version, id of the key, nonce.
const HEAD: usize = 1 + 4 + 16;

/// The keys of plans: one that plans are made with, and earlier ones that can still
/// open them.
#[derive(Clone, Debug)]
pub struct PlanKeys {
    /// With the ids of the keys; the first one makes plans.
    keys: Vec<([u8; 4], Key)>,
}

impl PlanKeys {
    /// The keys derived from a secret, and from earlier secrets that may still be in
    /// use in the queue.
    pub fn new<'a>(current: &'a Secret, earlier: impl IntoIterator<Item = &'a Secret>) -> Self {
        let secrets = std::iter::once(current).chain(earlier);
        let keys = secrets.map(|secret| {
            let key = secret.derive("plan");
            (encrypt::key_id(&key), key)
        });
        Self {
            keys: keys.collect(),
        }
    }

    fn current(&self) -> &([u8; 4], Key) {
        // `new` puts one there.
        &self.keys[0]
    }
}

/// The value of the header field with a plan, folded, for a message with this
/// content. It begins with a space.
///
/// # Errors
///
/// When the plan does not fit into a header field.
pub fn seal(keys: &PlanKeys, plan: &Plan, content: &ContentDigest) -> Result<String, SealError> {
    let payload = payload::encode(plan, content)?;
    let characters = BASE64URL_NOPAD.encode_len(HEAD + payload.len() + OVERHEAD);
    let length = 1 + characters + characters.saturating_sub(1) / LINE * FOLD.len();
    if length > LONGEST_FIELD {
        return Err(SealError::TooLong {
            length,
            limit: LONGEST_FIELD,
        });
    }
    let (id, key) = keys.current();
    let mut bytes = head(VERSION, *id, plan.nonce);
    let encrypted = encrypt::encrypt(key, &plan.nonce.0, &bytes, payload)?;
    bytes.extend_from_slice(&encrypted);
    let text = BASE64URL_NOPAD.encode(&bytes);
    let mut value = String::with_capacity(length);
    value.push(' ');
    for (nth, line) in text.as_bytes().chunks(LINE).enumerate() {
        if nth > 0 {
            value.push_str(FOLD);
        }
        // Base64 is ASCII.
        value.extend(line.iter().map(|byte| char::from(*byte)));
    }
    Ok(value)
}

/// The plan in the value of a header field, if it is that of a message with this
/// content. White space in the value is ignored.
///
/// # Errors
///
/// See [`PlanError`]; the errors are ordered by how close the field came to a plan.
pub fn open(keys: &PlanKeys, value: &[u8], content: &ContentDigest) -> Result<Plan, PlanError> {
    if value.len() > LONGEST_FIELD {
        return Err(PlanError::TooLong);
    }
    work::spend(value.len());
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let text: Vec<u8> = value.iter().copied().filter(|b| !is_space(b)).collect();
    let bytes = BASE64URL_NOPAD
        .decode(&text)
        .map_err(|_| PlanError::NotAPlan)?;
    let &version = bytes.first().ok_or(PlanError::NotAPlan)?;
    if version != VERSION {
        return Err(PlanError::UnknownVersion(version));
    }
    let (start, encrypted) = bytes
        .split_at_checked(HEAD)
        .filter(|(_, encrypted)| encrypted.len() >= OVERHEAD)
        .ok_or(PlanError::NotAPlan)?;
    let (id, nonce) = start[1..].split_at(4);
    let nonce = PlanNonce(nonce.try_into().map_err(|_| PlanError::NotAPlan)?);
    let mut with_id = keys.keys.iter().filter(|(other, _)| other == id).peekable();
    if with_id.peek().is_none() {
        return Err(PlanError::OtherSecret);
    }
    let payload = with_id
        .find_map(|(_, key)| encrypt::decrypt(key, &nonce.0, start, encrypted.to_vec()))
        .ok_or(PlanError::Altered)?;
    let (plan, made_for) = payload::decode(nonce, &payload).ok_or(PlanError::Invalid)?;
    if made_for != *content {
        return Err(PlanError::OtherContent);
    }
    Ok(plan)
}

/// The plan in a message. A sender may have written fields of this name: the one
/// that can be opened counts.
///
/// # Errors
///
/// When there is none. With several fields, the error of the one that came closest.
pub fn open_message(keys: &PlanKeys, content: &Content) -> Result<Plan, PlanError> {
    let mut error = PlanError::Missing;
    // Computed when it is first needed: it reads the whole message.
    let mut digest = None;
    for field in content.fields_named(PLAN_FIELD) {
        let digest = digest.get_or_insert_with(|| ContentDigest::of(content));
        match open(keys, content.value_of(field), digest) {
            Ok(plan) => return Ok(plan),
            Err(closer) => error = error.max(closer),
        }
    }
    Err(error)
}

fn head(version: u8, id: [u8; 4], nonce: PlanNonce) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    head.push(version);
    head.extend_from_slice(&id);
    head.extend_from_slice(&nonce.0);
    head
}
