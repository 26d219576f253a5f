//! Text output of `waxseal policy diff`: the differences between a shadow candidate
//! and the active version.

use std::collections::BTreeMap;
use std::io;

use jiff::tz::TimeZone;

use waxseal::comparison::diff;
use waxseal::rollout::{Comparison, DiffExample, LatencySummary};
use waxseal_core::printable::Text;

/// Number of examples that are printed with both decisions; `--json` has more.
const EXAMPLES: usize = 3;

pub(super) fn show(comparison: &Comparison, zone: &TimeZone, out: &mut Text) -> io::Result<()> {
    let mut line = |name: &str, text: &str| writeln!(out, "{name:>13}  {text}");
    line("candidate", &comparison.candidate.to_string())?;
    if let Some(settings) = &comparison.inputs.settings {
        let short = settings.get(..12).unwrap_or(settings);
        line("settings", &format!("sha256 {short}…"))?;
    }
    if let Some(active) = &comparison.active {
        line("active", &active.to_string())?;
    }
    let since = comparison.since.to_zoned(zone.clone());
    line(
        "since",
        &format!(
            "{}, on {} of the messages",
            since.strftime("%Y-%m-%d %H:%M:%S"),
            comparison.share
        ),
    )?;
    line("compared", &comparison.compared.to_string())?;
    if comparison.compared == 0 {
        let skipped = match comparison.skipped {
            0 => "no message received yet".to_owned(),
            skipped => format!("{skipped} message(s): the candidate was busy"),
        };
        return line("skipped", &skipped);
    }
    line("identical", &comparison.same.to_string())?;
    line(
        "different",
        &format!(
            "{}, {} of them change the result for the message",
            comparison.different, comparison.behavioral
        ),
    )?;
    if comparison.skipped > 0 {
        line(
            "skipped",
            &format!("{} message(s): the candidate was busy", comparison.skipped),
        )?;
    }
    if comparison.additional_queries > 0 {
        line(
            "extra facts",
            &format!(
                "{} message(s) for which only the candidate requested certain facts",
                comparison.additional_queries
            ),
        )?;
    }
    line("errors", &errors(&comparison.errors))?;
    line("active", &errors(&comparison.active_errors))?;
    if let Some(error) = &comparison.last_error {
        line("last error", &format!("{}: {}", error.queue_id, error.text))?;
    }
    line("time", &times(&comparison.time))?;
    line("active", &times(&comparison.active_time))?;
    line(
        "instructions",
        &format!(
            "{} per decision, active version {}",
            comparison.instructions, comparison.active_instructions
        ),
    )?;
    if comparison.differences.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nDifferences, with the newest examples:")?;
    out.append(&diff::text(&comparison.differences, comparison.overflowed));
    writeln!(out, "\nNewest differing decisions:")?;
    comparison
        .examples
        .iter()
        .take(EXAMPLES)
        .try_for_each(|example| whole(example, out))
}

fn whole(example: &DiffExample, out: &mut Text) -> io::Result<()> {
    writeln!(out, "{}", example.queue_id)?;
    writeln!(out, "       active  {}", example.active)?;
    writeln!(out, "    candidate  {}", example.candidate)
}

fn errors(errors: &BTreeMap<String, u64>) -> String {
    if errors.is_empty() {
        return "none".to_owned();
    }
    let each: Vec<String> = errors
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    each.join(", ")
}

fn times(times: &LatencySummary) -> String {
    let micros = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    format!(
        "mean {:.0} µs, p99 {:.0} µs, maximum {:.0} µs",
        micros(times.mean_ns),
        micros(times.p99_ns),
        micros(times.maximum_ns)
    )
}
