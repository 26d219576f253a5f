//! What a language costs: the same policy in each, on the same message.

use std::sync::Arc;

use anyhow::Context as _;
use waxseal::policy::Sandbox;
use waxseal_tests::waxseal::{policy, repository};

use crate::decisions::{limits, message, times};
use crate::table::Table;
use crate::units::{micros, quantile, thousands};

/// Measures decisions of `examples/policies/guard`.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    table.section("The same policy in three languages: a decision (median; 99 of 100)");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let settings = repository("examples/policies/guard/settings.toml");
    let settings: Arc<str> = std::fs::read_to_string(settings)?.into();
    let sandbox = Sandbox::new(limits())?;
    let message = message(50 << 10);
    for language in ["rust", "javascript", "python"] {
        let component = std::fs::read(policy(&format!("guard_{language}")))?;
        let loading = sandbox.load(component.into(), Arc::clone(&settings), &[7; 32]);
        let policy = runtime
            .block_on(loading)
            .with_context(|| format!("loading the guard in {language}"))?;
        let (times, instructions) = runtime.block_on(times(&policy, &message))?;
        let tail = micros(quantile(&times, 0.99));
        table.figure(
            format!(
                "{language} ({} instructions; p99 {tail:.0} µs)",
                thousands(instructions as f64)
            ),
            format!("{:.1} µs", micros(quantile(&times, 0.5))),
        );
    }
    Ok(())
}
