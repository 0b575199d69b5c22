//! Sessions that are cut and come back all the time, while jobs run.

use serde_json::json;
use tokio::time::Instant;

use super::{all_finish, gone};
use crate::figures::mebibytes;
use crate::swarm::{Swarm, spread};
use crate::{Stage, until};

/// So many sessions are cut in a second, about.
const CUTS: usize = 150;

/// Every job ends with every node finished, however often its sessions break; nothing is left of the sessions.
pub(super) async fn sessions_come_and_go(stage: &mut Stage) {
    let nodes = stage.options.nodes;
    let descriptors = stage.server.descriptors();
    let percent = (CUTS * 60 * 100 / nodes).min(6_000).to_string();
    let options = ["--run-time", "100ms..2s", "--dropping", &percent];
    let mut swarm = Swarm::start(&stage.site, "restless", nodes, &options);
    // Not all at any moment: some are away.
    until("most agents are connected", async || {
        let connected = stage.client.metric("bunraku_sessions").await?;
        (connected >= nodes as f64 * 0.8).then_some(())
    })
    .await;
    let begin = stage.server.memory();
    stage.server.forget_peak();
    let begun = Instant::now();
    let mut jobs = 0_u64;
    while begun.elapsed() < stage.options.churn {
        let job = stage.client.deploy(&swarm.names(), None).await;
        all_finish(stage, job, nodes).await;
        jobs += 1;
    }
    let (end, peak) = (stage.server.memory(), stage.server.peak());
    let took = begun.elapsed();
    let seen = swarm.seen().await;
    assert_eq!((seen.started, seen.ended), (jobs * nodes as u64, jobs * nodes as u64), "each agent has run once a job");
    assert!(seen.lost > 0, "no session was cut");
    let report = swarm.end().await;
    gone(stage).await;
    // A connection or two of our own may have come meanwhile.
    until("nothing is left of the sessions", async || (stage.server.descriptors() <= descriptors + 8).then_some(()))
        .await;
    stage.figures.add(
        "10 churn",
        json!({
            "seconds": took.as_secs(),
            "sessions_cut": seen.lost,
            "handshakes": spread(&report["reconnects"]),
            "jobs_on_all": jobs,
            "requests_repeated_under_their_id": seen.repeated,
            "server_memory_at_the_beginning": mebibytes(begin),
            "at_the_peak": mebibytes(peak),
            "at_the_end": mebibytes(end),
            "after_all_have_gone": mebibytes(stage.server.memory()),
        }),
    );
}
