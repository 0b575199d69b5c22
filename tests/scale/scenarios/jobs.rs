//! One job on all nodes: as fast as it goes, within its concurrency, and stopped half-way.

use serde_json::json;
use tokio::time::Instant;

use super::all_finish;
use crate::Stage;
use crate::figures::seconds;
use crate::probe::Probe;
use crate::store::Ended;
use crate::swarm::Swarm;

/// What the scenario asks for.
const CONCURRENCY: usize = 250;

/// No limit: every node finishes, each agent has run once.
pub(super) async fn to_all(stage: &mut Stage, swarm: &mut Swarm) {
    let nodes = stage.options.nodes;
    let before = swarm.seen().await;
    let probe = Probe::start(&stage.client);
    let begun = Instant::now();
    let job = stage.client.deploy(&swarm.names(), None).await;
    let accepted = begun.elapsed();
    stage.client.over(job).await;
    let took = begun.elapsed();
    let ended = all_finish(stage, job, nodes).await;
    let after = swarm.seen().await;
    let counts = (after.started - before.started, after.ended - before.ended);
    assert_eq!(counts, (nodes as u64, nodes as u64));
    // Still no second wave.
    assert_eq!((after.lost, after.connected), (before.lost, nodes as u64));
    stage.figures.add(
        "2 deploy to all, no limits",
        json!({
            "accepted_after": seconds(accepted),
            "over_after": seconds(took),
            "runs_a_second": (nodes as f64 / took.as_secs_f64()).round(),
            "events": ended.events.len(),
            "api_meanwhile": probe.end().await,
        }),
    );
}

/// The job's own concurrency holds, and the shared limits are above it.
pub(super) async fn with_concurrency(stage: &mut Stage, swarm: &mut Swarm) {
    let nodes = stage.options.nodes;
    // The most runs at once are counted from here on.
    swarm.seen().await;
    let begun = Instant::now();
    let job = stage.client.deploy(&swarm.names(), Some(CONCURRENCY)).await;
    stage.client.over(job).await;
    let took = begun.elapsed();
    all_finish(stage, job, nodes).await;
    let most = swarm.seen().await.most;
    assert!(most > 1 && most <= CONCURRENCY as u64, "{most} runs at once");
    stage
        .figures
        .add("3 deploy with concurrency 250", json!({ "most_runs_at_once": most, "over_after": seconds(took) }));
}

/// What has not started by the commit of the stop never starts; everything is accounted for.
pub(super) async fn stopped_in_the_middle(stage: &mut Stage, swarm: &mut Swarm) {
    let nodes = stage.options.nodes;
    let before = swarm.seen().await;
    let job = stage.client.deploy(&swarm.names(), Some(nodes / 4)).await;
    stage.client.finished(job, nodes / 4).await;
    let begun = Instant::now();
    let answer = stage.client.post("/orchestrator/v1/command/stop", &json!({ "job": job.to_string() })).await;
    let answered = begun.elapsed();
    let shown = stage.client.over(job).await;
    let over = begun.elapsed();

    let counted = |states: &serde_json::Value| -> u64 {
        states.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!(counted(&answer["job"]["nodes"]), nodes as u64, "{answer}");
    assert_eq!(counted(&shown["node_states"]), nodes as u64, "{shown:#}");
    assert_eq!(shown["state"], "stopped");
    let ended = Ended::read(&stage.site, job, nodes);
    let stop = ended.events.iter().find(|event| event.kind == "job_stopping").unwrap().seq;
    let late = ended.events.iter().filter(|event| event.kind == "node_running" && event.seq > stop).count();
    assert_eq!(late, 0, "starts after the stop");
    let skipped = shown["causes"]["job_stopped"].as_u64().unwrap_or_default();
    assert_eq!(ended.finished() as u64 + skipped, nodes as u64, "{shown:#}");
    assert!(skipped > 0, "the stop came too late to be one");
    let after = swarm.seen().await;
    let seen = (after.started - before.started, after.ended - before.ended);
    assert_eq!(seen, (ended.starts() as u64, ended.finished() as u64), "what the agents ran");
    stage.figures.add(
        "4 stop in the middle",
        json!({
            "stop_answered_after": seconds(answered),
            "over_after_the_stop": seconds(over),
            "finished": ended.finished(),
            "never_started": skipped,
        }),
    );
}
