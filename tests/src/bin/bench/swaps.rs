//! From a file that changes to the version that is in service, noticing,
//! checking and compiling included.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use waxseal::config;
use waxseal::crypto::Secret;
use waxseal::pipeline::DerivedKeys;
use waxseal::rollout::PolicyManager;
use waxseal::runtime::{CODE_FOLDER, CodeCache, Compiler, Limits, Sandbox};
use waxseal_testkit::waxseal::{binary, policy};

use crate::settings::settings;
use crate::table::Table;
use crate::units::median;

/// Swaps of each kind.
const SWAPS: u32 = 9;

/// Longest median of a swap of code that has to be compiled, in milliseconds.
const COLD: f64 = 1000.0;

/// The same of code that has been compiled before.
const CACHED: f64 = 50.0;

/// Measures swaps.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    table.section("Swaps: from a changed file to a version in service (median)");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let kinds = [
        ("small policy in Rust", "rust_minimal", String::new()),
        (
            "standard policy, 200 domains",
            "waxseal_standard",
            settings(200),
        ),
    ];
    for (what, name, settings) in kinds {
        let component = fs::read(policy(name))?;
        let (cold, cached) = runtime.block_on(swaps(&component, &settings))?;
        table.below(&format!("{what}, compiled"), cold, COLD, " ms");
        table.below(&format!("{what}, code is kept"), cached, CACHED, " ms");
    }
    Ok(())
}

/// Medians in milliseconds: of versions never seen, and of the same once more.
async fn swaps(component: &[u8], settings: &str) -> anyhow::Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let text = "hostname = \"mx.test\"\n[policy]\nfile = \"policy.wasm\"\n\
                settings = \"settings.toml\"\n[dkim]\ngenerate = true\n\
                [relay.northwind]\nhost = \"a.test\"\n[relay.bluebird]\nhost = \"b.test\"\n\
                [relay.quarry]\nhost = \"c.test\"\n";
    fs::write(at("waxseal.toml"), text)?;
    fs::write(at("settings.toml"), settings)?;
    fs::write(at("policy.wasm"), numbered(component, 0))?;
    let manager = manager(folder.path()).await?;
    let keeping = tokio::spawn(Arc::clone(&manager).watch());
    let mut medians = Vec::new();
    for _ in ["cold", "cached"] {
        let mut times = Vec::new();
        for number in 1..=SWAPS {
            // Both times there is another in service than the one that comes.
            times.push(swap(&manager, &at("policy.wasm"), &numbered(component, number)).await?);
        }
        medians.push(median(&times));
    }
    keeping.abort();
    Ok((medians[0], medians[1]))
}

async fn manager(folder: &Path) -> anyhow::Result<Arc<PolicyManager>> {
    let config = config::read(&folder.join("waxseal.toml"))?;
    let secret = Secret::open(&config.state)?;
    let sandbox = Sandbox::builder(Limits::from(&config.limits))
        .cache(CodeCache::open(&config.state.join(CODE_FOLDER), &secret)?)
        .compiler(Compiler::new(binary()))
        .build()?;
    let secrets = Arc::new(DerivedKeys::new(&secret));
    let started =
        PolicyManager::start(sandbox, secrets, Vec::new(), config, Timestamp::now()).await;
    started.map_err(|problems| {
        let first = problems.first().map(ToString::to_string);
        anyhow!(
            "{} problem(s): {}",
            problems.len(),
            first.unwrap_or_default()
        )
    })
}

/// Puts a component in the place of another; milliseconds until it is in
/// service.
async fn swap(manager: &PolicyManager, path: &Path, component: &[u8]) -> anyhow::Result<f64> {
    // What the swap before left to write down is not this one's.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut changes = manager.versions().changes();
    changes.mark_unchanged();
    let draft = path.with_extension("new");
    fs::write(&draft, component)?;
    let begun = Instant::now();
    fs::rename(&draft, path)?;
    let changed = tokio::time::timeout(Duration::from_secs(60), changes.changed());
    changed
        .await
        .context("the new version is not in service")??;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// The same component with a section that means nothing: another digest.
fn numbered(component: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = component.to_vec();
    // A custom section: its id, its length, the length of its name, the name.
    bytes.extend_from_slice(&[0, 9, 4]);
    bytes.extend_from_slice(b"mark");
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes
}
