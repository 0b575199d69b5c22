//! What the handle may read without asking an actor: live counts, whether commands are taken, signs of life.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::handle::LiveJob;
use crate::model::{JobId, JobState, NodeCounts, NodeState};

/// Where the service is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Unfinished jobs are being taken up.
    Recovering,
    Ready,
    /// Nothing can go on in this process, for this reason.
    Broken(String),
}

/// Whether new work is refused although the service is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Drain {
    No,
    /// Someone asked for it, and may take it back.
    Asked,
    /// The service ends.
    Leaving,
}

/// When and what was heard of the Supervisor last.
#[derive(Debug)]
struct Pulse {
    at: Instant,
    /// The jobs whose actors have not shown that they are alive.
    hanging: Vec<JobId>,
}

/// Shared by the Supervisor, which writes, and every handle.
#[derive(Debug)]
pub(crate) struct Board {
    readiness: watch::Sender<Readiness>,
    drain: Mutex<Drain>,
    pulse: Mutex<Option<Pulse>>,
    live: Mutex<BTreeMap<JobId, Arc<Mutex<LiveJob>>>>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            readiness: watch::Sender::new(Readiness::Recovering),
            drain: Mutex::new(Drain::No),
            pulse: Mutex::default(),
            live: Mutex::default(),
        }
    }
}

impl Board {
    /// Moves on; what is broken stays so.
    pub(super) fn set(&self, next: Readiness) {
        self.readiness.send_if_modified(|present| {
            let moves = !matches!(present, Readiness::Broken(_));
            if moves {
                *present = next;
            }
            moves
        });
    }

    /// Refuses new work, or takes it again; a service that ends never does. Returns what holds now.
    pub(super) fn set_drain(&self, next: Drain) -> Drain {
        let mut drain = self.drain.lock();
        if *drain != Drain::Leaving {
            *drain = next;
        }
        *drain
    }

    /// Whether new work is refused although the service is well.
    pub(crate) fn drain(&self) -> Drain {
        *self.drain.lock()
    }

    /// The Supervisor is alive, and so are all actors but those of these jobs.
    pub(super) fn beat(&self, hanging: Vec<JobId>) {
        *self.pulse.lock() = Some(Pulse { at: Instant::now(), hanging });
    }

    /// What hangs, if something has been for longer than `patience`: `None` while all actors show that they are alive.
    pub(crate) fn hang(&self, patience: Duration) -> Option<String> {
        let pulse = self.pulse.lock();
        // Before the first beat the Supervisor is being started.
        let Pulse { at, hanging } = pulse.as_ref()?;
        let silent = at.elapsed();
        if silent > patience {
            return Some(format!("the supervisor has shown no sign of life for {} s", silent.as_secs()));
        }
        let first = hanging.first()?;
        Some(match hanging.len() {
            1 => format!("the actor of job {first} hangs"),
            many => format!("the actors of {many} jobs hang, job {first} among them"),
        })
    }

    /// `None` when the engine can work; else why not.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.readiness.borrow() {
            Readiness::Broken(reason) => Some(reason.clone()),
            Readiness::Recovering => Some("the service is starting: unfinished jobs are being taken up".into()),
            Readiness::Ready => None,
        }
    }

    /// Live jobs by state, and their nodes.
    pub(crate) fn glance(&self) -> (BTreeMap<JobState, u32>, NodeCounts) {
        let live: Vec<_> = self.live.lock().values().map(Arc::clone).collect();
        let (mut jobs, mut nodes) = (BTreeMap::new(), NodeCounts::default());
        for job in live {
            let job = job.lock();
            *jobs.entry(job.state).or_default() += 1;
            job.counts.iter().for_each(|(state, count)| nodes.add(state, count));
        }
        (jobs, nodes)
    }

    /// How many nodes of live jobs run, as committed.
    pub(crate) fn running(&self) -> u64 {
        u64::from(self.glance().1.get(NodeState::Running))
    }

    pub(crate) fn is_recovering(&self) -> bool {
        *self.readiness.borrow() == Readiness::Recovering
    }

    /// Waits until unfinished jobs are taken up, or the service ends.
    pub(crate) async fn recovered(&self) {
        let mut readiness = self.readiness.subscribe();
        // The sender lives as long as the board, so the wait cannot fail.
        let _ = readiness.wait_for(|present| *present != Readiness::Recovering).await;
    }

    pub(super) fn add(&self, job: JobId, live: Arc<Mutex<LiveJob>>) {
        self.live.lock().insert(job, live);
    }

    pub(super) fn remove(&self, job: JobId) {
        self.live.lock().remove(&job);
    }

    /// A live job's committed state.
    pub(crate) fn live(&self, job: JobId) -> Option<LiveJob> {
        let shown = self.live.lock().get(&job).map(Arc::clone)?;
        let live = shown.lock().clone();
        Some(live)
    }
}
