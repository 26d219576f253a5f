//! Pre-initialization of a component with its settings: `configure` runs once, and its
//! resulting memory is the initial memory of every instance.
//!
//! A component is first *instrumented*, so that its memories and globals can be read from
//! outside; setup runs in this form. The snapshot is taken from its instance and written
//! into the original.

use wasmtime::component::{Component, Instance, Lift, WasmList};
use wasmtime::{Engine, Result, Store};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::state::State;

/// An instrumented component and its original.
pub(super) struct Instrumented<'a> {
    wizer: Wizer,
    original: ComponentContext<'a>,
    component: Component,
}

impl<'a> Instrumented<'a> {
    /// # Errors
    ///
    /// If the bytes are not a component, or one that cannot be pre-initialized: with nested
    /// components, or modules that are instantiated twice.
    pub(super) fn new(engine: &Engine, bytes: &'a [u8]) -> Result<Self> {
        let mut wizer = Wizer::new();
        wizer.keep_init_func(true);
        let (original, instrumented) = wizer.instrument_component(bytes)?;
        let component = Component::from_binary(engine, &instrumented)?;
        Ok(Self {
            wizer,
            original,
            component,
        })
    }

    pub(super) fn component(&self) -> &Component {
        &self.component
    }

    /// The original with the state of an instance.
    ///
    /// # Errors
    ///
    /// If the state cannot be read or written. A state with a handle of the host is an error,
    /// because the handle would be invalid later.
    pub(super) async fn preinitialize(
        &self,
        store: &mut Store<State>,
        instance: Instance,
    ) -> Result<Vec<u8>> {
        if store.data().holds_handles() {
            wasmtime::bail!("it holds a handle of the host's after `configure`");
        }
        // Reading the memory is work of the host, not of the guest.
        store.set_fuel(u64::MAX)?;
        store.set_hostcall_fuel(usize::MAX);
        let mut reader = Reader {
            store,
            instance,
            failed: None,
        };
        let baked = self
            .wizer
            .snapshot_component(&self.original, &mut reader)
            .await;
        match reader.failed {
            None => baked,
            Some(error) => Err(error),
        }
    }
}

/// Reads the state of an instance for the snapshot, through the functions that the
/// instrumentation added. The trait is infallible, so the first error is stored and
/// returned afterwards.
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
