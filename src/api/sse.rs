//! Events as they happen, of a job or of all jobs, as server-sent events.
//!
//! The store is read up to its end, then the feed of committed events is followed; who lags behind the feed goes back to
//! the store. The stream ends with the job, with its token, and with the service. It does not end for a client that
//! reads nothing: the socket's own time-out does that (`connection`).

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use bunraku_actors::model::{EventRecord, EventSeq, JobId, JobKind};
use bunraku_actors::ports::{Feed, JobRecord, StoreError};
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::auth::Caller;
use super::brief;
use super::document::PAGE;
use super::feed::{Kinds, with_job};
use super::links::Links;
use super::state::State;
use super::types::{Event, LiveView};
use super::{Answer, ApiError};

/// How often the live state of a job is looked at.
const LOOKED: Duration = Duration::from_secs(1);

/// Answers with the stream of a job's events after `Last-Event-ID`, else from `start`, else from the first. 204, which
/// tells browsers not to come back, when the job is over and nothing is left to send.
pub(super) async fn respond(
    req: &HttpRequest,
    state: &State,
    caller: Caller,
    record: JobRecord,
    start: Option<EventSeq>,
) -> Answer {
    let over = record.state.is_terminal();
    respond_as(req, state, caller, Of::Job(record.id, record.header.kind), over, start).await
}

/// The same for one of the ways in which the events of a job are told; `over` when the job was when it was looked up.
pub(super) async fn respond_as(
    req: &HttpRequest,
    state: &State,
    caller: Caller,
    of: Of,
    over: bool,
    start: Option<EventSeq>,
) -> Answer {
    let resumed = last_event_id(req)?;
    let leave = state.stream().ok_or_else(too_many_streams)?;
    let links = Links::of(req, &state.options);
    let mut follower = Follower::new(state, (caller, leave), of, links, resumed.or(start).unwrap_or_default());
    follower.fill().await?;
    if follower.ready.is_empty() && over {
        return Ok(HttpResponse::NoContent().finish());
    }
    Ok(stream(follower))
}

/// Answers with the stream of all jobs' events after `Last-Event-ID`, else from `start`, else with what happens next.
pub(super) async fn respond_all(req: &HttpRequest, state: &State, caller: Caller, start: Option<EventSeq>) -> Answer {
    let leave = state.stream().ok_or_else(too_many_streams)?;
    let links = Links::of(req, &state.options);
    let from = match last_event_id(req)?.or(start) {
        Some(from) => from,
        None => state.orchestrator.store().newest_event().await?.next(),
    };
    let mut follower = Follower::new(state, (caller, leave), Of::All(Kinds::default()), links, from);
    follower.fill().await?;
    Ok(stream(follower))
}

pub(super) fn too_many_streams() -> ApiError {
    ApiError::unavailable("there are too many event streams")
}

fn stream(follower: Follower) -> HttpResponse {
    streaming(futures_util::stream::try_unfold(follower, Follower::step))
}

/// A stream of events as an answer that nobody in between holds back.
pub(super) fn streaming(chunks: impl Stream<Item = Result<Bytes, StoreError>> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(chunks)
}

fn last_event_id(req: &HttpRequest) -> Result<Option<EventSeq>, ApiError> {
    let Some(value) = req.headers().get("Last-Event-ID") else { return Ok(None) };
    let text = value.to_str().unwrap_or("what is no text").trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse::<u64>().ok().filter(|number| i64::try_from(*number).is_ok());
    let number = number.ok_or_else(|| ApiError::invalid("Last-Event-ID", "Last-Event-ID must be an event's number"))?;
    Ok(Some(EventSeq(number).next()))
}

/// Whose events are followed, and how they are told.
pub(super) enum Of {
    Job(JobId, JobKind),
    All(Kinds),
    /// Those of a job in brief, with its live state between them.
    Brief(JobId),
}

struct Follower {
    state: State,
    caller: Caller,
    /// Given back with the stream, however that ends.
    _leave: OwnedSemaphorePermit,
    of: Of,
    links: Links,
    feed: Feed,
    closing: watch::Receiver<bool>,
    /// The first event that was not read yet.
    cursor: EventSeq,
    /// Read but not sent; at most one page of the store or one batch of the feed.
    ready: VecDeque<EventRecord>,
    /// The store may hold events at or after the cursor that the feed will not bring.
    behind: bool,
    over: bool,
    next_comment: Instant,
    next_check: Instant,
    /// The live state as it was told last, and when to look again.
    live: (Option<String>, Instant),
}

impl Follower {
    fn new(
        state: &State,
        (caller, leave): (Caller, OwnedSemaphorePermit),
        of: Of,
        links: Links,
        cursor: EventSeq,
    ) -> Self {
        Self {
            caller,
            _leave: leave,
            of,
            links,
            // Subscribed before the first read: nothing can fall between store and feed.
            feed: state.orchestrator.store().subscribe(),
            closing: state.closing(),
            cursor,
            ready: VecDeque::new(),
            behind: true,
            over: false,
            next_comment: Instant::now() + state.options.sse_comment,
            next_check: Instant::now() + state.options.sse_recheck,
            live: (None, Instant::now()),
            state: state.clone(),
        }
    }

