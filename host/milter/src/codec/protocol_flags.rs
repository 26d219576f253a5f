//! Protocol flags: which commands are sent and answered (`SMFIP_…` of libmilter).

/// CONNECT is not sent (`SMFIP_NOCONNECT`).
pub const NO_CONNECT: u32 = 0x01;
/// HELO is not sent (`SMFIP_NOHELO`).
pub const NO_HELO: u32 = 0x02;
/// MAIL is not sent (`SMFIP_NOMAIL`).
pub const NO_MAIL: u32 = 0x04;
/// RCPT is not sent (`SMFIP_NORCPT`).
pub const NO_RCPT: u32 = 0x08;
/// The body is not sent (`SMFIP_NOBODY`).
pub const NO_BODY: u32 = 0x10;
/// Header fields are not sent (`SMFIP_NOHDRS`).
pub const NO_HEADERS: u32 = 0x20;
/// The end of the header is not sent (`SMFIP_NOEOH`).
pub const NO_END_OF_HEADER: u32 = 0x40;
/// No reply to a header field (`SMFIP_NR_HDR`).
pub const NO_REPLY_HEADER: u32 = 0x80;
/// Unknown SMTP commands are not sent (`SMFIP_NOUNKNOWN`, version 3).
pub const NO_UNKNOWN: u32 = 0x100;
/// DATA is not sent (`SMFIP_NODATA`, version 4).
pub const NO_DATA: u32 = 0x200;
/// SKIP is a valid reply to a body chunk (`SMFIP_SKIP`).
pub const SKIP: u32 = 0x400;
/// Rejected recipients are sent, too (`SMFIP_RCPT_REJ`).
pub const REJECTED_RECIPIENTS: u32 = 0x800;
/// No reply to CONNECT (`SMFIP_NR_CONN`).
pub const NO_REPLY_CONNECT: u32 = 0x1000;
/// No reply to HELO (`SMFIP_NR_HELO`).
pub const NO_REPLY_HELO: u32 = 0x2000;
/// No reply to MAIL (`SMFIP_NR_MAIL`).
pub const NO_REPLY_MAIL: u32 = 0x4000;
/// No reply to RCPT (`SMFIP_NR_RCPT`).
pub const NO_REPLY_RCPT: u32 = 0x8000;
/// No reply to DATA (`SMFIP_NR_DATA`).
pub const NO_REPLY_DATA: u32 = 0x1_0000;
/// No reply to an unknown command (`SMFIP_NR_UNKN`).
pub const NO_REPLY_UNKNOWN: u32 = 0x2_0000;
/// No reply to the end of the header (`SMFIP_NR_EOH`).
pub const NO_REPLY_END_OF_HEADER: u32 = 0x4_0000;
/// No reply to a body chunk (`SMFIP_NR_BODY`).
pub const NO_REPLY_BODY: u32 = 0x8_0000;
/// Header values include their leading white space (`SMFIP_HDR_LEADSPC`).
pub const HEADER_LEADING_SPACE: u32 = 0x10_0000;
