//! Things measured in turns, again and again, so that all see the same machine.

use crate::units::median;

/// How often each is measured. The median of an odd number is one of them.
const ROUNDS: usize = 3;

/// How fast something was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    /// So many in a second.
    pub(crate) rate: f64,
    /// Milliseconds of processor time for each, of the server alone.
    pub(crate) processor: f64,
}

/// Medians of all, each measured once in every round, in the order given.
pub(crate) fn medians<T>(
    subjects: &[T],
    mut measure: impl FnMut(&T) -> anyhow::Result<Speed>,
) -> anyhow::Result<Vec<Speed>> {
    let mut rounds = vec![Vec::with_capacity(ROUNDS); subjects.len()];
    for _ in 0..ROUNDS {
        for (rounds, subject) in rounds.iter_mut().zip(subjects) {
            rounds.push(measure(subject)?);
        }
    }
    let of = |speeds: &[Speed], what: fn(&Speed) -> f64| {
        median(&speeds.iter().map(what).collect::<Vec<_>>())
    };
    let medians = rounds.iter().map(|speeds| Speed {
        rate: of(speeds, |speed| speed.rate),
        processor: of(speeds, |speed| speed.processor),
    });
    Ok(medians.collect())
}
