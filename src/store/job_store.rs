//! [`JobStore`] over the writer's queue and the readers.

use std::sync::Arc;

use async_trait::async_trait;
use bunraku_actors::model::{CertName, EventRecord, EventSeq, JobId, JobSpec, NodeCounts, NodeIndex};
use bunraku_actors::ports::{
    BriefNode, EventPage, Feed, Held, JobQuery, JobRecord, JobStore, NewJob, NodePage, NodeQuery, Page, StoreError,
    UnfinishedJob, Write,
};

use super::fault::Fault;
use super::request::{PackedJob, PackedWrite, Request};
use super::specs::value_weight;
use super::{Store, reader, rows};

/// Packing jobs of more nodes than this is left to a thread for blocking work.
const NODES_INLINE: usize = 500;
/// The same for groups whose results are larger than so many bytes.
const BYTES_INLINE: usize = 32 * 1024;

#[async_trait]
impl JobStore for Store {
    async fn create_job(&self, job: NewJob) -> Result<JobId, StoreError> {
        let large = job.ready.len() > NODES_INLINE;
        let key = self.0.shared.specs.key().cloned();
        let packed = pack(large, move || PackedJob::new(job, key.as_ref()).map(Box::new)).await?;
        self.ask(|reply| Request::Create(packed, reply)).await
    }

    async fn append(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let large = writes.iter().map(weight).sum::<usize>() > BYTES_INLINE;
        let packed = pack(large, move || PackedWrite::group(writes)).await?;
        self.ask(|reply| Request::Append(packed, reply)).await
    }

    async fn settled(&self, job: JobId) -> Result<(), StoreError> {
        let mut outstanding = self.0.outstanding.clone();
        let settled = outstanding.wait_for(|counts| !counts.contains_key(&job)).await;
        settled.map(drop).map_err(|_| self.ended())
    }

    async fn open_jobs(&self) -> Result<Vec<(JobId, NodeCounts)>, StoreError> {
        self.read(|connection, _| Ok(rows::open_jobs(connection)?)).await
    }

    async fn unfinished(&self) -> Result<Vec<UnfinishedJob>, StoreError> {
        self.read(reader::unfinished).await
    }

    async fn stored(&self, job: JobId) -> Result<Option<UnfinishedJob>, StoreError> {
        self.read(move |connection, specs| rows::whole_job(connection, specs, job)).await
    }

    async fn holds(&self) -> Result<Vec<Held>, StoreError> {
        self.read(reader::holds).await
    }

    async fn job(&self, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.read(move |connection, specs| rows::job_record(connection, specs, job)).await
    }

    async fn jobs(&self, query: JobQuery) -> Result<Page<JobRecord>, StoreError> {
        self.read(move |connection, specs| reader::jobs(connection, specs, &query)).await
    }

    async fn spec(&self, job: JobId) -> Result<Option<Arc<JobSpec>>, StoreError> {
        self.read(move |connection, specs| match rows::job_record(connection, specs, job)? {
            Some(_) => specs.spec(connection, job).map(Some),
            None => Ok(None),
        })
        .await
    }

    async fn brief(&self, job: JobId, from: NodeIndex, limit: u32) -> Result<Vec<BriefNode>, StoreError> {
        self.read(move |connection, specs| reader::brief(connection, specs, job, from, limit)).await
    }

    async fn nodes(&self, query: NodeQuery) -> Result<NodePage, StoreError> {
        self.read(move |connection, specs| reader::nodes(connection, specs, &query)).await
    }

    async fn events_of(&self, job: JobId, node: NodeIndex) -> Result<Vec<EventRecord>, StoreError> {
        self.read(move |connection, specs| reader::events_of(connection, specs, job, node)).await
    }

    async fn events(&self, job: JobId, start: EventSeq, limit: u32) -> Result<EventPage, StoreError> {
        self.read(move |connection, specs| reader::events(connection, specs, job, start, limit)).await
    }

    async fn all_events(&self, start: EventSeq, limit: u32) -> Result<EventPage, StoreError> {
        self.read(move |connection, specs| reader::all_events(connection, specs, start, limit)).await
    }

    async fn newest_event(&self) -> Result<EventSeq, StoreError> {
        self.read(|connection, _| reader::newest_event(connection)).await
    }

    async fn last_event(&self, job: JobId) -> Result<EventSeq, StoreError> {
        self.read(move |connection, _| reader::last_event(connection, job)).await
    }

    async fn open_runs(&self, node: &CertName) -> Result<Vec<Arc<JobSpec>>, StoreError> {
        let jobs = self.0.shared.open_runs(node);
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.read(move |connection, specs| reader::specs_of(connection, specs, &jobs)).await
    }

    async fn busy(&self, nodes: &[CertName]) -> Result<Vec<CertName>, StoreError> {
        Ok(nodes.iter().filter(|node| !self.0.shared.open_runs(node).is_empty()).cloned().collect())
    }

    fn subscribe(&self) -> Feed {
        self.0.shared.feed.subscribe()
    }

    fn broken_down(&self) -> Option<String> {
        self.0.shared.broken_down()
    }

    fn trouble(&self) -> Option<String> {
        self.0.shared.trouble()
    }
}

/// About how many bytes of results a write brings.
fn weight(write: &Write) -> usize {
    match write {
        Write::NodeEnded { end, .. } | Write::NodeUnstarted { end, .. } => {
            let events = end.resource_events.iter().map(value_weight).sum::<usize>();
            value_weight(&end.result) + value_weight(&end.details) + events
        }
        _ => 0,
    }
}

async fn pack<T: Send + 'static>(
    large: bool,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, StoreError> {
    if !large {
        return Ok(work()?);
    }
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| StoreError::Failed("what was handed in could not be packed".to_owned()))??)
}
