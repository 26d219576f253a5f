//! Baking the settings into a component: `configure` runs once, and what it
//! left in memory becomes the memory that every instance begins with.

use wasmtime::component::{Component, Instance, Lift, Linker, WasmList};
use wasmtime::{Result, Store};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::bindings;
use super::error::LoadError;
use super::load::{self, Configured};
use super::state::State;
use super::{limits, run};

pub(super) enum Outcome {
    /// The component with the settings in it.
    Baked {
        component: Vec<u8>,
        configured: Configured,
    },
    /// This component cannot be baked; it is configured for each message.
    NotPossible {
        why: String,
        configured: Option<Configured>,
    },
}

/// Bakes the settings in, if the component allows it.
///
/// # Errors
///
/// When the policy finds problems in its settings, or fails while it reads them.
pub(super) async fn bake(
    call: &run::Setup<'_>,
    linker: &Linker<State>,
    bytes: &[u8],
    settings: &str,
) -> std::result::Result<Outcome, LoadError> {
    let impossible = |why: &wasmtime::Error| Outcome::NotPossible {
        why: format!("{why:#}"),
        configured: None,
    };
    let mut wizer = Wizer::new();
    wizer.keep_init_func(true);
    // Nested components and modules that are instantiated twice end here.
    let (context, instrumented) = match wizer.instrument_component(bytes) {
        Ok(instrumented) => instrumented,
        Err(error) => return Ok(impossible(&error)),
    };
    let instrumented = match Component::from_binary(call.engine, &instrumented) {
        Ok(component) => component,
        Err(error) => return Ok(impossible(&error)),
    };
    let mut store = call.store();
    let outcome = run::within(limits::SETUP_TIME, async {
        let instance = linker.instantiate_async(&mut store, &instrumented).await?;
        let policy = bindings::Policy::new(&mut store, &instance)?;
        let setup = policy.waxseal_policy_setup();
        let configured = setup.call_configure(&mut store, settings).await?;
        Ok((instance, configured))
    })
    .await;
    let mut instance = None;
    let outcome = outcome.map(|result| {
        result.map(|(made, configured)| {
            instance = Some(made);
            configured
        })
    });
    let configured = load::configured(outcome, &store, call)?;
    if store.data().holds_handles() {
        // A handle of the host's would be baked in, and mean nothing later.
        let why = "it holds a handle of the host's after `configure`".to_owned();
        return Ok(Outcome::NotPossible {
            why,
            configured: Some(configured),
        });
    }
    let Some(instance) = instance else {
        return Err(LoadError::Bake("there is no instance".to_owned()));
    };
    // Reading the memory back is the host's work: it has fuel of its own.
    let _ = store.set_fuel(u64::MAX);
    store.set_hostcall_fuel(usize::MAX);
    let mut reader = Reader {
        store: &mut store,
        instance,
        failed: None,
    };
    let component = wizer.snapshot_component(&context, &mut reader).await;
    match (reader.failed, component) {
        (None, Ok(component)) => Ok(Outcome::Baked {
            component,
            configured,
        }),
        (Some(error), _) | (None, Err(error)) => Err(LoadError::Bake(format!("{error:#}"))),
    }
}

/// Reads the state of an instance for the snapshot, through the functions that
/// the instrumentation added. The trait has no way to fail, so the first
/// failure is kept and told afterwards.
struct Reader<'a> {
    store: &'a mut Store<State>,
    instance: Instance,
    failed: Option<wasmtime::Error>,
}

impl Reader<'_> {
    async fn call<R: Lift + Send + Sync + 'static>(
        &mut self,
        instance: &str,
        func: &str,
    ) -> Option<R> {
        match self.try_call(instance, func).await {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    async fn try_call<R: Lift + Send + Sync + 'static>(
        &mut self,
        instance: &str,
        func: &str,
    ) -> Result<R> {
        let missing =
            || wasmtime::format_err!("the instrumented component lacks {instance}#{func}");
        let index = self
            .instance
            .get_export_index(&mut *self.store, None, instance);
        let index = self
            .instance
            .get_export_index(&mut *self.store, Some(&index.ok_or_else(missing)?), func)
            .ok_or_else(missing)?;
        let func = self
            .instance
            .get_typed_func::<(), (R,)>(&mut *self.store, &index)?;
        Ok(func.call_async(&mut *self.store, ()).await?.0)
    }
}

impl ComponentInstanceState for Reader<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list: Option<WasmList<u8>> = self.call(instance, func).await;
        if let Some(list) = list {
            contents(list.as_le_slice(&*self.store));
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call(instance, func).await.map_or(0, f32::to_bits)
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call(instance, func).await.map_or(0, f64::to_bits)
    }
}
