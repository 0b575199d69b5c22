//! `bunraku serve`: the service.

use super::config_arg::ConfigArg;
use super::error::CliError;
use super::exit::Exit;
use crate::app::{self, StartError};
use crate::config::ConfigError;

const EXAMPLES: &str = "\
Example:
  bunraku serve --config /etc/bunraku/bunraku.yaml

`bunraku init` makes the configuration. SIGTERM and Ctrl-C stop the service in order; at SIGHUP it
reads certificates, revocation lists and the log level again.";

/// Run the service: the API on port 8143, the broker for the nodes on port 8142
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Stop when standard input ends, so that the service never outlives the program that started it
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

/// Carries out `bunraku serve`.
///
/// # Errors
/// When the configuration is unusable, or a part does not start.
pub(crate) fn run(args: &ServeArgs) -> Result<Exit, CliError> {
    app::serve(&args.config.config, args.end_with_stdin).map_err(|error| {
        let usage = error.downcast_ref::<ConfigError>().is_some()
            || error.downcast_ref::<StartError>().is_some_and(StartError::is_an_address);
        if usage { CliError::Usage(format!("{error:#}")) } else { CliError::Other(error) }
    })?;
    Ok(Exit::Done)
}
