//! `bunraku job run`: a Puppet run on many nodes, followed to its end.

use std::num::NonZeroU32;

use serde_json::{Map, Value, json};

use super::preview;
use super::watch::{Interrupt, watch_to_end};
use crate::cli::allow::JudgeArgs;
use crate::cli::confirm::ConfirmArgs;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::once::OnceArg;
use crate::cli::target::TargetArgs;
use crate::cli::{Context, seconds};

const EXAMPLES: &str = "\
Examples:
  bunraku job run -n web1.example.com,web2.example.com
  bunraku job run --application 'Shop[eu]' --noop --concurrency 5
  bunraku job run --all --order group=Databases --order 'group=Web servers' --preview
  bunraku job run -n @nodes.txt --tags base,ssh --description 'new ssh keys'
  bunraku job run --all --yes --allow-unreached 2%
  bunraku job run --group Canaries --noop --idempotency-key \"$(git rev-parse HEAD)\"

Exit codes: 0 all finished; 4 the job was stopped; 1 some node failed; 3 some nodes were only not
reached, refused, locked or disabled; 2 usage; 5 server unreachable; 6 not permitted.";

/// Run Puppet on nodes, in the order of their dependencies, and watch it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "bunraku job run [OPTIONS] <TARGET>")]
pub(crate) struct StartArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    once: OnceArg,
    /// Show which nodes it would run on, in which order, and start nothing
    #[arg(long, conflicts_with = "idempotency_key")]
    preview: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// A Puppet run: on what, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The environment; an empty one lets every agent use its own, without any order
    #[arg(short, long, default_value = "production", value_name = "NAME")]
    environment: String,
    /// Only simulate
    #[arg(long, conflicts_with = "no_noop")]
    noop: bool,
    /// Make changes also where puppet.conf says noop
    #[arg(long)]
    no_noop: bool,
    /// Tiers of nodes that follow each other, once for each: group=NAME, query=PQL or nodes=A,B
    #[arg(long, value_name = "TIER", value_parser = tier)]
    order: Vec<Value>,
    /// The most nodes of this job that run at once
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroU32>,
    /// Only resources with these tags, separated by commas
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// No resources with these tags
    #[arg(long, value_name = "TAGS")]
    skip_tags: Option<String>,
    /// Puppet's --debug
    #[arg(long)]
    debug: bool,
    /// Puppet's --trace
    #[arg(long)]
    trace: bool,
    /// Puppet's --evaltrace
    #[arg(long)]
    evaltrace: bool,
    /// What this run is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The longest that one node may take, for example 30m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    timeout: Option<u64>,
}

/// A tier as the command line writes it.
fn tier(text: &str) -> Result<Value, String> {
    match text.split_once('=') {
        Some(("group", name)) if !name.is_empty() => Ok(json!({ "group": name })),
        Some(("query", query)) if !query.is_empty() => Ok(json!({ "query": query })),
        Some(("nodes", names)) if !names.is_empty() => Ok(json!({ "nodes": names.split(',').collect::<Vec<_>>() })),
        _ => Err("a tier is group=NAME, query=PQL or nodes=A,B".to_owned()),
    }
}

impl RunArgs {
    /// The body of the deploy command. What was not asked for is left to the server.
    ///
    /// # Errors
    /// When the target cannot be read.
    pub(crate) fn body(&self) -> Result<Value, CliError> {
        let mut body = Map::new();
        body.insert("environment".to_owned(), json!(self.environment));
        body.insert("scope".to_owned(), self.target.deploy_scope()?);
        let switches = [
            ("noop", self.noop),
            ("no_noop", self.no_noop),
            ("debug", self.debug),
            ("trace", self.trace),
            ("evaltrace", self.evaltrace),
        ];
        for (key, _) in switches.iter().filter(|(_, on)| *on) {
            body.insert((*key).to_owned(), json!(true));
        }
        if !self.order.is_empty() {
            body.insert("order".to_owned(), json!(self.order));
        }
        let values = [
            ("concurrency", self.concurrency.map(|n| json!(n))),
            ("tags", self.tags.as_ref().map(|tags| json!(tags))),
            ("skip_tags", self.skip_tags.as_ref().map(|tags| json!(tags))),
            ("description", self.description.as_ref().map(|text| json!(text))),
            ("timeout", self.timeout.map(|seconds| json!(seconds))),
        ];
        body.extend(values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Ok(Value::Object(body))
    }
}

/// Carries out `bunraku job run`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &StartArgs, ctx: &Context) -> Result<Exit, CliError> {
    // The target is read before anything is sent: a list that cannot be read costs no request.
    let body = args.run.body()?;
    let client = ctx.client().await?;
    if args.preview {
        preview::show(&client.post("/bunraku/v1/preview", &body).await?, ctx.out);
        return Ok(Exit::Done);
    }
    if !args.confirm.confirmed(&client, ctx.out, "run Puppet", &body).await? {
        return Ok(Exit::Failed);
    }
    let name = args.once.start(&client, "/orchestrator/v1/command/deploy", &body).await?;
    watch_to_end(&client, &name, ctx.out, Interrupt::Asks, &args.judge).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        run: RunArgs,
    }

    fn body(arguments: &[&str]) -> Result<Value, String> {
        let command = Command::try_parse_from(["run"].iter().chain(arguments)).map_err(|error| error.to_string())?;
        command.run.body().map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_was_asked_for_is_sent() {
        assert_eq!(body(&["-n", "a"]).unwrap(), json!({"environment": "production", "scope": {"nodes": ["a"]}}));
        let all = [
            "--all",
            "-e",
            "staging",
            "--noop",
            "--debug",
            "--trace",
            "--evaltrace",
            "--concurrency",
            "3",
            "--tags",
            "a,b",
            "--skip-tags",
            "c",
            "--description",
            "d",
            "--timeout",
            "1h 5s",
        ];
        let expected = json!({
            "environment": "staging", "scope": {"whole_environment": true}, "noop": true, "debug": true, "trace": true,
            "evaltrace": true, "concurrency": 3, "tags": "a,b", "skip_tags": "c", "description": "d", "timeout": 3605
        });
        assert_eq!(body(&all).unwrap(), expected);
    }

    #[test]
    fn contradictions_are_usage_errors() {
        assert!(body(&["-n", "a", "--noop", "--no-noop"]).is_err());
        assert!(body(&["-n", "a", "--concurrency", "0"]).is_err());
        assert!(body(&["-n", "a", "--timeout", "soon"]).unwrap_err().contains("soon"));
        assert!(body(&["--noop"]).is_err(), "no target");
    }
}
