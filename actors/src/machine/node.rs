//! One run on one node, from its committed start to its end: delivery, status queries, time-outs, cancel.
//!
//! The state says where the frame is; [`Facts`] say what is known of the agent. Times are absolute; [`Node::wake`] says
//! when the next [`NodeInput::Tick`] is due. The first end that a step decides is the only one.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Action, Cause, CertName, NodeEnd, RunOutcome};
use crate::ports::{Connection, RunSignal, StatusAnswer};
use std::sync::Arc;

use super::outcome::{errored, judge};
use super::words::Words;

type Time = DateTime<Utc>;

/// The clocks of a run, the same for all nodes of a job.
#[derive(Debug, Clone)]
pub struct Rules {
    pub action: Arc<Action>,
    pub run_timeout: TimeDelta,
    pub connect_timeout: TimeDelta,
    pub lost_contact: TimeDelta,
    pub cancel_timeout: TimeDelta,
    pub resend_window: TimeDelta,
    pub resend_to_pxp_agents: bool,
    pub compile_hold: TimeDelta,
    pub status_timeout: TimeDelta,
    pub status_interval: TimeDelta,
    /// Before this nothing ends for something that is missing.
    pub settled_at: Time,
}

/// What is known of a run besides where its frame is.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub node: CertName,
    pub started_at: Time,
    pub deadline: Time,
    /// The spool that the agent named when the run was started.
    pub spool: Option<String>,
    /// A provisional answer, or any other proof of arrival, was recorded.
    pub accepted: bool,
    /// The run has its compile slot until its catalog is there, or until then.
    pub compiling: Option<Option<Time>>,
    /// The job takes no new starts.
    pub stopping: bool,
    /// The newest session that was known when the frame was handed to the transport.
    pub handed_over: u64,
    pub contact: Contact,
}

/// What is known of the agent at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Its present session.
    pub link: Option<Connection>,
    /// The last word of the agent.
    pub heard: Time,
    /// The unanswered status query.
    pub asked: Option<Time>,
    /// Since when the agent is away or answers nothing.
    pub quiet: Option<Time>,
    /// The query that was made because the deadline passed.
    pub last_chance: Option<Time>,
}

impl Contact {
    /// Fresh contact as of `now`.
    #[must_use]
    pub fn new(link: Option<Connection>, now: Time) -> Self {
        let quiet = link.is_none().then_some(now);
        Self { link, heard: now, asked: None, quiet, last_chance: None }
    }
}

/// A run on a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// The frame was handed to the transport.
    Queued(Facts),
    /// The frame never left; it waits for a newer session until then.
    Unsent { facts: Facts, until: Time },
    /// The frame never arrived; its fresh deadline is being committed.
    Resending(Facts),
    /// The frame was written to a socket, or may have been before a restart.
    Sent { facts: Facts, since: Time },
    /// The agent has the request.
    Accepted(Facts),
    /// The run is being ended, for this cause; the agent has until then to confirm.
    Canceling { facts: Facts, cause: Cause, until: Time },
    /// The end is decided.
    Over,
}

/// What happens to a run.
#[derive(Debug, Clone)]
pub enum NodeInput {
    Signal(RunSignal),
    /// The fresh deadline of a resend is committed.
    ResendCommitted,
    /// The job was stopped: what did not arrive is not sent again.
    Stopping,
    /// A stop by force is committed.
    Force,
    /// Time went on.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeEffect {
    /// Hand the frame to the transport.
    Send,
    /// Ask for the status.
    Ask,
    /// Ask the agent to end the run.
    Cancel,
    /// Record the acknowledgement.
    RecordAccepted,
    /// Commit a fresh deadline, then tell [`NodeInput::ResendCommitted`].
    RecordResend(Time),
    /// Give the compile slot back.
    CatalogReady,
    /// The run is over; `hold` when it may still be going on.
    End { end: Box<NodeEnd>, hold: bool },
}

/// Why an input is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeRefusal {
    #[error("the run is over")]
    Over,
    #[error("no frame waits to be sent again")]
    NothingToResend,
}

type Step = (Node, Result<Vec<NodeEffect>, NodeRefusal>);

impl Node {
    /// A run whose start was committed just now; its frame is to be sent.
    #[must_use]
    pub fn start(facts: Facts) -> (Self, Vec<NodeEffect>) {
        facts.send()
    }

    /// A run that was started before the service was: whether its frame left is not known.
    #[must_use]
    pub fn recover(mut facts: Facts, now: Time) -> (Self, Vec<NodeEffect>) {
        let effects = if facts.contact.link.is_some() { facts.ask(now) } else { Vec::new() };
        let state = if facts.accepted { Self::Accepted(facts) } else { Self::Sent { facts, since: now } };
        (state, effects)
    }

