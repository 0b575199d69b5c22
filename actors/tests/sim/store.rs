//! The engine's store in this world: the memory store, slow, refusing, failing, and cut off by a crash before or after
//! any commit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bunraku_actors::model::{CertName, EventRecord, EventSeq, JobId, JobSpec, NodeCounts, NodeIndex};
use bunraku_actors::ports::{
    BriefNode, Clock as _, EventPage, Feed, Held, JobQuery, JobRecord, JobStore, NewJob, NodePage, NodeQuery, Page,
    StoreError, UnfinishedJob, Write,
};
use bunraku_actors::testing::MemoryStore;

use crate::world::World;

/// What an append that failed on purpose says.
pub(crate) const FAILURE: &str = "the store says no";

/// The store.
pub(crate) struct SimStore {
    pub(crate) world: Arc<World>,
    pub(crate) inner: Arc<MemoryStore>,
}

impl SimStore {
    /// A commit takes its time, and may be refused with nothing done.
    async fn admit(&self, what: &str) -> Result<(), StoreError> {
        self.world.reach(what).await;
        let takes = {
            let mut state = self.world.lock();
            let most = state.weather.commit_ms;
            if most == 0 { Duration::ZERO } else { state.chance.millis(0, most) }
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
            self.world.reach(what).await;
        }
        let mut state = self.world.lock();
        if state.now() < state.store_down_until {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        if state.failures > 0 {
            state.failures -= 1;
            state.book.tally.count("append failed");
            return Err(StoreError::Failed(FAILURE.into()));
        }
        Ok(())
    }

    async fn readable(&self, what: &str) -> Result<(), StoreError> {
        self.world.reach(what).await;
        let state = self.world.lock();
        if state.now() < state.store_down_until {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl JobStore for SimStore {
    async fn create_job(&self, job: NewJob) -> Result<JobId, StoreError> {
        self.admit("create").await?;
        let id = self.inner.create_job(job.clone()).await?;
        {
            let mut state = self.world.lock();
            state.note(|_| format!("created job {id} over {} nodes", job.spec.nodes.len()));
            state.book.created(id, &job);
        }
        self.world.reach("created").await;
        Ok(id)
    }

    async fn append(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.admit("append").await?;
        self.inner.append(writes.clone()).await?;
        {
            let wall = self.world.wall.now();
            let mut state = self.world.lock();
            for write in &writes {
                state.note(|_| format!("committed {write:?}").chars().take(220).collect());
                state.book.committed(write, wall);
            }
        }
        self.world.reach("appended").await;
        Ok(())
    }

    async fn settled(&self, job: JobId) -> Result<(), StoreError> {
        self.readable("settled").await?;
        self.inner.settled(job).await
    }

    async fn open_jobs(&self) -> Result<Vec<(JobId, NodeCounts)>, StoreError> {
        self.readable("open jobs").await?;
        self.inner.open_jobs().await
    }

    async fn unfinished(&self) -> Result<Vec<UnfinishedJob>, StoreError> {
        self.readable("unfinished").await?;
        self.inner.unfinished().await
    }

    async fn stored(&self, job: JobId) -> Result<Option<UnfinishedJob>, StoreError> {
        self.readable("stored").await?;
        self.inner.stored(job).await
    }

    async fn holds(&self) -> Result<Vec<Held>, StoreError> {
        self.readable("holds").await?;
        self.inner.holds().await
    }

    async fn job(&self, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.readable("job").await?;
        self.inner.job(job).await
    }

    async fn jobs(&self, query: JobQuery) -> Result<Page<JobRecord>, StoreError> {
        self.inner.jobs(query).await
    }

    async fn spec(&self, job: JobId) -> Result<Option<Arc<JobSpec>>, StoreError> {
        self.inner.spec(job).await
    }

    async fn brief(&self, job: JobId, from: NodeIndex, limit: u32) -> Result<Vec<BriefNode>, StoreError> {
        self.inner.brief(job, from, limit).await
    }

    async fn nodes(&self, query: NodeQuery) -> Result<NodePage, StoreError> {
        self.inner.nodes(query).await
    }

    async fn events_of(&self, job: JobId, node: NodeIndex) -> Result<Vec<EventRecord>, StoreError> {
        self.inner.events_of(job, node).await
    }

    async fn events(&self, job: JobId, start: EventSeq, limit: u32) -> Result<EventPage, StoreError> {
        self.inner.events(job, start, limit).await
    }

    async fn all_events(&self, start: EventSeq, limit: u32) -> Result<EventPage, StoreError> {
        JobStore::all_events(&*self.inner, start, limit).await
    }

    async fn newest_event(&self) -> Result<EventSeq, StoreError> {
        self.inner.newest_event().await
    }

    async fn last_event(&self, job: JobId) -> Result<EventSeq, StoreError> {
        self.inner.last_event(job).await
    }

    async fn open_runs(&self, node: &CertName) -> Result<Vec<Arc<JobSpec>>, StoreError> {
        self.inner.open_runs(node).await
    }

    fn subscribe(&self) -> Feed {
        self.inner.subscribe()
    }

    fn trouble(&self) -> Option<String> {
        let state = self.world.lock();
        (state.now() < state.store_down_until).then(|| "the disk is full".to_owned())
    }
}
