//! Suggestions for mistyped keys.

/// Maximum edit distance between a mistyped word and the suggestion.
const MAX_DISTANCE: usize = 2;

/// The candidate nearest to `word`, if it is near enough.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= MAX_DISTANCE.min(candidate.len() / 2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance of two words (insertion, deletion, substitution, transposition).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=to.len()).collect();
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let substitution = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + substitution);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_word() {
        let known = ["host", "port", "security"];
        assert_eq!(nearest("hsot", known.into_iter()), Some("host"));
        assert_eq!(nearest("securty", known.into_iter()), Some("security"));
        assert_eq!(nearest("color", known.into_iter()), None);
    }
}
