//! Text output of `waxseal policy status`.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::admin::api::StatusResponse;
use crate::format::grouped;
use waxseal::rollout::{
    Comparison, LatencySummary, RecordingStatus, Rejection, Status, VersionStats, VersionSummary,
};
use waxseal_core::printable::Text;

/// Writes the active version, warnings, and earlier versions.
pub(super) fn show(standing: &StatusResponse, zone: &TimeZone, out: &mut Text) -> io::Result<()> {
    let status = &standing.status;
    let Some((serving, before)) = status.versions.split_first() else {
        return Ok(());
    };
    writeln!(out, "{}\n", serving.policy)?;
    let mut line = |name: &str, text: &str| writeln!(out, "{name:>13}  {text}");
    line(
        "active",
        &format!(
            "version {} since {} ({})",
            serving.number,
            moment(serving.since, zone),
            ago(serving.since, status.now)
        ),
    )?;
    line("reason", &serving.reason.to_string())?;
    line("file", &serving.file.display().to_string())?;
    if let Some(settings) = &serving.inputs.settings {
        line("settings", &format!("sha256 {}", short(settings)))?;
    }
    for (name, digest) in &serving.inputs.tables {
        line("table", &format!("{name}, sha256 {}", short(digest)))?;
    }
    let watched = match status.watched {
        true => "changed files are loaded automatically",
        false => "changed files are loaded by a reload (policy.watch = false)",
    };
    line("watch", watched)?;
    numbers(&serving.statistics, status, zone, &mut line)?;
    if let Some(recording) = &standing.recording {
        line("recording", &in_recording(recording))?;
    }
    if let Some(warning) = failing(serving) {
        writeln!(out, "\n! {warning}")?;
    }
    if let Some(pin) = &status.pin {
        writeln!(
            out,
            "\n! The policy in waxseal.toml ({}) is not active: {}.",
            status.file.display(),
            pin.reason.text()
        )?;
        writeln!(
            out,
            "  It is not loaded, after restarts either, until its files change."
        )?;
    }
    if let Some(rejection) = &status.rejected {
        refused(rejection, zone, out)?;
    }
    if let Some(candidate) = &status.validating {
        writeln!(
            out,
            "\nvalidating and compiling {} for {} ({})",
            candidate.file.display(),
            ago(candidate.since, status.now).trim_end_matches(" ago"),
            candidate.trigger.text()
        )?;
    }
    if let Some(candidate) = &standing.shadow {
        in_shadow(candidate, zone, out)?;
    }
    table(before, status.next_rollback, zone, out)
}

fn in_recording(recording: &RecordingStatus) -> String {
    let dropped = match recording.dropped {
        0 => String::new(),
        dropped => format!(", {} dropped (queue or disk full)", grouped(dropped)),
    };
    format!(
        "{} decisions written to {} ({} of the messages){dropped}",
        grouped(recording.written),
        recording.folder.display(),
        recording.share
    )
}

fn in_shadow(candidate: &Comparison, zone: &TimeZone, out: &mut Text) -> io::Result<()> {
    writeln!(
        out,
        "\nShadow run since {}: {}, on {} of the messages. {} compared, {} different; see `waxseal policy \
         diff`.",
        moment(candidate.since, zone),
        candidate.candidate,
        candidate.share,
        candidate.compared,
        candidate.different
    )
}

fn numbers(
    numbers: &VersionStats,
    status: &Status,
    zone: &TimeZone,
    line: &mut dyn FnMut(&str, &str) -> io::Result<()>,
) -> io::Result<()> {
    line("messages", &grouped(numbers.messages))?;
    if numbers.failed() > 0 {
        let kinds: Vec<String> = numbers
            .errors
            .iter()
            .map(|(kind, count)| format!("{} {kind}", grouped(*count)))
            .collect();
        line("errors", &kinds.join(", "))?;
        line("consecutive", &in_a_row(numbers, status.roll_back_after))?;
        line("own errors", &own_errors(numbers, status))?;
    }
    if let Some(error) = &numbers.last_error {
        line(
            "last error",
            &format!(
                "{} at {}: {}",
                error.queue_id,
                moment(error.at, zone),
                error.text
            ),
        )?;
    }
    if numbers.messages == 0 {
        return Ok(());
    }
    line("decision", &times(&numbers.decision_time))?;
    let instructions = numbers.instructions;
    line(
        "instructions",
        &format!(
            "mean {}, maximum {}",
            grouped(instructions.mean),
            grouped(instructions.maximum)
        ),
    )?;
    let memory = numbers.memory;
    line(
        "memory",
        &format!(
            "mean {}, maximum {}",
            bytes(memory.mean),
            bytes(memory.maximum)
        ),
    )
}

