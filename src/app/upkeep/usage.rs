//! Keeps the numbers that `GET /usage` shows: which nodes were connected, ran tasks, were changed by Puppet, day by day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bunraku_actors::model::{CertName, EventKind, EventRecord, EventSeq, JobId, JobType};
use bunraku_actors::ports::{JobStore as _, StoreError, Transport};
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::Value;

use crate::api::records::{Records as _, USAGE_CURSOR, UsageKind, UsageNotes};
use crate::store::Store;

/// Nodes that one transaction takes, and events that one look reads at a time.
const AT_ONCE: usize = 500;
/// Looks at events between two waits; the rest comes at the next look.
const PAGES: usize = 200;
/// Days whose nodes still stand by name: what was late in the evening is counted in the night.
const OPEN_DAYS: u64 = 2;

/// The counting of one process.
pub(super) struct UsageCount {
    store: Store,
    transport: Arc<dyn Transport>,
    /// Nodes that are noted already, of this day.
    seen: (NaiveDate, BTreeSet<CertName>),
}

impl UsageCount {
    pub(super) fn new(store: Store, transport: Arc<dyn Transport>) -> Self {
        Self { store, transport, seen: (NaiveDate::MIN, BTreeSet::new()) }
    }

    /// Counts what has come since the last look.
    pub(super) async fn look(&mut self, now: DateTime<Utc>) {
        let today = now.date_naive();
        let counted = async {
            self.note_connected(today).await?;
            self.note_events().await?;
            if let Some(closed) = today.checked_sub_days(Days::new(OPEN_DAYS)) {
                while self.store.settle_usage(closed).await? {}
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = counted.await {
            tracing::warn!(%error, "the usage of nodes is counted later");
        }
    }

    async fn note_connected(&mut self, today: NaiveDate) -> Result<(), StoreError> {
        if self.seen.0 != today {
            self.seen = (today, BTreeSet::new());
        }
        let connections = self.transport.connections();
        let fresh: Vec<CertName> = connections
            .iter()
            .map(|connection| &connection.node)
            .filter(|node| !self.seen.1.contains(*node))
            .cloned()
            .collect();
        for part in fresh.chunks(AT_ONCE) {
            let nodes = part.iter().map(|node| (today, UsageKind::Agent, node.clone())).collect();
            self.store.note_usage(UsageNotes { nodes, ..UsageNotes::default() }).await?;
            self.seen.1.extend(part.iter().cloned());
        }
        Ok(())
    }

    async fn note_events(&self) -> Result<(), StoreError> {
        let mut cursor = match self.store.setting(USAGE_CURSOR).await? {
            Some(text) => EventSeq(text.parse().unwrap_or_default()),
            // What was before this was counted at all is not made up for.
            None => self.store.newest_event().await?.next(),
        };
        let mut types = BTreeMap::new();
        for _ in 0..PAGES {
            let page = self.store.all_events(cursor, u32::try_from(AT_ONCE).unwrap_or(u32::MAX)).await?;
            cursor = page.items.last().map_or(cursor, |event| event.seq.next());
            let mut notes = UsageNotes { cursor: Some(cursor.0), ..UsageNotes::default() };
            for event in &page.items {
                self.count(event, &mut types, &mut notes).await?;
            }
            self.store.note_usage(notes).await?;
            if !page.more {
                break;
            }
        }
        Ok(())
    }

    async fn count(
        &self,
        event: &EventRecord,
        types: &mut BTreeMap<JobId, Option<JobType>>,
        notes: &mut UsageNotes,
    ) -> Result<(), StoreError> {
        let ran = matches!(event.kind, EventKind::NodeFinished | EventKind::NodeFailed);
        let Some(node) = event.node.as_ref().filter(|_| ran) else { return Ok(()) };
        let job_type = match types.get(&event.job) {
            Some(known) => *known,
            None => {
                let read = self.store.job(event.job).await?.map(|record| record.header.job_type());
                types.insert(event.job, read);
                read
            }
        };
        let day = event.at.date_naive();
        match job_type {
            Some(JobType::Task) => notes.nodes.push((day, UsageKind::Task, node.clone())),
            Some(JobType::PlanTask) => notes.nodes.push((day, UsageKind::Plan, node.clone())),
            Some(JobType::Deploy) => {
                let metric = |name: &str| event.detail["metrics"].get(name).and_then(Value::as_u64).unwrap_or(0);
                let (changed, corrective) = (metric("changed"), metric("corrective_change"));
                let sums = notes.changes.entry(day).or_default();
                sums.0 += corrective.min(changed);
                sums.1 += changed.saturating_sub(corrective);
            }
            None => {}
        }
        Ok(())
    }
}
