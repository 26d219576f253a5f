//! Names of the header fields that Waxseal itself adds and removes.
//!
//! A policy cannot set them, and if a sender wrote one, it is deleted.

/// The header field by which a milter selects the route in Postfix
/// (`milter_header_checks`). It is added and removed in the same reply, so that it
/// is never delivered.
pub const ROUTE_FIELD: &str = "X-Waxseal-Route";

/// The header field with a sealed route for the split listener, which removes it.
pub const SPLIT_FIELD: &str = "X-Waxseal-Split";

/// The header field with the encrypted plan for the delivery agent, which removes it.
pub const PLAN_FIELD: &str = "X-Waxseal-Plan";
