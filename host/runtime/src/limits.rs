//! Limits of the sandbox: those that are not configurable, each with the reason for
//! its value, and the limit on memory.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Limits of one decision, set by the administrator.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wall clock.
    pub time: Duration,
    /// Instructions (fuel).
    pub instructions: u64,
    /// Bytes of linear memory, all memories of an instance together.
    pub memory: usize,
    /// Concurrent decisions; further ones wait.
    pub decisions: u32,
}

/// Instructions (fuel) after which a guest yields its thread: one or two tenths of a
/// millisecond. A decision that has not ended by then continues on low-priority
/// threads. The standard policy takes a fiftieth of this; policies in JavaScript or
/// Python take more.
pub(super) const SLICE: u64 = 1_000_000;

/// Interval of epoch ticks. A guest yields its thread at the second tick and at each
/// one after it, whatever it has executed: some instructions (filling memory) take
/// long. At the first tick it may have just started.
pub(super) const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Bytes that wasmtime may copy out of a guest in one call (its "hostcall fuel"). A
/// decision has a few kilobytes; without the limit, 20,000 strings that share one
/// megabyte would take 166 MB of the host.
pub(super) const BYTES_FROM_GUEST: usize = 1 << 20;

/// Bytes that may be copied into the guest for one decision: texts, header values,
/// looked-up values. More than the largest sensible text, and little enough that
/// copying them is cheap.
pub(super) const BYTES_TO_GUEST: usize = 16 << 20;

/// Steps of work on the message that the host does for one decision on the calling
/// thread: one or two milliseconds. A decision that needs more is restarted on
/// low-priority threads.
pub(super) const HOST_STEPS: u64 = 1 << 18;

/// Handles that a guest can hold at one time. It only needs WASI's streams and
/// pollables.
pub(super) const HANDLES: usize = 64;

/// Bytes of log that one decision may write, all lines together. The rest is dropped,
/// and the number of dropped lines is logged.
pub(super) const LOG_BYTES: usize = 16 << 10;

/// Lines of log that one decision may write.
pub(super) const LOG_LINES: usize = 64;

/// Bytes of stack for optimized code of a guest. The stack that Rust has in linear
/// memory does not count.
pub(super) const STACK: usize = 512 << 10;

/// Maximum length of an error's text, in bytes.
pub(super) const ERROR_TEXT: usize = 500;

/// Problems or warnings of settings that are reported. `waxseal-settings` returns at
/// most 100, and a last one with the number of the rest.
pub(super) const SETTINGS_PROBLEMS: usize = 101;

/// Bytes of randomness that a guest may request in one call.
pub(super) const RANDOM_BYTES: u64 = 64 << 10;

/// Memory that stays mapped in a slot after use, and is cleared instead of returned to
/// the kernel. With `pagemap_scan` only written pages are cleared, so that a large
/// value costs nothing; without it, clearing more than a few pages costs more than the
/// page faults that it saves.
pub(super) const KEEP_RESIDENT_WITH_SCAN: usize = 1 << 20;

/// As above, if the kernel has no `PAGEMAP_SCAN` (before Linux 6.7).
pub(super) const KEEP_RESIDENT_WITHOUT_SCAN: usize = 64 << 10;

/// Table elements of one instance: Python needs some 25,000.
pub(super) const TABLE_ELEMENTS: usize = 30_000;

/// Core instances of one component: as many as `componentize-py` creates, with a margin.
pub(super) const CORE_INSTANCES: u32 = 40;

/// Linear memories of one component. A policy has one; one that is composed of several
/// components has one for each.
pub(super) const MEMORIES: u32 = 4;

/// Tables of one component: two for each of its components.
pub(super) const TABLES: u32 = 8;

/// Slots that retain the image of a policy after use. Each pins the memory image of the
/// last version it ran, so the number is small: otherwise old versions would stay in
/// memory after a reload.
pub(super) const WARM_SLOTS: u32 = 16;

/// Instructions (fuel) for `describe` and `configure`, which run once per load
/// and may read a settings file of thousands of domains.
pub(super) const SETUP_INSTRUCTIONS: u64 = 20_000_000_000;

/// Wall clock for `describe` and `configure`.
pub(super) const SETUP_TIME: Duration = Duration::from_secs(20);

/// Priority (`nice`) of the process that compiles. If mail uses all processors, it gets a
/// tenth of one: a reload then takes seconds. At 19 it would get a seventieth.
pub(super) const COMPILER_NICE: i32 = 10;

/// Memory of the process that compiles, in addition to twice the limit of its guest
/// (once for running it, once for pre-initializing it). A policy in Python takes 470 MB.
pub(super) const COMPILER_MEMORY: u64 = 1 << 30;

/// Processor time of the process that compiles, all its threads together. A
/// policy in Python takes 15 s.
pub(super) const COMPILER_PROCESSOR: Duration = Duration::from_secs(120);

/// Wall-clock limit of the process that compiles. It is long because under a load of
/// mail the process mostly waits, and only an administrator waits for it.
pub(super) const COMPILE_TIME: Duration = Duration::from_secs(300);

/// Bytes of a compile request, and of its reply. A policy in Python takes about a hundred
/// megabytes.
pub(super) const COMPILED: u64 = 1 << 30;

/// Bytes of stderr of the process that compiles that are read for the reason of a
/// failure.
pub(super) const COMPILER_STDERR: u64 = 4096;

/// Limits all memories of an instance together (wasmtime's own `StoreLimits` limits each
/// one separately), and records that a growth failed, so that the trap that follows can
/// be classified.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    maximum: usize,
    in_use: usize,
    /// Whether a growth was rejected, or failed in the kernel.
    pub(super) rejected: bool,
}

impl MemoryLimit {
    pub(super) fn new(maximum: usize) -> Self {
        Self {
            maximum,
            in_use: 0,
            rejected: false,
        }
    }

    /// Bytes of linear memory, all memories together.
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.in_use - current.min(self.in_use) + desired;
        let allowed = total <= self.maximum && maximum.is_none_or(|maximum| desired <= maximum);
        if allowed {
            self.in_use = total;
        } else {
            self.rejected = true;
        }
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.rejected = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_counted_together() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 60, None).expect("first"));
        assert!(!limit.memory_growing(0, 60, None).expect("second"));
        assert!(limit.rejected);
        assert!(limit.memory_growing(60, 100, None).expect("growth"));
        assert_eq!(limit.in_use(), 100);
    }
}
