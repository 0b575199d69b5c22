//! `bunraku import`: what was kept in Puppet Enterprise.

mod pe_schedules;
mod source;
mod translate;

use std::path::{Path, PathBuf};

use super::Context;
use super::error::CliError;
use super::exit::Exit;
use super::terminal::escaped;
use crate::app::{ImportError, import_groups};

const GROUP_EXAMPLES: &str = "\
Examples:
  curl --cert … --key … --cacert … https://PRIMARY:4433/classifier-api/v1/groups > groups.json
  bunraku import pe-groups groups.json --to /etc/bunraku/groups";
const SCHEDULE_EXAMPLES: &str = "\
Examples:
  bunraku import pe-schedules https://PRIMARY:8143 --pe-ca /etc/puppetlabs/puppet/ssl/certs/ca.pem --dry-run
  bunraku import pe-schedules environment_jobs.json";

/// Take over what was kept in Puppet Enterprise
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImportCommand {
    /// Node groups from an export of the classifier, with the same ids; says what it leaves behind
    #[command(after_help = GROUP_EXAMPLES)]
    PeGroups {
        /// The answer of GET /classifier-api/v1/groups
        file: PathBuf,
        /// The service's groups_dir
        #[arg(long, value_name = "DIR", default_value = "groups")]
        to: PathBuf,
    },
    /// Scheduled jobs of the orchestrator, each not enabled yet; says what it leaves behind
    #[command(after_help = SCHEDULE_EXAMPLES)]
    PeSchedules(pe_schedules::SchedulesArgs),
}

/// Carries out `bunraku import …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &ImportArgs, ctx: &Context) -> Result<Exit, CliError> {
    match &args.command {
        ImportCommand::PeGroups { file, to } => groups(file, to, ctx),
        ImportCommand::PeSchedules(args) => pe_schedules::run(args, ctx).await,
    }
}

fn groups(file: &Path, to: &Path, ctx: &Context) -> Result<Exit, CliError> {
    let unusable = |error: std::io::Error| CliError::Usage(format!("cannot read {}: {error}", file.display()));
    let export = std::fs::read_to_string(file).map_err(unusable)?;
    let imported = import_groups(&export, to).map_err(|error| match error {
        ImportError::NoExport(_) => CliError::Usage(format!("{}: {error}", file.display())),
        ImportError::Write { .. } => CliError::Other(error.into()),
    })?;
    for (name, path) in &imported.written {
        ctx.out.line(escaped(&format!("{name}: {}", path.display())));
    }
    for (name, what) in &imported.left_behind {
        ctx.out.note(escaped(&format!("not taken of {name}: {what}")));
    }
    for (name, why) in &imported.refused {
        ctx.out.note(escaped(&format!("not taken: {name}: {why}")));
    }
    Ok(if imported.refused.is_empty() { Exit::Done } else { Exit::Failed })
}