fn in_a_row(numbers: &VersionStats, most: u64) -> String {
    let all = grouped(numbers.consecutive_errors);
    let own = grouped(numbers.consecutive_own_errors);
    let most = match most {
        0 => String::new(),
        most => format!("; automatic rollback at {most} of these"),
    };
    format!("{all} errors, {own} of them on messages that the previous version decides{most}")
}

/// Errors on messages that the previous version decides.
fn own_errors(numbers: &VersionStats, status: &Status) -> String {
    let share = match &status.roll_back_share {
        None => String::new(),
        Some(share) => format!("; automatic rollback at {share}"),
    };
    format!(
        "{} on messages that the previous version decides, {} of the last {}{share}",
        grouped(numbers.own_errors),
        grouped(numbers.recent_own_errors),
        grouped(numbers.recent_messages)
    )
}

/// Thresholds of the warning: share of the last messages in percent, and number.
const WARNING_THRESHOLDS: (u64, u64) = (5, 5);

fn failing(serving: &VersionSummary) -> Option<String> {
    let numbers = &serving.statistics;
    let (failed, of) = (numbers.recent_own_errors, numbers.recent_messages);
    let (percent, least) = WARNING_THRESHOLDS;
    (failed >= least && failed * 100 >= percent * of).then(|| {
        format!(
            "Version {} failed on {} of the last {} messages; the previous version decides them.\n  \
             Roll back with `waxseal policy rollback`.",
            serving.number,
            grouped(failed),
            grouped(of)
        )
    })
}

fn times(times: &LatencySummary) -> String {
    format!(
        "mean {}, p50 {}, p99 {}, maximum {}",
        time(times.mean_ns),
        time(times.p50_ns),
        time(times.p99_ns),
        time(times.maximum_ns)
    )
}

fn refused(rejection: &Rejection, zone: &TimeZone, out: &mut Text) -> io::Result<()> {
    writeln!(
        out,
        "\n! {} was rejected {}, {}:",
        rejection.file.display(),
        rejection.trigger.text(),
        moment(rejection.at, zone)
    )?;
    rejection
        .problems
        .iter()
        .try_for_each(|problem| writeln!(out, "  {problem}"))
}

fn table(
    before: &[VersionSummary],
    next: Option<u64>,
    zone: &TimeZone,
    out: &mut Text,
) -> io::Result<()> {
    if before.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n  {:>7}  {:24}  {:>9}  {:>7}  {:12}  {:24}  reason",
        "version", "since", "messages", "errors", "settings", "policy"
    )?;
    for record in before {
        let policy = format!(
            "{} {} {}",
            record.policy.name,
            record.policy.version,
            short(&record.policy.digest)
        );
        let settings = record.inputs.settings.as_deref().map_or("none", short);
        writeln!(
            out,
            "{} {:>7}  {:24}  {:>9}  {:>7}  {settings:12}  {policy:24}  {}",
            if record.retained { '*' } else { ' ' },
            record.number,
            moment(record.since, zone),
            grouped(record.statistics.messages),
            grouped(record.statistics.failed()),
            record.reason
        )?;
    }
    if before.iter().any(|record| record.retained) {
        let next = match next {
            Some(next) => format!("selects version {next}"),
            None => "has no target".to_owned(),
        };
        writeln!(
            out,
            "\n* retained: `waxseal policy rollback` {next}, `waxseal policy rollback VERSION` selects \
             VERSION"
        )?;
    }
    Ok(())
}

fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S %Z")
        .to_string()
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    let (number, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "min"),
        7_200..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit} ago")
}

fn bytes(number: u64) -> String {
    format!("{:.1} MiB", number as f64 / f64::from(1 << 20))
}

/// A duration with three digits and a fitting unit.
fn time(nanoseconds: u64) -> String {
    let time = Duration::from_nanos(nanoseconds).as_secs_f64();
    let (number, unit) = match time {
        time if time < 1e-3 => (time * 1e6, "µs"),
        time if time < 1.0 => (time * 1e3, "ms"),
        time => (time, "s"),
    };
    match number {
        number if number < 10.0 => format!("{number:.2} {unit}"),
        number if number < 100.0 => format!("{number:.1} {unit}"),
        number => format!("{number:.0} {unit}"),
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_times_have_units() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [1_234, 45_600, 789_000, 1_500_000, 2_000_000_000].map(time),
            ["1.23 µs", "45.6 µs", "789 µs", "1.50 ms", "2.00 s"]
        );
    }
}
