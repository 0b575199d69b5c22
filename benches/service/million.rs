//! A store that holds a million runs: how soon its service is ready, and whether runs cost more.

use bunraku::store::{Options, Store};
use bunraku_actors::model::JobState;
use bunraku_actors::ports::{JobStore as _, Write};
use tokio::time::Instant;

use super::builders::{at, deploy_spec, new_job};
use super::fleet::{Setting, instant};
use super::latency::NO_LIMITS;
use super::process::memory;
use super::store::run_all;
use super::support::process::Served;
use super::support::service::Site;
use super::table::{Row, Table};

const JOBS: u32 = 100;
const NODES: u32 = 10_000;
const FLEET: usize = 1_000;

pub(crate) async fn measure(table: &mut Table) {
    let fresh = Setting::new(FLEET, instant()).await.runs().await.1;
    let site = Site::new();
    let mut served = Served::prepare(&site, &NO_LIMITS).await;
    fill(&site).await;
    let begun = Instant::now();
    served.start();
    served.ready().await;
    let ready = begun.elapsed().as_secs_f64();
    let held = memory(served.id());
    let full = Setting::over(site, served, FLEET, instant()).await.runs().await.1;
    table.add(Row {
        what: "ready after a start over a million stored runs, ten thousand of them unfinished".to_owned(),
        measured: format!("{ready:.2} s, {} MiB", held >> 20),
        bare: String::new(),
        goal: Some(("< 2 s", ready < 2.0)),
    });
    table.add(Row {
        what: format!("server CPU of a no-op run, {FLEET} sessions, over a new store and over a million runs"),
        measured: format!("{fresh:.3} and {full:.3} ms"),
        bare: String::new(),
        goal: Some(("within 30 %", full <= 1.3 * fresh)),
    });
}

/// A hundred jobs on ten thousand nodes each; the last one waits to be started.
async fn fill(site: &Site) {
    let store = Store::open(site.config.data_dir.join("bunraku.db"), Options::default()).unwrap();
    let spec = deploy_spec(NODES as usize);
    for number in 1..=JOBS {
        let job = store.create_job(new_job(spec.clone())).await.unwrap();
        store.settled(job).await.unwrap();
        if number < JOBS {
            run_all(&store, &spec, job, 400, NODES).await;
            store.append(vec![Write::JobEnded { job, state: JobState::Finished, at: at(3) }]).await.unwrap();
        }
    }
    store.close().await;
}
