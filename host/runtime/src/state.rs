//! What one instance has of the host: the message, the facts, its log, and
//! what is left of its budgets.

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
    /// Work on the message that the host may do for it.
    pub(super) host: HostWork,
    table: ResourceTable,
    wasi: Option<Box<Wasi>>,
    env: DeterministicEnv,
}

/// What a guest that asks for WASI gets.
struct Wasi {
    context: WasiCtx,
    stderr: Stderr,
}

/// What is decided on.
#[derive(Clone)]
pub(super) struct DecisionInput {
    pub(super) message: Arc<Message>,
    pub(super) facts: Arc<dyn Facts>,
}

/// What the host may still do with the message for one decision, at the guest's
/// request. The guest cannot interrupt it, so it is bounded by itself.
#[derive(Default)]
pub(super) struct HostWork {
    bounds: Bounds,
    /// Steps left on the thread of whoever asked for the decision; none where
    /// they are not limited.
    short: Option<u64>,
    too_long: bool,
}

impl HostWork {
    /// Work within these bounds, as long as it is short where it is not done by
    /// a low-priority thread.
    pub(super) fn short(bounds: Bounds) -> Self {
        Self {
            bounds,
            short: Some(limits::HOST_STEPS),
            too_long: false,
        }
    }

    /// Work within these bounds.
    pub(super) fn unlimited(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Whether the decision has to be begun again where work may take longer.
    pub(super) fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Does some work on the message.
    ///
    /// # Errors
    ///
    /// When the time of the decision is over, or it has to be begun again.
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

    /// Whether the guest holds a handle of the host's.
    pub(super) fn holds_handles(&self) -> bool {
        !self.table.is_empty()
    }

    /// What the guest wrote to its stderr, as far as it was kept.
    pub(super) fn stderr(&self) -> String {
        let wasi = self.wasi.as_ref();
        wasi.map(|wasi| wasi.stderr.text()).unwrap_or_default()
    }

    /// The log, with what the guest wrote to its stderr at the end: that is
    /// where other languages put their words.
    pub(super) fn into_log(mut self) -> Vec<LogLine> {
        for line in self.stderr().lines().filter(|line| !line.trim().is_empty()) {
            self.log.write(LogLevel::Info, line);
        }
        self.log.into_lines()
    }
}

impl WasiView for State {
    /// Made when it is first asked for: most policies never do, and the making
    /// costs more than an instance.
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
