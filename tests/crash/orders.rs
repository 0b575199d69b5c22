//! What the client asked for and what it was told: jobs, stops, and every event that it read from streams. A stream that
//! breaks off is taken up after the last event, as often as it takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::{Client, NoAnswer};
use super::signs::{Sign, Signs};
use super::site::{GHOST, Site};
use super::timeline::Timeline;
use bunraku_actors::testing::Chance;

const RECONNECT: Duration = Duration::from_millis(20);

/// A job that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) tag: u64,
    pub(crate) path: &'static str,
    pub(crate) body: Value,
}

/// What became of it, as far as the client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// No answer yet, or the connection broke: it exists or it does not, but not twice.
    Nothing,
    Accepted(u64),
    /// It must not exist.
    Refused(String),
}

/// What a stream showed of one job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) events: Vec<Value>,
    pub(crate) over: bool,
}

#[derive(Default)]
struct Book {
    orders: Vec<(Order, Told)>,
    /// Job, and whether by force; accepted ones only.
    stops: Vec<(u64, bool)>,
    watched: BTreeMap<u64, Watched>,
}

/// Everything that was asked for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Orders {
    client: Client,
    signs: Signs,
    timeline: Arc<Timeline>,
    book: Arc<Mutex<Book>>,
}

impl Orders {
    pub(crate) fn new(client: &Client, signs: &Signs, timeline: &Arc<Timeline>) -> Self {
        let (client, signs) = (client.clone(), signs.clone());
        Self { client, signs, timeline: Arc::clone(timeline), book: Arc::default() }
    }

    /// Sends an order without waiting for its answer.
    pub(crate) fn place(&self, order: Order) {
        let place = {
            let mut book = self.book.lock();
            book.orders.push((order.clone(), Told::Nothing));
            book.orders.len() - 1
        };
        self.timeline.note(format!("job with tag {} is asked for: {}", order.tag, order.body));
        let orders = self.clone();
        tokio::spawn(async move {
            let accepted = || orders.signs.give(Sign::Accepted);
            let told = match orders.client.post(order.path, &order.body, accepted).await {
                Ok(answer) => {
                    let job = answer["job"]["name"].as_str().and_then(|name| name.parse().ok()).unwrap();
                    orders.watch(job);
                    Told::Accepted(job)
                }
                Err(NoAnswer::Refused(status, text)) => Told::Refused(format!("{status} {text}")),
                Err(NoAnswer::Broken(_)) => Told::Nothing,
            };
            orders.timeline.note(format!("job with tag {}: {told:?}", order.tag));
            orders.book.lock().orders[place].1 = told;
        });
    }

    /// Asks for a stop without waiting for the answer.
    pub(crate) fn stop(&self, job: u64, force: bool) {
        self.timeline.note(format!("job {job}: stop, force {force}"));
        let orders = self.clone();
        tokio::spawn(async move {
            let body = json!({ "job": job.to_string(), "force": force });
            let answer = orders.client.post("/orchestrator/v1/command/stop", &body, || {}).await;
            if answer.is_ok() {
                orders.timeline.note(format!("job {job}: stop accepted"));
                orders.book.lock().stops.push((job, force));
            }
        });
    }

    /// Reads a job's events until the last one, whatever happens to the service meanwhile.
    fn watch(&self, job: u64) {
        self.book.lock().watched.insert(job, Watched::default());
        let orders = self.clone();
        tokio::spawn(async move {
            while !orders.follow(job).await {
                sleep(RECONNECT).await;
            }
            if let Some(watched) = orders.book.lock().watched.get_mut(&job) {
                watched.over = true;
            }
        });
    }

    /// Follows one stream to its end; true when it was the job's.
    async fn follow(&self, job: u64) -> bool {
        let last = self.book.lock().watched[&job].events.last().map(|event| event["id"].clone());
        let opened = self.client.stream(job, last.as_ref().and_then(Value::as_str)).await;
        let stream = match opened {
            Ok(Some(stream)) => stream,
            Ok(None) => return true,
            Err(_) => return false,
        };
        let (mut chunks, mut text) = (stream.bytes_stream(), String::new());
        while let Some(Ok(chunk)) = chunks.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some((block, rest)) = text.split_once("\n\n") {
                let data = block.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
                text = rest.to_owned();
                let Some(data) = data else { continue };
                let event: Value = serde_json::from_str(&data).unwrap();
                let last = matches!(event["type"].as_str(), Some("job_finished" | "job_aborted"));
                self.signs.give(Sign::Event);
                self.book.lock().watched.get_mut(&job).unwrap().events.push(event);
                if last {
                    return true;
                }
            }
        }
        false
    }

    /// Accepted jobs whose end no stream has shown yet.
    pub(crate) fn open(&self) -> Vec<u64> {
        let book = self.book.lock();
        book.watched.iter().filter(|(_, watched)| !watched.over).map(|(job, _)| *job).collect()
    }

    pub(crate) fn orders(&self) -> Vec<(Order, Told)> {
        self.book.lock().orders.clone()
    }

    pub(crate) fn stops(&self) -> Vec<(u64, bool)> {
        self.book.lock().stops.clone()
    }

    pub(crate) fn watched(&self) -> BTreeMap<u64, Watched> {
        self.book.lock().watched.clone()
    }
}

/// Makes up a job.
pub(crate) fn invent(tag: u64, site: &Site, chance: &mut Chance) -> Order {
    let names: Vec<String> = site.nodes.iter().map(|node| node.name.clone()).collect();
    // Some runs are long enough to outlast an agent that is given up; some are longer than they may be.
    let base = chance.pick(&[0, 0, 0, 0, 0, 1_500, 3_000, 5_500]);
    let most = if base == 0 { names.len() as u64 } else { 4 };
    let count = usize::try_from(chance.between(2, most)).unwrap();
    let mut nodes = chance.some(&names, count);
    if chance.percent(12) {
        nodes.push(GHOST.to_owned());
    }
    let mut body = json!({ "environment": "production", "userdata": { "tag": tag } });
    if chance.percent(50) {
        body["concurrency"] = json!(chance.between(1, 4));
    }
    if base >= 3_000 && chance.percent(50) {
        body["timeout"] = json!(2);
    }
    if chance.percent(45) {
        body["task"] = json!("crash::work");
        body["params"] = json!({ "tag": tag.to_string(), "base": base });
        body["scope"] = json!({ "nodes": nodes });
        return Order { tag, path: "/orchestrator/v1/command/task", body };
    }
    body["tags"] = json!(format!("t{tag},b{base}"));
    // Chains of long runs would take longer than all the rest.
    let scope = if base == 0 { chance.between(0, 9) } else { 9 };
    body["scope"] = match scope {
        0 => json!({ "application": "Shop" }),
        1..=2 => json!({ "application": "Shop[one]" }),
        3 => json!({ "application": "Shop[two]" }),
        _ => json!({ "nodes": nodes }),
    };
    if chance.percent(20) && body["scope"].get("nodes").is_some() {
        // Without an environment there is no order between nodes.
        body["environment"] = json!("");
    }
    Order { tag, path: "/orchestrator/v1/command/deploy", body }
}
