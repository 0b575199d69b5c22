//! The agents of all nodes: real ones as processes, scripted ones as tasks. What befalls them is told to the timeline
//! before it happens.

use std::fs;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::sync::Mutex;

use super::process::{Process, kill_all_below};
use super::pxp::Scripted;
use super::signs::Signs;
use super::site::Site;
use super::timeline::{Blow, Timeline};
use bunraku_actors::testing::Chance;

enum Agent {
    Native(Process),
    Scripted(Scripted),
}

struct Member {
    agent: Option<Agent>,
    chance: Chance,
    wipes: u32,
}

/// One member per node, by the node's place.
pub(crate) struct Fleet {
    site: Arc<Site>,
    timeline: Arc<Timeline>,
    signs: Signs,
    members: Vec<Mutex<Member>>,
}

impl Fleet {
    /// Nobody runs yet.
    pub(crate) fn new(site: &Arc<Site>, timeline: &Arc<Timeline>, signs: &Signs, chance: &mut Chance) -> Self {
        let member = |chance| Mutex::new(Member { agent: None, chance, wipes: 0 });
        Self {
            members: site.nodes.iter().map(|_| member(chance.branch())).collect(),
            site: Arc::clone(site),
            timeline: Arc::clone(timeline),
            signs: signs.clone(),
        }
    }

    fn name(&self, place: usize) -> &str {
        &self.site.nodes[place].name
    }

    /// Starts the agent, if it does not run.
    pub(crate) async fn start(&self, place: usize) {
        let node = &self.site.nodes[place];
        let mut member = self.members[place].lock().await;
        if member.agent.is_some() {
            return;
        }
        self.timeline.note(format!("{}: started", node.name));
        member.agent = Some(if node.native {
            let log = self.site.dir.join(format!("log/{}.log", node.name));
            Agent::Native(Process::start(&["agent"], &node.dir.join("agent.yaml"), &[], &log))
        } else {
            let chance = member.chance.branch();
            Agent::Scripted(Scripted::start(&self.site, node, self.signs.clone(), chance))
        });
    }

    /// Starts every agent that does not run, and wakes those that stand still.
    pub(crate) async fn start_all(&self) {
        for place in 0..self.members.len() {
            self.thaw(place).await;
            self.start(place).await;
        }
    }

    /// Kills the agent; what it had started goes on.
    pub(crate) async fn kill(&self, place: usize) {
        self.timeline.blow(self.name(place), Blow::Killed);
        let agent = self.members[place].lock().await.agent.take();
        end(agent).await;
    }

    /// Kills the agent and everything that it had started; with `wipe`, its spool is gone as well.
    pub(crate) async fn reboot(&self, place: usize, wipe: bool) {
        let node = &self.site.nodes[place];
        let mut member = self.members[place].lock().await;
        self.timeline.blow(&node.name, if wipe { Blow::Reinstalled } else { Blow::Rebooted });
        end(member.agent.take()).await;
        kill_all_below(&node.dir);
        if wipe && node.spool().exists() {
            // Kept for the checker, where no agent finds it.
            member.wipes += 1;
            fs::rename(node.spool(), node.dir.join(format!("wiped-{}", member.wipes))).unwrap();
            // Task files are fetched anew.
            let _ = fs::remove_dir_all(node.dir.join("tasks-cache"));
        }
    }

    /// Makes a real agent stand still, and breaks the connection of a scripted one.
    pub(crate) async fn freeze(&self, place: usize) {
        match &self.members[place].lock().await.agent {
            Some(Agent::Native(process)) => {
                self.timeline.blow(self.name(place), Blow::Frozen);
                process.signal(Signal::STOP);
            }
            Some(Agent::Scripted(agent)) => {
                self.timeline.note(format!("{}: cut off", self.name(place)));
                agent.cut();
            }
            None => {}
        }
    }

    /// The end of [`Fleet::freeze`].
    pub(crate) async fn thaw(&self, place: usize) {
        if let Some(Agent::Native(process)) = &self.members[place].lock().await.agent {
            process.signal(Signal::CONT);
        }
    }

    /// The agents that ended by themselves, which none does.
    pub(crate) async fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (place, member) in self.members.iter().enumerate() {
            if let Some(Agent::Native(process)) = &mut member.lock().await.agent
                && let Some(status) = process.ended()
            {
                missing.push(format!("the agent of {} ended by itself: {status}", self.name(place)));
            }
        }
        missing
    }
}

async fn end(agent: Option<Agent>) {
    match agent {
        Some(Agent::Native(process)) => process.kill(),
        Some(Agent::Scripted(scripted)) => scripted.kill().await,
        None => {}
    }
}
