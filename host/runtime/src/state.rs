//! State of one instance: the message, the facts, the log, and the rest of its budgets.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::deterministic_env::DeterministicEnv;
use super::error::Overtime;
use super::facts::Facts;
use super::limits::{self, MemoryLimit};
use super::log::{Log, LogLevel, LogLine};
use super::wasi::{self, Stderr};
use waxseal_core::message::Message;
use waxseal_core::work::{self, Bounds, Cause};
use waxseal_system::pool::on_low_priority_thread;

/// Data of one store.
pub(super) struct State {
    pub(super) input: Option<DecisionInput>,
    pub(super) memory: MemoryLimit,
    pub(super) log: Log,
    /// Bytes that may still be copied into the guest.
    pub(super) to_guest: usize,
    /// Work of the host on the message.
    pub(super) host: HostWork,
    table: ResourceTable,
    wasi: Option<Box<Wasi>>,
    env: DeterministicEnv,
}

/// The WASI of a guest that uses it.
struct Wasi {
    context: WasiCtx,
    stderr: Stderr,
}

/// The input of a decision.
#[derive(Clone)]
pub(super) struct DecisionInput {
    pub(super) message: Arc<Message>,
    pub(super) facts: Arc<dyn Facts>,
}

/// Work of the host on the message for one decision, at the guest's request. The guest
/// cannot be interrupted during it, so it has limits of its own.
#[derive(Default)]
pub(super) struct HostWork {
    bounds: Bounds,
    /// Steps left on the calling thread; `None` if they are not limited.
    short: Option<u64>,
    too_long: bool,
}

impl HostWork {
    /// Work within these limits, which must also be short unless it runs on a
    /// low-priority thread.
    pub(super) fn short(bounds: Bounds) -> Self {
        Self {
            bounds,
            short: Some(limits::HOST_STEPS),
            too_long: false,
        }
    }

    /// Work within these limits.
    pub(super) fn unlimited(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Whether the decision must be restarted on a low-priority thread.
    pub(super) fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Does some work on the message.
    ///
    /// # Errors
    ///
    /// If the time of the decision is over, or it must be restarted.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> Result<T, Overtime> {
        let short = self.short.filter(|_| !on_low_priority_thread());
        let bounds = Bounds {
            steps: short,
            ..self.bounds.clone()
        };
        match work::run(&bounds, || work::count(work)) {
            Ok((done, steps)) => {
                if let Some(left) = &mut self.short {
                    *left = left.saturating_sub(steps);
                }
                Ok(done)
            }
            Err(exhausted) => {
                self.too_long = exhausted.cause == Cause::Steps;
                Err(Overtime)
            }
        }
    }
}

impl State {
    pub(super) fn new(input: Option<DecisionInput>, memory: usize, env: DeterministicEnv) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::HANDLES);
        Self {
            input,
            memory: MemoryLimit::new(memory),
            log: Log::default(),
            to_guest: limits::BYTES_TO_GUEST,
            host: HostWork::default(),
            table,
            wasi: None,
            env,
        }
    }

    /// Whether the guest holds a handle of the host.
    pub(super) fn holds_handles(&self) -> bool {
        !self.table.is_empty()
    }

    /// The retained part of what the guest wrote to stderr.
    pub(super) fn stderr(&self) -> String {
        let wasi = self.wasi.as_ref();
        wasi.map(|wasi| wasi.stderr.text()).unwrap_or_default()
    }

    /// The log, followed by what the guest wrote to stderr: other languages write their
    /// panic texts there.
    pub(super) fn into_log(mut self) -> Vec<LogLine> {
        for line in self.stderr().lines().filter(|line| !line.trim().is_empty()) {
            self.log.write(LogLevel::Info, line);
        }
        self.log.into_lines()
    }
}

impl WasiView for State {
    /// Created on first use: most policies never use WASI, and creating it costs more than
    /// an instance.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| {
            let stderr = Stderr::default();
            let context = wasi::context(self.env, stderr.clone());
            Box::new(Wasi { context, stderr })
        });
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut self.table,
        }
    }
}
