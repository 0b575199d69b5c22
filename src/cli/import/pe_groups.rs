//! `bunraku import pe-groups`: reads the node groups of Puppet Enterprise's classifier and writes them as files.

use std::path::PathBuf;

use super::source::{PeArgs, is_address};
use crate::app::{ImportError, import_groups};
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::terminal::escaped;

/// Where the classifier has its groups.
const PATH: &str = "/classifier-api/v1/groups";

#[derive(Debug, clap::Args)]
pub(super) struct GroupsArgs {
    /// The address of the classifier's groups (or of the classifier), or a file with its answer to GET
    /// /classifier-api/v1/groups
    #[arg(value_name = "URL|FILE")]
    from: String,
    /// The service's groups_dir
    #[arg(long, value_name = "DIR", default_value = "groups")]
    to: PathBuf,
    #[command(flatten)]
    pe: PeArgs,
}

/// Carries out `bunraku import pe-groups`.
///
/// # Errors
/// See [`CliError`]; that one of them cannot be taken is none.
pub(super) async fn run(args: &GroupsArgs, ctx: &Context) -> Result<Exit, CliError> {
    let export = export(args).await?;
    let imported = import_groups(&export, &args.to).map_err(|error| match error {
        ImportError::NoExport(_) => CliError::Usage(format!("{}: {error}", args.from)),
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

async fn export(args: &GroupsArgs) -> Result<String, CliError> {
    if !is_address(&args.from) {
        let unusable = |error: std::io::Error| CliError::Usage(format!("cannot read {}: {error}", args.from));
        return std::fs::read_to_string(&args.from).map_err(unusable);
    }
    let address = args.from.trim_end_matches('/');
    let pe = args.pe.client(address.strip_suffix(PATH).unwrap_or(address))?;
    Ok(pe.get(PATH, &[]).await?.to_string())
}
