//! Follows a job to its end over the event stream: reconnects where it was, shows it, and judges the outcome.
//!
//! It only reads. The job neither knows nor cares whether somebody follows it.

mod failures;
mod pace;
mod picture;
mod sse;
mod tally;
mod view;

use std::time::Duration;

use bunraku_actors::model::{EventKind, JobState};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

pub(crate) use self::failures::Failures;
use self::sse::{SseEvent, SseParser};
pub(crate) use self::view::{Notes, View};
use super::allow::Allowance;
use super::answers::{self, Event, Job, Node};
use super::client::Client;
use super::deep;
use super::error::CliError;
use super::exit::{self, Exit};

/// The first pause before a lost connection is tried again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that is away for longer is given up; the job goes on without us.
const GIVE_UP: Duration = Duration::from_secs(600);
/// How often the picture is drawn, where there is one.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// How often the server is asked which limit binds.
const BINDING_INTERVAL: Duration = Duration::from_secs(2);

/// A job that is over.
pub(crate) struct Ended {
    pub(crate) job: Job,
    pub(crate) exit: Exit,
    /// Nodes that failed or errored. Those that were skipped are only counted.
    pub(crate) failures: Vec<Node>,
    /// What the allowance means for this job, where it decides.
    pub(crate) verdict: Option<String>,
}

/// Reads one job.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn job(client: &Client, name: &str) -> Result<Job, CliError> {
    answers::read(&client.get(&format!("/orchestrator/v1/jobs/{name}"), &[]).await?)
}

/// Shows a job until it is over, then tells how it ended.
///
/// # Errors
/// When the server refuses, or is away for too long. A connection that is lost for less heals.
pub(crate) async fn follow(
    client: &Client,
    name: &str,
    view: &mut View,
    allowed: Option<&Allowance>,
) -> Result<Ended, CliError> {
    let mut follower = Follower { client, name, view, last: None, pause: FIRST_PAUSE, lost: None };
    follower.until_over().await?;
    judge(client, name, allowed).await
}

struct Follower<'a> {
    client: &'a Client,
    name: &'a str,
    view: &'a mut View,
    /// The last event shown.
    last: Option<u64>,
    pause: Duration,
    /// Since when there is no connection.
    lost: Option<Instant>,
}

