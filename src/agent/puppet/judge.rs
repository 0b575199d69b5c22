//! How a Puppet run ended. The exit code is only a hint: a terminated run exits with 0, a run in an environment that does
//! not exist silently happens in another one, and a refused run leaves the report of the run before.

use chrono::TimeDelta;

use super::report::{self, Report, ReportError};
use super::results::{Fault, FaultKind, results};
use super::{Context, lock};
use crate::agent::spool::Outcome;

/// Some reports carry whole seconds only.
const TIME_SLACK: TimeDelta = TimeDelta::seconds(1);
/// `--detailed-exitcodes`: changes and no failures.
const CHANGED: i64 = 2;

/// How much of Puppet's output explains a run without a report.
const LAST_LINES: usize = 3;
const LAST_CHARACTERS: usize = 600;

/// Judges a run that is over. Reads the report and the locks; `output` is what Puppet printed.
pub(super) fn judge(context: &Context, exit_code: i64, canceled: bool, output: &str) -> Outcome {
    let report = report::read(&context.paths.report);
    let own = report.as_ref().ok().filter(|report| is_own(context, report));
    let told = if exit_code == CHANGED { 0 } else { exit_code };
    if canceled {
        return results(own, told, Some(Fault::new(FaultKind::Canceled, "Puppet was canceled")));
    }
    match own {
        Some(own) => {
            let fault = fault_of_report(context, own, told);
            // A non-zero code stays visible where the report is not what it seems.
            results(Some(own), if fault.is_some() && told == 0 { exit_code } else { told }, fault)
        }
        None => results(None, told, Some(fault_without_report(context, &report, exit_code, output))),
    }
}

/// Whether the report is of this run: its job, another transaction than before, and not older than the start.
fn is_own(context: &Context, report: &Report) -> bool {
    let job = context.job_id.is_none() || report.job_id() == context.job_id;
    let fresh = context.previous_uuid.as_ref() != Some(&report.transaction_uuid);
    let later = report.time().is_some_and(|time| time + TIME_SLACK >= context.started);
    job && fresh && later
}

fn fault_of_report(context: &Context, report: &Report, exit_code: i64) -> Option<Fault> {
    if !report.transaction_completed && (report.status != "failed" || exit_code == 0) {
        let error = "Puppet was ended before its transaction was complete";
        return Some(Fault::new(FaultKind::TransactionIncomplete, error));
    }
    if let (Some(asked), Some(actual)) = (&context.environment, &report.environment)
        && asked != actual
    {
        let error = format!("Puppet ran in environment '{actual}' instead of '{asked}'");
        return Some(Fault::new(FaultKind::EnvironmentMismatch, error));
    }
    let error = match report.status.as_str() {
        _ if exit_code != 0 => "Puppet agent exited with a non 0 exitcode".to_owned(),
        "changed" | "unchanged" => return None,
        status => format!("Puppet's report says '{status}'"),
    };
    let reason = report.reason().map_or_else(String::new, |reason| format!(": {reason}"));
    Some(Fault::new(FaultKind::AgentExitNonZero, error + &reason))
}

fn fault_without_report(
    context: &Context,
    report: &Result<Report, ReportError>,
    exit_code: i64,
    output: &str,
) -> Fault {
    if exit_code != 0 {
        if let Err(disabled) = lock::check_disabled(&context.paths) {
            return disabled;
        }
        if lock::is_locked(&context.paths) || output.contains("already in progress; skipping") {
            return Fault::locked();
        }
    }
    if let Some(option) = unknown_option(output) {
        let error = format!("this node's Puppet does not know the option {option}; nothing was run");
        return Fault::new(FaultKind::InvalidJson, error);
    }
    let (kind, error) = match report {
        Ok(_) => (FaultKind::NoLastRunReport, "The Puppet run failed in an unexpected way".to_owned()),
        Err(error @ ReportError::Missing(_)) => (FaultKind::NoLastRunReport, error.to_string()),
        Err(error @ ReportError::Unreadable(..)) => (FaultKind::InvalidLastRunReport, error.to_string()),
    };
    Fault::new(kind, format!("{error} (exit code {exit_code}{})", last_lines(output)))
}

/// The option over which Puppet stumbled before it did anything: some come and go with its versions.
fn unknown_option(output: &str) -> Option<&str> {
    let (_, option) = output.split_once("Could not parse application options: invalid option: ")?;
    let end = option.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).unwrap_or(option.len());
    option[..end].starts_with("--").then_some(&option[..end])
}

/// The end of what Puppet printed: where there is no report, the reason stands nowhere else.
fn last_lines(output: &str) -> String {
    let lines: Vec<_> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" / ");
    let shown: String = last.chars().take(LAST_CHARACTERS).collect();
    if shown.is_empty() { shown } else { format!("; it said: {shown}") }
}
