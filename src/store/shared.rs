//! What the writer publishes and everyone may look at: committed state only.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use bunraku_actors::model::{CertName, EventRecord, JobId};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::broadcast;

use super::fault::Fault;
use super::known_tokens::KnownTokens;
use super::sealed::SecretKey;
use super::specs::{Specs, value_weight};

/// Committed batches that a slow subscriber may be behind before it must go back to the store. All of them stay in
/// memory, whether anybody is slow or not.
const FEED_CAPACITY: usize = 512;
/// So much of details each of them may hold; what is beyond is left to the store.
const FEED_BATCH_BYTES: usize = 64 * 1024;

/// Shared by the handle, the readers and the writer.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) specs: Specs,
    pub(super) tokens: KnownTokens,
    pub(super) feed: broadcast::Sender<Arc<[EventRecord]>>,
    /// Requests that the writer has taken from its queue and not yet committed.
    pub(super) waiting: AtomicUsize,
    trouble: Mutex<Option<String>>,
    /// Whoever met damage first, reader or writer. Only another process with another file helps.
    damage: OnceLock<String>,
    /// The writer is gone, and nobody asked it to go.
    broken_down: OnceLock<String>,
    open_runs: RwLock<HashMap<CertName, Vec<JobId>>>,
}

impl Shared {
    pub(super) fn new(key: Option<SecretKey>) -> Self {
        Self {
            specs: Specs::new(key),
            tokens: KnownTokens::default(),
            feed: broadcast::Sender::new(FEED_CAPACITY),
            waiting: AtomicUsize::new(0),
            trouble: Mutex::default(),
            damage: OnceLock::new(),
            broken_down: OnceLock::new(),
            open_runs: RwLock::default(),
        }
    }

    /// Publishes committed events, large details left out.
    pub(super) fn publish(&self, mut events: Vec<EventRecord>) {
        let mut bytes = 0;
        for event in &mut events {
            let weight = value_weight(&event.detail);
            if bytes + weight > FEED_BATCH_BYTES {
                event.detail = Value::Null;
            } else {
                bytes += weight;
            }
        }
        if !events.is_empty() {
            // Nobody listening is fine.
            let _ = self.feed.send(events.into());
        }
    }

    /// What is wrong, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        let lasting = self.damage.get().cloned().or_else(|| self.broken_down());
        lasting.or_else(|| self.trouble.lock().clone())
    }

    /// Why there is no writer any more, if that was not wanted.
    pub(super) fn broken_down(&self) -> Option<String> {
        self.broken_down.get().cloned()
    }

    /// Remembers that the writer is gone.
    pub(super) fn note_breakdown(&self, reason: &str) {
        tracing::error!(reason, "the store breaks down");
        // The first reason stays.
        let _ = self.broken_down.set(reason.to_owned());
    }

    /// Remembers damage, whoever met it. What is damaged stays so, however well the next write goes.
    pub(super) fn note_damage(&self, fault: &Fault) {
        if fault.is_damage() && self.damage.set(fault.trouble()).is_ok() {
            tracing::error!(%fault, "the database cannot be relied on: no new work is taken");
        }
    }

    /// Sets or clears the trouble; only changes are logged.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        let mut current = self.trouble.lock();
        match (&*current, &trouble) {
            (None, Some(reason)) => tracing::error!(%reason, "the store takes no writes"),
            (Some(_), None) => tracing::info!("the store takes writes again"),
            _ => {}
        }
        *current = trouble;
    }

    /// Jobs in which the node has a committed start and no end.
    pub(super) fn open_runs(&self, node: &CertName) -> Vec<JobId> {
        self.open_runs.read().get(node).cloned().unwrap_or_default()
    }

    /// Records committed starts and ends, in that order.
    pub(super) fn change_open_runs(&self, changes: impl IntoIterator<Item = RunChange>) {
        let mut open_runs = self.open_runs.write();
        for change in changes {
            match change {
                RunChange::Opened(node, job) => open_runs.entry(node).or_default().push(job),
                RunChange::Closed(node, job) => {
                    let Some(jobs) = open_runs.get_mut(&node) else { continue };
                    jobs.retain(|open| *open != job);
                    if jobs.is_empty() {
                        open_runs.remove(&node);
                    }
                }
            }
        }
    }
}

/// A committed start or end of a run.
#[derive(Debug)]
pub(super) enum RunChange {
    Opened(CertName, JobId),
    Closed(CertName, JobId),
}
