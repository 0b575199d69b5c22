//! `bunraku demo`: a whole site on a throw-away directory, with real processes, real certificates and real runs.
//!
//! Service and agents are child processes of this same program; the demo itself is just another client of the service.

mod children;
mod place;
mod ports;
mod site;
mod tour;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::children::Part;
use self::place::Place;
use self::ports::Endpoints;
use self::site::{APPLICATION, ENVIRONMENT, Puppet, Site, TASK};
use super::allow::JudgeArgs;
use super::answers::job_name;
use super::client::{Client, items_of};
use super::error::CliError;
use super::exit::Exit;
use super::job::{Interrupt, watch_to_end};
use super::leave::Leave;
use super::output::Output;
use super::settings::Settings;
use super::task::show_output;
use super::{Context, block_on};

/// How long the service and the agents may take to be there.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How many nodes, when nobody says.
const NODES: u16 = 5;
/// How often is looked whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  bunraku demo                        stays up until Ctrl-C
  bunraku demo --once --nodes 20      ends with the runs, exit code = outcome
  bunraku demo --tour                 kills the service in the middle of a job, and shows that nothing is lost";

/// Show everything on this machine: service, agents, a Puppet run in order, a task
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// End with the runs; the exit code is their outcome
    #[arg(long)]
    once: bool,
    /// Kill the service in the middle of a job and start it again; ends with what the nodes' own ledgers say
    #[arg(long)]
    tour: bool,
    /// A new directory to work in, kept afterwards [default: a throw-away one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many nodes [default: 5; 12 on the tour]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    nodes: Option<u16>,
    /// Where the API listens [default: 127.0.0.1:8143, or a free port]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where the broker listens [default: 127.0.0.1:8142, or a free port]
    #[arg(long, value_name = "ADDR")]
    broker_listen: Option<SocketAddr>,
}

/// Carries out `bunraku demo`.
///
/// # Errors
/// See [`CliError`].
pub(crate) fn run(args: &DemoArgs, ctx: &Context) -> Result<Exit, CliError> {
    if args.tour && args.nodes.is_some_and(|nodes| nodes < tour::FEWEST) {
        let fewest = tour::FEWEST;
        return Err(CliError::Usage(format!(
            "the tour takes {fewest} nodes or more: one is over, one runs, one waits"
        )));
    }
    let (endpoints, remarks) = Endpoints::choose(args.listen, args.broker_listen)?;
    for remark in remarks {
        ctx.out.note(remark);
    }
    match &args.dir {
        Some(dir) => block_on(demo(args, dir, endpoints, ctx.out)),
        None => {
            let removed = place::clean_up();
            if removed > 0 {
                ctx.out.note(format!("removed the directories of {removed} demos that were killed"));
            }
            let place = Place::make().context("cannot make a throw-away directory")?;
            // It is removed when this is dropped, after the children have ended.
            block_on(demo(args, &place.path().join("site"), endpoints, ctx.out))
        }
    }
}

async fn demo(args: &DemoArgs, dir: &Path, endpoints: Endpoints, out: Output) -> Result<Exit, CliError> {
    let mut leave = Leave::new().context("cannot take signals")?;
    let mut parts = Vec::new();
    let result = perform(args, dir, endpoints, out, &mut parts, &mut leave).await;
    let ending = async {
        // The service is the first part and ends last, when no agent is left that would miss it.
        let service = if parts.is_empty() { None } else { Some(parts.remove(0)) };
        join_all(parts.into_iter().map(Part::end)).await;
        if let Some(service) = service {
            service.end().await;
        }
    };
    tokio::select! {
        () = ending => {}
        // A second wish to leave: children that are dropped are killed.
        () = leave.asked() => {}
    }
    result
}

