//! The header field that sets the route of a message in the MTA.

use waxseal_core::edit::TransientHeader;
use waxseal_core::message::ROUTE_FIELD;

/// The header field that routes the message to `destination`.
pub(super) fn route_header(destination: &str) -> TransientHeader {
    TransientHeader {
        name: ROUTE_FIELD.to_owned(),
        value: format!(" {destination}").into_bytes(),
    }
}
