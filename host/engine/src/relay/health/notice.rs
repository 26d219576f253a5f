//! The text of the mail that warns the administrator (R7).

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Warning;
use waxseal_core::printable;

/// The mail that warns the administrator about a relay that rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Subject, in ASCII unless the relay's name is not.
    pub subject: String,
    /// Plain text, lines separated by `\n`. The replies of the relay are in it, as one
    /// printable line each.
    pub body: String,
}

impl Warning {
    /// The mail about this warning, with times in the configured time zone.
    pub fn notice(&self, relay: &str, zone: &TimeZone) -> Notice {
        let relay = printable::one_line(relay);
        let time = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z");
        let (until, then) = match self.until {
            Some(until) => {
                let until = format!("until {}", time(until));
                (
                    until,
                    "Then one message tests whether it works again.".to_owned(),
                )
            }
            None => (
                "until you switch it on".to_owned(),
                format!("To switch it on, type: waxseal relay on {relay}"),
            ),
        };
        let mut body = format!(
            "Relay {relay} did not take {} in a row and is not used {until}.\n{then}\n\n\
             No mail is lost: it takes the next relay of its route, or the default route.\n",
            match self.failures {
                1 => "1 message".to_owned(),
                failures => format!("{failures} messages"),
            }
        );
        let mut remedies = Vec::new();
        for record in &self.records {
            // Writing to a String does not fail.
            let _ = write!(body, "\n{}  {}\n", time(record.at), record.failure);
            if !remedies.contains(&record.remedy()) {
                remedies.push(record.remedy());
            }
        }
        body.push_str("\nWhat to do:\n");
        for remedy in remedies {
            let _ = writeln!(body, "- {remedy}");
        }
        let _ = writeln!(
            body,
            "\nTo test the relay, type: waxseal relay test {relay}\nTo use it at once, type: waxseal relay on {relay}"
        );
        Notice {
            subject: format!("waxseal: relay {relay} is not used {until}"),
            body,
        }
    }
}