/// Sets everything up, runs Puppet and the task, and stays until it is asked to leave.
async fn perform(
    args: &DemoArgs,
    dir: &Path,
    endpoints: Endpoints,
    out: Output,
    parts: &mut Vec<Part>,
    leave: &mut Leave,
) -> Result<Exit, CliError> {
    let (site, client) = tokio::select! {
        up = set_up(args, dir, endpoints, out, parts) => up?,
        () = leave.asked() => return Ok(Exit::Interrupted),
    };
    if args.tour {
        return tokio::select! {
            exit = tour::show(&site, &client, parts, out) => exit,
            () = leave.asked() => Ok(Exit::Interrupted),
        };
    }
    let mut service_end = pin!(service_end(parts, out));
    let exit = tokio::select! {
        exit = run_all(&site, &client, out) => exit?,
        error = &mut service_end => return Err(CliError::Other(error)),
        () = leave.asked() => return Ok(Exit::Interrupted),
    };
    if args.once {
        return Ok(exit);
    }
    out.note(format!("{} stays up until Ctrl-C; its files are in {}", endpoints.url(), site.made.dir.display()));
    tokio::select! {
        error = service_end => Err(CliError::Other(error)),
        // The end of a stay is no interruption: the outcome of the runs counts.
        () = leave.asked() => Ok(exit),
    }
}

/// Builds the site, starts its parts and says where they are.
async fn set_up(
    args: &DemoArgs,
    dir: &Path,
    endpoints: Endpoints,
    out: Output,
    parts: &mut Vec<Part>,
) -> Result<(Site, Client), CliError> {
    let puppet = Puppet::find(if args.tour { tour::PACE } else { 0 });
    let nodes = args.nodes.unwrap_or(if args.tour { tour::NODES } else { NODES });
    let site = Site::create(dir, usize::from(nodes), endpoints, &puppet).await?;
    match &puppet {
        Puppet::Real(program) => out.note(format!("nodes run {} apply", program.display())),
        Puppet::StandIn { .. } => {
            out.note("there is no Puppet on this machine: nodes converge by a small shell script instead")
        }
    }
    let token = std::fs::read_to_string(site.made.token_file()).context("cannot read the token just made")?;
    let token = SecretString::from(token.trim().to_owned());
    let settings = Settings {
        url: endpoints.url(),
        token: Some(token.clone()),
        ca: Some(site.made.ca()),
        url_from: "the demo".to_owned(),
        token_from: Some("the demo".to_owned()),
    };
    let client = Client::new(&settings)?;
    start(&site, &client, parts).await?;
    let link = client.loopback(&token).context("no port for the dashboard")?;
    introduce(&site, &token, &link, out);
    Ok((site, client))
}

/// Runs Puppet in the order of the application, then a task on every node; the first outcome that is not good counts.
async fn run_all(site: &Site, client: &Client, out: Output) -> Result<Exit, CliError> {
    let deploy =
        json!({"environment": ENVIRONMENT, "scope": {"application": APPLICATION}, "description": "the demo's deploy"});
    let job = job_name(&client.post("/orchestrator/v1/command/deploy", &deploy).await?)?;
    let deployed = watch_to_end(client, &job, out, Interrupt::Elsewhere, &JudgeArgs::default()).await?;
    let task = json!({"environment": ENVIRONMENT, "task": TASK, "params": {"greeting": "Hello"},
        "scope": {"nodes": site.certnames()}, "description": "the demo's task"});
    let job = job_name(&client.post("/orchestrator/v1/command/task", &task).await?)?;
    let ran = watch_to_end(client, &job, out, Interrupt::Elsewhere, &JudgeArgs::default()).await?;
    if !out.is_json() {
        show_output(client, &job, out).await?;
    }
    Ok(if deployed == Exit::Done { ran } else { deployed })
}

/// Starts the service, then the agents, and waits until all are connected.
async fn start(site: &Site, client: &Client, parts: &mut Vec<Part>) -> Result<(), CliError> {
    let logs = site.made.dir.join("log");
    parts.push(Part::start("serve", &["serve"], &site.made.config(), &logs)?);
    answers(client, parts).await?;
    for node in &site.nodes {
        parts.push(Part::start(node.certname.as_str(), &["agent"], &node.config, &logs)?);
    }
    all_connected(site, client, parts).await
}