    /// Reads the next page of the store.
    async fn fill(&mut self) -> Result<(), StoreError> {
        let store = self.state.orchestrator.store();
        let page = match self.of {
            Of::Job(job, _) | Of::Brief(job) => store.events(job, self.cursor, PAGE).await?,
            Of::All(_) => store.all_events(self.cursor, PAGE).await?,
        };
        self.behind = page.more;
        page.items.into_iter().for_each(|event| self.take(event));
        Ok(())
    }

    fn take(&mut self, event: EventRecord) {
        self.cursor = event.seq.next();
        self.ready.push_back(event);
    }

    /// Takes what the feed brings of what is followed from the cursor on; what is before it was sent already. One whose detail is
    /// left to the store is read there, with all that follow.
    fn take_batch(&mut self, events: &[EventRecord]) {
        for event in events {
            let followed = match self.of {
                Of::Job(job, _) | Of::Brief(job) => event.job == job,
                Of::All(_) => true,
            };
            if !followed || event.seq < self.cursor {
                // Nothing more is to come, also for who waits beyond the end.
                self.over |= followed && event.kind.is_last() && !matches!(self.of, Of::All(_));
                continue;
            }
            let told_without = matches!(self.of, Of::Brief(_)) && event.cause.is_none();
            if event.detail.is_null() && !told_without {
                self.behind = true;
                return;
            }
            self.take(event.clone());
        }
    }

    async fn step(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            let live = self.live().await?;
            if !self.ready.is_empty() || live.is_some() {
                let text = live.unwrap_or_default() + &self.render().await?;
                self.next_comment = Instant::now() + self.state.options.sse_comment;
                return Ok(Some((Bytes::from(text), self)));
            }
            if self.over || *self.closing.borrow() {
                return Ok(None);
            }
            // Also between pages: a busy stream must not outlive its token.
            if Instant::now() >= self.next_check {
                if !self.caller.still_valid(&self.state).await {
                    return Ok(None);
                }
                self.next_check = Instant::now() + self.state.options.sse_recheck;
            }
            if self.behind {
                self.fill().await?;
                continue;
            }
            if let Some(comment) = self.wait().await {
                return Ok(Some((comment, self)));
            }
        }
    }

    /// Waits for events, for the end of the service, or for the time of a comment or a check.
    async fn wait(&mut self) -> Option<Bytes> {
        let mut next_timer = self.next_comment.min(self.next_check);
        if matches!(self.of, Of::Brief(_)) {
            next_timer = next_timer.min(self.live.1);
        }
        tokio::select! {
            biased;
            _ = self.closing.changed() => {}
            batch = self.feed.recv() => match batch {
                Ok(events) => self.take_batch(&events),
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => self.over = true,
            },
            () = tokio::time::sleep_until(next_timer) => {
                if Instant::now() >= self.next_comment {
                    self.next_comment = Instant::now() + self.state.options.sse_comment;
                    // Pages must hear it to know that all is well; comments are kept from them.
                    let brief = matches!(self.of, Of::Brief(_));
                    return Some(Bytes::from_static(if brief { brief::BEAT } else { ": still here\n\n" }.as_bytes()));
                }
            }
        }
        None
    }

    /// The live state of a job that is told in brief, if it is not what was told last.
    async fn live(&mut self) -> Result<Option<String>, StoreError> {
        let Of::Brief(job) = self.of else { return Ok(None) };
        let ends = self.ready.iter().any(|event| event.kind.is_last());
        if Instant::now() < self.live.1 && !ends {
            return Ok(None);
        }
        self.live.1 = Instant::now() + LOOKED;
        let view = match self.state.orchestrator.live(job).await {
            Some(live) => LiveView::from(&live),
            None => match self.state.orchestrator.store().job(job).await? {
                Some(record) => LiveView::from(&record),
                None => return Ok(None),
            },
        };
        let text = serde_json::to_string(&view)
            .map_err(|error| StoreError::Failed(format!("a live state cannot be rendered: {error}")))?;
        let known = self.live.0.replace(text.clone());
        // From the first moment on whoever listens knows that beats are to be expected.
        let beat = if known.is_none() { brief::BEAT } else { "" };
        Ok((known.as_ref() != Some(&text)).then(|| format!("{beat}event: live\ndata: {text}\n\n")))
    }

    async fn render(&mut self) -> Result<String, StoreError> {
        let mut text = String::new();
        for event in self.ready.drain(..) {
            let data = match &mut self.of {
                Of::Brief(_) => {
                    self.over |= event.kind.is_last();
                    text.push_str(&brief::rendered(&event));
                    continue;
                }
                Of::Job(_, kind) => {
                    self.over |= event.kind.is_last();
                    serde_json::to_string(&Event::new(&event, *kind, &self.links))
                }
                Of::All(kinds) => {
                    let kind = kinds.of(&self.state, event.job).await?;
                    serde_json::to_string(&with_job(&event, kind, &self.links))
                }
            };
            let data = data.map_err(|error| StoreError::Failed(format!("an event cannot be rendered: {error}")))?;
            text.push_str(&format!("id: {}\nevent: {}\ndata: {data}\n\n", event.seq, event.kind.name()));
        }
        Ok(text)
    }
}
