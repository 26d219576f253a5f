//! Actions: what a milter may change (`SMFIF_…` of libmilter).

/// Add and insert header fields.
pub const ADD_HEADERS: u32 = 0x01;
/// Replace the body.
pub const CHANGE_BODY: u32 = 0x02;
/// Add recipients.
pub const ADD_RECIPIENTS: u32 = 0x04;
/// Take out recipients.
pub const DELETE_RECIPIENTS: u32 = 0x08;
/// Change and take out header fields.
pub const CHANGE_HEADERS: u32 = 0x10;
/// Put the message in the hold queue.
pub const QUARANTINE: u32 = 0x20;
/// Change the envelope sender (version 6).
pub const CHANGE_FROM: u32 = 0x40;
/// Add recipients with ESMTP parameters (version 6).
pub const ADD_RECIPIENTS_PARAMETERS: u32 = 0x80;
/// Choose the macros of each stage (version 6).
pub const SET_MACROS: u32 = 0x100;
