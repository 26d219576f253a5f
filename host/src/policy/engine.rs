//! The engines that policies run on, and the clock that interrupts them.
//!
//! Two engines with the same code settings: a *pooled* one that serves mail,
//! and one that allocates *on demand* for everything that happens once per load
//! (describing, configuring, baking), so that loading takes no slot from mail.

use std::sync::Arc;
use std::thread;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

use super::bindings;
use super::error::LoadError;
use super::limits;
use super::state::State;

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
    pub(super) pooled: Engine,
    pub(super) on_demand: Engine,
    /// Linkers of both, without what a component is denied.
    pub(super) pooled_linker: Linker<State>,
    pub(super) on_demand_linker: Linker<State>,
    _ticker: Arc<()>,
}

impl Engines {
    /// # Errors
    ///
    /// When wasmtime cannot have the memory that the slots need.
    pub(super) fn new(limits: &Limits) -> Result<Self, LoadError> {
        let engine = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let on_demand = Engine::new(&code_settings()).map_err(engine)?;
        let mut pooled = code_settings();
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        let pooled = Engine::new(&pooled).map_err(engine)?;
        let alive = Arc::new(());
        tick(&[&pooled, &on_demand], &alive);
        Ok(Self {
            pooled_linker: linker(&pooled).map_err(engine)?,
            on_demand_linker: linker(&on_demand).map_err(engine)?,
            pooled,
            on_demand,
            _ticker: alive,
        })
    }
}

fn code_settings() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Fuel costs 0.7 µs a decision and is the one limit that repeats
        // exactly, and the count of instructions executed.
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed);
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let keep = match scan {
        true => limits::KEEP_RESIDENT_WITH_SCAN,
        false => limits::KEEP_RESIDENT_WITHOUT_SCAN,
    };
    // One decision may need several core instances, but few policies have more
    // than a handful, so the pool as a whole has fewer than slots times most.
    let slots = limits.decisions;
    let core = slots.saturating_mul(8).max(limits::CORE_INSTANCES);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(core)
        .total_memories(slots.saturating_mul(2))
        .total_tables(core)
        .total_stacks(slots)
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        .max_tables_per_component(limits::CORE_INSTANCES)
        .max_memories_per_component(4)
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

fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    bindings::Policy::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
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
