//! Fails in the way that the subject names, for the tests of R25 and R28. A
//! subject that names nothing is accepted.
//!
//! `decisions`, `excess` and `reach` implement the subjects; `stderr` writes as
//! other languages do.
//! The settings, if there are any, name a way for `configure` to fail; in lines of
//! their own, a word that every decision on a subject with it fails on (`trap on
//! WORD`), and a relay that has to exist (`relay NAME`).

mod decisions;
mod excess;
mod reach;
mod stderr;

use waxseal_policy::{
    Configured, Decision, Facts, Message, Policy, Problem, Reference, ReferenceKind,
};

struct Misbehaving {
    settings: String,
}

impl Policy for Misbehaving {
    fn configure(settings: &str) -> Result<(Self, Configured), Vec<Problem>> {
        match settings.trim() {
            "panic" => panic!("the settings asked for it"),
            "loop" => excess::run_for_ever(),
            // Its handle stays open, and cannot be baked in.
            "stderr" => stderr::say("words"),
            "print" => println!("words"),
            "problems" => return Err(hostile_problems(settings)),
            _ => {}
        }
        let policy = Self {
            settings: settings.to_owned(),
        };
        let mut configured = Configured::default();
        if let Some(name) = policy.named("relay ") {
            let reference = Reference::at(0..settings.len(), ReferenceKind::Relay, name);
            configured.references.push(reference);
        }
        Ok((policy, configured))
    }

    fn decide(&self, message: &Message, facts: &Facts) -> Result<Decision, String> {
        let subject = message.first_header("subject").unwrap_or_default();
        let subject = subject.trim();
        if let Some(word) = self.named("trap on ") {
            assert!(!subject.contains(word), "the settings trap on {word}");
        }
        let done = match subject {
            "settings" => Some(Ok(Decision::accept().reason(&self.settings))),
            "error" => Some(Err("the subject asked for an error\nand more".into())),
            _ => None,
        };
        done.or_else(|| excess::commit(subject, message, facts))
            .or_else(|| reach::commit(subject))
            .or_else(|| decisions::commit(subject))
            .unwrap_or_else(|| Ok(Decision::accept().reason("nothing asked for")))
    }
}

impl Misbehaving {
    /// What a line of the settings names after that keyword.
    fn named(&self, keyword: &str) -> Option<&str> {
        let mut lines = self.settings.lines();
        lines.find_map(|line| line.strip_prefix(keyword))
    }
}

/// Problems at places that are none.
fn hostile_problems(settings: &str) -> Vec<Problem> {
    let end = settings.len();
    vec![
        Problem::at(end + 1000..end + 2000, "beyond the end"),
        Problem::at(0..usize::MAX, "two\nlines"),
    ]
}

waxseal_policy::export!(Misbehaving);
