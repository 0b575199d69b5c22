//! The writer thread: one connection, one bounded queue, group commit.
//!
//! Whatever waits is committed in one transaction, each request in a savepoint of its own, so that an impossible one
//! fails alone. Order of every transaction: persist, acknowledge, publish. Chunks of large decisions are written between
//! other work, one transaction after each batch.

mod broken;
mod chunks;
mod create;
mod group;
mod live;
mod nodes;
mod retention;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bunraku_actors::model::{JobId, NodeState};
use bunraku_actors::ports::{StoreError, UnfinishedJob};
use chrono::TimeDelta;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub(super) use self::group::derived_detail;
use self::group::{Counters, Effects, Group, Outcome};
use self::live::LiveJob;
use self::retention::Retention;
use super::decision::{self, Decision};
use super::fault::{Fault, leave_out};
use super::high_water::HighWater;
use super::place::Place;
use super::request::{Request, TRANSACTION_ROWS};
use super::rows;
use super::shared::{RunChange, Shared};

/// Requests that may wait; when it is full, callers wait for their turn.
pub(super) const QUEUE_CAPACITY: usize = 4_096;
/// How often a store in trouble tries whether it can write again.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// How many decisions of each job are outstanding; jobs without any are absent.
pub(super) type Outstanding = BTreeMap<JobId, usize>;

/// The state of the writer thread.
pub(super) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    outstanding: watch::Sender<Outstanding>,
    live: BTreeMap<JobId, LiveJob>,
    /// `None` until read, and after a transaction that failed.
    counters: Option<Counters>,
    high_water: HighWater,
    place: Place,
    decisions: VecDeque<Decision>,
    retention: Retention,
}

/// Whether the thread goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Continue,
    End,
}

impl Writer {
    /// Reads what an earlier process left unfinished. A job that cannot be read is ended.
    pub(super) fn new(
        connection: Connection,
        path: &Path,
        high_water: HighWater,
        shared: Arc<Shared>,
        abandoned_hold: TimeDelta,
    ) -> Result<(Self, watch::Receiver<Outstanding>), Fault> {
        let (mut decisions, unreadable) = decision::load_all(&connection)?;
        let mut broken: BTreeMap<JobId, String> = BTreeMap::new();
        for (job, error) in unreadable {
            let fault = Fault::from(error);
            broken.insert(job, fault.to_string());
            leave_out(job, fault)?;
        }
        for job in rows::unfinished_ids(&connection)? {
            match rows::whole_job(&connection, &shared.specs, job) {
                Ok(Some(whole)) => {
                    broken::correct_counts(&connection, &whole.record);
                    shared.change_open_runs(running_nodes(&whole));
                }
                Ok(None) => {}
                Err(fault) => {
                    broken.insert(job, fault.to_string());
                    leave_out(job, fault)?;
                }
            }
        }
        // Their chunks could not be written either.
        decisions.retain(|decision| !broken.contains_key(&decision.job));
        for (job, reason) in &broken {
            broken::end(&connection, *job, reason, abandoned_hold)?;
        }
        let decisions = VecDeque::from(decisions);
        let mut counts = Outstanding::new();
        for decision in &decisions {
            *counts.entry(decision.job).or_default() += 1;
        }
        let (outstanding, receiver) = watch::channel(counts);
        let retention = Retention::left(&connection)?;
        let live = BTreeMap::new();
        let place = Place::of(path)?;
        let counters = None;
        let writer = Self { connection, shared, outstanding, live, counters, high_water, place, decisions, retention };
        // A file that takes no writes is told of before anybody relies on it.
        writer.probe();
        Ok((writer, receiver))
    }

