//! A store in memory which checks every write against the rules of the port, and can be made slow or broken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::model::{
    CertName, EventRecord, EventSeq, JobHeader, JobId, JobSpec, JobState, NodeCounts, NodeIndex, NodeState, StopMode,
    TransactionId,
};
use crate::ports::{
    BriefNode, EventPage, Feed, Held, JobQuery, JobRecord, JobStore, NewJob, NodePage, NodeQuery, NodeRecord, Page,
    Restoration, StateSpan, StoreError, StoredNode, UnfinishedJob, Write,
};

/// How many batches of events a slow follower may be behind before it is cut off.
const FEED: usize = 1_024;

#[derive(Debug, Clone)]
pub(super) struct NodeRow {
    pub(super) stored: StoredNode,
    pub(super) shown: NodeRecord,
}

#[derive(Debug, Clone)]
pub(super) struct JobRow {
    pub(super) spec: Arc<JobSpec>,
    pub(super) header: Arc<JobHeader>,
    pub(super) history: Vec<StateSpan>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) stop: Option<StopMode>,
    pub(super) restoration: Restoration,
    pub(super) nodes: Vec<NodeRow>,
}

impl JobRow {
    pub(super) fn state(&self) -> JobState {
        self.history.last().map_or(JobState::New, |span| span.state)
    }

    pub(super) fn record(&self, id: JobId) -> JobRecord {
        let mut counts = crate::model::NodeCounts::default();
        let mut causes = crate::model::CauseCounts::default();
        for node in &self.nodes {
            counts.add(node.stored.state, 1);
            causes.add(node.stored.cause, 1);
        }
        JobRecord {
            id,
            header: Arc::clone(&self.header),
            state: self.state(),
            counts,
            causes,
            history: self.history.clone(),
            finished_at: self.finished_at,
            stop: self.stop,
            retries: Vec::new(),
        }
    }

    fn unfinished(&self, id: JobId) -> UnfinishedJob {
        let nodes = self.nodes.iter().map(|node| node.stored.clone()).collect();
        UnfinishedJob { record: self.record(id), spec: Arc::clone(&self.spec), nodes, restoration: self.restoration }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Owner and key of commands that happen once, with what they were and made.
    pub(super) once: BTreeMap<(String, String), ([u8; 32], JobId)>,
    pub(super) jobs: BTreeMap<JobId, JobRow>,
    pub(super) events: Vec<EventRecord>,
    pub(super) holds: BTreeMap<TransactionId, Held>,
    /// The last number that was given to a job.
    pub(super) last_job: u64,
    /// What broke a rule.
    pub(super) violations: Vec<String>,
}

#[derive(Debug, Default)]
struct Behavior {
    delay: Duration,
    /// That many writes are refused as not available.
    refusals: u32,
    /// That many appends fail for good after them.
    failures: u32,
    appends: u64,
}

/// The store.
#[derive(Debug)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
    behavior: Mutex<Behavior>,
    feed: broadcast::Sender<Arc<[EventRecord]>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { rows: Mutex::default(), behavior: Mutex::default(), feed: broadcast::Sender::new(FEED) }
    }
}

/// What a store held at some moment.
#[derive(Debug, Clone)]
pub struct Backup(Rows);

impl MemoryStore {
    /// A copy of everything that is committed.
    #[must_use]
    pub fn backup(&self) -> Backup {
        Backup(self.rows.lock().clone())
    }

    /// Goes back to a copy. Numbers of jobs are not given a second time.
    pub fn restore(&self, Backup(mut copy): Backup) {
        let mut rows = self.rows.lock();
        copy.last_job = rows.last_job;
        for job in copy.jobs.values_mut().filter(|job| !job.state().is_terminal()) {
            job.restoration = Restoration::Waiting;
        }
        *rows = copy;
    }

    /// Makes every write take that long; a crash meanwhile loses it.
    pub fn set_delay(&self, delay: Duration) {
        self.behavior.lock().delay = delay;
    }

    /// Refuses the next writes as not available.
    pub fn refuse(&self, writes: u32) {
        self.behavior.lock().refusals = writes;
    }

    /// Makes the next appends fail for good, each with nothing of it committed.
    pub fn fail(&self, appends: u32) {
        self.behavior.lock().failures = appends;
    }

