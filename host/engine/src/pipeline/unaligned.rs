//! Warnings about pairs of `dkim.allow-unaligned`.

use crate::config::{Config, Domain, Problem, Severity};
use crate::dkim::{self, Keys};

/// Pairs of `dkim.allow-unaligned` that change nothing.
pub(super) fn unaligned_pairs(config: &Config, keys: &Keys, problems: &mut Vec<Problem>) {
    for pair in &config.dkim.allow_unaligned {
        let sign = &pair.sign;
        let needless = |author: &Domain| dkim::are_aligned(author, sign, keys);
        let message = match &pair.author {
            _ if keys.for_domain(sign.as_str()).is_empty() => {
                format!("there is no DKIM key for {sign}, so that nothing is signed for it")
            }
            Some(author) if needless(author) => {
                format!("{sign} is aligned with {author} as it is")
            }
            _ => continue,
        };
        let expected = "authors and signing domains of different organizations".to_owned();
        let span = pair.span.clone();
        let warning = config
            .source
            .problem(Severity::Warning, span, message, Some(expected));
        problems.push(warning);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn h3_pairs_that_change_nothing_are_warned_about() {
        let text = "hostname = \"h.test\"\n[policy]\nfile = \"p.wasm\"\n[dkim]\nallow-unaligned = [\n\
            { author = \"globex.test\", sign = \"mailer.test\" },\n\
            { author = \"*\", sign = \"mailer.test\" },\n\
            { author = \"news.mailer.test\", sign = \"mailer.test\" },\n\
            { author = \"globex.test\", sign = \"keyless.test\" },\n]\n";
        let config = crate::config::read_text(Path::new("w.toml"), text).expect("a configuration");
        let mailer = "mailer.test".parse().expect("a domain");
        let keys = Keys::for_tests([&mailer]).expect("a key");
        let mut problems = Vec::new();
        unaligned_pairs(&config, &keys, &mut problems);
        let told: Vec<_> = problems
            .iter()
            .map(|it| (it.severity, it.line, it.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Severity::Warning,
                    Some(8),
                    "mailer.test is aligned with news.mailer.test as it is"
                ),
                (
                    Severity::Warning,
                    Some(9),
                    "there is no DKIM key for keyless.test, so that nothing is signed for it"
                ),
            ]
        );
    }
}
