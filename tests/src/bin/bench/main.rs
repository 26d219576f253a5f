//! `make bench`: how fast Waxseal is, measured in one run beside what it is
//! compared with.
//!
//! Absolute figures are the machine's; what counts is the ratio of two figures
//! of the same run. Each of the milters is measured in several short rounds that
//! take turns, and the median counts, so that whatever else the machine does
//! hits all alike. Nothing is asserted: a missed target is reported, and the
//! run ends with 0 all the same.
//!
//! `bench decisions`, `bench languages`, `bench hostile`, `bench hostile-mail`,
//! `bench policy-tests`, `bench loading`, `bench edits`, `bench swaps` and `bench milters` measure a part
//! alone. `bench decide waxseal_standard
//! 100000` decides and measures nothing: that is for a profiler to look at. On a
//! machine whose speed comes and goes, the instructions that `perf stat` counts
//! for it are what can be compared.

mod bare;
mod decisions;
mod edits;
mod hostile;
mod hostile_mail;
mod languages;
mod load;
mod loading;
mod mails;
mod milters;
mod policy_tests;
mod rounds;
mod settings;
mod swaps;
mod table;
mod units;

use anyhow::Context as _;
use table::Table;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next();
    if part.as_deref() == Some("decide") {
        let what = "bench decide POLICY TIMES, such as: bench decide waxseal_standard 100000";
        let policy = arguments.next().context(what)?;
        let times = arguments.next().context(what)?;
        return decisions::many(&policy, times.parse().context(what)?);
    }
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    let mut table = Table::default();
    if wanted("decisions") {
        decisions::measure(&mut table)?;
    }
    if wanted("languages") {
        languages::measure(&mut table)?;
    }
    if wanted("policy-tests") {
        policy_tests::measure(&mut table)?;
    }
    if wanted("hostile") {
        hostile::measure(&mut table)?;
    }
    if wanted("hostile-mail") {
        hostile_mail::measure(&mut table)?;
    }
    if wanted("loading") {
        loading::measure(&mut table)?;
    }
    if wanted("edits") {
        edits::measure(&mut table);
    }
    if wanted("swaps") {
        swaps::measure(&mut table)?;
    }
    if wanted("milters") {
        milters::measure(&mut table)?;
    }
    table.print();
    Ok(())
}
