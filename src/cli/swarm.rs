//! `bunraku swarm`: how many nodes does this machine carry?

mod live;
mod load;
mod report;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use self::load::Load;
use self::report::{Report, Server};
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::{Context, seconds};
use crate::ca::Authority;
use crate::swarm::{Options, Profile, Span, Swarm};

/// How often the live view is renewed, and conditions are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often a line says how things are where there is no live view.
const SAY_EVERY: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  bunraku swarm --dir /etc/bunraku --nodes 5000                     connect, and stay until Ctrl-C
  bunraku swarm --dir /etc/bunraku --nodes 5000 --jobs 3            then three deploys on all of them, and a report
  bunraku swarm --dir /etc/bunraku --nodes 2000 --run-time 1s..30s --failing 2 --dropping 5 --for 10m --format json

The agents are simulated: they speak the real protocol over real TLS, with certificates of the server's own CA that last
three days and are kept nowhere, and run nothing. Each takes a file descriptor here and at the server: see `ulimit -n`.
They come back when the server was away. SIGUSR1 shows the report so far, and the swarm goes on.";

/// Simulate many nodes, to see what a server carries
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SwarmArgs {
    /// The directory that `bunraku init` or `bunraku demo` made: its CA signs the nodes' certificates
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    nodes: u32,
    /// Where the broker listens
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8142")]
    broker: String,
    /// What certnames begin with: swarms beside each other need names of their own
    #[arg(long, value_name = "TEXT", default_value = "node")]
    prefix: String,
    /// So many nodes connect at the same time: few measure the server's work, as many as there are make a storm
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connecting: u32,
    /// So many deploys on all nodes, one after the other; then the end
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: u32,
    /// The concurrency of these jobs [default: unlimited but for the server's own limits]
    #[arg(long, value_name = "N", requires = "jobs")]
    concurrency: Option<u32>,
    /// End after this time [default: with the jobs, or with Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    lasting: Option<u64>,
    /// How long a run takes: 2s, or anything between two times, 1s..30s
    #[arg(long, value_name = "TIME", default_value = "0s")]
    run_time: Span,
    /// Percent of the runs that fail
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    failing: f64,
    /// Percent of the sessions that are cut in a minute; above 100, each is cut more than once
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent_of_a_minute)]
    dropping: f64,
    /// Percent of the agents that take seconds to answer anything
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    slow: f64,
    /// Bytes of output of each run
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=16_000_000))]
    output: u32,
    /// Behave as pxp-agent: no cancel, no word of the catalog
    #[arg(long)]
    pxp: bool,
    /// The server's process on this machine, for its memory and CPU time in the report
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
}

fn percent(text: &str) -> Result<f64, String> {
    share(text, 100.0)
}

/// At most one cut of each session a second.
fn percent_of_a_minute(text: &str) -> Result<f64, String> {
    share(text, 6_000.0)
}

fn share(text: &str, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=most).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("'{text}' is not a number between 0 and {most}")),
    }
}

