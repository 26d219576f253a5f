//! What is done with a message's bytes grows no worse than n log n, whatever the
//! message: in steps that the code reports, and in processor time, which finds
//! work that it does not report.

use std::fmt::Write as _;

use waxseal::work::{self, Bounds};
use waxseal_testkit::cpu;
use waxseal_testkit::hostile::{self, Generator};
use waxseal_testkit::stages::{Kit, STAGES};

/// Bytes of the smaller message for steps.
const STEPS_SIZE: usize = 64 << 10;

/// Most steps for twice the bytes.
const STEPS_GROWTH: f64 = 2.6;

/// Steps below which growth says nothing.
const FEW_STEPS: f64 = 20_000.0;

/// Bytes of the smaller message for processor time, and how many times larger the
/// larger one is.
const TIME_SIZE: usize = 64 << 10;
const TIMES: usize = 16;

/// Most processor time for [`TIMES`] the bytes: linear work takes 16 times as
/// long, more where the smaller message fits into a cache; quadratic work takes
/// 256 times as long.
const TIME_GROWTH: f64 = 80.0;

/// Microseconds below which a time is taken for this: they are noise.
const SHORT: f64 = 100.0;

/// Generators whose growth has a test of its own.
const NAMED: [&str; 11] = [
    "quoted_printable_blanks",
    "quoted_printable_blank_lines",
    "quoted_printable_equals",
    "route_fields",
    "distinct_fields",
    "distinct_content_fields",
    "forged_signatures",
    "long_signature_tags",
    "nested_multiparts_with_long_boundaries",
    "small_multiparts",
    "wrap_boundary_candidates",
];

#[test]
fn h1_blanks_in_quoted_printable_text() {
    grows_well(|name| name.starts_with("quoted_printable_"));
}

#[test]
fn h2_copies_of_header_fields() {
    grows_well(|name| {
        ["route_fields", "distinct_fields", "distinct_content_fields"].contains(&name)
    });
}

#[test]
fn m4_forged_signatures() {
    grows_well(|name| name.contains("signature"));
}

#[test]
fn m5_nested_multiparts() {
    grows_well(|name| name.contains("multiparts"));
}

#[test]
fn l13_candidates_for_the_boundary_of_a_wrapped_message() {
    // The first 64 KiB of these hold no candidate.
    grows_from(4 * TIME_SIZE, |name| name == "wrap_boundary_candidates");
}

#[test]
fn all_other_hostile_messages() {
    let names: Vec<_> = hostile::all().into_iter().map(|(name, _)| name).collect();
    assert!(NAMED.iter().all(|named| names.contains(named)));
    grows_well(|name| !NAMED.contains(&name));
}

/// Half of the steps that a stage takes stop it, and what it was doing is named.
#[test]
fn every_stage_stops_at_its_limit_and_tells_where() {
    let kit = Kit::new().expect("key and decision");
    for (name, generator) in hostile::all() {
        let message = generator(STEPS_SIZE);
        for (stage, run) in STAGES {
            let ((), steps) = work::count(|| run(&kit, &message));
            let bounds = Bounds {
                steps: Some(steps / 2),
                ..Bounds::default()
            };
            let stopped = work::run(&bounds, || run(&kit, &message));
            let Err(exhausted) = stopped else {
                panic!(
                    "{name}, {stage}: not stopped at {} of {steps} steps",
                    steps / 2
                );
            };
            assert!(!exhausted.stage.is_empty(), "{name}, {stage}: {exhausted}");
            // No step is larger than a look at all of the message, twice.
            let most = steps / 2 + 2 * message.len() as u64;
            assert!(exhausted.steps <= most, "{name}, {stage}: {exhausted}");
        }
    }
}

/// Checks every stage with the generators that are asked for.
fn grows_well(wanted: impl Fn(&str) -> bool) {
    grows_from(TIME_SIZE, wanted);
}

/// The same, from messages of another size.
fn grows_from(size: usize, wanted: impl Fn(&str) -> bool) {
    let kit = Kit::new().expect("key and decision");
    let mut failures = String::new();
    let generators = hostile::all().into_iter();
    for (name, generator) in generators.filter(|(name, _)| wanted(name)) {
        steps(&kit, name, generator, &mut failures);
        processor_time(&kit, name, (generator, size), &mut failures);
    }
    assert!(failures.is_empty(), "\n{failures}");
}

fn steps(kit: &Kit, name: &str, generator: Generator, failures: &mut String) {
    let (small, large) = (generator(STEPS_SIZE), generator(2 * STEPS_SIZE));
    for (stage, run) in STAGES {
        let ((), few) = work::count(|| run(kit, &small));
        let ((), many) = work::count(|| run(kit, &large));
        if many as f64 / (few as f64).max(FEW_STEPS) > STEPS_GROWTH {
            let _ = writeln!(
                failures,
                "{name}, {stage}: {few} to {many} steps for twice the bytes"
            );
        }
    }
}

fn processor_time(
    kit: &Kit,
    name: &str,
    (generator, size): (Generator, usize),
    failures: &mut String,
) {
    let (small, large) = (generator(size), generator(TIMES * size));
    for (stage, run) in STAGES {
        let micros =
            |message: &[u8], runs| cpu::least(runs, || run(kit, message)).as_secs_f64() * 1e6;
        let growth = |runs| micros(&large, runs) / micros(&small, runs + 2).max(SHORT);
        // Once more, with more runs, before it is called a failure.
        if growth(1) > TIME_GROWTH && growth(3) > TIME_GROWTH {
            let (few, many) = (micros(&small, 3), micros(&large, 1));
            let _ = writeln!(
                failures,
                "{name}, {stage}: {few:.0} to {many:.0} µs for {TIMES} times the bytes"
            );
        }
    }
}
