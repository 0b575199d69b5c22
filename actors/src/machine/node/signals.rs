//! What the transport tells about a run: delivery, answers, sessions.

use std::sync::Arc;

use crate::machine::outcome::judge;
use crate::model::{Cause, RunOutcome};
use crate::ports::{Connection, RunSignal, StatusAnswer};

use super::{Facts, NO_CANCEL, Node, NodeEffect, Rules, Time, because, unconfirmed};

impl Node {
    pub(super) fn signal(mut self, signal: RunSignal, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        if is_word_of_agent(&signal)
            && let Some(facts) = self.facts_mut()
        {
            facts.contact.heard = now;
            facts.contact.quiet = None;
        }
        match signal {
            RunSignal::Unsent => self.unsent(now, rules),
            RunSignal::Sent => self.sent(now, rules),
            RunSignal::Accepted => self.arrived(now, rules),
            RunSignal::CatalogReady => {
                let (mut state, mut effects) = self.arrived(now, rules);
                if state.facts_mut().is_some_and(|facts| facts.compiling.take().is_some()) {
                    effects.push(NodeEffect::CatalogReady);
                }
                (state, effects)
            }
            RunSignal::Ended(outcome) => self.ended(outcome, now, rules),
            RunSignal::Status(answer) => self.status(answer, now, rules),
            RunSignal::CancelAccepted => (self, Vec::new()),
            RunSignal::CancelRefused(reason) => match self {
                Self::Canceling { facts, cause, .. } => {
                    let reason = format!("the agent did not end the run: {reason}");
                    facts.end(unconfirmed(cause), &because(cause, &reason), true, rules)
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
        if let Some(facts) = self.facts_mut() {
            facts.begin_compile_hold(now, rules);
        }
        match self {
            // After `Unsent`: that was said of an earlier frame.
            Self::Queued(facts) | Self::Unsent { facts, .. } => (Self::Sent { facts, since: now }, Vec::new()),
            other @ (Self::Resending(_)
            | Self::Sent { .. }
            | Self::Accepted(_)
            | Self::Canceling { .. }
            | Self::Over) => (other, Vec::new()),
        }
    }

    /// The agent has the request, by whatever sign.
    fn arrived(mut self, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        if let Some(facts) = self.facts_mut() {
            facts.begin_compile_hold(now, rules);
        }
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

    fn ended(self, outcome: RunOutcome, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        let Some(facts) = self.facts() else { return (self, Vec::new()) };
        if matches!(outcome, RunOutcome::Canceled { .. }) && !facts.is_own_agent() {
            // Another agent made sure that nothing begins there.
            return (self, Vec::new());
        }
        let canceled = match &self {
            Self::Canceling { cause, .. } => *cause,
            // The cancel of a deadline is not committed: before a restart the same run may have been canceled for it.
            _ if facts.deadline <= now => Cause::TimedOut,
            Self::Queued(_)
            | Self::Unsent { .. }
            | Self::Resending(_)
            | Self::Sent { .. }
            | Self::Accepted(_)
            | Self::Over => Cause::OutcomeUnknown,
        };
        let end = judge(&facts.node, &rules.action, outcome, canceled);
        (Self::Over, vec![NodeEffect::End { end: Arc::new(end), hold: false }])
    }

    fn status(self, answer: StatusAnswer, now: Time, rules: &Rules) -> (Self, Vec<NodeEffect>) {
        let (mut state, mut effects) = match answer {
            StatusAnswer::Over(outcome) => return self.ended(outcome, now, rules),
            StatusAnswer::NeverArrived => return self.never_arrived(now, rules),
            StatusAnswer::Unknown(words) => return self.unknown(&words, rules),
            StatusAnswer::Running => self.arrived(now, rules),
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
                    return facts.end(unconfirmed(cause), &because(cause, NO_CANCEL), true, rules);
                }
                let mut effects = vec![NodeEffect::Cancel];
                effects.extend(facts.ask(now));
                (Self::Canceling { facts, cause, until }, effects)
            }
            other @ (Self::Queued(_) | Self::Unsent { .. } | Self::Resending(_) | Self::Over) => (other, Vec::new()),
        }
    }
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
