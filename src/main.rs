//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bunraku::tls::install_provider();
    bunraku::cli::run()
}
