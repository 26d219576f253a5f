//! A policy that holds mail for review, and sends bulk mail by a relay of its own.

mod settings;
#[cfg(test)]
mod tests;

use waxseal_policy::{
    Attachment, Charge, Configured, Decision, Description, Facts, Message, Policy, Problem,
    ReturnPath, WhenFull,
};

use crate::settings::Settings;

/// Number of bytes of the text that are searched for words.
const TEXT: u32 = 64 << 10;

struct Guard(Settings);

waxseal_policy::export!(Guard);

impl Policy for Guard {
    fn describe() -> Description {
        Description {
            name: "guard".to_owned(),
            settings_schema: Some(include_str!("../../settings.schema.json").to_owned()),
            ..Description::default()
        }
    }

    fn configure(text: &str) -> Result<(Self, Configured), Vec<Problem>> {
        let (settings, configured) = settings::read(text)?;
        Ok((Self(settings), configured))
    }

    fn decide(&self, message: &Message, facts: &Facts) -> Result<Decision, String> {
        let remote = message.recipients().iter().any(|to| !to.local);
        if !remote {
            return Ok(Decision::accept().reason("every recipient is local"));
        }
        let exception = self.exception(message, facts);
        if exception.is_none()
            && let Some(why) = self.why_held(message)
        {
            return Ok(Decision::hold(&why).label("guard", "held").reason(&why));
        }
        let mut decision = self.passed(message);
        decision.reasons.extend(exception);
        Ok(decision)
    }
}

impl Guard {
    /// The reason why the author is exempt, if so.
    fn exception(&self, message: &Message, facts: &Facts) -> Option<String> {
        let table = self.0.excepted.as_deref()?;
        let author = message.author().into_iter().next()?;
        let address = author.address.to_lowercase();
        facts.lookup(table, &address)?;
        Some(format!("{address} is in the table {table}"))
    }

    fn why_held(&self, message: &Message) -> Option<String> {
        let subject = message.first_header("Subject").unwrap_or_default();
        if let Some(word) = self.word_in(&subject) {
            return Some(format!("the subject says \"{word}\""));
        }
        let attachments = message.attachments();
        if let Some(why) = attachments.iter().find_map(|part| self.why_part_held(part)) {
            return Some(why);
        }
        let text = message.text(TEXT).unwrap_or_default();
        let word = self.word_in(&text)?;
        Some(format!("the text says \"{word}\""))
    }

    fn why_part_held(&self, part: &Attachment) -> Option<String> {
        let settings = &self.0;
        let name = part.name.as_deref().unwrap_or("without a name");
        if let Some(most) = settings.largest_attachment
            && part.size > most
        {
            let size = part.size;
            return Some(format!(
                "the attachment {name} has {size} bytes, more than {most}"
            ));
        }
        if settings.held_types.contains(&part.media_type) {
            let media_type = &part.media_type;
            return Some(format!("the attachment {name} is of type {media_type}"));
        }
        let lower = name.to_lowercase();
        let mut endings = settings.held_endings.iter();
        let ending = endings.find(|ending| lower.ends_with(*ending))?;
        Some(format!("the attachment {name} ends with {ending}"))
    }

    fn word_in(&self, text: &str) -> Option<&str> {
        let text = text.to_lowercase();
        let mut words = self.0.keywords.iter();
        words.find(|word| text.contains(*word)).map(String::as_str)
    }

    /// The decision for a message that is not held.
    fn passed(&self, message: &Message) -> Decision {
        if !message.has_trait("bulk") && !message.has_trait("list") {
            return Decision::accept().label("type", "personal");
        }
        let settings = &self.0;
        let mut decision = Decision::accept()
            .relay(&settings.bulk_relay)
            .label("type", "bulk")
            .reason("bulk mail has a relay of its own");
        if let Some(most) = settings.bulk_per_day {
            decision = decision.charge(Charge::messages("bulk").at_most(most, WhenFull::Defer));
        }
        if let Some(domain) = &settings.bounces {
            decision = decision.return_path(ReturnPath::Verp(domain.clone()));
        }
        decision
    }
}
