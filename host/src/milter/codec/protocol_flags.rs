//! Protocol flags: which commands are sent and answered (`SMFIP_…` of libmilter).

/// CONNECT is not sent.
pub const NO_CONNECT: u32 = 0x01;
/// HELO is not sent.
pub const NO_HELO: u32 = 0x02;
/// MAIL is not sent.
pub const NO_MAIL: u32 = 0x04;
/// RCPT is not sent.
pub const NO_RCPT: u32 = 0x08;
/// The body is not sent.
pub const NO_BODY: u32 = 0x10;
/// Header fields are not sent.
pub const NO_HEADERS: u32 = 0x20;
/// The end of the header is not sent.
pub const NO_END_OF_HEADER: u32 = 0x40;
/// No reply to a header field.
pub const NO_REPLY_HEADER: u32 = 0x80;
/// Unknown SMTP commands are not sent (version 3).
pub const NO_UNKNOWN: u32 = 0x100;
/// DATA is not sent (version 4).
pub const NO_DATA: u32 = 0x200;
/// SKIP may be answered to a body chunk.
pub const SKIP: u32 = 0x400;
/// Recipients that the MTA refused are sent too.
pub const REJECTED_RECIPIENTS: u32 = 0x800;
/// No reply to CONNECT.
pub const NO_REPLY_CONNECT: u32 = 0x1000;
/// No reply to HELO.
pub const NO_REPLY_HELO: u32 = 0x2000;
/// No reply to MAIL.
pub const NO_REPLY_MAIL: u32 = 0x4000;
/// No reply to RCPT.
pub const NO_REPLY_RCPT: u32 = 0x8000;
/// No reply to DATA.
pub const NO_REPLY_DATA: u32 = 0x1_0000;
/// No reply to an unknown command.
pub const NO_REPLY_UNKNOWN: u32 = 0x2_0000;
/// No reply to the end of the header.
pub const NO_REPLY_END_OF_HEADER: u32 = 0x4_0000;
/// No reply to a body chunk.
pub const NO_REPLY_BODY: u32 = 0x8_0000;
/// Header values come and go with their leading white space.
pub const HEADER_LEADING_SPACE: u32 = 0x10_0000;
