//! `bunraku doctor`: looks at everything that the service on this machine needs, and says what to do.

use serde_json::{Value, json};

use super::Context;
use super::client::{Client, items_of};
use super::config_arg::ConfigArg;
use super::error::CliError;
use super::exit::Exit;
use super::output::{Output, counted};
use super::settings::Settings;
use crate::app::doctor::{self, Finding, Health};

const EXAMPLES: &str = "\
Examples:
  bunraku doctor
  bunraku doctor --config /etc/bunraku/bunraku.yaml --format json

Nothing is changed. With a token (--token-file, BUNRAKU_TOKEN) the running service is asked as well.

Exit codes: 0 all is well, or works with doubts; 1 something does not work.";

/// Look at certificates, names, disk, clock, puppetserver and PuppetDB, and say what to do
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArg,
}

/// Carries out `bunraku doctor`.
///
/// # Errors
/// When the client's settings cannot be used.
pub(crate) async fn run(args: &DoctorArgs, ctx: &Context) -> Result<Exit, CliError> {
    let mut findings = doctor::examine(&args.config.config).await;
    let settings = Settings::resolve(&ctx.server)?;
    if settings.token.is_some() {
        findings.extend(ask(&Client::new(&settings)?).await);
    }
    findings.iter().for_each(|finding| show(finding, ctx.out));
    let bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if bad { Exit::Failed } else { Exit::Done })
}

/// What the running service says.
async fn ask(client: &Client) -> Vec<Finding> {
    const ABOUT: &str = "service";
    let unreachable = |error: &CliError| {
        let advice = "see that it runs and listens there, and that --ca and the token are its own";
        vec![Finding::bad(ABOUT, format!("{}: {error}", client.url()), advice)]
    };
    let nodes = match client.get("/bunraku/v1/nodes", &[]).await.and_then(items_of) {
        Ok(nodes) => nodes,
        Err(error) => return unreachable(&error),
    };
    let connected = counted(nodes.len() as u64, "node is connected", "nodes are connected");
    let mut findings = vec![if nodes.is_empty() {
        let advice = "start agents with broker_uris: ['wss://THIS-SERVER:8142/pcp2/'], and open port 8142";
        Finding::doubtful(ABOUT, connected, advice)
    } else {
        Finding::good(ABOUT, connected)
    }];
    let contended: Vec<&str> =
        nodes.iter().filter(|node| node["contended"] == true).filter_map(|node| node["name"].as_str()).collect();
    if !contended.is_empty() {
        let text = format!("two agents share each of these certificates: {}", contended.join(", "));
        findings.push(Finding::bad(ABOUT, text, "give each node a certificate of its own"));
    }
    match client.get("/readyz", &[]).await {
        Ok(ready) => findings.extend(degraded(&ready)),
        Err(error) => findings.extend(unreachable(&error)),
    }
    findings
}

fn degraded(ready: &Value) -> Vec<Finding> {
    let of = |key: &str| {
        ready[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let blocking =
        of("trouble").into_iter().map(|text| Finding::bad("service", text, "it takes no jobs until this is put right"));
    let doubts =
        of("degraded").into_iter().map(|text| Finding::doubtful("service", text, "what needs this source is refused"));
    blocking.chain(doubts).collect()
}

fn show(finding: &Finding, out: Output) {
    let health = match finding.health {
        Health::Good => "ok",
        Health::Doubtful => "look",
        Health::Bad => "bad",
    };
    if out.is_json() {
        out.json(&json!({
            "health": health, "about": finding.about, "text": finding.text, "advice": finding.advice,
        }));
        return;
    }
    out.line(format!("{health:<5} {:<14} {}", finding.about, finding.text));
    for line in finding.advice.iter().flat_map(|advice| advice.lines()) {
        out.line(format!("{:21}{line}", ""));
    }
}
