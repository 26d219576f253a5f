//! The least that a decision can cost: wasmtime alone makes an instance of the
//! same component, calls it once, and drops it. No limits, no clock, nothing of
//! Waxseal's.

use std::time::{Duration, Instant};

use wasmtime::component::{Component, ComponentType, InstancePre, Lift, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};

/// What `setup.describe` gives back.
#[derive(ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "taken out of the component, and no more")]
struct Description {
    name: String,
    version: String,
    #[component(name = "settings-schema")]
    settings_schema: Option<String>,
}

/// The call that does least: it takes nothing, and gives back two texts.
const CALL: (&str, &str) = ("waxseal:policy/setup@0.1.0", "describe");

/// A component that wasmtime alone has compiled.
pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Bare {
    pub(crate) fn new(component: &[u8]) -> anyhow::Result<Self> {
        Self::compiled(component).map_err(|error| anyhow::anyhow!("{error:#}"))
    }

    fn compiled(component: &[u8]) -> wasmtime::Result<Self> {
        let engine = Engine::new(&settings())?;
        let component = Component::from_binary(&engine, component)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        Ok(Self { engine, pre })
    }

    /// Calls again and again for that time, each on an instance of its own, and
    /// adds what single calls took.
    pub(crate) fn take(&self, times: &mut Vec<Duration>, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let started = Instant::now();
            self.call().map_err(|error| anyhow::anyhow!("{error:#}"))?;
            times.push(started.elapsed());
        }
        Ok(())
    }

    fn call(&self) -> wasmtime::Result<()> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.pre.instantiate(&mut store)?;
        let interface = instance.get_export_index(&mut store, None, CALL.0);
        let function = instance.get_export_index(&mut store, interface.as_ref(), CALL.1);
        let function = function.ok_or_else(|| wasmtime::format_err!("no {}#{}", CALL.0, CALL.1))?;
        let describe = instance.get_typed_func::<(), (Description,)>(&mut store, &function)?;
        describe.call(&mut store, ())?;
        Ok(())
    }
}

/// Slots like those of the sandbox, and nothing else of its settings.
fn settings() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(64)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(1 << 20)
        .max_memory_size(64 << 20)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