/// Waits until the service answers.
async fn answers(client: &Client, parts: &mut [Part]) -> Result<(), CliError> {
    let until = Instant::now() + START_PATIENCE;
    while let Err(error) = client.get("/orchestrator/v1/inventory", &[]).await {
        give_up_after(until, || format!("the service does not answer: {error}"))?;
        check(parts)?;
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Waits until every node is connected.
async fn all_connected(site: &Site, client: &Client, parts: &mut [Part]) -> Result<(), CliError> {
    let until = Instant::now() + START_PATIENCE;
    let nodes = site.certnames();
    loop {
        let items = items_of(client.post("/orchestrator/v1/inventory", &json!({ "nodes": nodes })).await?)?;
        let missing = items.iter().filter(|node| node.get("connected") != Some(&Value::Bool(true)));
        let missing: Vec<_> = missing.filter_map(|node| node.get("name")?.as_str()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        give_up_after(until, || format!("not connected: {}", missing.join(", ")))?;
        check(parts)?;
        sleep(LOOK_AGAIN).await;
    }
}

fn check(parts: &mut [Part]) -> Result<(), CliError> {
    parts.iter_mut().try_for_each(Part::check).map_err(CliError::Other)
}

fn give_up_after(until: Instant, reason: impl FnOnce() -> String) -> Result<(), CliError> {
    if Instant::now() < until { Ok(()) } else { Err(CliError::Other(anyhow::Error::msg(reason()))) }
}

/// Returns when the service has ended, with the reason. An agent that ends is only told: to end one is a good way to see
/// what becomes of its node.
async fn service_end(parts: &mut [Part], out: Output) -> anyhow::Error {
    let Some((service, agents)) = parts.split_first_mut() else { return anyhow::Error::msg("nothing was started") };
    let agents = agents.iter_mut().map(|agent| async move {
        let status = agent.ended().await;
        out.note(format!("{} ended ({status})", agent.name()));
    });
    let agents = async {
        join_all(agents).await;
        std::future::pending::<String>().await
    };
    let status = tokio::select! {
        status = service.ended() => status,
        status = agents => status,
    };
    service.explain(&status)
}

/// Says where everything is, and how to talk to it.
fn introduce(site: &Site, token: &SecretString, link: &str, out: Output) {
    let (url, dir, ca) = (site.endpoints.url(), site.made.dir.display(), site.made.ca());
    let nodes = site.certnames();
    if out.is_json() {
        return out.json(&json!({
            "url": url, "broker_url": site.endpoints.broker_uri(), "token": token.expose_secret(), "ca": ca,
            "dir": site.made.dir, "nodes": nodes, "environment": ENVIRONMENT, "dashboard": link,
        }));
    }
    let curl = format!(
        "curl --cacert {} -H \"X-Authentication: {}\"",
        shell_quoted(&ca.to_string_lossy()),
        token.expose_secret()
    );
    let body = json!({"environment": ENVIRONMENT, "scope": {"application": APPLICATION}, "noop": true});
    out.line(format!("open   {link} in a browser on this machine: the dashboard, logged in; the link works once"));
    out.line(format!("URL    {url}"));
    out.line(format!("token  {}", token.expose_secret()));
    out.line(format!("nodes  {} in {dir}", nodes.join(", ")));
    out.line("");
    out.line(format!("{curl} {url}/orchestrator/v1/jobs"));
    out.line(format!("{curl} {url}/orchestrator/v1/inventory"));
    out.line(format!("{curl} {url}/orchestrator/v1/command/deploy -d {}", shell_quoted(&body.to_string())));
    out.line("");
}

/// As one word for a shell.
fn shell_quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        for text in ["/tmp/a-b.pem", "with blank", "it's", "{\"a\": [1]}", "$HOME `x`"] {
            let echoed = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", shell_quoted(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(echoed.stdout).unwrap(), text);
        }
    }
}
