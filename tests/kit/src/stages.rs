//! Stages of processing a message's bytes, without policy and network, so that the cost of each can be measured.

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::date;
use waxseal::config::Dkim;
use waxseal::decision::{
    AuthorRewrite, Decision, Disclaimer, HeaderChange, HeaderField, Mailbox, Placement,
};
use waxseal::dkim::{Algorithm, Keys, generate, sign};
use waxseal::edit::{
    Context, Edits, Settings, Stamp, Transport, UneditableAction, header_edits, insert, prepare,
};
use waxseal::message::Content;
use waxseal_milter::codec::OptNeg;
use waxseal_milter::negotiation::{EarlyAccept, Negotiated};
use waxseal_milter::response::{self, MessageShape};
use waxseal_milter::{HeaderNames, Response};

use crate::hostile;

/// A stage: its name and function.
pub type Stage = (&'static str, fn(&Kit, &[u8]));

/// All stages, in the order in which a message passes them.
pub const STAGES: [Stage; 9] = [
    ("map", Kit::map),
    ("read", Kit::read),
    ("decode", Kit::decode),
    ("edit the header", Kit::edit_header),
    ("insert disclaimers", Kit::insert),
    ("wrap", Kit::wrap),
    ("prepare for transport", Kit::prepare),
    ("sign and verify", Kit::sign),
    ("answer", Kit::answer),
];

/// What the stages need beside a message.
#[derive(Debug)]
pub struct Kit {
    keys: Keys,
    decision: Decision,
    negotiated: Negotiated,
}

impl Kit {
    /// Creates a key for [`hostile::DOMAIN`] and a decision with every kind of edit.
    ///
    /// # Errors
    ///
    /// If the key cannot be created.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = Dkim {
            keys: folder.path().join("keys"),
            generate: false,
            expire: None,
            allow_unaligned: Vec::new(),
            files: Vec::new(),
        };
        let domain = hostile::DOMAIN.parse().map_err(anyhow::Error::msg)?;
        let selector = Some(hostile::SELECTOR);
        let day = date(2026, 11, 21);
        generate(&settings, &domain, Algorithm::Rsa, selector, day)?;
        let (keys, problems) = Keys::load(&settings);
        anyhow::ensure!(problems.is_empty(), "{problems:?}");
        let offer = OptNeg {
            version: 6,
            actions: 0x1ff,
            protocol_flags: 0x1f_ffff,
        };
        let negotiated = Negotiated::new(offer, EarlyAccept::Off).context("milter version 6")?;
        Ok(Self {
            keys,
            decision: decision()?,
            negotiated,
        })
    }

    fn map(&self, message: &[u8]) {
        Content::new(message.to_vec()).structure();
    }

    fn read(&self, message: &[u8]) {
        let content = Content::new(message.to_vec());
        content.author();
        content.header_recipients();
        for name in ["Subject", "References", "Auto-Submitted", "A", "To"] {
            content.header(name);
        }
        content.text(4 << 10);
        content.attachments();
        for name in [
            "signed",
            "calendar",
            "auto-generated",
            "bulk",
            "list",
            "pgp-inline",
        ] {
            content.has_trait(name);
        }
    }

    fn decode(&self, message: &[u8]) {
        let content = Content::new(message.to_vec());
        content.text(usize::MAX / 8);
        for part in content.structure().parts() {
            content.decoded(part);
        }
    }

    fn edit_header(&self, message: &[u8]) {
        let content = Content::new(message.to_vec());
        let headers = header_edits(&content, &self.decision, &stamp());
        let edits = Edits {
            headers,
            ..Edits::default()
        };
        Content::new(edits.apply(&content));
    }

    fn insert(&self, message: &[u8]) {
        let content = Content::new(message.to_vec());
        insert(
            &content,
            &context(UneditableAction::Leave),
            &self.decision.disclaimers,
        );
    }

    fn wrap(&self, message: &[u8]) {
        let content = Content::new(message.to_vec());
        let made = insert(
            &content,
            &context(UneditableAction::Wrap),
            &self.decision.disclaimers,
        );
        let edits = Edits {
            headers: made.headers,
            body: made.body,
            ..Edits::default()
        };
        content.structure_with(&edits.apply(&content));
    }

    fn prepare(&self, message: &[u8]) {
        let content = Content::new(message.to_vec());
        let made = prepare(&content, TRANSPORT);
        let edits = Edits {
            headers: made.headers,
            body: made.body,
            ..Edits::default()
        };
        edits.apply(&content);
    }

    fn sign(&self, message: &[u8]) {
        let keys = self.keys.for_domain(hostile::DOMAIN);
        // Whether it can be signed is not the question here.
        let _ = sign(message, keys, arrival(), None);
    }

    fn answer(&self, message: &[u8]) {
        let content = Content::new(message.to_vec());
        let mut headers = header_edits(&content, &self.decision, &stamp());
        let disclaimers = &self.decision.disclaimers;
        headers.extend(insert(&content, &context(UneditableAction::Wrap), disclaimers).headers);
        let mut names = HeaderNames::default();
        for field in content.fields() {
            names.push(content.name_of(field));
        }
        let shape = MessageShape {
            names: &names,
            fields: content.fields().len(),
            body: true,
        };
        let answer = Response::accept().with_edits(Edits {
            headers,
            ..Edits::default()
        });
        // As above.
        let _ = response::encode(&answer, &self.negotiated, shape, &mut Vec::new());
    }

    /// All stages of editing and signing a message, in their order; returns the resulting message.
    pub fn process(&self, message: &[u8]) -> Vec<u8> {
        let content = Content::new(message.to_vec());
        let mut edits = Edits {
            headers: header_edits(&content, &Decision::default(), &stamp()),
            ..Edits::default()
        };
        let made = insert(
            &content,
            &context(UneditableAction::Wrap),
            &self.decision.disclaimers,
        );
        edits.headers.extend(made.headers);
        edits.body = made.body;
        let edited = Content::new(edits.apply(&content));
        let made = prepare(&edited, TRANSPORT);
        edits.body = made.body.or(edits.body);
        edits.headers.extend(made.headers);
        let edited = edits.apply(&content);
        self.sign(&edited);
        edited
    }
}

