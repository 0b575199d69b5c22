//! Fleets of a thousand and of many thousands: what connections, memory and runs cost the server, beside bare sockets
//! which carry the same frames.

use std::time::Duration;

use bunraku::ca::Authority;
use bunraku::swarm::{Options, Profile, Span, Swarm};
use rustls_pki_types::ServerName;
use tokio::time::{Instant, sleep};

use super::bare::Bare;
use super::bare::echo::{Clients, DEPLOY, Frames};
use super::latency::{NO_LIMITS, deploy};
use super::process::{cpu, median, memory};
use super::support::process::Served;
use super::support::service::Site;
use super::table::{Row, Table};

/// Jobs, of which the middle one counts.
const JOBS: usize = 5;
/// A message that is large for a session.
const LARGE: usize = 64 * 1024;

/// What a fleet cost.
pub(crate) struct Cost {
    connect_ms: f64,
    idle: f64,
    /// CPU of the server in milliseconds per run.
    pub(crate) run_ms: f64,
    /// Wall time of a job in seconds.
    wall: f64,
}

pub(crate) async fn measure(table: &mut Table, many: usize) {
    let few = small(1_000).await;
    let bare = bare(many, DEPLOY).await;
    let (cost, reconnect) = large(many).await;
    let of = |what: &str| format!("{what}, {many} sessions");
    table.add(Row {
        what: of("server CPU of a connect (TCP, mutual TLS, upgrade)"),
        measured: format!("{:.2} ms", cost.connect_ms),
        bare: format!("{:.2} ms", bare.connect_ms),
        goal: Some(("≤ 2×", cost.connect_ms <= 2.0 * bare.connect_ms)),
    });
    table.add(Row {
        what: of("the same of all agents after `kill -9` and a start of the server"),
        measured: format!(
            "{:.2} ms each, {:.1} s in all, {} sessions made twice",
            reconnect.0, reconnect.1, reconnect.2
        ),
        bare: format!("{:.2} ms", bare.connect_ms),
        goal: Some(("≤ 2×, none twice", reconnect.0 <= 2.0 * bare.connect_ms && reconnect.2 == 0)),
    });
    table.add(Row {
        what: of("server memory of an idle session"),
        measured: format!("{:.1} KiB", cost.idle / 1_024.0),
        bare: format!("{:.1} KiB", bare.idle / 1_024.0),
        goal: Some(("≤ 16 KiB", cost.idle <= 16.0 * 1_024.0)),
    });
    let after = after_large(many).await;
    let frames = Frames { request: DEPLOY.request, answers: LARGE };
    let bare_after = self::bare(many, frames).await;
    table.add(Row {
        what: of("server memory of a session after a message of 64 KiB from each, stored"),
        measured: format!("{:.1} KiB", after / 1_024.0),
        bare: format!("{:.1} KiB", bare_after.after / 1_024.0),
        goal: Some(("≤ 24 KiB", after <= 24.0 * 1_024.0)),
    });
    table.add(Row {
        what: of("server CPU of a no-op run, stored"),
        measured: format!("{:.3} ms", cost.run_ms),
        bare: format!("{:.3} ms", bare.run_ms),
        goal: Some(("≤ 0.1 ms", cost.run_ms <= 0.1)),
    });
    table.add(Row {
        what: of("a no-op deploy on all, limits off, stored"),
        measured: format!("{:.2} s", cost.wall),
        bare: format!("{:.2} s", bare.wall),
        goal: Some(("≤ 6×", cost.wall <= 6.0 * bare.wall)),
    });
    table.add(Row {
        what: format!("server CPU of a no-op run at 1000 and at {many} sessions"),
        measured: format!("{:.3} and {:.3} ms", few.run_ms, cost.run_ms),
        bare: String::new(),
        goal: Some(("within 30 %", cost.run_ms <= 1.3 * few.run_ms)),
    });
}

/// A service without limits of its own, and a swarm connected to it.
pub(crate) struct Setting {
    pub(crate) site: Site,
    pub(crate) served: Served,
    pub(crate) swarm: Swarm,
    names: Vec<String>,
    before: u64,
    connect_ms: f64,
}

impl Setting {
    pub(crate) async fn new(nodes: usize, profile: Profile) -> Self {
        let site = Site::new();
        let mut served = Served::prepare(&site, &NO_LIMITS).await;
        served.start();
        served.ready().await;
        Self::over(site, served, nodes, profile).await
    }

