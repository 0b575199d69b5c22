//! Readers: one who takes the whole list again and again, and some who take nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::all_finish;
use crate::figures::{mebibytes, seconds, spread};
use crate::probe::Probe;
use crate::store::Ended;
use crate::swarm::Swarm;
use crate::watcher::{Watcher, event_numbers};
use crate::{Stage, until};

/// The whole list of nodes while the job runs: every answer has every node once, and no node goes back.
pub(super) async fn of_the_whole_list(stage: &mut Stage, swarm: &mut Swarm) {
    let nodes = stage.options.nodes;
    let job = stage.client.deploy(&swarm.names(), Some(nodes / 10)).await;
    let path = format!("/orchestrator/v1/jobs/{job}/nodes");
    let mut known: BTreeMap<String, (u8, u64)> = BTreeMap::new();
    let (mut times, mut in_the_middle) = (Vec::new(), 0);
    loop {
        let over = stage.client.job(job).await["finished_timestamp"].is_string();
        let begun = Instant::now();
        let list = stage.client.try_get(&path).await.unwrap();
        times.push(begun.elapsed());
        let list: Value = serde_json::from_str(&list).unwrap();
        in_the_middle += usize::from(states(&list, &mut known, nodes).len() > 1);
        if over {
            break;
        }
    }
    let ended = all_finish(stage, job, nodes).await;
    assert!(known.values().all(|(rank, _)| *rank == OVER), "the last list is that of the end");
    assert!(in_the_middle > 0, "no list was read while the job ran");
    assert!(known.values().all(|(_, latest)| *latest <= ended.last()));
    stage.figures.add(
        "8 the whole list of nodes, again and again",
        json!({ "lists": times.len(), "in_the_middle": in_the_middle, "time_of_a_list": spread(&times) }),
    );
}

const OVER: u8 = 3;

fn rank(state: &str) -> u8 {
    match state {
        "new" => 0,
        "ready" => 1,
        "running" => 2,
        "finished" => OVER,
        other => panic!("state {other}"),
    }
}

/// Checks a list against those before it; its nodes by state.
fn states(list: &Value, known: &mut BTreeMap<String, (u8, u64)>, nodes: usize) -> BTreeMap<String, usize> {
    let items = list["items"].as_array().unwrap();
    assert_eq!((items.len(), &list["pagination"]["total"]), (nodes, &json!(nodes)));
    let mut counts = BTreeMap::new();
    let mut last = "";
    for node in items {
        let name = node["name"].as_str().unwrap();
        assert!(name > last, "{name} after {last}");
        last = name;
        let state = node["state"].as_str().unwrap();
        *counts.entry(state.to_owned()).or_default() += 1;
        let now = (rank(state), node["latest-event-id"].as_u64().unwrap());
        if let Some(before) = known.insert(name.to_owned(), now) {
            assert!(before <= now, "{name} goes back from {before:?} to {now:?}");
        }
    }
    counts
}

/// Those who read nothing, and what they have asked for.
pub(super) struct Watched {
    job: u64,
    nodes: usize,
    events: Watcher,
    list: Watcher,
    figures: Value,
}

/// The job ends all the same, and everybody else is answered.
pub(super) async fn that_read_nothing(stage: &mut Stage, swarm: &mut Swarm) -> Watched {
    let nodes = swarm.nodes;
    let probe = Probe::start(&stage.client);
    let before = stage.server.memory();
    stage.server.forget_peak();
    let begun = Instant::now();
    let job = stage.client.task(&swarm.names()).await;
    let path = |what: &str| format!("/orchestrator/v1/jobs/{job}/{what}");
    let events = Watcher::open(&stage.site, &path("events"), "text/event-stream").await;
    stage.client.finished(job, nodes / 2).await;
    let list = Watcher::open(&stage.site, &path("nodes"), "application/json").await;
    stage.client.over(job).await;
    let took = begun.elapsed();
    all_finish(stage, job, nodes).await;
    let figures = json!({
        "over_after": seconds(took),
        "server_memory_before": mebibytes(before),
        "at_the_peak": mebibytes(stage.server.peak()),
        "api_meanwhile": probe.end().await,
    });
    Watched { job, nodes, events, list, figures }
}

/// Who read nothing is cut off in the end, which a list does not hide; the events go on from the last one that came,
/// without a gap.
pub(super) async fn are_cut_off_and_go_on(stage: &mut Stage, watched: Watched) {
    let Watched { job, nodes, events, list, mut figures } = watched;
    until("who reads nothing is cut off", async || (!events.is_held() && !list.is_held()).then_some(())).await;
    let list = list.read().await;
    assert!(!list.whole, "a list that was cut off looks complete");
    let stream = events.read().await;
    assert!(!stream.whole, "a stream that was cut off looks complete");
    let mut numbers = event_numbers(&stream.bytes);
    let came = numbers.len();
    numbers.extend(rest(stage, job, numbers.last().copied()).await);
    let all: Vec<u64> = Ended::read(&stage.site, job, nodes).events.iter().map(|event| event.seq).collect();
    assert!(came < all.len(), "everything was in buffers: nothing was cut off");
    assert!(numbers == all, "{} events came, of {}", numbers.len(), all.len());
    figures["events_before_the_cut"] = json!(came);
    figures["events_after_going_on"] = json!(all.len() - came);
    stage.figures.add("7 watchers that read nothing", figures);
}

/// The numbers of the events after one, by the stream.
async fn rest(stage: &Stage, job: u64, last: Option<u64>) -> Vec<u64> {
    let mut answer = stage.client.events_after(job, last).await;
    let (mut numbers, mut open) = (Vec::new(), Vec::new());
    while let Some(piece) = answer.chunk().await.unwrap() {
        open.extend_from_slice(&piece);
        // The rest of a large event is kept for the next piece, and not looked through again for its end.
        if let Some(end) = piece.windows(2).rposition(|end| end == b"\n\n") {
            let kept = open.split_off(open.len() - piece.len() + end + 2);
            numbers.extend(event_numbers(&open));
            open = kept;
        }
    }
    numbers.extend(event_numbers(&open));
    numbers
}
