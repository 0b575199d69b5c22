//! Work as processes: started outside the agent's session, found again after its restart, ended on demand.
//!
//! The agent starts a wrapper (`exec_run`); the wrapper starts the work. All they share is the run's directory.

mod exec_run;
mod kill;
mod orphans;
mod proc_table;
mod run_file;
mod supervise;

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use super::files::{SHARED, write_atomic};

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

/// Gives back the room of a run's outputs. Whoever reads them later learns that they are not whole.
pub(super) fn give_up_outputs(directory: &Path) -> io::Result<()> {
    for name in [STDOUT, STDERR] {
        let path = directory.join(name);
        if path.exists() {
            OpenOptions::new().write(true).open(path)?.set_len(0)?;
            write_atomic(&directory.join(uncounted(name)), b"", SHARED)?;
        }
    }
    Ok(())
}

/// The file that exists when an output was longer than its length tells.
fn uncounted(output: &str) -> String {
    format!("{output}.uncounted")
}