    /// Connects a swarm to a service that is there.
    pub(crate) async fn over(site: Site, served: Served, nodes: usize, profile: Profile) -> Self {
        let (before, spent) = (memory(served.id()), cpu(served.id()));
        let options = Options {
            nodes,
            broker: ([127, 0, 0, 1], served.broker).into(),
            server_name: ServerName::try_from("localhost").unwrap(),
            prefix: "node".to_owned(),
            profile,
            connecting: 64,
        };
        let authority = Authority::open(&site.ca.site().join("ca")).unwrap();
        let swarm = Swarm::start(&options, &authority).unwrap();
        connected(&swarm, nodes).await;
        let connect_ms = (cpu(served.id()) - spent) * 1e3 / nodes as f64;
        let names = swarm.names().iter().map(ToString::to_string).collect();
        Self { site, served, swarm, names, before, connect_ms }
    }

    /// A deploy on all; returns its wall time in seconds and the server's CPU per run in milliseconds.
    pub(crate) async fn run(&self) -> (f64, f64) {
        let (begun, spent) = (Instant::now(), cpu(self.served.id()));
        let job = self.served.client.deploy(&deploy(&self.names)).await;
        let over = self.served.client.over(&job).await;
        let wall = begun.elapsed().as_secs_f64();
        assert_eq!(over["node_states"]["finished"], self.names.len(), "{over:#}");
        (wall, (cpu(self.served.id()) - spent) * 1e3 / self.names.len() as f64)
    }

    /// The middle of some jobs.
    pub(crate) async fn runs(&self) -> (f64, f64) {
        // The first one also fills caches.
        self.run().await;
        let (mut walls, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..JOBS {
            let (wall, cost) = self.run().await;
            walls.push(wall);
            costs.push(cost);
        }
        (median(walls), median(costs))
    }

    /// What a session takes, in bytes.
    fn per_session(&self) -> f64 {
        memory(self.served.id()).saturating_sub(self.before) as f64 / self.names.len() as f64
    }
}

async fn connected(swarm: &Swarm, nodes: usize) {
    while swarm.snapshot().connected < nodes {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Runs that take no time.
pub(crate) fn instant() -> Profile {
    Profile { run_time: Span::NONE, failing: 0.0, output: 0, dropping: 0.0, slow: 0.0, pxp: false }
}

async fn small(nodes: usize) -> Cost {
    let setting = Setting::new(nodes, instant()).await;
    let idle = setting.per_session();
    let (wall, run_ms) = setting.runs().await;
    Cost { connect_ms: setting.connect_ms, idle, run_ms, wall }
}

/// The large fleet, and what its return after a crash costs: CPU each, seconds in all, sessions beyond one for each.
async fn large(nodes: usize) -> (Cost, (f64, f64, u64)) {
    let mut setting = Setting::new(nodes, instant()).await;
    let idle = setting.per_session();
    let (wall, run_ms) = setting.runs().await;
    setting.served.kill();
    while setting.swarm.snapshot().connected > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    let lost = setting.swarm.snapshot().sessions_lost;
    setting.served.start();
    let begun = Instant::now();
    setting.served.ready().await;
    connected(&setting.swarm, nodes).await;
    let (seconds, spent) = (begun.elapsed().as_secs_f64(), cpu(setting.served.id()));
    let twice = setting.swarm.snapshot().sessions_lost - lost;
    drop(setting.site);
    (Cost { connect_ms: setting.connect_ms, idle, run_ms, wall }, (spent * 1e3 / nodes as f64, seconds, twice))
}

/// What a session takes after every agent has sent a large result.
async fn after_large(nodes: usize) -> f64 {
    let setting = Setting::new(nodes, Profile { output: LARGE, ..instant() }).await;
    setting.run().await;
    sleep(Duration::from_secs(2)).await;
    setting.per_session()
}

struct BareCost {
    connect_ms: f64,
    idle: f64,
    after: f64,
    run_ms: f64,
    wall: f64,
}

async fn bare(nodes: usize, frames: Frames) -> BareCost {
    let site = Site::new();
    let mut bare = Bare::start("echo", &site, &[]);
    let (before, spent) = (memory(bare.id()), cpu(bare.id()));
    let _clients = Clients::connect(&site, &mut bare, nodes, frames).await;
    let connect_ms = (cpu(bare.id()) - spent) * 1e3 / nodes as f64;
    let per_session = |bare: &Bare| memory(bare.id()).saturating_sub(before) as f64 / nodes as f64;
    let idle = per_session(&bare);
    let (mut walls, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..=JOBS {
        let spent = cpu(bare.id());
        let order = format!("{} {}", frames.request, frames.answers);
        let wall = tokio::task::block_in_place(|| bare.order(&order));
        walls.push(wall.parse().unwrap());
        costs.push((cpu(bare.id()) - spent) * 1e3 / nodes as f64);
    }
    sleep(Duration::from_secs(1)).await;
    BareCost { connect_ms, idle, after: per_session(&bare), run_ms: median(costs), wall: median(walls) }
}
