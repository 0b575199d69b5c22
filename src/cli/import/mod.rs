//! `bunraku import`: what was kept in Puppet Enterprise.

mod pe_groups;
mod pe_schedules;
mod source;
mod translate;

use super::Context;
use super::error::CliError;
use super::exit::Exit;

const GROUP_EXAMPLES: &str = "\
Examples:
  bunraku import pe-groups https://PRIMARY:4433/classifier-api/v1/groups --to /etc/bunraku/groups \
    --pe-token-file ~/.puppetlabs/token --pe-ca /etc/puppetlabs/puppet/ssl/certs/ca.pem
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
    PeGroups(pe_groups::GroupsArgs),
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
        ImportCommand::PeGroups(args) => pe_groups::run(args, ctx).await,
        ImportCommand::PeSchedules(args) => pe_schedules::run(args, ctx).await,
    }
}