    /// Takes one step.
    #[must_use]
    pub fn step(self, input: NodeInput, now: Time, rules: &Rules) -> Step {
        if self == Self::Over {
            return (self, Err(NodeRefusal::Over));
        }
        match input {
            NodeInput::Signal(signal) => accept(self.signal(signal, now, rules)),
            NodeInput::ResendCommitted => self.resend_committed(),
            NodeInput::Stopping => {
                let mut state = self;
                if let Some(facts) = state.facts_mut() {
                    facts.stopping = true;
                }
                (state, Ok(Vec::new()))
            }
            NodeInput::Force => accept(self.force(now, rules)),
            NodeInput::Tick => accept(self.tick(now, rules)),
        }
    }

    /// Whether the compile slot is still taken.
    #[must_use]
    pub fn is_compiling(&self) -> bool {
        self.facts().is_some_and(|facts| facts.compiling.is_some())
    }

    /// True when the end is decided.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// When time alone changes something next.
    #[must_use]
    pub fn wake(&self, rules: &Rules) -> Option<Time> {
        let facts = self.facts()?;
        let compile = facts.compiling.flatten();
        let own = match self {
            Self::Unsent { until, .. } | Self::Canceling { until, .. } => Some(*until),
            Self::Queued(_) => facts.overdue_at(rules).into(),
            Self::Resending(_) | Self::Over => None,
            Self::Sent { since, .. } => facts.next_query(*since + rules.status_timeout, rules).into(),
            Self::Accepted(_) => facts.next_query(facts.contact.heard + rules.status_interval, rules).into(),
        };
        [compile, own].into_iter().flatten().min()
    }

    fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Queued(facts)
            | Self::Unsent { facts, .. }
            | Self::Resending(facts)
            | Self::Sent { facts, .. }
            | Self::Accepted(facts)
            | Self::Canceling { facts, .. } => Some(facts),
            Self::Over => None,
        }
    }

    fn facts_mut(&mut self) -> Option<&mut Facts> {
        match self {
            Self::Queued(facts)
            | Self::Unsent { facts, .. }
            | Self::Resending(facts)
            | Self::Sent { facts, .. }
            | Self::Accepted(facts)
            | Self::Canceling { facts, .. } => Some(facts),
            Self::Over => None,
        }
    }

    fn signal(mut self, signal: RunSignal, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        if is_word_of_agent(&signal)
            && let Some(facts) = self.facts_mut()
        {
            facts.contact.heard = now;
            facts.contact.quiet = None;
        }
        match signal {
            RunSignal::Unsent => self.unsent(now, rules),
            RunSignal::Sent => self.sent(now, rules),
            RunSignal::Accepted => self.arrived(),
            RunSignal::CatalogReady => {
                let (mut state, mut effects) = self.arrived();
                if state.facts_mut().is_some_and(|facts| facts.compiling.take().is_some()) {
                    effects.push(NodeEffect::CatalogReady);
                }
                (state, effects)
            }
            RunSignal::Ended(outcome) => self.ended(outcome, rules),
            RunSignal::Status(answer) => self.status(answer, now, rules),
            RunSignal::CancelAccepted => (self, Vec::new()),
            RunSignal::CancelRefused(reason) => match self {
                Self::Canceling { facts, cause, .. } => {
                    let reason = format!("the agent did not end the run: {reason}");
                    facts.end(unconfirmed(cause), &reason, true, rules)
                }
                other @ (Self::Queued(_)
                | Self::Unsent { .. }
                | Self::Resending(_)
                | Self::Sent { .. }
                | Self::Accepted(_)
                | Self::Over) => (other, Vec::new()),
            },
            RunSignal::Connected(connection) => self.connected(connection, now, rules),
            RunSignal::Disconnected => {
                if let Some(facts) = self.facts_mut() {
                    facts.contact.link = None;
                    facts.contact.quiet.get_or_insert(now);
                }
                (self, Vec::new())
            }
        }
    }

    fn unsent(self, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        match self {
            // The newer session may have been told of before the end of the older one.
            Self::Queued(facts) if facts.has_newer_session() => facts.send(),
            Self::Queued(facts) => {
                let until = (now + rules.connect_timeout).max(rules.settled_at);
                (Self::Unsent { facts, until }, Vec::new())
            }
            // It never ran, so nothing can be left running.
            Self::Canceling { facts, cause, .. } => facts.end(cause, "the request was never sent", false, rules),
            other @ (Self::Unsent { .. } | Self::Resending(_) | Self::Sent { .. } | Self::Accepted(_) | Self::Over) => {
                (other, Vec::new())
            }
        }
    }

    fn sent(mut self, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        if let Some(facts) = self.facts_mut()
            && facts.compiling == Some(None)
            && facts.spool.is_none()
        {
            facts.compiling = Some(Some(now + rules.compile_hold));
        }
        match self {
            Self::Queued(facts) => (Self::Sent { facts, since: now }, Vec::new()),
            other @ (Self::Unsent { .. }
            | Self::Resending(_)
            | Self::Sent { .. }
            | Self::Accepted(_)
            | Self::Canceling { .. }
            | Self::Over) => (other, Vec::new()),
        }
    }

    /// The agent has the request, by whatever sign.
    fn arrived(self) -> (Self, Vec<NodeEffect>) {
        let note = |facts: &mut Facts| {
            let first = !std::mem::replace(&mut facts.accepted, true);
            first.then_some(NodeEffect::RecordAccepted).into_iter().collect()
        };
        match self {
            Self::Canceling { mut facts, cause, until } => {
                let effects = note(&mut facts);
                (Self::Canceling { facts, cause, until }, effects)
            }
            Self::Queued(mut facts)
            | Self::Unsent { mut facts, .. }
            | Self::Resending(mut facts)
            | Self::Sent { mut facts, .. }
            | Self::Accepted(mut facts) => {
                let effects = note(&mut facts);
                (Self::Accepted(facts), effects)
            }
            Self::Over => (Self::Over, Vec::new()),
        }
    }

    fn ended(self, outcome: RunOutcome, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        let canceled = match &self {
            Self::Canceling { cause, .. } => *cause,
            Self::Queued(_)
            | Self::Unsent { .. }
            | Self::Resending(_)
            | Self::Sent { .. }
            | Self::Accepted(_)
            | Self::Over => Cause::StoppedByForce,
        };
        let Some(facts) = self.facts() else { return (self, Vec::new()) };
        let end = judge(&facts.node, &rules.action, outcome, canceled);
        (Self::Over, vec![NodeEffect::End { end: Box::new(end), hold: false }])
    }

    fn status(self, answer: StatusAnswer, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        let (mut state, mut effects) = match answer {
            StatusAnswer::Over(outcome) => return self.ended(outcome, rules),
            StatusAnswer::NeverArrived => return self.never_arrived(now, rules),
            StatusAnswer::Unknown(words) => return self.unknown(&words, rules),
            StatusAnswer::Running => self.arrived(),
        };
        let Some(facts) = state.facts_mut() else { return (state, effects) };
        facts.contact.asked = None;
        if matches!(state, Self::Accepted(_)) && state.facts().is_some_and(|known| known.contact.last_chance.is_some())
        {
            let (state, more) = state.cancel(Cause::TimedOut, now, rules);
            effects.extend(more);
            return (state, effects);
        }
        (state, effects)
    }

    fn unknown(self, words: &str, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        match self {
            // The frame is behind the query, or was never sent: the answer says nothing about it.
            Self::Queued(_) | Self::Unsent { .. } | Self::Resending(_) | Self::Over => (self, Vec::new()),
            Self::Canceling { facts, .. } | Self::Sent { facts, .. } | Self::Accepted(facts) => {
                let reason = format!("the agent does not know how the run ended: {words}");
                facts.end(Cause::OutcomeUnknown, &reason, true, rules)
            }
        }
    }

    fn never_arrived(self, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        match self {
            Self::Queued(_) | Self::Unsent { .. } | Self::Resending(_) | Self::Over => (self, Vec::new()),
            Self::Accepted(facts) => facts.forgotten(rules),
            Self::Canceling { facts, cause, until } => {
                if facts.accepted {
                    return facts.forgotten(rules);
                }
                // Our agent keeps the cancel for a late request and answers it, so its confirmation still comes.
                (Self::Canceling { facts, cause, until }, Vec::new())
            }
            Self::Sent { mut facts, since } => {
                if facts.contact.asked.take().is_none() {
                    return (Self::Sent { facts, since }, Vec::new());
                }
                facts.lost_frame(now, rules)
            }
        }
    }

    fn connected(mut self, connection: Connection, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        let can_cancel = connection.spool.is_some();
        if let Some(facts) = self.facts_mut() {
            facts.contact.link = Some(connection);
        }
        match self {
            Self::Unsent { facts, .. } if facts.has_newer_session() => facts.send(),
            Self::Sent { mut facts, since } => {
                let effects = facts.ask(now);
                (Self::Sent { facts, since }, effects)
            }
            Self::Accepted(mut facts) => {
                let effects = facts.ask(now);
                (Self::Accepted(facts), effects)
            }
            Self::Canceling { mut facts, cause, until } => {
                if !can_cancel {
                    return facts.end(unconfirmed(cause), NO_CANCEL, true, rules);
                }
                let mut effects = vec![NodeEffect::Cancel];
                effects.extend(facts.ask(now));
                (Self::Canceling { facts, cause, until }, effects)
            }
            other @ (Self::Queued(_) | Self::Unsent { .. } | Self::Resending(_) | Self::Over) => (other, Vec::new()),
        }
    }

    fn resend_committed(self) -> Step {
        match self {
            Self::Resending(facts) => accept(facts.send()),
            // Meanwhile the agent gave a sign of the first frame, or the run is being ended.
            other @ (Self::Accepted(_) | Self::Canceling { .. }) => (other, Ok(Vec::new())),
            other @ (Self::Queued(_) | Self::Unsent { .. } | Self::Sent { .. } | Self::Over) => {
                (other, Err(NodeRefusal::NothingToResend))
            }
        }
    }

    fn force(self, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        match self {
            Self::Unsent { facts, .. } | Self::Resending(facts) => facts.end(
                Cause::StoppedByForce,
                "the job was stopped by force before the request arrived",
                false,
                rules,
            ),
            Self::Queued(_) | Self::Sent { .. } | Self::Accepted(_) => self.cancel(Cause::StoppedByForce, now, rules),
            other @ (Self::Canceling { .. } | Self::Over) => (other, Vec::new()),
        }
    }

    /// Ends the run where the agent can.
    fn cancel(self, cause: Cause, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        let Some(facts) = self.facts().cloned() else { return (self, Vec::new()) };
        let (can_cancel, connected) = match &facts.contact.link {
            Some(link) => (link.spool.is_some(), true),
            None => (facts.spool.is_some(), false),
        };
        if !can_cancel {
            return facts.end(unconfirmed(cause), NO_CANCEL, true, rules);
        }
        let until = (now + rules.cancel_timeout).max(rules.settled_at);
        let effects = if connected { vec![NodeEffect::Cancel] } else { Vec::new() };
        (Self::Canceling { facts, cause, until }, effects)
    }

    fn tick(mut self, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        let mut effects = Vec::new();
        if let Some(facts) = self.facts_mut()
            && facts.compiling.flatten().is_some_and(|until| until <= now)
        {
            facts.compiling = None;
            effects.push(NodeEffect::CatalogReady);
        }
        let (state, more) = self.tick_state(now, rules);
        effects.extend(more);
        (state, effects)
    }

    fn tick_state(self, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        match self {
            Self::Unsent { facts, until, .. } if until <= now => {
                let node = &facts.node;
                let (cause, reason) = match facts.contact.link {
                    None => (Cause::NotConnected, format!("{node} is not connected to the PCP broker")),
                    Some(_) => (Cause::Undeliverable, format!("the session of {node} did not take the request")),
                };
                facts.end(cause, &reason, false, rules)
            }
            Self::Canceling { facts, cause, until } if until <= now => {
                facts.end(unconfirmed(cause), "the agent did not confirm the end of the run", true, rules)
            }
            Self::Queued(facts) if facts.overdue_at(rules) <= now => {
                Self::Queued(facts).cancel(Cause::TimedOut, now, rules)
            }
            Self::Sent { facts, since } => {
                let due = since + rules.status_timeout;
                facts.watch(due, now, rules, |facts| Self::Sent { facts, since })
            }
            Self::Accepted(facts) => {
                let due = facts.contact.heard + rules.status_interval;
                facts.watch(due, now, rules, Self::Accepted)
            }
            other @ (Self::Unsent { .. }
            | Self::Canceling { .. }
            | Self::Queued(_)
            | Self::Resending(_)
            | Self::Over) => (other, Vec::new()),
        }
    }
}

