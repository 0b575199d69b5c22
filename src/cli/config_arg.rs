//! `--config`, for the commands that work on the service's own files.

use std::path::PathBuf;

/// Which service on this machine is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArg {
    /// The service's configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "BUNRAKU_CONFIG",
        hide_env_values = true,
        default_value = "/etc/bunraku/bunraku.yaml"
    )]
    pub(crate) config: PathBuf,
}
