//! Errors of plans.

use thiserror::Error;

use crate::crypto::encrypt::EncryptError;

/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The field would be longer than the MTA transports.
    #[error("the plan of the message has {length} bytes: at most {limit} are possible")]
    TooLong {
        /// Length of the field.
        length: usize,
        /// Longest possible one.
        limit: usize,
    },
    /// It has more of something than the format permits.
    #[error("the plan of the message has too many {0}")]
    TooMany(&'static str),
    /// A text in it is longer than the format permits.
    #[error("the plan of the message has a {0} that is too long")]
    TextTooLong(&'static str),
    /// The cipher failed.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
}

/// Why a plan cannot be opened. None of these is a reason to return a message to its
/// sender: the secret can be restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The message has no field with a plan.
    #[error("the message has no plan")]
    Missing,
    /// The field is longer than any plan.
    #[error("the field is longer than a plan can be")]
    TooLong,
    /// The field was not made by Waxseal.
    #[error("the field is not a plan")]
    NotAPlan,
    /// It was made by another version of Waxseal.
    #[error("the plan has format {0}, which this version of waxseal does not read")]
    UnknownVersion(u8),
    /// It was made with another secret: the secret was replaced, or the message is from
    /// the queue of another host.
    #[error("the plan was made with another secret")]
    OtherSecret,
    /// It was altered, or forged.
    #[error("the plan was altered")]
    Altered,
    /// It is authentic, and its payload is invalid: a mistake of the version that made
    /// it.
    #[error("the plan is invalid")]
    Invalid,
    /// It is the plan of another message, or the content was changed after it was
    /// decided: by another milter, or by `lmtp_line_length_limit`, which must be 0.
    #[error("the content is not that of the message with this plan")]
    OtherContent,
}
