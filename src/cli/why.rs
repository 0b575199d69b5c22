//! `bunraku why`: why a node does nothing, or what it does.

use bunraku_actors::model::CertName;
use serde_json::Value;

use super::Context;
use super::answers::text;
use super::client::segment;
use super::error::CliError;
use super::exit::Exit;
use super::terminal::one_line;

const EXAMPLES: &str = "\
Examples:
  bunraku why web1.example.com
  bunraku why web1.example.com --format json";

/// Say why a node waits, what it does, or how its last run ended
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WhyArgs {
    /// The node's certname
    #[arg(value_name = "NODE", value_parser = certname)]
    node: CertName,
}

/// A certname from the command line.
///
/// # Errors
/// When it cannot be one.
pub(crate) fn certname(text: &str) -> Result<CertName, String> {
    CertName::parse(text).map_err(|error| error.to_string())
}

/// Carries out `bunraku why`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &WhyArgs, ctx: &Context) -> Result<Exit, CliError> {
    let client = ctx.client().await?;
    let answer = client.get(&format!("/bunraku/v1/nodes/{}/why", segment(args.node.as_str())), &[]).await?;
    if ctx.out.is_json() {
        ctx.out.json(&answer);
    } else {
        lines(&answer).iter().for_each(|line| ctx.out.line(line));
    }
    Ok(Exit::Done)
}

/// The answer as sentences.
pub(crate) fn lines(answer: &Value) -> Vec<String> {
    let (node, since, agent) = (text(answer, "/node"), text(answer, "/since"), text(answer, "/agent"));
    let mut lines = vec![one_line(text(answer, "/summary"))];
    let mut connection = match (answer.get("connected").and_then(Value::as_bool), since) {
        (Some(true), "") => format!("{node} is connected"),
        (Some(true), since) => format!("{node} is connected since {since}"),
        (Some(false), "") => format!("{node} is not connected"),
        (Some(false), since) => format!("{node} is not connected since {since}"),
        (None, _) => String::new(),
    };
    if !connection.is_empty() && !agent.is_empty() {
        connection += &format!(", agent {agent}");
    }
    lines.push(one_line(&connection));
    for reason in answer.get("reasons").and_then(Value::as_array).into_iter().flatten() {
        let (job, state) = (text(reason, "/job"), text(reason, "/state"));
        lines.push(one_line(&format!("job {job}, {state}: {}", text(reason, "/text"))));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_answer_is_told_in_sentences() {
        let answer = json!({
            "node": "web1", "connected": true, "since": "2026-03-01T12:00:00Z", "agent": "bunraku/0.1.0", "native": true,
            "summary": "web1 waits for a slot.",
            "reasons": [
                {"job": "42", "state": "ready", "reason": "concurrency", "text": "The job runs 5 nodes at once.", "details": {}},
                {"job": "43", "state": "new", "reason": "dependencies", "text": "It waits for db1\u{1b}[2J.", "details": {}},
            ]
        });
        let expected = [
            "web1 waits for a slot.",
            "web1 is connected since 2026-03-01T12:00:00Z, agent bunraku/0.1.0",
            "job 42, ready: The job runs 5 nodes at once.",
            "job 43, new: It waits for db1.",
        ];
        assert_eq!(lines(&answer), expected);
        let away =
            json!({ "node": "web1", "connected": false, "since": null, "agent": null, "summary": "s", "reasons": [] });
        assert_eq!(lines(&away), ["s", "web1 is not connected"]);
        assert!(lines(&json!({})).is_empty());
    }
}
