//! Memory budget of all messages together.
//!
//! A message acquires memory as it grows, never ahead of its bytes: idle connections
//! have none, and many short messages fit. When it is complete, it acquires the upper
//! bound of what its processing takes. While the budget is exhausted, connections do
//! not read, and the MTA waits.
//!
//! Small and large messages have separate budgets, so that large ones do not delay
//! small ones. Messages that each have a part and wait for more could deadlock; so
//! one of each kind at a time may overdraw its budget: it always completes, and
//! releases its memory. At most the budget, two messages, and one read of each
//! connection are allocated.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one semaphore permit. A message of a few KiB needs one or two, and the
/// maximum of a semaphore suffices for any memory.
const UNIT: usize = 4096;

/// Most units of a small message: one of a megabyte with its processing, or one of a
/// hundred kilobytes that may have many parts.
const SMALL: usize = (8 << 20) / UNIT;

/// Share of the budget (one in this many) for small messages only.
const SMALL_PART: usize = 4;

/// Memory budget, shared by all connections.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    small: Units,
    large: Units,
}

#[derive(Clone, Debug)]
struct Units {
    units: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
}

/// Memory acquired for one message. Released when dropped.
#[derive(Debug, Default)]
pub struct BytePermit {
    permit: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
    large: bool,
}

/// Memory did not become available in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetTimeout;

impl Units {
    fn new(units: usize) -> Self {
        Self {
            units: Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))),
            overdraft: Arc::new(Semaphore::new(1)),
        }
    }

    /// Acquires units for a permit, or lets it overdraw.
    async fn add(
        &self,
        permit: &mut BytePermit,
        missing: usize,
        wait: Duration,
    ) -> Result<(), BudgetTimeout> {
        let missing = u32::try_from(missing).map_err(|_| BudgetTimeout)?;
        if let Ok(more) = Arc::clone(&self.units).try_acquire_many_owned(missing) {
            permit.add(more);
            return Ok(());
        }
        tokio::select! {
            biased;
            more = Arc::clone(&self.units).acquire_many_owned(missing) => {
                permit.add(more.map_err(|_| BudgetTimeout)?);
            }
            overdraft = Arc::clone(&self.overdraft).acquire_owned() => {
                permit.overdraft = Some(overdraft.map_err(|_| BudgetTimeout)?);
            }
            () = tokio::time::sleep(wait) => return Err(BudgetTimeout),
        }
        Ok(())
    }
}

impl ByteBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = bytes / UNIT;
        let small = units / SMALL_PART;
        Self {
            small: Units::new(small),
            large: Units::new(units - small),
        }
    }

    /// Grows a permit to `bytes`; waits up to `wait` while the budget is exhausted.
    ///
    /// # Errors
    ///
    /// Memory did not become available in time.
    pub async fn grow(
        &self,
        permit: &mut BytePermit,
        bytes: usize,
        wait: Duration,
    ) -> Result<(), BudgetTimeout> {
        let wanted = bytes.div_ceil(UNIT);
        let missing = wanted.saturating_sub(permit.units());
        if missing == 0 || (permit.overdraft.is_some() && (permit.large || wanted <= SMALL)) {
            return Ok(());
        }
        if permit.large {
            return self.large.add(permit, missing, wait).await;
        }
        if wanted <= SMALL {
            return self.small.add(permit, missing, wait).await;
        }
        let mut grown = BytePermit {
            large: true,
            ..BytePermit::default()
        };
        self.large.add(&mut grown, wanted, wait).await?;
        *permit = grown;
        Ok(())
    }

    /// Available units: small, large.
    #[cfg(test)]
    fn free(&self) -> (usize, usize) {
        let free = |units: &Units| units.units.available_permits();
        (free(&self.small), free(&self.large))
    }
}

impl BytePermit {
    /// Releases the memory.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    fn units(&self) -> usize {
        self.permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_share_grows_by_what_is_missing_and_is_given_back() {
        let budget = ByteBudget::new(40 * UNIT);
        let mut permit = BytePermit::default();
        for (bytes, free) in [(1, 9), (UNIT, 9), (UNIT + 1, 8), (10 * UNIT, 0)] {
            assert_eq!(budget.grow(&mut permit, bytes, AT_ONCE).await, Ok(()));
            assert_eq!(budget.free(), (free, 30));
        }
        permit.release();
        assert_eq!(budget.free(), (10, 30));
        assert_eq!(budget.grow(&mut permit, UNIT, AT_ONCE).await, Ok(()));
        drop(permit);
        assert_eq!(budget.free(), (10, 30));
    }

    #[tokio::test]
    async fn one_message_at_a_time_may_overdraw_and_so_all_come_to_their_end() {
        let budget = ByteBudget::new(8 * UNIT);
        let [mut one, mut two] = [BytePermit::default(), BytePermit::default()];
        assert_eq!(budget.grow(&mut one, UNIT, AT_ONCE).await, Ok(()));
        assert_eq!(budget.grow(&mut two, UNIT, AT_ONCE).await, Ok(()));
        assert_eq!(budget.grow(&mut one, 50 * UNIT, AT_ONCE).await, Ok(()));
        assert_eq!(
            budget.grow(&mut two, 2 * UNIT, AT_ONCE).await,
            Err(BudgetTimeout)
        );
        one.release();
        assert_eq!(budget.grow(&mut two, 2 * UNIT, AT_ONCE).await, Ok(()));
    }

    #[tokio::test]
    async fn who_waits_gets_what_another_gives_back() {
        let budget = ByteBudget::new(4 * UNIT);
        let mut others: Vec<BytePermit> = (0..2).map(|_| BytePermit::default()).collect();
        for permit in &mut others {
            assert_eq!(budget.grow(permit, UNIT, LONG).await, Ok(()));
        }
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move {
                let mut permit = BytePermit::default();
                budget.grow(&mut permit, UNIT, LONG).await
            }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(others);
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn h1_large_messages_leave_small_ones_their_part() {
        let budget = ByteBudget::new(8 * SMALL * UNIT);
        let mut large: Vec<BytePermit> = (0..2).map(|_| BytePermit::default()).collect();
        for permit in &mut large {
            // While it is collected, then for its processing.
            for units in [SMALL, 6 * SMALL] {
                assert_eq!(budget.grow(permit, units * UNIT, AT_ONCE).await, Ok(()));
            }
        }
        assert_eq!(budget.free(), (2 * SMALL, 0), "one of the two overdraws");
        let mut third = BytePermit::default();
        let grown = budget.grow(&mut third, 2 * SMALL * UNIT, AT_ONCE).await;
        assert_eq!(grown, Err(BudgetTimeout));
        assert_eq!(budget.grow(&mut third, SMALL * UNIT, AT_ONCE).await, Ok(()));
    }
}
