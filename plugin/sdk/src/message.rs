//! The message and the facts of a policy.
//!
//! On wasm both belong to the host: each function is a call to it. On other targets they are plain values with the same
//! functions, created by [`Message::builder`] and [`Facts::builder`], so that a policy is tested with `cargo test`.

#[cfg(target_family = "wasm")]
pub use crate::bindings::waxseal::policy::{facts::Facts, mail::Message};
#[cfg(not(target_family = "wasm"))]
pub use crate::native::{Facts, Message};

use crate::Mailbox;

impl Message {
    /// Value of the first field of that name.
    pub fn first_header(&self, name: &str) -> Option<String> {
        self.header(name).into_iter().next()
    }

    /// Whether there is a field of that name.
    pub fn has_header(&self, name: &str) -> bool {
        !self.header(name).is_empty()
    }
}

impl Mailbox {
    /// An address without a display name.
    pub fn new(address: &str) -> Self {
        Self {
            name: None,
            address: address.to_owned(),
        }
    }

    /// An address with a display name.
    pub fn named(name: &str, address: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            address: address.to_owned(),
        }
    }

    /// The part after the last `@`; `None` if it is empty.
    pub fn domain(&self) -> Option<&str> {
        let (_, domain) = self.address.rsplit_once('@')?;
        (!domain.is_empty()).then_some(domain)
    }
}