const NO_CANCEL: &str = "the agent cannot end a run";

fn accept((state, effects): (Node, Vec<NodeEffect>)) -> Step {
    (state, Ok(effects))
}

/// The cause of an end by us that the agent did not confirm.
fn unconfirmed(cause: Cause) -> Cause {
    if cause == Cause::StoppedByForce { Cause::Abandoned } else { cause }
}

fn is_word_of_agent(signal: &RunSignal) -> bool {
    match signal {
        RunSignal::Accepted
        | RunSignal::CatalogReady
        | RunSignal::Ended(_)
        | RunSignal::Status(_)
        | RunSignal::CancelAccepted
        | RunSignal::CancelRefused(_) => true,
        RunSignal::Unsent | RunSignal::Sent | RunSignal::Connected(_) | RunSignal::Disconnected => false,
    }
}

impl Facts {
    fn has_newer_session(&self) -> bool {
        self.contact.link.as_ref().is_some_and(|link| link.generation > self.handed_over)
    }

    /// Hands the frame to the transport.
    fn send(mut self) -> (Node, Vec<NodeEffect>) {
        self.handed_over = self.contact.link.as_ref().map_or(self.handed_over, |link| link.generation);
        (Node::Queued(self), vec![NodeEffect::Send])
    }

    /// Asks for the status.
    fn ask(&mut self, now: Time) -> Vec<NodeEffect> {
        self.contact.asked = Some(now);
        self.contact.quiet.get_or_insert(now);
        vec![NodeEffect::Ask]
    }