/// Carries out `bunraku swarm`.
///
/// # Errors
/// See [`CliError`].
pub(crate) async fn run(args: &SwarmArgs, ctx: &Context) -> Result<Exit, CliError> {
    let authority = Authority::open(&args.dir.join("ca")).map_err(|error| CliError::Usage(error.to_string()))?;
    let (broker, server_name) = broker_of(&args.broker)?;
    let client = if args.jobs > 0 { Some(ctx.client().await?) } else { None };
    let server = Server::of(args.server_pid)?;
    let options = Options {
        nodes: args.nodes as usize,
        broker,
        server_name,
        prefix: args.prefix.clone(),
        connecting: args.connecting as usize,
        profile: Profile {
            run_time: args.run_time,
            failing: args.failing,
            output: args.output as usize,
            dropping: args.dropping,
            slow: args.slow,
            pxp: args.pxp,
        },
    };
    // Before the long work of the certificates: whoever asks early must not end the swarm.
    let mut asked = readable(signal(SignalKind::user_defined1()), "cannot take signals")?;
    let before = server.as_ref().map(Server::usage).transpose()?;
    let begun = Instant::now();
    let swarm = Swarm::start(&options, &authority).map_err(|error| CliError::Other(error.into()))?;
    let report = Report::new(&swarm, begun.elapsed());
    let played = async {
        all_connected(&swarm, &options, ctx).await;
        report.add("connect_seconds", report::rounded((begun.elapsed()).as_secs_f64()));
        report.add("handshakes", json!(swarm.handshakes()));
        let idle = server.as_ref().map(Server::usage).transpose()?;
        let load = Load { swarm: &swarm, concurrency: args.concurrency, server: server.as_ref(), out: ctx.out };
        let mut jobs = Vec::new();
        if let Some(client) = &client {
            for _ in 0..args.jobs {
                jobs.push(load.job(client).await?);
            }
        }
        report.add("jobs", Value::Array(jobs));
        if let (Some(before), Some(idle)) = (before, idle) {
            report.add("server", report::server(before, idle, options.nodes));
        }
        match (args.lasting, args.jobs) {
            (Some(lasting), _) => sleep(Duration::from_secs(lasting).saturating_sub(begun.elapsed())).await,
            (None, 0) => std::future::pending().await,
            (None, _) => {}
        }
        Ok::<(), CliError>(())
    };
    tokio::select! {
        done = played => done?,
        () = live::draw(&swarm, ctx.out) => {}
        () = show_when_asked(&mut asked, &report, &swarm, ctx.out) => {}
        _ = ctrl_c() => {}
    }
    report.show(&swarm, ctx.out);
    Ok(Exit::Done)
}

/// Shows the report so far whenever somebody asks for it; the most runs at once begin anew with each.
async fn show_when_asked(asked: &mut Signal, report: &Report, swarm: &Swarm, out: Output) {
    while asked.recv().await.is_some() {
        report.show(swarm, out);
        swarm.forget_the_most_runs();
    }
}

/// Waits until every agent is connected, and says how far that is.
async fn all_connected(swarm: &Swarm, options: &Options, ctx: &Context) {
    let mut said = Instant::now();
    loop {
        let now = swarm.snapshot();
        // Agents whose sessions are cut again and again are never all there.
        let cut = usize::try_from(now.sessions_lost).unwrap_or(usize::MAX);
        if now.connected.saturating_add(cut) >= options.nodes {
            return ctx.out.note(format!("{} nodes are connected", now.connected));
        }
        if said.elapsed() >= SAY_EVERY && !ctx.out.can_draw() {
            said = Instant::now();
            ctx.out.note(format!("{} of {} nodes are connected", now.connected, options.nodes));
        }
        sleep(LOOK).await;
    }
}

/// Address and name of a broker.
fn broker_of(text: &str) -> Result<(SocketAddr, ServerName<'static>), CliError> {
    let usage = |reason: String| CliError::Usage(format!("--broker '{text}' {reason}"));
    let (host, _) = text.rsplit_once(':').ok_or_else(|| usage("names no port".to_owned()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut found = text.to_socket_addrs().map_err(|error| usage(format!("cannot be found: {error}")))?;
    // Where a name stands for both, the older protocol has more addresses to connect from on this machine.
    let first = found.next().ok_or_else(|| usage("has no address".to_owned()))?;
    let address = found.chain([first]).find(SocketAddr::is_ipv4).unwrap_or(first);
    let name = ServerName::try_from(host).map_err(|error| usage(format!("is no name of a server: {error}")))?;
    Ok((address, name))
}

/// A duration in milliseconds, with fraction.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Keeps `anyhow`'s words for the command line's errors.
fn readable<T>(result: std::io::Result<T>, what: &str) -> Result<T, CliError> {
    result.with_context(|| what.to_owned()).map_err(CliError::Other)
}
