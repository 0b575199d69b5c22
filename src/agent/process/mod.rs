//! Work as processes: started outside the agent's session, found again after its restart, ended on demand.
//!
//! The agent starts a wrapper (`exec_run`); the wrapper starts the work. All they share is the run's directory.

mod exec_run;
mod kill;
mod proc_table;
mod run_file;
mod supervise;

pub(super) use exec_run::exec_run;
pub(super) use proc_table::is_puppet;
pub(super) use run_file::RunFile;
pub(super) use supervise::{Ended, Process, collect_output};

/// The work's process.
const CHILD: &str = "child";
/// Written last.
const EXIT_CODE: &str = "exitcode";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// The file that exists when an output was longer than its length tells.
fn uncounted(output: &str) -> String {
    format!("{output}.uncounted")
}
