//! The report on each disclaimer: its outcome, and the reason if it was not inserted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Properties of the message that its bytes do not show, and the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Whether the envelope sender is null: reports get no disclaimers.
    pub null_sender: bool,
    /// The administrator's settings.
    pub settings: Settings,
}

/// Settings for disclaimers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settings {
    /// Handling of a message whose text cannot be edited: signed, without text, or in an unknown charset.
    pub uneditable: UneditableAction,
    /// Handling of an encrypted message.
    pub encrypted: UneditableAction,
    /// Whether replies get disclaimers.
    pub replies: bool,
    /// Whether list mail (`List-Id`, `Precedence: list`) gets disclaimers.
    pub lists: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uneditable: UneditableAction::Leave,
            encrypted: UneditableAction::Leave,
            replies: true,
            lists: true,
        }
    }
}

/// Handling of a message into which a disclaimer cannot be inserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UneditableAction {
    /// Send it without the disclaimer.
    #[default]
    Leave,
    /// Put the disclaimer into a part of its own, before the message.
    Wrap,
}

/// The outcome for one disclaimer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DisclaimerReport {
    /// Name of the disclaimer.
    pub id: String,
    /// What was done.
    pub outcome: Outcome,
    /// Media types of the parts that contain it now, in the order of the parts.
    #[serde(rename = "where")]
    pub places: Vec<String>,
    /// Why it was wrapped or skipped.
    pub reason: Option<Reason>,
}

/// The outcome for a disclaimer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is in the text.
    Inserted,
    /// It is in a part of its own before the message.
    Wrapped,
    /// It was not inserted.
    Skipped,
}

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $text:literal, $wrap:literal;)+) => {
        /// Why a disclaimer is not in the text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason { $($(#[$doc])+ $name,)+ }

        impl Reason {
            /// Whether the message may be put into a new multipart.
            pub fn allows_wrapping(self) -> bool {
                match self { $(Self::$name => $wrap,)+ }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)+ })
            }
        }
    };
}

reasons! {
    /// S/MIME or PGP/MIME signature over the text.
    Signed = "the text is signed", true;
    /// S/MIME or PGP/MIME encryption.
    Encrypted = "the message is encrypted", true;
    /// Inline PGP armor.
    PgpInline = "the text contains PGP armor", true;
    /// Only a `winmail.dat`.
    Tnef = "the text is inside TNEF", true;
    /// `multipart/report`.
    Report = "the message is a report", false;
    /// An invitation or a response to one.
    Calendar = "the message contains a calendar object", false;
    /// `Auto-Submitted` other than `no`.
    AutoSubmitted = "the message was sent automatically (Auto-Submitted)", false;
    /// The envelope sender is null.
    NullSender = "the envelope sender is null", false;
    /// A DKIM or ARC signature of another signer.
    ForeignSignature = "the message has a DKIM or ARC signature that an edit would break", false;
    /// Replies get no disclaimers (setting).
    Reply = "the message is a reply", false;
    /// List mail gets no disclaimers (setting).
    List = "the message is list mail", false;
    /// Content-Transfer-Encoding is none of the five.
    UnknownEncoding = "the text has an unknown Content-Transfer-Encoding", true;
    /// The charset is unknown, or does not define the byte order.
    UnknownCharset = "the text has an unknown charset", true;
    /// The text's bytes are not valid in the declared charset or encoding.
    Undecodable = "the text is not valid in the declared charset or encoding", true;
    /// A Content-Type whose charset cannot be replaced in place.
    UneditableType = "the text's Content-Type cannot be edited in place", true;
    /// The MIME structure is ambiguous.
    Ambiguous = "the MIME structure is ambiguous", false;
    /// More than 32 alternatives of the text.
    ManyTexts = "the message has more than 32 alternatives of its text", true;
    /// No text/plain or text/html part.
    NoText = "the message has no text", true;
    /// The HTML has no position where the disclaimer would be displayed.
    NoPlace = "the HTML ends inside a comment or an element that is not displayed", true;
    /// This message, or an earlier one of the thread, already contains it.
    AlreadyPresent = "the disclaimer is in the text already", false;
    /// There is nothing to insert.
    Empty = "the disclaimer has no text", false;
    /// The edited message differs in more than the disclaimer.
    SelfCheck = "the edited message did not pass the check that nothing else changed", false;
}
