//! Processing of milter messages on the worker pool.

use std::sync::Arc;

use waxseal_milter::{Executor, Job, NotProcessed};
use waxseal_system::pool::{JobLimits, Pool};

/// Runs the processing of messages on the threads of a [`Pool`].
pub(super) struct PoolExecutor(pub(super) Arc<Pool>);

impl Executor for PoolExecutor {
    async fn run<T: Send + 'static>(
        &self,
        job: Job,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, NotProcessed> {
        let limits = JobLimits {
            size: job.size,
            deadline: job.deadline,
        };
        let done = self.0.run(limits, work).await;
        done.map_err(|error| NotProcessed::new(format!("limits.processing-time: {error}")))
    }
}
