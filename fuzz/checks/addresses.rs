//! Addresses of header and envelope.

use waxseal::message::{Address, Content, ReversePath};

use crate::cost::Cost;
use crate::input::Input;

const NAMES: [&str; 6] = ["From", "Sender", "To", "Cc", "Bcc", "Reply-To"];

/// The text is the value of a field that lists mailboxes, followed by further fields.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let name = NAMES[usize::from(input.option(NAMES.len() as u8))];
    let text = input.text();
    envelope(&text);
    let message = [name.as_bytes(), b": ", &text].concat();
    let size = message.len();
    let content = Content::new(message);
    let mailboxes = Cost::PASSES.hold("mailboxes", size, || content.mailboxes(name));
    // Each takes at least a byte and a comma, so that a short field cannot cost much memory.
    assert!(
        mailboxes.len() <= size,
        "{} of {size} bytes",
        mailboxes.len()
    );
    let bytes: usize = mailboxes
        .iter()
        .map(|mailbox| mailbox.address.len() + mailbox.name.as_ref().map_or(0, String::len))
        .sum();
    assert!(bytes <= 4 * size + 64, "{bytes} of {size} bytes");
    let authors = Cost::PASSES.hold("authors", size, || content.author());
    assert_eq!(authors.is_empty(), content.mailboxes("From").is_empty());
    let header_recipients =
        Cost::PASSES.hold("header_recipients", size, || content.header_recipients());
    for address in header_recipients {
        survives(&address);
    }
}

/// Each line as an envelope address.
fn envelope(text: &[u8]) {
    for line in text.split(|&byte| byte == b'\n').take(20) {
        if let Ok(address) = Address::parse_bytes(line) {
            survives(&address);
        }
        if let Ok(path) = ReversePath::parse_bytes(line) {
            let shown = path.to_string();
            assert!(shown.starts_with('<') && shown.ends_with('>'), "{shown:?}");
            assert_eq!(
                ReversePath::parse_bytes(shown.as_bytes()).as_ref(),
                Ok(&path),
                "{shown:?}"
            );
        }
    }
}

/// Checks that an address parses to itself, and cannot end an SMTP command early.
fn survives(address: &Address) {
    let text = address.as_str();
    assert!(!text.is_empty() && text.len() <= 254, "{text:?}");
    assert!(!text.contains(['\r', '\n', '\0', '<', '>']), "{text:?}");
    assert_eq!(Address::parse(text).as_ref(), Ok(address), "{text:?}");
    let domain = address.domain().map_or(0, |domain| domain.len() + 1);
    assert_eq!(address.local_part().len() + domain, text.len(), "{text:?}");
}
