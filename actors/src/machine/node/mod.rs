//! One run on one node, from its committed start to its end: delivery, status queries, time-outs, cancel.
//!
//! The state says where the frame is; [`Facts`] say what is known of the agent. Times are absolute; [`Node::wake`] says
//! when the next [`NodeInput::Tick`] is due. The first end that a step decides is the only one.

mod facts;
mod signals;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Action, Cause, NodeEnd, StopMode};
use crate::ports::RunSignal;

pub use facts::{Contact, Facts};

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
    /// The job is being stopped, so the frame is not sent again.
    ResendRefused,
    /// The job was stopped: what did not arrive is not sent again.
    Stopping,
    /// A stop by force is committed.
    Force,
    /// Time went on.
    Tick,
}

impl NodeInput {
    /// What an accepted stop means for a run.
    #[must_use]
    pub fn of_stop(mode: StopMode) -> Self {
        match mode {
            StopMode::Plain => Self::Stopping,
            StopMode::Force => Self::Force,
        }
    }
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
    /// Commit a fresh deadline, then tell [`NodeInput::ResendCommitted`] or [`NodeInput::ResendRefused`].
    RecordResend(Time),
    /// Give the compile slot back.
    CatalogReady,
    /// The run is over; `hold` when it may still be going on.
    End { end: Arc<NodeEnd>, hold: bool },
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
    pub fn step(self, input: NodeInput, now: Time, rules: &Rules) -> Step {
        if self == Self::Over {
            return (self, Err(NodeRefusal::Over));
        }
        match input {
            NodeInput::Signal(signal) => accept(self.signal(signal, now, rules)),
            NodeInput::ResendCommitted => self.resend_answered(true, rules),
            NodeInput::ResendRefused => self.resend_answered(false, rules),
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
            // Each new session that does not take the frame either begins the wait anew; the run's time is over all the same.
            Self::Unsent { until, .. } => Some((*until).min(facts.overdue_at(rules))),
            Self::Canceling { until, .. } => Some(*until),
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

    fn resend_answered(self, granted: bool, rules: &Rules) -> Step {
        match self {
            Self::Resending(facts) if granted && !facts.stopping => accept(facts.send()),
            Self::Resending(facts) => accept(facts.undeliverable(rules)),
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
            return facts.end(unconfirmed(cause), &because(cause, NO_CANCEL), true, rules);
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
            Self::Unsent { facts, until, .. } if until <= now || facts.overdue_at(rules) <= now => {
                let node = &facts.node;
                let (cause, reason) = match facts.contact.link {
                    None => (Cause::NotConnected, format!("{node} is not connected to the PCP broker")),
                    Some(_) => (Cause::Undeliverable, format!("the session of {node} did not take the request")),
                };
                facts.end(cause, &reason, false, rules)
            }
            Self::Canceling { facts, cause, until } if until <= now => {
                facts.end(unconfirmed(cause), &because(cause, "the agent did not confirm its end"), true, rules)
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

/// The reason of an end by us, beginning with why we ended the run: the message is all that many clients show.
fn because(cause: Cause, what_then: &str) -> String {
    let why = if cause == Cause::TimedOut { "the run passed its time limit" } else { "the job was stopped by force" };
    format!("{why}, and {what_then}")
}

/// The cause of an end by us that the agent did not confirm.
fn unconfirmed(cause: Cause) -> Cause {
    if cause == Cause::StoppedByForce { Cause::Abandoned } else { cause }
}
