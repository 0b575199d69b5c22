//! One round: a new site, jobs, a number of crashes, then peace; and what is left afterwards as evidence.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::client::Client;
use super::evidence::Evidence;
use super::faults::{Fault, Moment};
use super::fleet::Fleet;
use super::orders::{Orders, invent};
use super::runs_log;
use super::service::Service;
use super::signs::Signs;
use super::site::Site;
use super::summary::Tally;
use super::timeline::Timeline;
use super::{checks, rules};
use bunraku_actors::testing::Chance;

/// Jobs that are open at once.
const OPEN_JOBS: usize = 6;
/// How long everybody may take to be there on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a round showed.
pub(crate) struct Report {
    pub(crate) tally: Tally,
    pub(crate) violations: Vec<String>,
    pub(crate) timeline: String,
}

struct Round {
    site: Arc<Site>,
    timeline: Arc<Timeline>,
    signs: Signs,
    fleet: Arc<Fleet>,
    service: Service,
    client: Client,
    orders: Orders,
    chance: Chance,
    tally: Tally,
    /// Agents on their way back.
    returning: JoinSet<()>,
    next_tag: u64,
}

/// Runs one round in a new directory.
pub(crate) async fn run(dir: &Path, seed: u64, crashes: u64) -> Report {
    let mut chance = Chance::new(seed);
    let resend_to_pxp_agents = chance.percent(50);
    let site = Arc::new(Site::create(dir, resend_to_pxp_agents));
    let timeline = Arc::new(Timeline::new());
    let signs = Signs::new();
    let client = Client::new(&site);
    let mut round = Round {
        fleet: Arc::new(Fleet::new(&site, &timeline, &signs, &mut chance)),
        service: Service::new(&site, &timeline),
        orders: Orders::new(&client, &signs, &timeline),
        tally: Tally::default(),
        returning: JoinSet::new(),
        next_tag: 1,
        site,
        timeline,
        signs,
        client,
        chance,
    };
    let watching = runs_log::watch(round.site.runs_log(), round.signs.clone());
    let violations = match round.crash(crashes).await {
        Ok(()) => round.judge().await,
        Err(stuck) => vec![stuck],
    };
    watching.abort();
    Report { tally: round.tally, violations, timeline: round.timeline.text() }
}

impl Round {
    /// Everything up to the last crash, and the time after it in which all must come to an end. The error says what got
    /// stuck.
    async fn crash(&mut self, crashes: u64) -> Result<(), String> {
        self.service.start();
        self.service.ready(&self.client).await?;
        self.fleet.start_all().await;
        self.all_connected().await?;
        while self.tally.crashes < crashes {
            self.step().await?;
        }
        self.timeline.note("no more faults");
        while self.returning.join_next().await.is_some() {}
        self.fleet.start_all().await;
        self.all_connected().await?;
        self.all_over().await
    }

    async fn step(&mut self) -> Result<(), String> {
        self.ask_for_work();
        self.disturb();
        Moment::draw(&mut self.chance).wait(&self.signs).await;
        let natives = self.site.nodes.iter().filter(|node| node.native).count();
        let fault = Fault::draw(self.site.nodes.len(), natives, !self.site.resend_to_pxp_agents, &mut self.chance);
        self.inflict(&fault).await?;
        self.return_agents(&fault.nodes());
        if fault.hits_service() {
            let down = self.chance.millis(0, 1_000);
            sleep(down).await;
            self.service.start();
            if self.chance.percent(15) {
                // Killed again while it comes up.
                let up = self.chance.millis(0, 400);
                sleep(up).await;
                self.service.kill();
                self.tally.service_kills += 1;
                self.tally.crashes += 1;
                self.service.start();
            }
            self.service.ready(&self.client).await?;
        }
        let missing = self.fleet.missing().await;
        if missing.is_empty() { Ok(()) } else { Err(missing.join("; ")) }
    }

    fn ask_for_work(&mut self) {
        let open = self.orders.open();
        for _ in 0..self.chance.between(0, 3) {
            if open.len() < OPEN_JOBS {
                self.orders.place(invent(self.next_tag, &self.site, &mut self.chance));
                self.next_tag += 1;
            }
        }
        if !open.is_empty() && self.chance.percent(20) {
            self.orders.stop(self.chance.pick(&open), self.chance.percent(45));
        }
    }

    /// What is no crash: an agent that stands still for a while, a connection that breaks.
    fn disturb(&mut self) {
        if !self.chance.percent(25) {
            return;
        }
        let places: Vec<usize> = (0..self.site.nodes.len()).collect();
        let place = self.chance.pick(&places);
        let still = self.chance.millis(200, 6_000);
        let fleet = Arc::clone(&self.fleet);
        self.returning.spawn(async move {
            fleet.freeze(place).await;
            sleep(still).await;
            fleet.thaw(place).await;
        });
    }

    async fn inflict(&mut self, fault: &Fault) -> Result<(), String> {
        self.timeline.note(format!("fault: {fault:?}"));
        if *fault == Fault::Terminate {
            self.tally.terminations += 1;
            return self.service.terminate().await;
        }
        if fault.hits_service() {
            self.service.kill();
            self.tally.service_kills += 1;
        }
        for place in fault.nodes() {
            match fault {
                Fault::Reboot(_) => self.fleet.reboot(place, false).await,
                Fault::Reinstall(_) => self.fleet.reboot(place, true).await,
                _ => self.fleet.kill(place).await,
            }
            self.tally.agent_kills += 1;
        }
        self.tally.crashes += 1;
        Ok(())
    }

    /// Lets killed agents come back, most of them soon, some after they were given up.
    fn return_agents(&mut self, places: &[usize]) {
        for place in places.iter().copied() {
            let long = self.chance.percent(12);
            let away = if long { self.chance.millis(4_000, 7_000) } else { self.chance.millis(0, 1_500) };
            let fleet = Arc::clone(&self.fleet);
            self.returning.spawn(async move {
                sleep(away).await;
                fleet.start(place).await;
            });
        }
    }

    async fn all_connected(&self) -> Result<(), String> {
        let wanted = self.site.nodes.len();
        let until = Instant::now() + PATIENCE;
        loop {
            let connected = self.client.connected().await.map_err(|error| error.to_string())?;
            if connected.len() == wanted {
                self.timeline.note("all agents are connected");
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(format!("only these nodes are connected: {}", connected.join(", ")));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until every accepted job is over, every hold has ended and every agent is idle.
    async fn all_over(&self) -> Result<(), String> {
        let bound = rules::JOB_TIMEOUT + rules::RUN_TIMEOUT + rules::ABANDONED_HOLD + PATIENCE;
        let over = async {
            while !self.orders.open().is_empty() || Evidence::unfinished(&self.site) > 0 {
                sleep(LOOK_AGAIN).await;
            }
        };
        let result = timeout(bound, over).await;
        self.timeline.note("everything is over");
        result.map_err(|_| {
            format!("stuck: jobs {:?}, and {} rows or runs", self.orders.open(), Evidence::unfinished(&self.site))
        })
    }

    /// Collects the evidence and checks it.
    async fn judge(&mut self) -> Vec<String> {
        let collected = Evidence::collect(&self.site, &self.client, &self.orders).await;
        let ended = self.service.terminate().await;
        let mut evidence = match collected {
            Ok(evidence) => evidence,
            Err(error) => return vec![error],
        };
        evidence.read_store(&self.site);
        evidence.last_ready = self.service.last_ready;
        self.tally.count(&evidence);
        let mut violations = checks::all(&evidence, &self.timeline);
        violations.extend(ended.err());
        violations
    }
}