    /// The thread's body. Returns when the queue ends, or after [`Request::Close`].
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let shared = Arc::clone(&self.shared);
        // AssertUnwindSafe: after a panic nothing of the writer is used again, and dropping the connection rolls back.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            match runtime {
                Ok(runtime) => runtime.block_on(self.serve(&mut queue)),
                Err(error) => shared.note_breakdown(&format!("the writer of the store cannot start: {error}")),
            }
        }));
        if result.is_err() {
            shared.note_breakdown("the writer of the store broke down: restart the service");
        }
        queue.close();
        while let Ok(request) = queue.try_recv() {
            request.refuse(StoreError::Failed(shared.trouble().unwrap_or_else(|| "it is closed".to_owned())));
        }
    }

    async fn serve(&mut self, queue: &mut mpsc::Receiver<Request>) {
        let mut waiting = VecDeque::new();
        loop {
            if self.receive(queue, &mut waiting).await == Next::End {
                break;
            }
            self.shared.waiting.store(waiting.len(), Ordering::Relaxed);
            if self.next_batch(&mut waiting) == Next::End {
                break;
            }
            self.shared.waiting.store(waiting.len(), Ordering::Relaxed);
            self.next_chunk();
            self.next_piece();
        }
        self.retention.refuse(&StoreError::Failed("it is closed".to_owned()));
        // An empty log lets the file be copied alone. Not vital: the next open would read the log.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "the write-ahead log was not emptied at the end");
        }
    }

    /// Moves what is queued to `waiting`; sleeps only when there is nothing else to do.
    async fn receive(&self, queue: &mut mpsc::Receiver<Request>, waiting: &mut VecDeque<Request>) -> Next {
        let in_trouble = self.shared.trouble().is_some();
        if waiting.is_empty() && (in_trouble || self.is_idle()) {
            let received = if in_trouble {
                match tokio::time::timeout(PROBE_INTERVAL, queue.recv()).await {
                    Ok(received) => received,
                    Err(_) => {
                        self.probe();
                        return Next::Continue;
                    }
                }
            } else {
                queue.recv().await
            };
            match received {
                Some(request) => waiting.push_back(request),
                None => return Next::End,
            }
        }
        while waiting.len() < QUEUE_CAPACITY {
            match queue.try_recv() {
                Ok(request) => waiting.push_back(request),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) if waiting.is_empty() => return Next::End,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
            }
        }
        Next::Continue
    }

    /// Nothing waits to be done between batches.
    fn is_idle(&self) -> bool {
        self.decisions.is_empty() && !self.retention.is_at_work()
    }

    /// Tries a write; clears the trouble when it succeeds.
    fn probe(&self) {
        let write = "UPDATE counters SET value = value + 1 WHERE name = 'probe'";
        match self.connection.execute(write, []) {
            Ok(_) => self.shared.set_trouble(None),
            Err(error) => self.shared.set_trouble(Some(Fault::from(error).trouble())),
        }
    }

    /// Commits as many requests as fit into one transaction, answers them, and publishes their events.
    fn next_batch(&mut self, waiting: &mut VecDeque<Request>) -> Next {
        let mut requests = Vec::new();
        let mut rows = 0;
        let mut next = Next::Continue;
        while let Some(request) = waiting.pop_front() {
            if matches!(request, Request::Close) {
                next = Next::End;
                break;
            }
            let request = match request {
                Request::Prune(cutoffs, reply) => {
                    self.retention.begin(cutoffs, reply);
                    continue;
                }
                other => other,
            };
            if !requests.is_empty() && rows + request.rows() > TRANSACTION_ROWS {
                waiting.push_front(request);
                break;
            }
            rows += request.rows();
            requests.push(request);
        }
        if !requests.is_empty() {
            metrics::histogram!("bunraku_store_batch_rows").record(rows as f64);
            self.commit_requests(requests);
        }
        if next == Next::End {
            for request in waiting.drain(..) {
                request.refuse(StoreError::Failed("it is closed".to_owned()));
            }
        }
        next
    }

    fn commit_requests(&mut self, mut requests: Vec<Request>) {
        let committed = self.transaction(|writer, effects| {
            let mut outcomes = Vec::with_capacity(requests.len());
            for request in &mut requests {
                outcomes.push(writer.savepoint(effects, |group| group.perform(request))?);
            }
            Ok(outcomes)
        });
        match committed {
            Ok((outcomes, effects)) => {
                let events = self.make_visible(effects);
                if requests.iter().any(|request| matches!(request, Request::Work(work) if work.changes_tokens())) {
                    self.shared.tokens.forget();
                }
                for (request, outcome) in requests.into_iter().zip(outcomes) {
                    answer(request, outcome);
                }
                self.shared.publish(events);
            }
            Err(fault) => {
                let error = StoreError::from(fault);
                requests.into_iter().for_each(|request| request.refuse(error.clone()));
            }
        }
    }

    /// Writes one chunk of the oldest outstanding decision, if there is one and the store is not in trouble.
    fn next_chunk(&mut self) {
        if self.shared.trouble().is_some() {
            return;
        }
        let Some(mut decision) = self.decisions.pop_front() else { return };
        let committed = self.transaction(|writer, effects| {
            let mut group = writer.group();
            let done = group.write_chunk(&decision)?;
            effects.extend(group.finish()?);
            Ok(done)
        });
        match committed {
            Ok((done, effects)) => {
                let events = self.make_visible(effects);
                if done == decision.body.len() {
                    self.outstanding.send_modify(|counts| settle_one(counts, decision.job));
                } else {
                    decision.done = done;
                    self.decisions.push_front(decision);
                }
                self.shared.publish(events);
            }
            Err(fault) => {
                // Kept in memory as on disk; tried again after the next successful probe.
                self.shared.set_trouble(Some(fault.trouble()));
                self.decisions.push_front(decision);
            }
        }
    }

    /// Runs `body` in a transaction. On an error nothing is in, and what was cached is forgotten.
    fn transaction<T>(
        &mut self,
        body: impl FnOnce(&mut Self, &mut Effects) -> Result<T, Fault>,
    ) -> Result<(T, Effects), Fault> {
        let started = Instant::now();
        let mut effects = Effects::default();
        let attempt = || {
            self.run_sql("BEGIN IMMEDIATE")?;
            if self.counters.is_none() {
                self.counters = Some(Counters::load(&self.connection)?);
            }
            let value = body(self, &mut effects)?;
            if let Some(counters) = &mut self.counters {
                let (job, event) = counters.last();
                self.high_water.reserve(job, event)?;
                counters.save(&self.connection)?;
            }
            self.run_sql("COMMIT")?;
            self.place.check()?;
            Ok(value)
        };
        let result = attempt();
        metrics::histogram!("bunraku_store_commit_seconds").record(started.elapsed().as_secs_f64());
        match result {
            Ok(value) => {
                if let Some(counters) = &self.counters {
                    let (job, event) = counters.last();
                    self.high_water.committed(job, event);
                }
                self.shared.set_trouble(None);
                self.live.retain(|_, job| !job.state.is_terminal());
                Ok((value, effects))
            }
            Err(fault) => {
                self.forget();
                self.shared.note_damage(&fault);
                self.shared.set_trouble(Some(fault.trouble()));
                Err(fault)
            }
        }
    }

    /// Rolls back and forgets everything that the failed transaction may have touched.
    fn forget(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.run_sql("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
        self.live.clear();
        self.counters = None;
        self.shared.specs.clear();
    }

    /// Runs one group. The outer error ends the transaction; the inner one is this group's alone.
    fn savepoint<T>(
        &mut self,
        effects: &mut Effects,
        body: impl FnOnce(&mut Group<'_>) -> Result<T, Fault>,
    ) -> Result<Result<T, StoreError>, Fault> {
        self.run_sql("SAVEPOINT request")?;
        let before = self.counters;
        let mut group = self.group();
        let result = match body(&mut group) {
            Ok(value) => group.finish().map(|made| (value, made)),
            Err(fault) => {
                group.abandon();
                Err(fault)
            }
        };
        match result {
            Ok((value, made)) => {
                self.run_sql("RELEASE request")?;
                effects.extend(made);
                Ok(Ok(value))
            }
            Err(fault) if fault.advice().is_some() => Err(fault),
            Err(fault) => {
                self.run_sql("ROLLBACK TO request")?;
                self.run_sql("RELEASE request")?;
                self.counters = before;
                if !matches!(fault, Fault::Denied(_)) {
                    tracing::warn!(error = %fault, "a group of writes was refused");
                }
                Ok(Err(StoreError::from(fault)))
            }
        }
    }

    fn group(&mut self) -> Group<'_> {
        let counters = self.counters.as_mut().expect("every transaction loads the counters first");
        Group::new(&self.connection, &self.shared.specs, &mut self.live, counters)
    }

    fn run_sql(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Lets readers of memory see what is committed; returns the events to publish.
    fn make_visible(&mut self, effects: Effects) -> Vec<bunraku_actors::model::EventRecord> {
        for (job, spec) in effects.created {
            self.shared.specs.insert(job, spec);
        }
        if !effects.runs.is_empty() {
            self.shared.change_open_runs(effects.runs);
        }
        if !effects.decisions.is_empty() {
            self.outstanding.send_modify(|counts| {
                for decision in &effects.decisions {
                    *counts.entry(decision.job).or_default() += 1;
                }
            });
            self.decisions.extend(effects.decisions);
        }
        effects.events
    }
}

fn settle_one(counts: &mut Outstanding, job: JobId) {
    if let Some(count) = counts.get_mut(&job) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&job);
        }
    }
}

fn answer(request: Request, outcome: Result<Outcome, StoreError>) {
    // A caller that is gone needs no answer: what it asked for is committed all the same.
    match (request, outcome) {
        (request, Err(error)) => request.refuse(error),
        (Request::Create(_, reply), Ok(Outcome::Created(job))) => drop(reply.send(Ok(job))),
        (Request::Work(work), Ok(_)) => work.answer(Ok(())),
        (Request::Append(_, reply), Ok(_)) => drop(reply.send(Ok(()))),
        (request, Ok(_)) => request.refuse(StoreError::Failed("its answer does not fit".to_owned())),
    }
}

/// The open runs of one job, as changes.
fn running_nodes(whole: &UnfinishedJob) -> impl Iterator<Item = RunChange> {
    let nodes = whole.nodes.iter().zip(whole.spec.nodes.iter());
    let running = nodes.filter(|(node, _)| node.state == NodeState::Running);
    running.map(|(_, name)| RunChange::Opened(name.clone(), whole.record.id))
}