    fn end(self, cause: Cause, reason: &str, hold: bool, rules: &Rules) -> (Node, Vec<NodeEffect>) {
        let end = errored(&self.node, Words::of(rules.action.kind()), cause, reason);
        (Node::Over, vec![NodeEffect::End { end: Box::new(end), hold }])
    }

    /// The agent had the request and knows nothing of it any more.
    fn forgotten(self, rules: &Rules) -> (Node, Vec<NodeEffect>) {
        self.end(Cause::OutcomeUnknown, "the agent had the request and does not know it any more", true, rules)
    }

    /// "No results directory", and no acknowledgement was ever recorded: send again only where that cannot run twice.
    fn lost_frame(mut self, now: Time, rules: &Rules) -> (Node, Vec<NodeEffect>) {
        let same_spool = self.contact.link.as_ref().is_some_and(|link| !link.contended && link.spool == self.spool);
        let in_doubt = !same_spool
            || now - self.started_at >= rules.resend_window
            || (self.spool.is_none() && !rules.resend_to_pxp_agents);
        if in_doubt {
            return self.end(Cause::OutcomeUnknown, "whether the request arrived is not known", true, rules);
        }
        if self.stopping {
            let reason = "the request did not arrive, and the job is being stopped";
            return self.end(Cause::Undeliverable, reason, false, rules);
        }
        self.deadline = now + rules.run_timeout;
        self.contact.last_chance = None;
        let deadline = self.deadline;
        (Node::Resending(self), vec![NodeEffect::RecordResend(deadline)])
    }

    /// When the deadline counts.
    fn overdue_at(&self, rules: &Rules) -> Time {
        self.deadline.max(rules.settled_at)
    }

    /// When contact counts as lost, unless a query is still open.
    fn lost_at(&self, rules: &Rules) -> Option<Time> {
        self.contact.quiet.map(|since| (since + rules.lost_contact).max(rules.settled_at))
    }

    /// When time changes something for a run that is on the node; `due` is when silence asks for a query.
    fn next_query(&self, due: Time, rules: &Rules) -> Time {
        if let Some(asked) = self.contact.last_chance {
            return asked + rules.status_timeout;
        }
        let expiry = self.overdue_at(rules);
        let silence = match (&self.contact.link, self.contact.asked, self.lost_at(rules)) {
            (Some(_), Some(asked), _) => asked + rules.status_timeout,
            (Some(_), None, _) => due,
            (None, _, Some(lost)) => lost,
            (None, _, None) => expiry,
        };
        expiry.min(silence)
    }

    /// Looks after a run that is on the node: its deadline, its silence, its loss.
    fn watch(
        mut self,
        due: Time,
        now: Time,
        rules: &Rules,
        state: impl FnOnce(Self) -> Node,
    ) -> (Node, Vec<NodeEffect>) {
        if let Some(asked) = self.contact.last_chance {
            if asked + rules.status_timeout <= now {
                return state(self).cancel(Cause::TimedOut, now, rules);
            }
            return (state(self), Vec::new());
        }
        if self.overdue_at(rules) <= now {
            self.contact.last_chance = Some(now);
            let effects = self.ask(now);
            return (state(self), effects);
        }
        let open_query = self.contact.asked.is_some_and(|asked| asked + rules.status_timeout > now);
        let connected = self.contact.link.is_some();
        if connected && open_query {
            return (state(self), Vec::new());
        }
        if self.lost_at(rules).is_some_and(|lost| lost <= now) {
            let reason = format!("contact to {} was lost", self.node);
            return self.end(Cause::ContactLost, &reason, true, rules);
        }
        let unanswered = self.contact.asked.take().is_some();
        if connected && (unanswered || due <= now) {
            let effects = self.ask(now);
            return (state(self), effects);
        }
        (state(self), Vec::new())
    }
}
