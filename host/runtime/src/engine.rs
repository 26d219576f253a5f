//! The wasmtime engines that policies run on, and the thread that advances their
//! epoch.
//!
//! There are two kinds. The *serving* engine decides on mail, from a pool of
//! instances and with optimized code. A *setup* engine exists for one load
//! (describe, configure, pre-initialization): it allocates on demand, so that
//! loading takes no instance from mail, and compiles in less than half the time,
//! since its code runs once. Both count instructions alike.

use std::hash::{Hash as _, Hasher};
use std::sync::Arc;
use std::thread;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm,
};

use super::error::LoadError;
use super::imports;
use super::limits::{self, Limits};
use super::state::State;

/// An engine, the linker that each component's linker is copied from, and the
/// epoch thread, which ends when the last copy is dropped.
#[derive(Clone)]
pub(super) struct RuntimeEngine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    _alive: Arc<()>,
}

impl RuntimeEngine {
    /// The engine that decides on mail.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the address space that the instances need.
    pub(super) fn serving(limits: &Limits, code: Code) -> Result<Self, LoadError> {
        let mut config = settings(code);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        Self::new(&config)
    }

    /// An engine for a single load: a compiler retains its working memory, which is
    /// freed with the engine.
    ///
    /// # Errors
    ///
    /// When wasmtime does not support this processor.
    pub(super) fn setup() -> Result<Self, LoadError> {
        Self::new(&settings(Code::Quick))
    }

    fn new(config: &Config) -> Result<Self, LoadError> {
        let engine = Engine::new(config).map_err(failed)?;
        let alive = Arc::new(());
        tick(&engine, &alive);
        Ok(Self {
            linker: imports::base(&engine).map_err(failed)?,
            engine,
            _alive: alive,
        })
    }
}

fn failed(error: wasmtime::Error) -> LoadError {
    LoadError::Engine(format!("{error:#}"))
}

/// An engine that only compiles. Its code runs on the serving engine, too: how
/// instances are allocated does not affect the code.
///
/// # Errors
///
/// When wasmtime does not support this processor.
pub(super) fn compiler(code: Code) -> Result<Engine, LoadError> {
    Engine::new(&settings(code)).map_err(failed)
}

/// Digest of what compiled code depends on: the wasmtime version, its settings and
/// the processor.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprint of an engine.
pub(super) fn fingerprint(engine: &Engine) -> Fingerprint {
    let mut hasher = Sha256Hasher(Context::new(&SHA256));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hasher.0.finish().as_ref());
    fingerprint
}

/// A [`Hasher`] by SHA-256: the result is the same in all processes and free of
/// collisions.
struct Sha256Hasher(Context);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        let first = digest.as_ref().first_chunk().copied();
        u64::from_le_bytes(first.unwrap_or_default())
    }
}

/// Optimization of compiled code. Results and instruction counts are the same for
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Code {
    /// For fast decisions.
    Optimized,
    /// For fast compilation.
    Quick,
}

fn settings(code: Code) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Fuel costs 0.7 µs a decision. It is the only limit that is reached at the
        // same instruction each time.
        .consume_fuel(true)
        // No policy calls the host concurrently, and support for it costs time in
        // each host call.
        .concurrency_support(false)
        .epoch_interruption(true);
    match code {
        Code::Optimized => config
            .cranelift_opt_level(OptLevel::Speed)
            .max_wasm_stack(limits::STACK),
        // Its frames are larger: a guest that fits the stack above must fit here.
        Code::Quick => config
            .cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
            .max_wasm_stack(2 * limits::STACK),
    };
    config
}

/// One slot of maximum size for each concurrent decision, so that a decision that
/// has a permit always gets an instance.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let keep = match scan {
        true => limits::KEEP_RESIDENT_WITH_SCAN,
        false => limits::KEEP_RESIDENT_WITHOUT_SCAN,
    };
    let slots = limits.decisions;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(limits::CORE_INSTANCES))
        .total_memories(slots.saturating_mul(limits::MEMORIES))
        .total_tables(slots.saturating_mul(limits::TABLES))
        .total_stacks(slots)
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        .max_memories_per_component(limits::MEMORIES)
        .max_tables_per_component(limits::TABLES)
        .max_memory_size(limits.memory)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(limits::TABLE_ELEMENTS)
        .linear_memory_keep_resident(keep)
        .table_keep_resident(keep)
        .max_unused_warm_slots(limits::WARM_SLOTS)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
    pool
}

/// Advances the epoch of an engine until all other references to `alive` are
/// dropped.
fn tick(engine: &Engine, alive: &Arc<()>) {
    let engine = engine.weak();
    let alive = Arc::downgrade(alive);
    let ticker = move || {
        while alive.strong_count() > 0 {
            thread::sleep(limits::EPOCH_TICK);
            if let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
            }
        }
    };
    let spawned = thread::Builder::new()
        .name("waxseal-epoch".into())
        .spawn(ticker);
    if let Err(error) = spawned {
        // Without this thread a looping policy is stopped by fuel only.
        tracing::error!(%error, "cannot start the thread that interrupts policies");
    }
}
