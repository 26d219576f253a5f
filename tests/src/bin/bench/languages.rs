//! What a language costs: the same policy in each, on the same message.

use std::sync::Arc;

use anyhow::Context as _;
use waxseal::runtime::Sandbox;
use waxseal_testkit::waxseal::{policy, repository};

use crate::decisions::{ALONE, Taken, limits, message};
use crate::table::Table;
use crate::units::thousands;

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
        let secret = [7; 32].into();
        let loading = sandbox.load(component.into(), Arc::clone(&settings), &secret);
        let policy = runtime
            .block_on(loading)
            .with_context(|| format!("loading the guard in {language}"))?;
        let mut taken = Taken::default();
        runtime.block_on(taken.take(&policy, &message, ALONE))?;
        let (median, tail) = (taken.below(0.5), taken.below(0.99));
        let instructions = thousands(taken.instructions as f64);
        table.figure(
            format!("{language} ({instructions} instructions; p99 {tail:.0} µs)"),
            format!("{median:.0} µs"),
        );
    }
    Ok(())
}
