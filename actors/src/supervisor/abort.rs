//! The end of a job that cannot be carried on: running nodes end with a hold, waiting ones are skipped.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tracing::Instrument as _;

use crate::job_actor::{GROUP, append_until_done};
use crate::machine::{Job, JobInput};
use crate::model::{NodeCounts, NodeIndex, NodeState};
use crate::ports::{Clock, JobStore, Restoration, StoreError, UnfinishedJob};

/// Commits the end of a broken job and returns its counts.
pub(super) async fn abort(
    store: &Arc<dyn JobStore>,
    clock: &dyn Clock,
    stored: &UnfinishedJob,
    held_for: Duration,
) -> Result<NodeCounts, StoreError> {
    let record = &stored.record;
    let (mut job, _) = Job::restore(record.id, Arc::clone(&stored.spec), record.state, record.stop, &stored.nodes);
    let held_until = clock.now() + TimeDelta::from_std(held_for).unwrap_or(TimeDelta::MAX / 4);
    let about = tracing::warn_span!("abort", job = %record.id);
    if stored.restoration != Restoration::None {
        // Any of its nodes may have run without the store's knowledge: nobody says that they never started.
        for node in waiting(stored) {
            let found = JobInput::Found { node, deadline: held_until, spool: None };
            job = carry_out(store, clock, job, found).instrument(about.clone()).await?;
        }
    }
    let job = carry_out(store, clock, job, JobInput::Break { held_until }).instrument(about.clone()).await?;
    store.settled(record.id).await?;
    tracing::error!(job = %record.id, "the job broke down too often and is ended");
    let message = format!("job {} broke down too often and was ended", record.id);
    let job = carry_out(store, clock, job, JobInput::Abort { message }).instrument(about).await?;
    Ok(job.counts())
}

/// The nodes that have neither start nor end.
fn waiting(stored: &UnfinishedJob) -> Vec<NodeIndex> {
    let nodes = (0..).map(NodeIndex).zip(&stored.nodes);
    let waits = nodes.filter(|(_, node)| matches!(node.state, NodeState::New | NodeState::Ready));
    waits.map(|(node, _)| node).collect()
}

async fn carry_out(store: &Arc<dyn JobStore>, clock: &dyn Clock, job: Job, input: JobInput) -> Result<Job, StoreError> {
    let (job, stepped) = job.step(input, clock.now());
    let decision = stepped.map_err(|refusal| StoreError::Failed(refusal.to_string()))?;
    // Thousands of runs may end here. Each end stands for itself; cut off in between, the rest is decided anew.
    for group in decision.writes.chunks(GROUP) {
        append_until_done(store, group.to_vec()).await?;
    }
    Ok(job)
}
