//! From the bytes of a policy to one that decides: compiled, and out of the
//! cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal::crypto::Secret;
use waxseal::runtime::{CodeCache, Compiler, Sandbox};

use crate::decisions::limits;
use crate::settings::settings;
use crate::table::Table;
use crate::units::median;

/// How often each is measured.
const ROUNDS: usize = 5;

/// Longest time to compile the standard policy, in milliseconds.
const COMPILED: f64 = 1000.0;

/// Longest time to take it out of the cache.
const CACHED: f64 = 50.0;

/// Measures loading.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    table.section("Loading the standard policy with 200 domains (median)");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let component: Arc<[u8]> =
        std::fs::read(waxseal_testkit::waxseal::policy("waxseal_standard"))?.into();
    let folder = tempfile::tempdir()?;
    let cache = CodeCache::open(&folder.path().join("code"), &Secret::from_bytes([3; 32]))?;
    let compiler = Compiler::new(waxseal_testkit::waxseal::binary());
    let sandbox = Sandbox::builder(limits())
        .cache(cache)
        .compiler(compiler)
        .build()?;
    let load = |round: usize| -> anyhow::Result<Duration> {
        let settings = format!("{}# {round}\n", settings(200));
        let started = Instant::now();
        let component = Arc::clone(&component);
        runtime.block_on(sandbox.load(component, settings.into(), &[7; 32].into()))?;
        Ok(started.elapsed())
    };
    let times = || -> anyhow::Result<f64> {
        let times: Result<Vec<_>, _> = (0..ROUNDS).map(load).collect();
        let times = times?;
        let millis: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        Ok(median(&millis))
    };
    let compiled = times()?;
    table.below(
        "compiled in a process of its own",
        compiled,
        COMPILED,
        " ms",
    );
    let cached = times()?;
    table.below("out of the cache", cached, CACHED, " ms");
    Ok(())
}
