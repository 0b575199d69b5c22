//! `bunraku ledger verify`: what the service says of runs beside what the agents' own ledgers say.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::{Output, counted};
use super::{Context, seconds};

const PATH: &str = "/bunraku/v1/ledger/verify";
/// So many findings are shown; `--format json` has more.
const SHOWN: usize = 20;

const EXAMPLES: &str = "\
Examples:
  bunraku ledger verify
  bunraku ledger verify --job 17
  bunraku ledger verify --since 2days --format json

Each agent of ours writes every start of a run to a ledger of its own, before the run begins. Nodes that cannot be asked
are counted and said; they do not change the exit code.

Exit codes: 0 nothing is wrong; 1 a run was lost, took place twice, or is not known to the service.";

/// Compare what the service says of runs with what the agents themselves have written down
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true)]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LedgerCommand {
    Verify(VerifyArgs),
}

/// Check that nothing was lost and nothing ran twice
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct VerifyArgs {
    /// Only this job
    #[arg(long, value_name = "JOB", conflicts_with = "since")]
    job: Option<String>,
    /// Only jobs created within this time, for example 2days [default: all that are stored]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    since: Option<u64>,
}

/// Carries out `bunraku ledger`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &LedgerArgs, ctx: &Context) -> Result<Exit, CliError> {
    let LedgerCommand::Verify(args) = &args.command;
    let mut scope = Map::new();
    if let Some(job) = &args.job {
        scope.insert("job".to_owned(), json!(job));
    }
    if let Some(age) = args.since {
        scope.insert("since".to_owned(), json!(before(age)));
    }
    let client = ctx.client().await?;
    verify(&client, &Value::Object(scope), ctx.out).await
}

/// The time so many seconds ago.
fn before(age: u64) -> String {
    let since = i64::try_from(age).ok().and_then(TimeDelta::try_seconds);
    let since = since.and_then(|age| Utc::now().checked_sub_signed(age)).unwrap_or(DateTime::UNIX_EPOCH);
    since.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Has the service compare, and shows what it found.
pub(super) async fn verify(client: &Client, scope: &Value, out: Output) -> Result<Exit, CliError> {
    let report = client.post(PATH, scope).await?;
    if out.is_json() {
        out.json(&report);
    } else {
        sentences(&report).into_iter().for_each(|sentence| out.line(sentence));
    }
    let wrong = ["lost", "twice", "unknown"].iter().any(|key| count(&report, key) > 0);
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

fn count(report: &Value, key: &str) -> u64 {
    report.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn sentences(report: &Value) -> Vec<String> {
    let number = |key: &str| count(report, key);
    let mut lines = vec![format!(
        "{} compared with the ledgers of {} of {}: {} lost, {} twice, {} unknown",
        counted(number("runs"), "run", "runs"),
        number("ledgers"),
        counted(number("nodes"), "node", "nodes"),
        number("lost"),
        number("twice"),
        number("unknown"),
    )];
    let unasked = report.get("not_asked").unwrap_or(&Value::Null);
    let reasons = [
        ("not_connected", "not asked, because the node is not connected"),
        ("no_ledger", "not asked, because the agent shows no ledger, as pxp-agent does not"),
        ("no_answer", "without an answer in time"),
    ];
    let reasons = reasons.into_iter().filter(|(key, _)| count(unasked, key) > 0);
    lines.extend(reasons.map(|(key, words)| format!("{} {words}", count(unasked, key))));
    if number("spool_replaced") > 0 {
        lines.push(format!("{} in spools that were exchanged since", number("spool_replaced")));
    }
    if number("older") > 0 {
        lines.push(format!("{} older than what is compared", counted(number("older"), "start is", "starts are")));
    }
    if number("unreadable_jobs") > 0 {
        let jobs = counted(number("unreadable_jobs"), "job", "jobs");
        lines.push(format!("{jobs} cannot be read from the store, and were left out"));
    }
    if number("unreadable") > 0 {
        let unreadable = counted(number("unreadable"), "line of a ledger", "lines of ledgers");
        lines.push(format!("{unreadable} cannot be read, as a power cut can leave them"));
    }
    let findings = report.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for finding in findings.iter().take(SHOWN) {
        let text = |key: &str| finding.get(key).and_then(Value::as_str).unwrap_or("?");
        let (node, job, id) = (text("node"), text("job"), text("transaction_id"));
        lines.push(match text("verdict") {
            "twice" => format!("twice: {node} started its run of job {job} {} times ({id})", count(finding, "times")),
            "lost" => format!("lost: {node} told of its run of job {job} and has no start of it ({id})"),
            other => format!("{other}: {node} started a run of job {job} that the service does not know ({id})"),
        });
    }
    if findings.len() > SHOWN {
        lines.push(format!("and {} more", findings.len() - SHOWN));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_says_it_all_and_the_others_say_what_is_missing() {
        let report = json!({
            "jobs": 1, "runs": 12, "nodes": 12, "ledgers": 11, "lost": 0, "twice": 1, "unknown": 0,
            "spool_replaced": 2, "older": 1, "unreadable": 3, "not_asked": {"not_connected": 1, "no_ledger": 0, "no_answer": 0},
            "findings": [{"job": "7", "node": "a", "verdict": "twice", "transaction_id": "x", "times": 2}],
        });
        let expected = [
            "12 runs compared with the ledgers of 11 of 12 nodes: 0 lost, 1 twice, 0 unknown",
            "1 not asked, because the node is not connected",
            "2 in spools that were exchanged since",
            "1 start is older than what is compared",
            "3 lines of ledgers cannot be read, as a power cut can leave them",
            "twice: a started its run of job 7 2 times (x)",
        ];
        assert_eq!(sentences(&report), expected);
    }
}
