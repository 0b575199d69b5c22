//! What is in the memory of this process stays there.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// No core dumps of this process, and no look into its memory for other processes of its user: keys, tokens and sensitive
/// parameters pass through it. Programs that it starts are as they always are.
pub(crate) fn keep_private() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a core dump of this process would hold what is secret");
    }
}