    /// How many groups were committed.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.behavior.lock().appends
    }

    /// Writes that broke the rules of the port.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.rows.lock().violations.clone()
    }

    /// All events of all jobs.
    #[must_use]
    pub fn all_events(&self) -> Vec<EventRecord> {
        self.rows.lock().events.clone()
    }

    /// The state of every node of a job, by name.
    #[must_use]
    pub fn node_states(&self, job: JobId) -> BTreeMap<String, NodeState> {
        let rows = self.rows.lock();
        let nodes = rows.jobs.get(&job).into_iter().flat_map(|job| &job.nodes);
        nodes.map(|node| (node.shown.name.to_string(), node.stored.state)).collect()
    }

    /// One node of a job, by name.
    #[must_use]
    pub fn node(&self, job: JobId, name: &str) -> Option<NodeRecord> {
        let rows = self.rows.lock();
        let mut nodes = rows.jobs.get(&job)?.nodes.iter();
        nodes.find(|node| node.shown.name.as_str() == name).map(|node| node.shown.clone())
    }

    async fn admit(&self) -> Result<(), StoreError> {
        let delay = self.behavior.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut behavior = self.behavior.lock();
        if behavior.refusals > 0 {
            behavior.refusals -= 1;
            return Err(StoreError::Unavailable("the test says so".into()));
        }
        behavior.appends += 1;
        Ok(())
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn create_job(&self, job: NewJob) -> Result<JobId, StoreError> {
        self.admit().await?;
        Ok(self.rows.lock().create(job)?)
    }

    async fn append(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.admit().await?;
        {
            let mut behavior = self.behavior.lock();
            if behavior.failures > 0 {
                behavior.failures -= 1;
                return Err(StoreError::Failed("the test says so".into()));
            }
        }
        let fresh: Arc<[EventRecord]> = {
            let mut rows = self.rows.lock();
            let before = rows.events.len();
            for write in writes {
                let shown = format!("{write:?}");
                if let Err(rule) = rows.apply(write) {
                    let violation = format!("{rule}: {}", shown.chars().take(200).collect::<String>());
                    rows.violations.push(violation.clone());
                    return Err(StoreError::Failed(violation));
                }
            }
            rows.events[before..].into()
        };
        if !fresh.is_empty() {
            // No follower is no error.
            let _ = self.feed.send(fresh);
        }
        Ok(())
    }

    async fn settled(&self, _job: JobId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn open_jobs(&self) -> Result<Vec<(JobId, NodeCounts)>, StoreError> {
        let rows = self.rows.lock();
        let open = rows.jobs.iter().filter(|(_, job)| !job.state().is_terminal());
        Ok(open.map(|(id, job)| (*id, job.record(*id).counts)).collect())
    }

    async fn unfinished(&self) -> Result<Vec<UnfinishedJob>, StoreError> {
        let rows = self.rows.lock();
        let open = rows.jobs.iter().filter(|(_, job)| !job.state().is_terminal());
        Ok(open.map(|(id, job)| job.unfinished(*id)).collect())
    }

    async fn stored(&self, job: JobId) -> Result<Option<UnfinishedJob>, StoreError> {
        Ok(self.rows.lock().jobs.get(&job).map(|row| row.unfinished(job)))
    }

    async fn holds(&self) -> Result<Vec<Held>, StoreError> {
        Ok(self.rows.lock().holds.values().cloned().collect())
    }

    async fn job(&self, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.rows.lock().jobs.get(&job).map(|row| row.record(job)))
    }

    async fn jobs(&self, query: JobQuery) -> Result<Page<JobRecord>, StoreError> {
        Ok(self.rows.lock().list(&query))
    }

    async fn spec(&self, job: JobId) -> Result<Option<Arc<JobSpec>>, StoreError> {
        Ok(self.rows.lock().jobs.get(&job).map(|row| Arc::clone(&row.spec)))
    }

    async fn brief(&self, job: JobId, from: NodeIndex, limit: u32) -> Result<Vec<BriefNode>, StoreError> {
        Ok(self.rows.lock().brief(job, from, limit))
    }

    async fn nodes(&self, query: NodeQuery) -> Result<NodePage, StoreError> {
        Ok(self.rows.lock().nodes(&query))
    }

    async fn events_of(&self, job: JobId, node: NodeIndex) -> Result<Vec<EventRecord>, StoreError> {
        let rows = self.rows.lock();
        let name = rows.jobs.get(&job).map(|row| row.spec.node(node).clone());
        let of_node = |event: &&EventRecord| event.job == job && event.node == name;
        Ok(rows.events.iter().filter(of_node).cloned().collect())
    }

    async fn events(&self, job: JobId, start: EventSeq, limit: u32) -> Result<EventPage, StoreError> {
        let rows = self.rows.lock();
        let mut wanted = rows.events.iter().filter(|event| event.job == job && event.seq >= start);
        let items = wanted.by_ref().take(limit as usize).cloned().collect();
        Ok(EventPage { items, more: wanted.next().is_some() })
    }

    async fn all_events(&self, start: EventSeq, limit: u32) -> Result<EventPage, StoreError> {
        let rows = self.rows.lock();
        let mut wanted = rows.events.iter().filter(|event| event.seq >= start);
        let items = wanted.by_ref().take(limit as usize).cloned().collect();
        Ok(EventPage { items, more: wanted.next().is_some() })
    }

    async fn newest_event(&self) -> Result<EventSeq, StoreError> {
        Ok(self.rows.lock().events.last().map_or(EventSeq(0), |event| event.seq))
    }

    async fn last_event(&self, job: JobId) -> Result<EventSeq, StoreError> {
        let rows = self.rows.lock();
        Ok(rows.events.iter().rev().find(|event| event.job == job).map_or(EventSeq(0), |event| event.seq))
    }

    async fn open_runs(&self, node: &CertName) -> Result<Vec<Arc<JobSpec>>, StoreError> {
        let rows = self.rows.lock();
        let runs_on = |job: &&JobRow| {
            job.nodes.iter().any(|row| row.shown.name == *node && row.stored.state == NodeState::Running)
        };
        Ok(rows.jobs.values().filter(runs_on).map(|job| Arc::clone(&job.spec)).collect())
    }

    fn subscribe(&self) -> Feed {
        self.feed.subscribe()
    }

    fn trouble(&self) -> Option<String> {
        let refusing = self.behavior.lock().refusals > 0;
        refusing.then(|| "the test says so".to_owned())
    }
}
