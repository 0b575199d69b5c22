//! Every node says 64 KiB.

use serde_json::json;
use tokio::time::Instant;

use super::all_finish;
use crate::Stage;
use crate::client::Client;
use crate::figures::{mebibytes, seconds};
use crate::swarm::Swarm;

/// What the swarm's runs say, `x` and nothing else.
pub(super) const LENGTH: usize = 65_536;

/// All of it is stored and comes back, and nothing of it stays in memory.
pub(super) async fn is_stored_from_all(stage: &mut Stage, swarm: &mut Swarm) {
    let nodes = swarm.nodes;
    let before = stage.server.memory();
    stage.server.forget_peak();
    let begun = Instant::now();
    let first = stage.client.deploy(&swarm.names(), None).await;
    stage.client.over(first).await;
    let took = begun.elapsed();
    let ended = all_finish(stage, first, nodes).await;
    assert_eq!(ended.with_output, nodes);
    let (peak, after) = (stage.server.peak(), stage.server.memory());

    stage.server.forget_peak();
    let begun = Instant::now();
    assert_eq!(outputs(&stage.client, first, nodes).await, nodes, "outputs that come back whole");
    let (read, peak_reading) = (begun.elapsed(), stage.server.peak());

    let mut afterwards = vec![after];
    for _ in 0..2 {
        let next = stage.client.deploy(&swarm.names(), None).await;
        all_finish(stage, next, nodes).await;
        afterwards.push(stage.server.memory());
    }
    // What is kept of the outputs themselves would be twice as much.
    let growth = afterwards[2].saturating_sub(after);
    assert!(!stage.options.large || growth < (nodes * LENGTH) as u64, "memory after each job: {afterwards:?}");
    stage.figures.add(
        "9 64 KiB from each node",
        json!({
            "in_all": mebibytes((nodes * LENGTH) as u64),
            "over_after": seconds(took),
            "read_back_in": seconds(read),
            "server_memory_before": mebibytes(before),
            "at_the_peak": mebibytes(peak),
            "after_each_of_three_jobs": afterwards.into_iter().map(mebibytes).collect::<Vec<_>>().join(", "),
            "at_the_peak_of_reading": mebibytes(peak_reading),
        }),
    );
}

/// Reads a report until it has shown so many outputs of the right length; how many there were.
async fn outputs(client: &Client, job: u64, wanted: usize) -> usize {
    let mut answer = client.open(&format!("/orchestrator/v1/jobs/{job}/report")).await;
    let (mut length, mut found) = (0, 0);
    while let Some(piece) = answer.chunk().await.unwrap() {
        for byte in &piece {
            if *byte == b'x' {
                length += 1;
                continue;
            }
            found += usize::from(length == LENGTH);
            length = 0;
        }
        // What follows is the same list under another name.
        if found == wanted {
            break;
        }
    }
    found
}
