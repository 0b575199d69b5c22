//! What is known of a run and its agent, and what follows from it with time.

use std::sync::Arc;

use crate::machine::outcome::errored;
use crate::machine::words::Words;
use crate::model::{Cause, CertName};
use crate::ports::Connection;

use super::{Node, NodeEffect, Rules, Time};

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
    /// The job was restored from a backup: nothing of it is sent again unasked.
    pub restored: bool,
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

impl Facts {
    /// Whether the present session is that of the agent which got the request, as far as that can be told: another one may
    /// have the same certname, or the spool may have been exchanged.
    pub(super) fn is_own_agent(&self) -> bool {
        self.contact.link.as_ref().is_some_and(|link| !link.contended && link.spool == self.spool)
    }

    pub(super) fn has_newer_session(&self) -> bool {
        self.contact.link.as_ref().is_some_and(|link| link.generation > self.handed_over)
    }

    /// From now on the compile slot of an agent that does not tell of its catalog is held; it is once.
    pub(super) fn begin_compile_hold(&mut self, now: Time, rules: &Rules) {
        if self.compiling == Some(None) && self.spool.is_none() {
            self.compiling = Some(Some(now + rules.compile_hold));
        }
    }

    /// Hands the frame to the transport.
    pub(super) fn send(mut self) -> (Node, Vec<NodeEffect>) {
        self.handed_over = self.contact.link.as_ref().map_or(self.handed_over, |link| link.generation);
        (Node::Queued(self), vec![NodeEffect::Send])
    }

    /// Asks for the status.
    pub(super) fn ask(&mut self, now: Time) -> Vec<NodeEffect> {
        self.contact.asked = Some(now);
        self.contact.quiet.get_or_insert(now);
        vec![NodeEffect::Ask]
    }

    pub(super) fn end(self, cause: Cause, reason: &str, hold: bool, rules: &Rules) -> (Node, Vec<NodeEffect>) {
        let restored = self.restored && cause == Cause::OutcomeUnknown;
        let reason = if restored { format!("{reason} (restored from a backup)") } else { reason.to_owned() };
        let end = errored(&self.node, Words::of(rules.action.kind()), cause, &reason);
        (Node::Over, vec![NodeEffect::End { end: Arc::new(end), hold }])
    }

    /// The agent had the request and knows nothing of it any more.
    pub(super) fn forgotten(self, rules: &Rules) -> (Node, Vec<NodeEffect>) {
        let reason = if self.is_own_agent() {
            "the agent had the request and does not know it any more"
        } else {
            "another agent, or one with another spool, answers under this certname and does not know the run"
        };
        self.end(Cause::OutcomeUnknown, reason, true, rules)
    }

    /// "No results directory", and no acknowledgement was ever recorded: send again only where that cannot run twice.
    pub(super) fn lost_frame(mut self, now: Time, rules: &Rules) -> (Node, Vec<NodeEffect>) {
        let in_doubt = !self.is_own_agent()
            || now - self.started_at >= rules.resend_window
            || (self.spool.is_none() && !rules.resend_to_pxp_agents);
        if in_doubt {
            return self.end(Cause::OutcomeUnknown, "whether the request arrived is not known", true, rules);
        }
        if self.stopping || self.restored {
            return self.undeliverable(rules);
        }
        self.deadline = now + rules.run_timeout;
        self.contact.last_chance = None;
        let deadline = self.deadline;
        (Node::Resending(self), vec![NodeEffect::RecordResend(deadline)])
    }

    /// The request did not arrive and is not sent again: nothing can be left running.
    pub(super) fn undeliverable(self, rules: &Rules) -> (Node, Vec<NodeEffect>) {
        let reason = if self.restored {
            "the request did not arrive, and a job restored from a backup sends nothing again"
        } else {
            "the request did not arrive, and the job is being stopped"
        };
        self.end(Cause::Undeliverable, reason, false, rules)
    }

    /// When the deadline counts.
    pub(super) fn overdue_at(&self, rules: &Rules) -> Time {
        self.deadline.max(rules.settled_at)
    }

    /// When contact counts as lost, unless a query is still open.
    pub(super) fn lost_at(&self, rules: &Rules) -> Option<Time> {
        self.contact.quiet.map(|since| (since + rules.lost_contact).max(rules.settled_at))
    }

    /// When time changes something for a run that is on the node; `due` is when silence asks for a query.
    pub(super) fn next_query(&self, due: Time, rules: &Rules) -> Time {
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
    pub(super) fn watch(
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