impl Follower<'_> {
    async fn until_over(&mut self) -> Result<(), CliError> {
        let mut binding = Binding::watch(self.client, self.name, self.view.is_watched());
        loop {
            let reason = match self.read_stream(&mut binding).await {
                Ok(true) => return Ok(()),
                Ok(false) => "the stream ended early".to_owned(),
                Err(error @ (CliError::Unreachable { .. } | CliError::NotReady { .. })) => error.to_string(),
                Err(error) => return Err(error),
            };
            self.wait_after(&reason).await?;
        }
    }

    /// Reads until the job's last event (`true`) or until the stream ends (`false`).
    async fn read_stream(&mut self, binding: &mut Binding) -> Result<bool, CliError> {
        let path = format!("/orchestrator/v1/jobs/{}/events", self.name);
        let after = self.last.map(|id| id.to_string());
        let opened = self.client.stream(&path, after.as_deref());
        let mut stream = while_drawing(self.view, opened).await?;
        if self.lost.take().is_some() {
            self.view.notes().note("connected again");
        }
        let mut parser = SseParser::default();
        loop {
            let portion = tokio::select! {
                portion = while_drawing(self.view, stream.chunk()) => portion,
                limit = binding.changed() => {
                    self.view.binding(limit.as_deref());
                    continue;
                }
            };
            let portion = portion.map_err(|error| self.client.unreachable(&error))?;
            let Some(bytes) = portion else { return Ok(false) };
            let events = parser.push(&bytes).map_err(|error| CliError::Server(format!("the event stream: {error}")))?;
            for event in events {
                if self.show(&event)? {
                    return Ok(true);
                }
            }
        }
    }

    /// Shows an event unless it was shown before; `true` for the job's last one.
    fn show(&mut self, event: &SseEvent) -> Result<bool, CliError> {
        let raw = deep::parse(event.data.as_bytes())
            .map_err(|error| CliError::Server(format!("an event that is no JSON: {error}")))?;
        let parsed: Event = answers::read(&raw)?;
        let id = event.id.as_deref().unwrap_or(&parsed.id).parse().ok();
        if id.is_some() && id <= self.last {
            return Ok(false);
        }
        self.last = id.or(self.last);
        self.pause = FIRST_PAUSE;
        self.view.event(&parsed, &raw);
        Ok(EventKind::from_name(&parsed.kind).is_some_and(EventKind::is_last))
    }

    async fn wait_after(&mut self, reason: &str) -> Result<(), CliError> {
        let since = *self.lost.get_or_insert_with(|| {
            self.view.notes().note(format!("connection lost, trying again: {reason}"));
            Instant::now()
        });
        if since.elapsed() > GIVE_UP {
            let hint = format!("{reason}; given up, the job goes on: bunraku job watch {}", self.name);
            return Err(self.client.given_up(hint));
        }
        while_drawing(self.view, sleep(self.pause)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Waits for something, and draws the picture meanwhile: its clock goes on while nothing happens.
async fn while_drawing<T>(view: &View, what: impl Future<Output = T>) -> T {
    let mut ticks = interval(DRAW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            done = &mut what => return done,
            _ = ticks.tick() => view.draw(),
        }
    }
}

/// Asks in the background which limit binds, so that the stream never waits for the answer.
struct Binding {
    current: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Binding {
    fn watch(client: &Client, name: &str, wanted: bool) -> Self {
        let (sender, current) = watch::channel(None);
        let (client, path) = (client.clone(), format!("/bunraku/v1/jobs/{name}/live"));
        let task = tokio::spawn(async move {
            if wanted {
                report_binding(&client, &path, &sender).await;
            }
            // Kept, so that the receiver never sees a closed channel.
            std::future::pending::<()>().await;
            drop(sender);
        });
        Self { current, task }
    }

    async fn changed(&mut self) -> Option<String> {
        if self.current.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.current.borrow_and_update().clone()
    }
}

/// Never returns.
async fn report_binding(client: &Client, path: &str, sender: &watch::Sender<Option<String>>) {
    let mut ticks = interval(BINDING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A server without this endpoint, or one that is away, only means that there is nothing to say.
        let answer = client.get(path, &[]).await.unwrap_or(Value::Null);
        let binding = limit_in_words(&answer);
        sender.send_if_modified(|current| {
            let changed = *current != binding;
            *current = binding;
            changed
        });
    }
}

/// Which limit binds, as people say it; `None` when none does.
fn limit_in_words(answer: &Value) -> Option<String> {
    let words = match answer.get("binding")?.as_str()? {
        "concurrency" => "the job's concurrency".to_owned(),
        "concurrent_compiles" => "limits.concurrent_compiles".to_owned(),
        "concurrent_runs" => "limits.concurrent_runs".to_owned(),
        "concurrent_tasks" => "limits.concurrent_tasks".to_owned(),
        "node_turn" => "other runs on the same nodes".to_owned(),
        "dependencies" => "dependencies".to_owned(),
        "draining" => "the service, which is being drained".to_owned(),
        "restored" => "the restore from a backup: `bunraku job resume` lets the job go on".to_owned(),
        "connection" => match answer.get("away_until").and_then(Value::as_str) {
            // After a start of the service its settle time comes on top, so this can be minutes.
            Some(until) => format!("nodes that are not connected; they are given up at {until} at the latest"),
            None => "nodes that are not connected".to_owned(),
        },
        other => other.to_owned(),
    };
    Some(words)
}

impl Drop for Binding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a job that is over ended: its exit code and the nodes to blame.
async fn judge(client: &Client, name: &str, allowed: Option<&Allowance>) -> Result<Ended, CliError> {
    let job = job(client, name).await?;
    let state = job.state().unwrap_or(JobState::Failed);
    let mut failures = Vec::new();
    if state != JobState::Finished {
        for wanted in ["failed", "errored"] {
            failures.extend(nodes(client, name, Some(wanted)).await?);
        }
    }
    let mut exit = exit::of_job(state, failures.iter().map(Node::end));
    let mut verdict = None;
    if exit == Exit::OnlyUnreached {
        // Many nodes may have been skipped; they are asked for only where they decide.
        let skipped = nodes(client, name, Some("skipped")).await?;
        let ends = || failures.iter().chain(&skipped).map(Node::end);
        exit = exit::of_job(state, ends());
        if let (Exit::OnlyUnreached, Some(allowed), Some(missed)) = (exit, allowed, exit::unreached(ends())) {
            verdict = Some(allowed.verdict(missed, job.node_count));
            if allowed.allows(missed, job.node_count) {
                exit = Exit::Done;
            }
        }
    }
    Ok(Ended { job, exit, failures, verdict })
}

/// The nodes of a job, all of them or those in one state.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn nodes(client: &Client, name: &str, state: Option<&str>) -> Result<Vec<Node>, CliError> {
    let query: Vec<_> = state.map(|state| ("state", state.to_owned())).into_iter().collect();
    let items = client.all(&format!("/orchestrator/v1/jobs/{name}/nodes"), &query).await?;
    items.iter().map(answers::read).collect()
}

#[cfg(test)]
mod tests {
    use bunraku_actors::handle::Binding as Limit;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_limit_has_words() {
        let all = [
            Limit::Concurrency,
            Limit::ConcurrentCompiles,
            Limit::ConcurrentRuns,
            Limit::ConcurrentTasks,
            Limit::Restored,
            Limit::Draining,
            Limit::NodeTurn,
            Limit::Connection,
            Limit::Dependencies,
        ];
        for limit in all {
            let words = limit_in_words(&json!({ "binding": limit })).unwrap();
            assert!(words.contains(' ') || words.starts_with("limits.") || limit == Limit::Dependencies, "{words}");
        }
        let away = json!({ "binding": "connection", "away_until": "2031-05-04T10:20:43Z" });
        assert!(limit_in_words(&away).unwrap().ends_with("given up at 2031-05-04T10:20:43Z at the latest"));
        assert_eq!(limit_in_words(&json!({ "binding": null })), None);
    }
}