/// A hop without 8BITMIME, and a signature.
const TRANSPORT: Transport = Transport {
    seven_bit: true,
    signed: true,
};

fn decision() -> anyhow::Result<Decision> {
    let disclaimer = |id: &str, placement| Disclaimer {
        id: id.to_owned(),
        text: "This message is confidential.\nCaf\u{e9} Acme \u{793e}".to_owned(),
        html: None,
        placement,
    };
    let field = |name: &str| HeaderField {
        name: name.to_owned(),
        value: "x".to_owned(),
    };
    let address = "relay@acme.test".parse()?;
    Ok(Decision {
        author: Some(AuthorRewrite {
            mailbox: Mailbox {
                name: None,
                address,
            },
            keep_in_name: true,
            reply_to: true,
        }),
        headers: vec![
            HeaderChange::Replace(field("A")),
            HeaderChange::Remove("X-1".to_owned()),
            HeaderChange::Add(field("X-2")),
            HeaderChange::Replace(field("References")),
        ],
        disclaimers: vec![
            disclaimer("top", Placement::Top),
            disclaimer("quote", Placement::AboveQuote),
            disclaimer("bottom", Placement::Bottom),
        ],
        ..Decision::default()
    })
}

fn context(uneditable: UneditableAction) -> Context {
    Context {
        null_sender: false,
        settings: Settings {
            uneditable,
            encrypted: uneditable,
            replies: true,
            lists: true,
        },
    }
}

fn stamp() -> Stamp<'static> {
    Stamp {
        hostname: "mail.acme.test",
        arrival: arrival(),
        queue_id: "4F00D",
    }
}

fn arrival() -> Timestamp {
    Timestamp::constant(1_800_000_000, 0)
}
