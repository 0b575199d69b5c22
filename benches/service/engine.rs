//! The engine alone, on a scripted transport and a store in memory: whether a run costs more in a larger fleet.

use std::sync::Arc;

use bunraku_actors::handle::{Engine, Limits, Ports};
use bunraku_actors::model::Scope;
use bunraku_actors::ports::JobStore as _;
use bunraku_actors::testing::{
    Build, FixedClock, FixedDirectory, MemoryStore, Script, ScriptedTransport, live, names, until,
};

use super::process::own_cpu;
use super::table::{Row, Table};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

pub(crate) fn measure(table: &mut Table) {
    let costs: Vec<f64> = SIZES.into_iter().map(cost).collect();
    let shown: Vec<String> = costs.iter().map(|cost| format!("{:.1}", cost * 1e6)).collect();
    table.add(Row {
        what: "CPU of a run in the engine with its scripted agents, at 1,000, 10,000 and 100,000 nodes".to_owned(),
        measured: format!("{} µs", shown.join(", ")),
        bare: String::new(),
        goal: Some(("within 30 %", costs[2] <= 1.3 * costs[0])),
    });
}

/// Seconds of CPU per run, of one job on all nodes.
fn cost(nodes: usize) -> f64 {
    let certnames = names((0..nodes).map(|number| format!("n{number:06}")));
    let clock = Arc::new(FixedClock::default());
    let transport = ScriptedTransport::new(Arc::clone(&clock));
    transport.connect_all(&certnames, &Script::default());
    let store = Arc::new(MemoryStore::default());
    let directory = FixedDirectory::default().with(Build::environment(Vec::new(), certnames.clone()));
    let limits = Limits {
        concurrent_compiles: 1_000_000,
        concurrent_runs: 1_000_000,
        job_nodes: 1_000_000,
        ..Limits::default()
    };
    let ports = Ports {
        store: store.clone(),
        transport: Arc::new(transport),
        directory: Arc::new(directory),
        clock: clock.clone(),
    };
    live(&clock, async {
        let engine = Engine::start_here(ports, limits);
        engine.recovered().await;
        let spent = own_cpu();
        let mut command = Build::deploy(Scope::Nodes(certnames), 1);
        command.common.concurrency = None;
        let job = engine.deploy(command).await.unwrap();
        until("the job is over", async || store.job(job).await.unwrap().is_some_and(|job| job.finished_at.is_some()))
            .await;
        (own_cpu() - spent) / nodes as f64
    })
}
