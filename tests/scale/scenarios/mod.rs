//! The scenarios, in the order in which they share services and swarms.

mod churn;
mod connect;
mod jobs;
mod many;
mod output;
mod readers;
mod restart;

use serde_json::json;

use super::Stage;
use super::store::Ended;
use super::swarm::Swarm;

/// Plays everything. Those who read nothing are cut off while the last ones are played.
pub(super) async fn all(stage: &mut Stage) {
    stage.server.start();
    stage.server.ready(&stage.client).await;
    quick(stage).await;
    killed(stage).await;
    let watched = wordy(stage).await;
    busy(stage).await;
    churn::sessions_come_and_go(stage).await;
    readers::are_cut_off_and_go_on(stage, watched).await;
}

/// How long runs take that are to be met in the middle.
const MIDDLE: [&str; 2] = ["--run-time", "100ms..500ms"];

/// Agents whose runs take no time.
async fn quick(stage: &mut Stage) {
    let mut swarm = connect::storm(stage).await;
    jobs::to_all(stage, &mut swarm).await;
    swarm.end().await;
    gone(stage).await;
}

/// A service that is killed, and started with other limits.
async fn killed(stage: &mut Stage) {
    let mut swarm = Swarm::start(&stage.site, "killed", stage.options.nodes, &MIDDLE);
    swarm.connected(&stage.client).await;
    restart::in_the_middle(stage, &mut swarm).await;
    many::with_a_small_one_among_them(stage, &mut swarm).await;
    swarm.end().await;
    stage.server.kill();
    stage.server.start();
    stage.server.ready(&stage.client).await;
}

/// Agents whose runs say much.
async fn wordy(stage: &mut Stage) -> readers::Watched {
    let length = output::LENGTH.to_string();
    // A plain test, of a binary that is not optimized, has not the time for all nodes.
    let nodes = if stage.options.large { stage.options.nodes } else { stage.options.nodes / 4 };
    let mut swarm = Swarm::start(&stage.site, "wordy", nodes, &["--output", &length]);
    swarm.connected(&stage.client).await;
    // The figures of memory are those of a fresh service; a plain test rather has the time that a cut takes.
    let watched = if stage.options.large {
        output::is_stored_from_all(stage, &mut swarm).await;
        readers::that_read_nothing(stage, &mut swarm).await
    } else {
        let watched = readers::that_read_nothing(stage, &mut swarm).await;
        output::is_stored_from_all(stage, &mut swarm).await;
        watched
    };
    swarm.end().await;
    gone(stage).await;
    watched
}

/// Agents whose runs take long enough to be met in the middle.
async fn busy(stage: &mut Stage) {
    let mut swarm = Swarm::start(&stage.site, "busy", stage.options.nodes, &MIDDLE);
    swarm.connected(&stage.client).await;
    jobs::with_concurrency(stage, &mut swarm).await;
    jobs::stopped_in_the_middle(stage, &mut swarm).await;
    readers::of_the_whole_list(stage, &mut swarm).await;
    swarm.end().await;
    gone(stage).await;
}

/// Waits until the service knows that a swarm has ended.
async fn gone(stage: &Stage) {
    super::until("the sessions end", async || {
        (stage.client.metric("bunraku_sessions").await == Some(0.0)).then_some(())
    })
    .await;
}

/// Waits for the end of a job on all nodes, which all finish; what the store holds of it.
async fn all_finish(stage: &Stage, job: u64, nodes: usize) -> Ended {
    let shown = stage.client.over(job).await;
    assert_eq!((&shown["state"], &shown["node_states"]), (&json!("finished"), &json!({ "finished": nodes })));
    let ended = Ended::read(&stage.site, job, nodes);
    assert_eq!((ended.finished(), ended.starts()), (nodes, nodes));
    ended
}
