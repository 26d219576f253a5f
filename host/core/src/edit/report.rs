//! What became of each disclaimer, and why one was left out.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is known about a message beside its bytes, and what was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The envelope sender is null: a report, to which nothing is added.
    pub null_sender: bool,
    /// The administrator's choices.
    pub settings: Settings,
}

/// Choices about disclaimers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settings {
    /// A message whose text cannot be edited: signed, without text, in a charset
    /// that is not known.
    pub closed: Closed,
    /// An encrypted message.
    pub encrypted: Closed,
    /// Whether replies get disclaimers.
    pub replies: bool,
    /// Whether list mail (`List-Id`, `Precedence: list`) gets disclaimers.
    pub lists: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            closed: Closed::Leave,
            encrypted: Closed::Leave,
            replies: true,
            lists: true,
        }
    }
}

/// What is done with a message that a disclaimer cannot be put into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closed {
    /// It goes without the disclaimer.
    #[default]
    Leave,
    /// The disclaimer becomes a part of its own, before the message.
    Wrap,
}

/// What became of one disclaimer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisclaimerReport {
    /// Name of the disclaimer.
    pub id: String,
    /// What was done.
    pub outcome: Outcome,
    /// Media types of the parts that have it now, in the order of the parts.
    #[serde(rename = "where")]
    pub places: Vec<String>,
    /// Why it was wrapped or skipped.
    pub reason: Option<Reason>,
}

/// What was done with a disclaimer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It stands in the text.
    Inserted,
    /// It stands before the message, in a part of its own.
    Wrapped,
    /// The message goes without it.
    Skipped,
}

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $text:literal, $wrap:literal;)+) => {
        /// Why a disclaimer is not in the text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason { $($(#[$doc])+ $name,)+ }

        impl Reason {
            /// Whether putting the message into a new multipart leaves it whole.
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
    /// Inline PGP armour.
    PgpInline = "the text holds PGP armour", true;
    /// Only a `winmail.dat`.
    Tnef = "the text is inside TNEF", true;
    /// `multipart/report`.
    Report = "the message is a report", false;
    /// An invitation or the answer to one.
    Calendar = "the message holds a calendar object", false;
    /// `Auto-Submitted` other than `no`.
    AutoSubmitted = "the message was sent automatically (Auto-Submitted)", false;
    /// The envelope sender is null.
    NullSender = "the envelope sender is null", false;
    /// A DKIM or ARC signature that was there before ours.
    ForeignSignature = "the message carries a DKIM or ARC signature that an edit would break", false;
    /// Replies are set to go without.
    Reply = "the message is a reply", false;
    /// List mail is set to go without.
    List = "the message is list mail", false;
    /// Content-Transfer-Encoding is none of the five.
    UnknownEncoding = "the text has an unknown Content-Transfer-Encoding", true;
    /// The charset is not known, or leaves the byte order open.
    UnknownCharset = "the text has an unknown charset", true;
    /// The text's bytes are not what its header says.
    Undecodable = "the text is not in the charset or encoding that it claims", true;
    /// A Content-Type whose charset cannot be replaced in place.
    UneditableType = "the text's Content-Type cannot be edited in place", true;
    /// The structure is open to several readings.
    Ambiguous = "the MIME structure can be read in several ways", false;
    /// More than 32 alternatives of the text.
    ManyTexts = "the message has its text in more than 32 forms", true;
    /// There is no text/plain or text/html to put it into.
    NoText = "the message has no text", true;
    /// The HTML has no place where the disclaimer would be seen.
    NoPlace = "the HTML ends inside a comment or an element that is not shown", true;
    /// An earlier message of the thread, or this one, has it.
    AlreadyPresent = "the disclaimer is in the text already", false;
    /// There is nothing to insert.
    Empty = "the disclaimer has no text", false;
    /// What came out was not the same message with the disclaimer in it.
    SelfCheck = "the edited message did not pass the check that nothing else changed", false;
}
