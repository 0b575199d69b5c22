//! All nodes connect at once, and all come back at once after the service was killed.

use serde_json::json;
use tokio::time::Instant;

use crate::figures::{mebibytes, seconds};
use crate::probe::Probe;
use crate::swarm::{Swarm, spread, time};
use crate::{Stage, until};

/// So many connect at the same time. With more, one process that plays all of them is slower to say its first words than
/// the broker lets strangers be silent while there are too many of them, which thousands of machines are not.
const AT_ONCE: usize = 2_000;

/// Each agent has one session before the kill and one after it: there is no second wave. Whoever asks the API is answered
/// from the moment on at which its port is open. The swarm stays connected.
pub(super) async fn storm(stage: &mut Stage) -> Swarm {
    let nodes = stage.options.nodes;
    let empty = stage.server.memory();
    let at_once = AT_ONCE.min(nodes).to_string();
    let mut swarm = Swarm::start(&stage.site, "quick", nodes, &["--connecting", &at_once]);
    swarm.connected(&stage.client).await;
    let first = until("the swarm sees itself connected", async || {
        let report = swarm.report().await;
        report["connect_seconds"].is_number().then_some(report)
    })
    .await;
    let connected = stage.server.memory();

    stage.server.kill();
    let killed = Instant::now();
    stage.server.start();
    stage.server.open().await;
    let opened = killed.elapsed();
    let probe = Probe::start(&stage.client);
    swarm.connected(&stage.client).await;
    let back = killed.elapsed();
    let answers = probe.end().await;

    // The service knows of a session before its agent hears the answer.
    let report = until("the swarm sees itself back", async || {
        let report = swarm.report().await;
        (report["agents"]["connected"] == json!(nodes)).then_some(report)
    })
    .await;
    let agents = &report["agents"];
    assert_eq!((&agents["connected"], &agents["sessions_lost"]), (&json!(nodes), &json!(nodes)), "{report:#}");
    assert_eq!((&report["handshakes"]["count"], &report["reconnects"]["count"]), (&json!(nodes), &json!(nodes)));
    for never in ["bunraku_supersedes_total", "bunraku_sessions_refused_total"] {
        assert_eq!(stage.client.metric(never).await.unwrap_or_default(), 0.0, "{never}");
    }
    stage.figures.add(
        "1 connect storm",
        json!({
            "all_connected_after": seconds(time(&first["connect_seconds"])),
            "handshakes": spread(&first["handshakes"]),
            "server_memory_empty": mebibytes(empty),
            "server_memory_connected": mebibytes(connected),
            "port_open_after_kill": seconds(opened),
            "all_back_after_kill": seconds(back),
            "handshakes_of_the_storm": spread(&report["reconnects"]),
            "attempts_while_it_was_away": agents["connects_failed"],
            "api_meanwhile": answers,
        }),
    );
    swarm
}
