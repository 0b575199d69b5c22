//! The nodes: their agents, their sessions, and every message on its way.
//!
//! A session carries frames in order; what is on its way when it ends is lost. Final and provisional answers of a
//! pxp-agent may change places.

use std::time::Duration;

use bunraku_actors::model::{CertName, TransactionId};
use bunraku_actors::ports::{Connection, RunRequest, RunSignal, StatusAnswer};

use crate::agent::{Agent, CancelAnswer, Kind, Received};
use crate::book::Execution;
use crate::ground::{Moment, later};
use crate::world::State;

/// A node's session with the service.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) generation: u64,
    /// Which of the node's agents it belongs to.
    agent: usize,
    since: Moment,
    /// When the last frame is written to the socket, when it arrives, and when the last answer does.
    written: Moment,
    inbound: Moment,
    outbound: Moment,
}

/// A certname, with its agent, or with two of them.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: CertName,
    pub(crate) agents: Vec<Agent>,
    pub(crate) session: Option<Session>,
    /// How often one agent superseded the other.
    superseded: u32,
    /// The next call about this node panics.
    pub(crate) trap: u32,
}

/// What is on its way to an agent.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    Run(RunRequest),
    /// With the number of requests that were handed over before it was asked.
    Status(TransactionId, u64),
    Cancel(TransactionId),
}

/// Something that happens by itself.
#[derive(Debug)]
pub(crate) enum Event {
    /// The session writes the frame to its socket.
    Write {
        node: usize,
        generation: u64,
        frame: Frame,
    },
    /// The frame reaches the agent.
    Arrive {
        node: usize,
        generation: u64,
        frame: Frame,
    },
    /// The answer reaches the service.
    Answer {
        node: usize,
        generation: u64,
        transaction: TransactionId,
        signal: RunSignal,
        /// Of the query that this answers.
        asked: Option<u64>,
    },
    /// A run's work is done.
    Complete {
        node: usize,
        agent: usize,
        transaction: TransactionId,
    },
    /// A canceled run is gone.
    Killed {
        node: usize,
        agent: usize,
        transaction: TransactionId,
    },
    Connect {
        node: usize,
        agent: usize,
    },
}

impl Node {
    pub(crate) fn new(name: CertName, kind: Kind, spool_id: u32) -> Self {
        Self { name, agents: vec![Agent::new(kind, spool_id)], session: None, superseded: 0, trap: 0 }
    }

    pub(crate) fn connection(&self) -> Option<Connection> {
        let session = self.session.as_ref()?;
        Some(Connection {
            node: self.name.clone(),
            generation: session.generation,
            since: session.since,
            spool: self.agents[session.agent].spool_name(),
            agent: None,
            contended: self.superseded > 1,
        })
    }

    fn carries(&self, generation: u64) -> Option<usize> {
        self.session.as_ref().filter(|session| session.generation == generation).map(|session| session.agent)
    }
}

impl State {
    pub(crate) fn happen(&mut self, event: Event, now: Moment) {
        match event {
            Event::Write { node, generation, frame } => self.write(node, generation, frame, now),
            Event::Arrive { node, generation, frame } => {
                if let Some(agent) = self.nodes[node].carries(generation) {
                    self.arrive(node, agent, frame, now);
                }
            }
            Event::Answer { node, generation, transaction, signal, asked } => {
                // What was asked before a frame was sent says nothing about it: the transport drops such answers.
                let fits = asked.is_none_or(|asked| asked == self.handed_over(transaction));
                if fits && self.nodes[node].carries(generation).is_some() {
                    self.deliver(transaction, signal);
                }
            }
            Event::Complete { node, agent, transaction } => self.complete(node, agent, transaction, now),
            Event::Killed { node, agent, transaction } => self.killed(node, agent, transaction, now),
            Event::Connect { node, agent } => self.connect(node, agent, now),
        }
    }

    // Sessions.

    fn connect(&mut self, node: usize, agent: usize, now: Moment) {
        let present = self.nodes[node].session.as_ref().map(|session| session.agent);
        if agent >= self.nodes[node].agents.len() || present == Some(agent) {
            return;
        }
        if !self.is_alive() {
            let again = later(now, self.chance.millis(200, 5_000));
            return self.agenda.add(again, Event::Connect { node, agent });
        }
        if let Some(other) = present {
            self.nodes[node].superseded += 1;
            let back = later(now, self.chance.millis(200, 10_000));
            self.agenda.add(back, Event::Connect { node, agent: other });
        }
        self.generation += 1;
        let session =
            Session { generation: self.generation, agent, since: now, written: now, inbound: now, outbound: now };
        self.nodes[node].session = Some(session);
        self.note(|state| format!("{} connects (agent {agent})", state.nodes[node].name));
        if let Some(connection) = self.nodes[node].connection() {
            self.tell_watchers(node, &RunSignal::Connected(connection));
        }
        for transaction in self.nodes[node].agents[agent].take_untold() {
            self.tell_end(node, agent, transaction, now);
        }
    }

