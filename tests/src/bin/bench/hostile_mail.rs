//! What hostile messages cost: edited and signed, whole, on one thread.

use waxseal::work;
use waxseal_testkit::cpu;
use waxseal_testkit::hostile;
use waxseal_testkit::stages::Kit;

use crate::mails::mail;
use crate::table::Table;
use crate::units::{micros, thousands};

/// Size of a message that was once enough to stop all mail, and the largest that
/// most servers take; with each, how often it is measured.
const SIZES: [(&str, usize, usize); 2] = [("250 KB", 250 << 10, 5), ("10 MB", 10 << 20, 1)];

/// Most that twice the bytes may take, in steps.
const TARGET: f64 = 2.6;

/// What one message costs.
struct Cost {
    steps: f64,
    /// Microseconds of processor time.
    time: f64,
}

/// Measures each hostile message, and an honest one for comparison.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    let kit = Kit::new()?;
    for (size, bytes, runs) in SIZES {
        table.section(&format!(
            "Hostile messages of {size}, edited and signed: steps, processor time, growth from half the size"
        ));
        let honest = |bytes| mail(bytes, 0, false).bytes();
        figure(table, &kit, "an honest message", (bytes, runs), honest);
        let mut worst = (0.0, "");
        for (name, generator) in hostile::all() {
            let growth = figure(table, &kit, name, (bytes, runs), generator);
            if growth > worst.0 {
                worst = (growth, name);
            }
        }
        let what = format!("largest growth of steps: {}", worst.1);
        table.below(&what, worst.0, TARGET, " times");
    }
    Ok(())
}

/// One line of the table; how many times the steps twice the bytes take.
fn figure(
    table: &mut Table,
    kit: &Kit,
    name: &str,
    (bytes, runs): (usize, usize),
    message: impl Fn(usize) -> Vec<u8>,
) -> f64 {
    let half = cost(kit, &message(bytes / 2), runs);
    let whole = cost(kit, &message(bytes), runs);
    let growth = whole.steps / half.steps;
    table.figure(
        name.replace('_', " "),
        format!(
            "{:>13} steps {:>9.1} ms  x{growth:.2} steps  x{:.2} time",
            thousands(whole.steps),
            whole.time / 1e3,
            whole.time / half.time,
        ),
    );
    growth
}

fn cost(kit: &Kit, message: &[u8], runs: usize) -> Cost {
    let (_, steps) = work::count(|| kit.process(message));
    Cost {
        steps: steps as f64,
        time: micros(cpu::least(runs, || kit.process(message))),
    }
}
