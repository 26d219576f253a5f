//! Actions: what a milter may change (`SMFIF_…` of libmilter).

/// Add and insert header fields (`SMFIF_ADDHDRS`).
pub const ADD_HEADERS: u32 = 0x01;
/// Replace the body (`SMFIF_CHGBODY`).
pub const CHANGE_BODY: u32 = 0x02;
/// Add recipients (`SMFIF_ADDRCPT`).
pub const ADD_RECIPIENTS: u32 = 0x04;
/// Delete recipients (`SMFIF_DELRCPT`).
pub const DELETE_RECIPIENTS: u32 = 0x08;
/// Change and delete header fields (`SMFIF_CHGHDRS`).
pub const CHANGE_HEADERS: u32 = 0x10;
/// Put the message in the hold queue (`SMFIF_QUARANTINE`).
pub const QUARANTINE: u32 = 0x20;
/// Change the envelope sender (`SMFIF_CHGFROM`, version 6).
pub const CHANGE_FROM: u32 = 0x40;
/// Add recipients with ESMTP parameters (`SMFIF_ADDRCPT_PAR`, version 6).
pub const ADD_RECIPIENTS_PARAMETERS: u32 = 0x80;
/// Request macros for each stage (`SMFIF_SETSYMLIST`, version 6).
pub const SET_MACROS: u32 = 0x100;
