//! The exit codes, in one place. Scripts branch on them, so none may ever change its meaning.

use std::process::ExitCode;

use bunraku_actors::model::{Cause, JobState, NodeState};

/// How a command ended, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done; of a job: every node finished.
    Done,
    /// Some node failed, or did not finish for a reason that is not one of [`Exit::OnlyUnreached`]; or the command failed.
    Failed,
    /// The command line makes no sense, or the server refused what it asks for.
    Usage,
    /// Nodes were not reached, refused, locked or disabled, or skipped because of those; and nothing worse.
    OnlyUnreached,
    /// The job was stopped.
    Stopped,
    /// The server cannot be reached, or does not serve at the moment.
    Unreachable,
    /// No token, a wrong one, or one that may not do this.
    NotPermitted,
    /// Left by Ctrl-C while the job goes on: its outcome is not known here.
    Interrupted,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::OnlyUnreached => 3,
            Self::Stopped => 4,
            Self::Unreachable => 5,
            Self::NotPermitted => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What one node's end means for the outcome of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Fine,
    /// A consequence of another node's end, which decides.
    Follows,
    Unreached,
    Bad,
}

fn weight(state: NodeState, cause: Option<Cause>) -> Weight {
    if state == NodeState::Finished {
        return Weight::Fine;
    }
    match cause {
        Some(Cause::NotConnected | Cause::Undeliverable | Cause::RefusedByPolicy | Cause::Locked | Cause::Disabled) => {
            Weight::Unreached
        }
        Some(Cause::DependencyFailed) => Weight::Follows,
        _ => Weight::Bad,
    }
}

/// The exit code of a job that is over: from its state and the nodes that did not finish (others may be among them).
///
/// 4 comes before 1, and 1 before 3. A job that is not over, or that failed without a node to blame, is a 1.
pub(crate) fn of_job(state: JobState, nodes: impl IntoIterator<Item = (NodeState, Option<Cause>)>) -> Exit {
    match state {
        JobState::Finished => return Exit::Done,
        JobState::Stopped => return Exit::Stopped,
        JobState::New | JobState::Ready | JobState::Running | JobState::Stopping | JobState::Failed => {}
    }
    let mut unreached = false;
    for (node, cause) in nodes {
        match weight(node, cause) {
            Weight::Fine | Weight::Follows => {}
            Weight::Unreached => unreached = true,
            Weight::Bad => return Exit::Failed,
        }
    }
    if unreached && state == JobState::Failed { Exit::OnlyUnreached } else { Exit::Failed }
}

/// How many nodes of a job were not connected or not reached, those that were skipped because of them included; nothing
/// when some node did not finish for another reason. From the nodes that did not finish.
pub(crate) fn unreached(nodes: impl IntoIterator<Item = (NodeState, Option<Cause>)>) -> Option<u64> {
    let mut count = 0;
    for (state, cause) in nodes {
        match cause {
            _ if state == NodeState::Finished => {}
            Some(Cause::NotConnected | Cause::Undeliverable | Cause::DependencyFailed) => count += 1,
            _ => return None,
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use NodeState::{Errored, Failed, Finished, Skipped};

    fn failed(nodes: &[(NodeState, Option<Cause>)]) -> u8 {
        of_job(JobState::Failed, nodes.iter().copied()).code()
    }

    #[test]
    fn all_finished_is_zero() {
        assert_eq!(of_job(JobState::Finished, [(Finished, None)]).code(), 0);
    }

    #[test]
    fn a_stopped_job_is_four_whatever_its_nodes_did() {
        for nodes in [vec![], vec![(Failed, Some(Cause::RunFailed))], vec![(Errored, Some(Cause::NotConnected))]] {
            assert_eq!(of_job(JobState::Stopped, nodes).code(), 4);
        }
    }

    #[test]
    fn only_unreached_nodes_and_their_dependents_are_three() {
        for cause in [Cause::NotConnected, Cause::Undeliverable, Cause::RefusedByPolicy, Cause::Locked, Cause::Disabled]
        {
            let nodes = [(Finished, None), (Errored, Some(cause)), (Skipped, Some(Cause::DependencyFailed))];
            assert_eq!(failed(&nodes), 3, "{cause:?}");
        }
    }

    #[test]
    fn every_other_cause_is_one_also_next_to_unreached_nodes() {
        let unreached =
            [Cause::NotConnected, Cause::Undeliverable, Cause::RefusedByPolicy, Cause::Locked, Cause::Disabled];
        for cause in Cause::ALL {
            if unreached.contains(&cause) || cause == Cause::DependencyFailed {
                continue;
            }
            assert_eq!(failed(&[(Errored, Some(Cause::NotConnected)), (Errored, Some(cause))]), 1, "{cause:?}");
            assert_eq!(failed(&[(Errored, Some(cause)), (Errored, Some(Cause::NotConnected))]), 1, "{cause:?}");
        }
    }

    #[test]
    fn what_was_not_reached_is_counted_with_its_consequences() {
        let missed = [
            (Finished, None),
            (Errored, Some(Cause::NotConnected)),
            (Errored, Some(Cause::Undeliverable)),
            (Skipped, Some(Cause::DependencyFailed)),
        ];
        assert_eq!(unreached(missed), Some(3));
        for other in Cause::ALL {
            if !matches!(other, Cause::NotConnected | Cause::Undeliverable | Cause::DependencyFailed) {
                assert_eq!(
                    unreached([(Errored, Some(Cause::NotConnected)), (Errored, Some(other))]),
                    None,
                    "{other:?}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_explained_is_one() {
        assert_eq!(failed(&[]), 1);
        assert_eq!(failed(&[(Finished, None)]), 1);
        assert_eq!(failed(&[(Errored, None), (Errored, Some(Cause::Locked))]), 1, "no cause given");
        assert_eq!(failed(&[(Skipped, Some(Cause::DependencyFailed))]), 1, "nothing that it could follow from");
        assert_eq!(of_job(JobState::Running, [(Errored, Some(Cause::Locked))]).code(), 1);
    }
}
