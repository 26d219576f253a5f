//! The engines that policies run on, and the clock that interrupts them.
//!
//! Two engines: the *serving* one decides on mail, from a pool of slots and
//! with optimised code. The *setup* one is for what happens once per load
//! (describing, configuring, baking): it allocates on demand, so that loading
//! takes no slot from mail, and compiles in less than half the time, since its
//! code runs once. Both count instructions alike.

use std::sync::Arc;
use std::thread;

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

pub(super) struct Engines {
    pub(super) serving: Engine,
    pub(super) setup: Engine,
    /// Linkers of both, without what a component is denied.
    pub(super) serving_linker: Linker<State>,
    pub(super) setup_linker: Linker<State>,
    _ticker: Arc<()>,
}

impl Engines {
    /// # Errors
    ///
    /// When wasmtime cannot have the memory that the slots need.
    pub(super) fn new(limits: &Limits, serving: Code) -> Result<Self, LoadError> {
        let engine = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let setup = settings(Code::Quick);
        let mut serving = settings(serving);
        serving.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        let setup = Engine::new(&setup).map_err(engine)?;
        let serving = Engine::new(&serving).map_err(engine)?;
        let alive = Arc::new(());
        tick(&[&serving, &setup], &alive);
        Ok(Self {
            serving_linker: link::base(&serving).map_err(engine)?,
            setup_linker: link::base(&setup).map_err(engine)?,
            serving,
            setup,
            _ticker: alive,
        })
    }
}

/// Which of two the compiler saves. Both kinds of code do the same in the same
/// number of instructions.
#[derive(Clone, Copy, Debug)]
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

/// Moves the epoch of the engines for as long as `alive` is held by anyone
/// else.
fn tick(engines: &[&Engine], alive: &Arc<()>) {
    let weak: Vec<_> = engines.iter().map(|engine| engine.weak()).collect();
    let alive = Arc::downgrade(alive);
    let ticker = move || {
        while alive.strong_count() > 0 {
            thread::sleep(limits::EPOCH_TICK);
            for engine in weak.iter().filter_map(|engine| engine.upgrade()) {
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
