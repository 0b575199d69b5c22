//! The binary: everything is in the library.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    bunraku::tls::install_provider();
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.as_slice() {
        // The wrapper of a node's run is kept free of the command line's machinery.
        [agent, exec_run, dir] if agent == "agent" && exec_run == "exec-run" => {
            bunraku::agent::exec_run(Path::new(dir))
        }
        _ => bunraku::cli::run(),
    }
}
