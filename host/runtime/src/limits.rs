//! Numbers of the sandbox that are not the administrator's to set, each with
//! the reason for its value, and the limit on memory.

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

/// Instructions (fuel) after which a guest gives its thread back to others: a
/// tenth of a millisecond or two. A decision that has not ended by then goes on
/// on low-priority threads. Fifty times what the standard policy takes; one in
/// JavaScript or Python takes more.
pub(super) const SLICE: u64 = 1_000_000;

/// How often the epoch moves. A guest gives its thread back at the second tick,
/// and at each after that, whatever it has executed: some instructions (filling
/// memory) take long. At the first tick it may have just begun.
pub(super) const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Bytes that wasmtime may copy out of a guest in one call (its "hostcall
/// fuel"). A decision is a few kilobytes; 20,000 strings that share one
/// megabyte would otherwise become 166 MB here.
pub(super) const BYTES_FROM_GUEST: usize = 1 << 20;

/// Bytes that one decision may have copied into the guest: texts, header
/// values, looked-up values. More than the largest sensible text, less than
/// what would make the copying itself a load.
pub(super) const BYTES_TO_GUEST: usize = 16 << 20;

/// Steps of work on the message that one decision may have the host do on the
/// thread of whoever asks: a millisecond or two. A decision that asks for more is
/// begun again on low-priority threads.
pub(super) const HOST_STEPS: u64 = 1 << 18;

/// Handles that a guest can hold at one time. WASI's own streams and pollables
/// are all it has a use for.
pub(super) const HANDLES: usize = 64;

/// Bytes of log that one decision may write, all lines together; what is more
/// is dropped and its amount told.
pub(super) const LOG_BYTES: usize = 16 << 10;

/// Lines of log that one decision may write.
pub(super) const LOG_LINES: usize = 64;

/// Bytes of stack that optimised code of a guest may use. What Rust keeps in
/// linear memory is not counted here.
pub(super) const STACK: usize = 512 << 10;

/// Bytes of an error's text that are kept.
pub(super) const ERROR_TEXT: usize = 500;

/// Problems or warnings of settings that are reported. `waxseal-settings` returns at
/// most 100, and a last one with the number of the rest.
pub(super) const SETTINGS_PROBLEMS: usize = 101;

/// Bytes of randomness that a guest may ask for in one call.
pub(super) const RANDOM_BYTES: u64 = 64 << 10;

/// Memory that stays mapped in a slot after use, and is cleared instead of
/// given back to the kernel. With `pagemap_scan` only pages that were written
/// are cleared, so that a large value costs nothing; without, clearing more
/// than a few pages costs more than the page faults it saves.
pub(super) const KEEP_RESIDENT_WITH_SCAN: usize = 1 << 20;

/// The same where the kernel has no `PAGEMAP_SCAN` (before Linux 6.7).
pub(super) const KEEP_RESIDENT_WITHOUT_SCAN: usize = 64 << 10;

/// Table elements of one instance: Python needs some 25,000.
pub(super) const TABLE_ELEMENTS: usize = 30_000;

/// Core instances of one component: what `componentize-py` makes, with room.
pub(super) const CORE_INSTANCES: u32 = 40;

/// Linear memories of one component. A policy has one, one that is composed of
/// several components has one for each.
pub(super) const MEMORIES: u32 = 4;

/// Tables of one component: two for each that it is composed of.
pub(super) const TABLES: u32 = 8;

/// Slots that keep the image of a policy after use. Each pins the memory image
/// of the version it served last, so few: a swap would otherwise keep old
/// versions alive.
pub(super) const WARM_SLOTS: u32 = 16;

/// Instructions (fuel) for `describe` and `configure`, which run once per load
/// and may read a settings file of thousands of domains.
pub(super) const SETUP_INSTRUCTIONS: u64 = 20_000_000_000;

/// Wall clock for `describe` and `configure`.
pub(super) const SETUP_TIME: Duration = Duration::from_secs(20);

/// How far behind others the process that compiles stands (`nice`). Where mail
/// takes all processors it gets a tenth of one: a swap then takes seconds, and
/// takes place. At 19 it would get a seventieth.
pub(super) const COMPILER_NICE: i32 = 10;

/// Bytes that the process that compiles may have, beside what its guest may
/// have twice (once where it runs, once where it is baked in). A policy in
/// Python takes 470 MB.
pub(super) const COMPILER_MEMORY: u64 = 1 << 30;

/// Processor time of the process that compiles, all its threads together. A
/// policy in Python takes 15 s.
pub(super) const COMPILER_PROCESSOR: Duration = Duration::from_secs(120);

/// Wall clock for the process that compiles. Long: beside a load of mail it
/// waits for most of it, and nobody waits for it but an administrator.
pub(super) const COMPILE_TIME: Duration = Duration::from_secs(300);

/// Bytes of an order to compile, and of the answer. A policy in Python comes to
/// about a hundred megabytes.
pub(super) const COMPILED: u64 = 1 << 30;

/// Bytes that are kept of what the process that compiles says on stderr: why it
/// died.
pub(super) const COMPILER_STDERR: u64 = 4096;

/// Counts all memories of an instance together (wasmtime's own `StoreLimits`
/// looks at each alone) and remembers that a growth did not come about, so that
/// the trap that follows can be told for what it is.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    maximum: usize,
    in_use: usize,
    /// A growth was refused, or the kernel had nothing left.
    pub(super) refused: bool,
}

impl MemoryLimit {
    pub(super) fn new(maximum: usize) -> Self {
        Self {
            maximum,
            in_use: 0,
            refused: false,
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
            self.refused = true;
        }
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
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
        assert!(limit.refused);
        assert!(limit.memory_growing(60, 100, None).expect("growth"));
        assert_eq!(limit.in_use(), 100);
    }
}