    /// The node's session ends; its agent connects again after a while.
    pub(crate) fn disconnect(&mut self, node: usize, away: Duration, now: Moment) {
        let Some(session) = self.nodes[node].session.take() else { return };
        self.note(|state| format!("{} disconnects", state.nodes[node].name));
        self.tell_watchers(node, &RunSignal::Disconnected);
        self.agenda.add(later(now, away), Event::Connect { node, agent: session.agent });
    }

    /// The other agent of a certname is found and switched off.
    pub(crate) fn end_twins(&mut self, now: Moment) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].agents.len() > 1 {
                if self.nodes[node].session.as_ref().is_some_and(|session| session.agent > 0) {
                    self.disconnect(node, Duration::from_secs(1), now);
                }
                let lost = self.nodes[node].agents[1].reboot();
                lost.into_iter().for_each(|transaction| self.book.ended(transaction, crate::agent::End::Lost));
                self.nodes[node].agents.truncate(1);
                self.agenda.add(later(now, Duration::from_secs(1)), Event::Connect { node, agent: 0 });
            }
        }
    }

    // To the agent.

    /// Hands a request to the node's session.
    pub(crate) fn queue(&mut self, run: RunRequest, now: Moment) {
        self.book.frame_queued(run.job, &run.node, run.transaction);
        let Some(node) = self.place_of(&run.node) else { return };
        self.hand_over(run.transaction);
        self.note(|_| format!("queued for {}: job {}", run.node, run.job));
        let connection = self.nodes[node].connection().filter(|connection| connection.spool == run.spool);
        match connection {
            None => self.signal(run.transaction, RunSignal::Unsent),
            Some(_) => self.queue_frame(node, Frame::Run(run), now),
        }
    }

    /// Asks the agent of the node's session for the status of a run.
    pub(crate) fn ask(&mut self, name: &CertName, about: TransactionId, now: Moment) {
        if let Some(node) = self.place_of(name) {
            let asked = self.handed_over(about);
            self.queue_frame(node, Frame::Status(about, asked), now);
        }
    }

    /// Puts a frame behind all others of the node's session.
    pub(crate) fn queue_frame(&mut self, node: usize, frame: Frame, now: Moment) {
        let at = self.delayed(now);
        let Some(session) = &mut self.nodes[node].session else { return };
        session.written = session.written.max(at);
        let (at, generation) = (session.written, session.generation);
        self.agenda.add(at, Event::Write { node, generation, frame });
    }

    fn write(&mut self, node: usize, generation: u64, frame: Frame, now: Moment) {
        let goes_on = self.nodes[node].carries(generation).is_some();
        if let Frame::Run(run) = &frame {
            if goes_on {
                self.book.frame_written(run.job, &run.node);
            }
            self.deliver(run.transaction, if goes_on { RunSignal::Sent } else { RunSignal::Unsent });
        }
        if goes_on {
            self.carry(node, frame, now);
        }
    }

    /// A frame on its way to the agent of the present session.
    fn carry(&mut self, node: usize, frame: Frame, now: Moment) {
        let (lost, doubled) = (self.weather.lost_percent, self.weather.doubled_percent);
        if self.chance.percent(lost) {
            self.book.tally.count("lost frame");
            return;
        }
        let times = if self.chance.percent(doubled) { 2 } else { 1 };
        for _ in 0..times {
            let at = self.delayed(now);
            let Some(session) = &mut self.nodes[node].session else { return };
            session.inbound = session.inbound.max(at);
            let (at, generation) = (session.inbound, session.generation);
            self.agenda.add(at, Event::Arrive { node, generation, frame: frame.clone() });
        }
    }

    fn arrive(&mut self, node: usize, agent: usize, frame: Frame, now: Moment) {
        match frame {
            Frame::Run(run) => self.receive(node, agent, &run, now),
            Frame::Status(about, asked) => {
                let deaf = self.weather.deaf_percent;
                if self.chance.percent(deaf) {
                    return;
                }
                let known = &self.nodes[node].agents[agent];
                let there = known.run(about).is_some_and(|run| run.end.is_none() && run.catalog_at <= now);
                let answer = known.status(about);
                if there && known.kind == Kind::Ours {
                    self.answer(node, agent, about, RunSignal::CatalogReady, now);
                }
                self.answer_query(node, agent, about, RunSignal::Status(answer), Some(asked), now);
            }
            Frame::Cancel(about) => match self.nodes[node].agents[agent].cancel(about) {
                CancelAnswer::Over => {
                    let answer = self.nodes[node].agents[agent].status(about);
                    self.answer(node, agent, about, RunSignal::Status(answer), now);
                }
                CancelAnswer::Never => self.answer(node, agent, about, RunSignal::CancelAccepted, now),
                CancelAnswer::Ending => {
                    self.answer(node, agent, about, RunSignal::CancelAccepted, now);
                    let dies = later(now, self.chance.millis(1, 3_000));
                    self.agenda.add(dies, Event::Killed { node, agent, transaction: about });
                }
            },
        }
    }

    fn receive(&mut self, node: usize, agent: usize, run: &RunRequest, now: Moment) {
        let (longest, failing) = (self.weather.run_ms, self.weather.failing_percent);
        let takes = self.chance.millis(1, longest);
        let will_fail = self.chance.percent(failing);
        let catalog_at = later(now, takes / 3);
        let ends = later(now, takes);
        let received = self.nodes[node].agents[agent].receive(run, catalog_at, will_fail);
        self.note(|_| format!("{} receives job {}: {received:?}", run.node, run.job));
        match received {
            Received::Known => self.answer(node, agent, run.transaction, RunSignal::Accepted, now),
            Received::Canceled => {
                let canceled = self.nodes[node].agents[agent].status(run.transaction);
                self.answer(node, agent, run.transaction, RunSignal::Status(canceled), now);
            }
            Received::Began => {
                let kind = self.nodes[node].agents[agent].kind;
                let execution = Execution::new(run, kind, catalog_at);
                self.book.began(run.transaction, execution);
                self.book.check_compiles(now);
                self.agenda.add(ends, Event::Complete { node, agent, transaction: run.transaction });
                self.answer(node, agent, run.transaction, RunSignal::Accepted, now);
                if kind == Kind::Ours {
                    let said = catalog_at.max(now);
                    self.tell_catalog(node, run.transaction, said);
                }
            }
        }
    }

    // From the agent.

    /// An answer on its way through the present session, if that is this agent's.
    fn answer(&mut self, node: usize, agent: usize, about: TransactionId, signal: RunSignal, now: Moment) {
        self.answer_query(node, agent, about, signal, None, now);
    }

    fn answer_query(
        &mut self,
        node: usize,
        agent: usize,
        about: TransactionId,
        signal: RunSignal,
        asked: Option<u64>,
        now: Moment,
    ) {
        let (lost, doubled) = (self.weather.lost_percent, self.weather.doubled_percent);
        if self.chance.percent(lost) {
            return;
        }
        let times = if self.chance.percent(doubled) { 2 } else { 1 };
        let swaps = self.nodes[node].agents[agent].kind == Kind::Pxp && signal == RunSignal::Accepted;
        for time in 0..times {
            let at = self.delayed(now);
            let Some(session) = self.nodes[node].session.as_mut().filter(|session| session.agent == agent) else {
                return;
            };
            // A provisional answer may be overtaken by the final one.
            let at = if swaps { at } else { session.outbound.max(at) };
            session.outbound = session.outbound.max(if swaps { now } else { at });
            let generation = session.generation;
            if time > 0 {
                self.book.tally.count("doubled answer");
            }
            self.agenda.add(at, Event::Answer { node, generation, transaction: about, signal: signal.clone(), asked });
        }
    }

    fn tell_catalog(&mut self, node: usize, transaction: TransactionId, at: Moment) {
        let Some(generation) = self.nodes[node].session.as_ref().map(|session| session.generation) else { return };
        let at = self.delayed(at);
        self.agenda
            .add(at, Event::Answer { node, generation, transaction, signal: RunSignal::CatalogReady, asked: None });
    }

    fn complete(&mut self, node: usize, agent: usize, transaction: TransactionId, now: Moment) {
        let Some(known) = self.nodes[node].agents.get_mut(agent) else { return };
        let Some(end) = known.complete(transaction) else { return };
        self.book.ended(transaction, end);
        self.note(|state| format!("{} ends its run: {end:?}", state.nodes[node].name));
        self.tell_end(node, agent, transaction, now);
    }

    fn killed(&mut self, node: usize, agent: usize, transaction: TransactionId, now: Moment) {
        let Some(known) = self.nodes[node].agents.get_mut(agent) else { return };
        if known.kill(transaction) {
            self.book.ended(transaction, crate::agent::End::Canceled);
            self.note(|state| format!("{} has its run killed", state.nodes[node].name));
            self.tell_end(node, agent, transaction, now);
        }
    }

    fn tell_end(&mut self, node: usize, agent: usize, transaction: TransactionId, now: Moment) {
        let Some(word) = self.nodes[node].agents[agent].last_word(transaction) else { return };
        if self.nodes[node].session.as_ref().is_some_and(|session| session.agent == agent) {
            self.answer(node, agent, transaction, word, now);
        } else {
            self.nodes[node].agents[agent].keep_untold(transaction);
        }
    }

    /// A cancel: an agent without it refuses at once, as the transport knows.
    pub(crate) fn cancel(&mut self, name: &CertName, transaction: TransactionId, now: Moment) {
        let Some(node) = self.place_of(name) else { return };
        match self.nodes[node].connection().map(|connection| connection.spool.is_some()) {
            None => {}
            Some(true) => self.queue_frame(node, Frame::Cancel(transaction), now),
            Some(false) => self.signal(transaction, RunSignal::CancelRefused("it cannot".into())),
        }
    }
}

/// A word for the steps.
pub(crate) fn word(signal: &RunSignal) -> String {
    match signal {
        RunSignal::Status(StatusAnswer::Over(_)) => "status over".into(),
        RunSignal::Status(answer) => format!("status {answer:?}"),
        other => other.name().into(),
    }
}
