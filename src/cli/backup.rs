//! `bunraku backup` and `bunraku restore`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use serde_json::json;

use super::Context;
use super::config_arg::ConfigArg;
use super::error::CliError;
use super::exit::Exit;
use super::leave::Leave;
use super::output::counted;
use crate::app::{self, DatabaseError};

const BACKUP_EXAMPLES: &str = "\
Example:
  bunraku backup /var/backups/bunraku-$(date +%F).db

The service may run meanwhile. Keys, certificates and configuration are not in the copy.";

const RESTORE_EXAMPLES: &str = "\
Example:
  systemctl stop bunraku && bunraku restore /var/backups/bunraku-2031-05-04.db

What was there is kept beside it. Jobs that were not over in the copy ask every node what became of it,
and start nothing more until `bunraku job resume`.";

/// Copy the database to a file, also of a running service
#[derive(Debug, clap::Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct BackupArgs {
    /// A new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArg,
}

/// Put a backup in the place of the database of a service that does not run
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct RestoreArgs {
    /// What `bunraku backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Let jobs that were not over go on by themselves
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Carries out `bunraku backup`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn backup(args: &BackupArgs, ctx: &Context) -> Result<Exit, CliError> {
    let mut leave = Leave::new().context("cannot take signals")?;
    let called_off = Arc::new(AtomicBool::new(false));
    let (config, file, asked) = (args.config.config.clone(), args.file.clone(), Arc::clone(&called_off));
    let copying = tokio::task::spawn_blocking(move || app::backup(&config, &file, &asked));
    let mut copying = std::pin::pin!(copying);
    let copied = tokio::select! {
        copied = &mut copying => copied,
        () = leave.asked() => {
            called_off.store(true, Ordering::Release);
            copying.await
        }
    };
    match copied.context("the copy broke down")? {
        Err(DatabaseError::CalledOff) => return Ok(Exit::Interrupted),
        copied => copied.map_err(explain)?,
    }
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "file": args.file }));
    } else {
        ctx.out.line(format!("the database is in {}", args.file.display()));
    }
    Ok(Exit::Done)
}

/// Carries out `bunraku restore`.
///
/// # Errors
/// See [`CliError`].
pub(crate) fn restore(args: &RestoreArgs, ctx: &Context) -> Result<Exit, CliError> {
    let restored = app::restore(&args.config.config, &args.file, args.resume).map_err(explain)?;
    if ctx.out.is_json() {
        let (unfinished, job) = (restored.unfinished, restored.job);
        ctx.out.json(&json!({ "kept": restored.kept, "unfinished_jobs": unfinished, "last_skipped_job": job }));
        return Ok(Exit::Done);
    }
    if let Some(kept) = &restored.kept {
        ctx.out.line(format!("the database of before is in {}", kept.display()));
    }
    ctx.out.line(format!("the next job is number {}", restored.job + 1));
    if restored.unfinished > 0 && !args.resume {
        let jobs = restored.unfinished;
        let jobs = counted(jobs, "job was", "jobs were");
        ctx.out.note(format!("{jobs} not over and will start nothing more until `bunraku job resume`"));
    }
    Ok(Exit::Done)
}

/// A file or a service that is in the way is for the user to move; the rest is this machine's trouble.
fn explain(error: DatabaseError) -> CliError {
    match error {
        DatabaseError::CalledOff | DatabaseError::Config(_) | DatabaseError::Running(_) | DatabaseError::Backup(_) => {
            CliError::Usage(error.to_string())
        }
        DatabaseError::Lock { .. } | DatabaseError::DataDir { .. } => CliError::Other(error.into()),
    }
}
