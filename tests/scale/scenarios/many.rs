//! Twenty large jobs share a limit, and a small one comes last.

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::all_finish;
use crate::Stage;
use crate::figures::seconds;
use crate::probe::Probe;
use crate::store::{Ended, last_event};
use crate::swarm::Swarm;

const LARGE: usize = 20;
const SMALL: usize = 5;

/// The limit is never exceeded. The small job gets the next slots, whatever the large ones have asked for, and is over
/// while most of them go on. Its nodes are its own: a node runs one job of a kind at a time, and would rightly wait.
pub(super) async fn with_a_small_one_among_them(stage: &mut Stage, swarm: &mut Swarm) {
    let nodes = stage.options.nodes;
    let limit = nodes / 10;
    stage.server.kill();
    stage.server.start_with(limit);
    stage.server.ready(&stage.client).await;
    swarm.connected(&stage.client).await;
    let before = swarm.seen().await;

    let names = swarm.names();
    let (small, rest) = names.split_at(SMALL);
    // A plain test has not the time for all nodes twenty times.
    let large = if stage.options.large { rest } else { &rest[..limit] };
    let probe = Probe::start(&stage.client);
    let begun = Instant::now();
    let jobs = join_all((0..LARGE).map(|_| stage.client.deploy(large, None))).await;
    let accepted = begun.elapsed();
    let asked = Instant::now();
    let job = stage.client.deploy(small, None).await;
    let accepted_at = last_event(&stage.site);
    stage.client.over(job).await;
    let few_took = asked.elapsed();
    for job in &jobs {
        stage.client.over(*job).await;
    }
    let took = begun.elapsed();
    let few = all_finish(stage, job, SMALL).await;
    let mut many: Vec<Ended> = Vec::new();
    for job in jobs {
        many.push(all_finish(stage, job, large.len()).await);
    }

    let all = LARGE * large.len();
    let over: usize = many.iter().map(|ended| ended.over_before(few.last())).sum();
    assert!(over < all / 2, "the small job is over after {over} of {all} runs of the large ones");
    let going = many.iter().filter(|ended| ended.last() > few.last()).count();
    assert!(going > LARGE / 2, "only {going} large jobs go on when the small one is over");
    let waited: usize = many.iter().map(|ended| ended.starts_between(accepted_at, few.last_start())).sum();
    assert!(waited <= 2 * limit, "{waited} runs of large jobs have started before the last one of the small job");
    let after = swarm.seen().await;
    assert_eq!(after.started - before.started, (all + SMALL) as u64, "each agent has run once for each job");
    assert!(after.most <= limit as u64, "{} runs at once", after.most);
    stage.figures.add(
        "6 twenty large jobs and a small one",
        json!({
            "nodes_of_a_large_job": large.len(),
            "accepted_after": seconds(accepted),
            "small_job_over_after": seconds(few_took),
            "large_runs_over_by_then": format!("{over} of {all}"),
            "large_runs_that_started_before_its_last": waited,
            "all_over_after": seconds(took),
            "limit": limit,
            "most_runs_at_once": after.most,
            "api_meanwhile": probe.end().await,
        }),
    );
}
