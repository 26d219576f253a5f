//! How many bytes of messages may be held in all.
//!
//! A message takes its share as it grows, never ahead of its bytes: idle
//! connections hold nothing, and many short messages fit. When the budget is
//! used up, connections stop reading, and the MTA waits. So that messages that
//! each hold a part and wait for more do not wait for each other for ever, one
//! of them at a time may overdraw the budget: it always comes to its end, and
//! gives back what it holds. What is held is therefore at most the budget, one
//! message, and one read of each connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit stands for. Whole messages of a few KiB take one or two
/// steps, and a semaphore's largest count suffices for any memory.
const UNIT: usize = 4096;

/// Memory for messages, shared by all connections.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    wait: Duration,
}

/// What one connection has taken of it. Given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Share {
    permit: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
}

/// There was no room within the time that a message may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Budget {
    /// A budget of that many bytes; who finds it used up waits that long.
    pub(super) fn new(bytes: usize, wait: Duration) -> Self {
        Self {
            units: Arc::new(Semaphore::new(
                (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS),
            )),
            overdraft: Arc::new(Semaphore::new(1)),
            wait,
        }
    }

    /// Lets a share grow to `bytes`.
    ///
    /// # Errors
    ///
    /// There was no room in time. The share is as it was.
    pub(super) async fn grow(&self, share: &mut Share, bytes: usize) -> Result<(), NoRoom> {
        let missing = bytes.div_ceil(UNIT).saturating_sub(share.units());
        if missing == 0 || share.overdraft.is_some() {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| NoRoom)?;
        if let Ok(more) = Arc::clone(&self.units).try_acquire_many_owned(missing) {
            share.add(more);
            return Ok(());
        }
        tokio::select! {
            biased;
            more = Arc::clone(&self.units).acquire_many_owned(missing) => {
                share.add(more.map_err(|_| NoRoom)?);
            }
            overdraft = Arc::clone(&self.overdraft).acquire_owned() => {
                share.overdraft = Some(overdraft.map_err(|_| NoRoom)?);
            }
            () = tokio::time::sleep(self.wait) => return Err(NoRoom),
        }
        Ok(())
    }

    /// Units that nobody holds.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.units.available_permits()
    }
}

impl Share {
    /// Gives everything back.
    pub(super) fn release(&mut self) {
        (self.permit, self.overdraft) = (None, None);
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

    #[tokio::test]
    async fn a_share_grows_by_what_is_missing_and_is_given_back() {
        let budget = Budget::new(10 * UNIT, AT_ONCE);
        let mut share = Share::default();
        for (bytes, free) in [(1, 9), (UNIT, 9), (UNIT + 1, 8), (10 * UNIT, 0)] {
            assert_eq!(budget.grow(&mut share, bytes).await, Ok(()));
            assert_eq!(budget.free(), free);
        }
        share.release();
        assert_eq!(budget.free(), 10);
        assert_eq!(budget.grow(&mut share, UNIT).await, Ok(()));
        drop(share);
        assert_eq!(budget.free(), 10);
    }

    #[tokio::test]
    async fn one_message_at_a_time_may_overdraw_and_so_all_come_to_their_end() {
        let budget = Budget::new(2 * UNIT, AT_ONCE);
        let [mut one, mut two] = [Share::default(), Share::default()];
        assert_eq!(budget.grow(&mut one, UNIT).await, Ok(()));
        assert_eq!(budget.grow(&mut two, UNIT).await, Ok(()));
        assert_eq!(budget.grow(&mut one, 50 * UNIT).await, Ok(()));
        assert_eq!(budget.grow(&mut two, 2 * UNIT).await, Err(NoRoom));
        one.release();
        assert_eq!(budget.grow(&mut two, 2 * UNIT).await, Ok(()));
    }

    #[tokio::test]
    async fn who_waits_gets_what_another_gives_back() {
        let budget = Budget::new(UNIT, Duration::from_secs(3600));
        let mut others: Vec<Share> = (0..2).map(|_| Share::default()).collect();
        for share in &mut others {
            assert_eq!(budget.grow(share, UNIT).await, Ok(()));
        }
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move {
                let mut share = Share::default();
                budget.grow(&mut share, UNIT).await
            }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(others);
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
    }
}
