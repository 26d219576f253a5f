//! The envelope of a message: addresses and the parameters of MAIL and RCPT, in
//! the form in which the client sent them, so that they can be passed on unchanged.

mod address;
mod dsn;
mod forward;
mod parameters;
mod xtext;

pub use address::{Address, InvalidPath};
pub use dsn::{Notify, OriginalRecipient, Ret};
pub use forward::{Source, XForward};
pub use parameters::Body;
pub use xtext::XText;

pub(crate) use address::path;
pub(crate) use forward::{Attribute, attributes};
pub(crate) use parameters::{
    InvalidParameter, MailParameters, RcptParameters, mail_parameters, rcpt_parameters,
};
