//! Texts of Waxseal that return from others: return paths and seals.

use std::sync::LazyLock;

use jiff::Timestamp;
use waxseal::crypto::{Key, Secret, seal, verp};
use waxseal::message::Address;

use crate::cost::Cost;
use crate::input::Input;

static RETURN_PATHS: LazyLock<Key> = LazyLock::new(|| Secret::from_bytes([7; 32]).derive("verp"));
static SEALS: LazyLock<Key> = LazyLock::new(|| Secret::from_bytes([7; 32]).derive("seal"));

/// Checks that forged texts are not opened, that valid ones are opened to their content, and that changed ones are not opened.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let at = usize::from(input.option(255));
    let flip = input.option(126) + 1;
    let text = input.text();
    let text = String::from_utf8_lossy(&text);
    let size = text.len();
    // The engine sees comparisons, so that it can learn seals: an opened text must be the sealed one.
    let opened = Cost::PASSES.hold("a seal", size, || seal::open(&SEALS, &text));
    if let Some(payload) = opened {
        assert_eq!(
            seal::seal(&SEALS, &payload),
            text.trim(),
            "a forged seal is opened"
        );
    }
    let sealed = seal::seal(&SEALS, &text);
    assert_eq!(seal::open(&SEALS, &sealed).as_deref(), Some(&*text));
    if let Some(altered) = altered(&sealed, at, flip) {
        assert_eq!(
            seal::open(&SEALS, &altered),
            None,
            "an altered seal is opened"
        );
    }
    if let Ok(address) = Address::parse(&text) {
        let opened = Cost::PASSES.hold("an address", size, || verp::open(&RETURN_PATHS, &address));
        let made = opened.and_then(|opened| {
            let domain = address.domain().unwrap_or_default();
            verp::address(&RETURN_PATHS, domain, &opened.id, opened.sent_at).ok()
        });
        if let Some(made) = made {
            let same = made.as_str().eq_ignore_ascii_case(address.as_str());
            assert!(same, "a forged return path is opened: {address}");
        }
    }
    return_path(&text, at, flip);
}

/// The first line is a queue id, the second a domain.
fn return_path(text: &str, at: usize, flip: u8) {
    let (id, domain) = text.split_once('\n').unwrap_or((text, "bounce.acme.test"));
    let arrival = Timestamp::constant(1_800_000_000, 0);
    let Ok(address) = verp::address(&RETURN_PATHS, domain, id, arrival) else {
        return;
    };
    let opened = verp::open(&RETURN_PATHS, &address).expect("an address of ours");
    assert_eq!((opened.id.as_str(), opened.sent_at), (id, arrival));
    assert!(
        address.local_part().len() <= 64,
        "a local part that may be cut"
    );
    if let Some(altered) = altered(address.as_str(), at, flip)
        && !altered.eq_ignore_ascii_case(address.as_str())
        && let Ok(altered) = Address::parse(&altered)
        && altered != address
    {
        assert_eq!(
            verp::open(&RETURN_PATHS, &altered),
            None,
            "an altered return path is opened"
        );
    }
}

/// The text with another ASCII character in one place.
fn altered(text: &str, at: usize, flip: u8) -> Option<String> {
    let at = at % text.len();
    let byte = text.as_bytes()[at] ^ flip;
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = byte;
    let altered = String::from_utf8(bytes).ok()?;
    (altered.trim() != text.trim()).then_some(altered)
}
