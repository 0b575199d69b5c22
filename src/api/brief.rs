//! Streams for pages and terminals that show many nodes at once: `GET /bunraku/v1/jobs/<id>/events`, the events of a job
//! in brief with its live state, and `GET /bunraku/v1/jobs/changes`, which jobs change and how many nodes are connected.
//!
//! The first one is resumed by its event numbers like the full stream (`sse`), whose rules it keeps. The second has no
//! past: who comes back reads the list anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, web};
use bunraku_actors::model::{EventRecord, EventSeq, JobId, common_message, reason_of};
use bunraku_actors::ports::{Feed, StoreError};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::auth::{Caller, Viewer};
use super::events::wants_stream;
use super::links::Links;
use super::request::Query;
use super::sse::{self, Of};
use super::state::State;
use super::types::{Job, short};
use super::{Answer, ApiError, jobs};

/// What is sent when there is nothing to tell.
pub(super) const BEAT: &str = "event: beat\ndata: {}\n\n";
/// How long changes of a job are gathered before they are told.
const GATHERED: Duration = Duration::from_millis(500);
/// How often it is looked how many nodes are connected.
const COUNTED: Duration = Duration::from_secs(2);
/// A stream that fell behind by more jobs than this tells of the newest.
const BACKLOG: usize = 1_000;

/// The events of a job in brief, from `start` on or after `Last-Event-ID`, and its live state whenever that changed.
pub(super) async fn of_job(
    req: HttpRequest,
    state: web::Data<State>,
    Viewer(caller): Viewer,
    id: web::Path<String>,
) -> Answer {
    must_take_stream(&req)?;
    let start = Query::of(&req).number("start")?.map(EventSeq);
    let record = jobs::find(&req, &state, &id).await?;
    let over = record.state.is_terminal();
    sse::respond_as(&req, &state, caller, Of::Brief(record.id), over, start).await
}

/// Refuses whoever does not say that they want a stream: it has no end, which a client must know of.
fn must_take_stream(req: &HttpRequest) -> Result<(), ApiError> {
    if wants_stream(req) {
        return Ok(());
    }
    Err(ApiError::invalid("Accept", "Accept must be text/event-stream: this is a stream of events, and nothing else"))
}

/// An event without what a run left behind, as the text of a stream.
pub(super) fn rendered(event: &EventRecord) -> String {
    let at = event.at.timestamp_millis();
    let (word, data) = match &event.node {
        Some(node) => {
            let reason = reason_of(&event.detail, &event.message);
            let group = event.cause.map(|_| common_message(node, reason));
            let data = json!({
                "type": event.kind.name(), "node": node, "at": at, "cause": event.cause.map(|cause| cause.name()),
                "message": if event.cause.is_some() { reason } else { &event.message }, "group": group,
            });
            ("node", data)
        }
        None => ("job", json!({ "type": event.kind.name(), "at": at, "message": event.message })),
    };
    format!("id: {}\nevent: {word}\ndata: {data}\n\n", event.seq)
}

/// Jobs as they change, and the number of connected nodes.
pub(super) async fn changes(req: HttpRequest, state: web::Data<State>, Viewer(caller): Viewer) -> Answer {
    must_take_stream(&req)?;
    let leave = state.stream().ok_or_else(sse::too_many_streams)?;
    let now = Instant::now();
    let watcher = Watcher {
        feed: state.orchestrator.store().subscribe(),
        closing: state.closing(),
        links: Links::of(&req, &state.options),
        state: State::clone(&state),
        caller,
        _leave: leave,
        changed: BTreeSet::new(),
        told: BTreeMap::new(),
        connected: None,
        changes: 0,
        gathered_at: now,
        count_at: now,
        comment_at: now + state.options.sse_comment,
        check_at: now + state.options.sse_recheck,
        over: false,
    };
    Ok(sse::streaming(futures_util::stream::try_unfold(watcher, Watcher::step)))
}

