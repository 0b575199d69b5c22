//! The service is killed while a job is half-way.

use serde_json::json;
use tokio::time::Instant;

use super::all_finish;
use crate::Stage;
use crate::figures::seconds;
use crate::probe::Probe;
use crate::swarm::Swarm;

/// Everything ends, once; nothing has run twice.
pub(super) async fn in_the_middle(stage: &mut Stage, swarm: &mut Swarm) {
    let nodes = stage.options.nodes;
    let before = swarm.seen().await;
    let job = stage.client.deploy(&swarm.names(), Some(nodes / 4)).await;
    stage.client.finished(job, nodes / 4).await;
    stage.server.kill();
    let killed = Instant::now();
    let at_the_kill = swarm.seen().await;
    stage.server.start();
    stage.server.open().await;
    let probe = Probe::start(&stage.client);
    stage.client.over(job).await;
    let over = killed.elapsed();
    all_finish(stage, job, nodes).await;
    let answers = probe.end().await;
    swarm.connected(&stage.client).await;

    let after = swarm.seen().await;
    let seen = (after.started - before.started, after.ended - before.ended);
    assert_eq!(seen, (nodes as u64, nodes as u64), "each agent has run once");
    assert_eq!(after.lost - before.lost, nodes as u64, "one session of each was lost");
    let running = at_the_kill.started - at_the_kill.ended;
    stage.figures.add(
        "5 kill -9 in the middle",
        json!({
            "ended_at_the_kill": at_the_kill.ended - before.ended,
            "running_at_the_kill": running,
            "over_after_the_kill": seconds(over),
            "requests_repeated_under_their_id": after.repeated - before.repeated,
            "api_meanwhile": answers,
        }),
    );
}
