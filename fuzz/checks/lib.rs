//! Invariants of every parser of bytes from outside, one check for each.
//!
//! A check passes bytes to a parser and to the code that uses its result, and panics if an invariant is violated: a round trip
//! that changes something, a result that does not verify, work that grows faster than n log n. The fuzzing engine calls it (`make
//! fuzz`), and so does the test that replays the corpora of `fuzz/corpus` (`make test`).
//!
//! | target | bytes from | parser |
//! | --- | --- | --- |
//! | `milter_frames` | any client of the socket | frames, commands, session |
//! | `lmtp_session` | any client of the socket | commands and content of LMTP |
//! | `milter_answer` | a policy, a sender's header | edits as replies of the protocol |
//! | `message` | a sender | MIME map, text, attachments, traits |
//! | `addresses` | a sender | mailboxes, envelope addresses, encoded words |
//! | `edit` | a sender | disclaimers, transfer encodings, charsets, HTML |
//! | `codec` | a sender | quoted-printable and base64 by themselves |
//! | `header_edits` | a policy, a sender's header | header changes of a decision |
//! | `sign` | a sender | DKIM signatures |
//! | `tokens` | anybody | return paths and seals that come back |
//! | `plan` | the queue of the MTA | plans of messages |
//! | `component` | a policy author | inspection and description of a component |
//! | `strip` | a policy author | leaving setup functions out of a component |
//! | `standard_settings` | the administrator | settings of the standard policy |
//! | `config` | the administrator | `waxseal.toml` |
//! | `table` | the administrator | lookup tables |
//! | `policy_tests` | the administrator | test files |
//! | `recording` | the disk | recorded decisions |
//! | `control` | a local process | requests and answers of the control socket |

mod addresses;
mod codec;
mod component;
mod config;
mod control;
mod cost;
mod edit;
mod header_edits;
mod input;
mod lmtp_session;
mod message;
mod milter_answer;
mod milter_frames;
mod plan;
mod policy_tests;
mod recording;
mod sign;
mod standard_settings;
mod strip;
mod table;
mod tokens;

/// A check with its name.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name, also of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics if an invariant is violated.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "addresses",
        check: addresses::check,
    },
    Target {
        name: "codec",
        check: codec::check,
    },
    Target {
        name: "component",
        check: component::check,
    },
    Target {
        name: "config",
        check: config::check,
    },
    Target {
        name: "control",
        check: control::check,
    },
    Target {
        name: "edit",
        check: edit::check,
    },
    Target {
        name: "header_edits",
        check: header_edits::check,
    },
    Target {
        name: "lmtp_session",
        check: lmtp_session::check,
    },
    Target {
        name: "message",
        check: message::check,
    },
    Target {
        name: "milter_answer",
        check: milter_answer::check,
    },
    Target {
        name: "milter_frames",
        check: milter_frames::check,
    },
    Target {
        name: "plan",
        check: plan::check,
    },
    Target {
        name: "policy_tests",
        check: policy_tests::check,
    },
    Target {
        name: "recording",
        check: recording::check,
    },
    Target {
        name: "sign",
        check: sign::check,
    },
    Target {
        name: "standard_settings",
        check: standard_settings::check,
    },
    Target {
        name: "strip",
        check: strip::check,
    },
    Target {
        name: "table",
        check: table::check,
    },
    Target {
        name: "tokens",
        check: tokens::check,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