struct Watcher {
    state: State,
    caller: Caller,
    /// Given back with the stream, however that ends.
    _leave: OwnedSemaphorePermit,
    feed: Feed,
    closing: watch::Receiver<bool>,
    links: Links,
    /// Jobs that changed since they were told.
    changed: BTreeSet<JobId>,
    /// What was told last of a job that is not over: some changes of it have no event.
    told: BTreeMap<JobId, Value>,
    /// How many sessions there are, and the number of the newest.
    connected: Option<(usize, u64)>,
    /// How often that changed.
    changes: u64,
    gathered_at: Instant,
    count_at: Instant,
    comment_at: Instant,
    check_at: Instant,
    over: bool,
}

impl Watcher {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            if self.over || *self.closing.borrow() {
                return Ok(None);
            }
            let now = Instant::now();
            if now >= self.check_at {
                if !self.caller.still_valid(&self.state).await {
                    return Ok(None);
                }
                self.check_at = now + self.state.options.sse_recheck;
            }
            let text = self.told_now(now).await?;
            if !text.is_empty() {
                self.comment_at = now + self.state.options.sse_comment;
                return Ok(Some((Bytes::from(text), self)));
            }
            if now >= self.comment_at {
                self.comment_at = now + self.state.options.sse_comment;
                return Ok(Some((Bytes::from_static(BEAT.as_bytes()), self)));
            }
            self.wait().await;
        }
    }

    /// What is to be told at this moment.
    async fn told_now(&mut self, now: Instant) -> Result<String, StoreError> {
        let mut text = String::new();
        if now >= self.count_at {
            self.count_at = now + COUNTED;
            let connections = self.state.orchestrator.transport().connections();
            // Numbers of sessions only grow: the newest tells of a coming, the count of a going.
            let newest = connections.iter().map(|connection| connection.generation).max().unwrap_or_default();
            let seen = (connections.len(), newest);
            if self.connected.is_none() {
                // From the first moment on whoever listens knows that beats are to be expected.
                text.push_str(BEAT);
            }
            if self.connected.replace(seen) != Some(seen) {
                self.changes += 1;
                let shown = json!({ "connected": connections.len(), "changed": self.changes });
                text.push_str(&format!("event: inventory\ndata: {shown}\n\n"));
            }
        }
        if now >= self.gathered_at && !self.changed.is_empty() {
            self.gathered_at = now + GATHERED;
            while self.changed.len() > BACKLOG {
                self.changed.pop_first();
            }
            for job in std::mem::take(&mut self.changed) {
                if let Some(shown) = self.changed_job(job).await? {
                    text.push_str(&format!("event: job\ndata: {shown}\n\n"));
                }
            }
        }
        Ok(text)
    }

    /// A job as it is now, if that was not told already.
    async fn changed_job(&mut self, job: JobId) -> Result<Option<Value>, StoreError> {
        let Some(record) = self.state.orchestrator.store().job(job).await? else { return Ok(None) };
        let mut shown = short(&Job::new(&record, self.state.now(), &self.links));
        // It grows by itself, and is no change.
        let duration = shown["duration"].take();
        if record.state.is_terminal() {
            // Nothing more is to come.
            self.told.remove(&job);
            shown["duration"] = duration;
            return Ok(Some(shown));
        }
        if self.told.get(&job) == Some(&shown) {
            return Ok(None);
        }
        self.told.insert(job, shown.clone());
        shown["duration"] = duration;
        Ok(Some(shown))
    }

    async fn wait(&mut self) {
        let mut wake = self.count_at.min(self.comment_at).min(self.check_at);
        if !self.changed.is_empty() {
            wake = wake.min(self.gathered_at);
        }
        tokio::select! {
            biased;
            _ = self.closing.changed() => {}
            batch = self.feed.recv() => match batch {
                Ok(events) => self.changed.extend(events.iter().map(|event| event.job)),
                // Which jobs were missed is not known: whoever comes back reads the list anew.
                Err(RecvError::Lagged(_) | RecvError::Closed) => self.over = true,
            },
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}
