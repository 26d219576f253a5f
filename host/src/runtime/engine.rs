//! The engines that policies run on, and the clock that interrupts them.
//!
//! Two kinds: the *serving* one decides on mail, from a pool of slots and with
//! optimised code. A *setup* one is for what happens once per load (describing,
//! configuring, baking), and goes with it: it allocates on demand, so that
//! loading takes no slot from mail, and compiles in less than half the time,
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
use super::state::State;
use super::{limits, link};

/// Limits of one decision that are the administrator's to set.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wall clock.
    pub time: std::time::Duration,
    /// Instructions (fuel).
    pub instructions: u64,
    /// Bytes of linear memory, all memories of an instance together.
    pub memory: usize,
    /// Decisions at one time; more wait for their turn.
    pub decisions: u32,
}

impl From<&crate::config::Limits> for Limits {
    fn from(limits: &crate::config::Limits) -> Self {
        Self {
            time: limits.decision_time,
            instructions: limits.instructions,
            memory: limits.memory,
            decisions: limits.decisions,
        }
    }
}

/// An engine with the linker that those of all components on it begin as, and
/// the clock that interrupts its guests for as long as it is there.
pub(super) struct RuntimeEngine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    _alive: Arc<()>,
}

impl RuntimeEngine {
    /// The one that decides on mail.
    ///
    /// # Errors
    ///
    /// When wasmtime cannot have the memory that the slots need.
    pub(super) fn serving(limits: &Limits, code: Code) -> Result<Self, LoadError> {
        let mut config = settings(code);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        Self::new(&config)
    }

    /// One for a single load: a compiler keeps the memory that it has worked in,
    /// and this one's is not needed again.
    ///
    /// # Errors
    ///
    /// When wasmtime does not know this processor.
    pub(super) fn setup() -> Result<Self, LoadError> {
        Self::new(&settings(Code::Quick))
    }

    fn new(config: &Config) -> Result<Self, LoadError> {
        let engine = Engine::new(config).map_err(failed)?;
        let alive = Arc::new(());
        tick(&engine, &alive);
        Ok(Self {
            linker: link::base(&engine).map_err(failed)?,
            engine,
            _alive: alive,
        })
    }
}

fn failed(error: wasmtime::Error) -> LoadError {
    LoadError::Engine(format!("{error:#}"))
}

/// An engine that only compiles. Its code runs on the serving one: how
/// instances are allocated is no part of it.
///
/// # Errors
///
/// When wasmtime does not know this processor.
pub(super) fn compiler(code: Code) -> Result<Engine, LoadError> {
    Engine::new(&settings(code)).map_err(failed)
}

/// What code has to have been compiled for, to run on an engine: wasmtime, its
/// settings and the processor.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprint of an engine.
pub(super) fn fingerprint(engine: &Engine) -> Fingerprint {
    let mut digesting = Digesting(Context::new(&SHA256));
    engine.precompile_compatibility_hash().hash(&mut digesting);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digesting.0.finish().as_ref());
    fingerprint
}

/// Hashes by SHA-256: the result is the same in all processes, and no two
/// engines have the same by chance.
struct Digesting(Context);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        let first = digest.as_ref().first_chunk().copied();
        u64::from_le_bytes(first.unwrap_or_default())
    }
}

/// Which of two the compiler saves. Both kinds of code do the same in the same
/// number of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Code {
    /// Time of decisions.
    Optimised,
    /// Time of its own.
    Quick,
}

fn settings(code: Code) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Fuel costs 0.7 µs a decision and is the one limit that repeats
        // exactly, and the count of instructions executed.
        .consume_fuel(true)
        // No policy calls the host concurrently; being ready for it costs each
        // call to it.
        .concurrency_support(false)
        .epoch_interruption(true);
    match code {
        Code::Optimised => config
            .cranelift_opt_level(OptLevel::Speed)
            .max_wasm_stack(limits::STACK),
        // Its frames are larger: what fits the stack above has to fit here.
        Code::Quick => config
            .cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
            .max_wasm_stack(2 * limits::STACK),
    };
    config
}

/// Slots for as many decisions as there are turns, each as large as a component
/// may be: whoever has a turn finds a slot.
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

/// Moves the epoch of an engine for as long as `alive` is held by anyone else.
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
        // Without it a looping policy is stopped by fuel only.
        tracing::error!(%error, "cannot start the thread that interrupts policies");
    }
}
