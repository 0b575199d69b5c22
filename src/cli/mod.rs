//! The command line: what can be said, and who carries it out.
//!
//! Commands talk to the service over HTTP only, as every other client does; only `init`, `serve` and the demo go through
//! `app`. One file per command.

mod access;
mod agent;
mod allow;
mod answers;
mod audit;
mod backup;
mod ca;
mod client;
mod config_arg;
mod confirm;
mod deep;
mod demo;
mod doctor;
mod drain;
mod env;
mod error;
mod exit;
mod follow;
mod group;
mod import;
mod init;
mod job;
mod leave;
mod ledger;
mod login;
mod node;
mod once;
mod output;
mod pages;
mod params;
mod pe_client_tools;
mod plan;
mod schedule;
mod serve;
mod sessions;
mod settings;
mod swarm;
mod table;
mod target;
mod task;
mod terminal;
mod token;
mod user;
mod why;

use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;

use self::client::Client;
use self::error::CliError;
use self::exit::Exit;
use self::output::{Format, Output};
use self::settings::{ServerArgs, Settings};

const ABOUT: &str = "\
The open orchestrator for Puppet and OpenVox: runs Puppet and tasks on thousands of nodes, in order, within limits.";

const EXAMPLES: &str = "\
Examples:
  bunraku demo                              everything on this machine, to look at
  bunraku init /etc/bunraku                 certificates, admin token, configuration
  bunraku job run -n web1,web2 --noop       a Puppet run on two nodes
  bunraku task run package -n @nodes.txt action=status name=openssl

Server, token and CA may also stand in ~/.config/bunraku/client.yaml (url, token_file, ca).";

/// Everything that can be said on the command line.
#[derive(Debug, clap::Parser)]
#[command(name = "bunraku", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    /// What results look like: human (sentences and tables) or json (one value per line)
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Init(init::InitArgs),
    Serve(serve::ServeArgs),
    Agent(agent::AgentArgs),
    Job(job::JobArgs),
    Task(task::TaskArgs),
    Plan(plan::PlanArgs),
    Schedule(schedule::ScheduleArgs),
    Node(node::NodeArgs),
    Why(why::WhyArgs),
    Group(group::GroupArgs),
    Env(env::EnvArgs),
    Import(import::ImportArgs),
    Login(login::LoginArgs),
    Logout(login::LogoutArgs),
    Whoami(login::WhoamiArgs),
    User(user::UserArgs),
    Ledger(ledger::LedgerArgs),
    Token(token::TokenArgs),
    Access(access::AccessArgs),
    Audit(audit::AuditArgs),
    Drain(drain::DrainArgs),
    Doctor(doctor::DoctorArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Ca(ca::CaArgs),
    Swarm(swarm::SwarmArgs),
    Completions(pages::CompletionsArgs),
    Man(pages::ManArgs),
}

/// What every command needs.
struct Context {
    out: Output,
    server: ServerArgs,
}

impl Context {
    /// A client for the server that flags, environment or client file name. On a terminal, says which server and user.
    ///
    /// # Errors
    /// When the settings are unusable, or the server does not know the token.
    async fn client(&self) -> Result<Client, CliError> {
        let client = Client::new(&Settings::resolve(&self.server)?)?;
        if self.out.has_reader() {
            let user = client.get("/bunraku/v1/whoami", &[]).await?;
            let login = user.get("login").and_then(Value::as_str).unwrap_or("an unknown user");
            self.out.note(format!("{} as {login}", client.url()));
        }
        Ok(client)
    }
}

/// Carries out the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no error; all else is a usage error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    if let Command::Agent(args) = &cli.command
        && let Some(dir) = args.wrapped_run()
    {
        // The wrapper of a run says by its own exit code what its agent has to know.
        return agent::exec_run(dir);
    }
    let ctx = Context { out: Output::new(cli.format), server: cli.server };
    match dispatch(&cli.command, &ctx).and_then(|exit| output::lost().map_or(Ok(exit), Err)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            ctx.out.error(&error);
            error.exit().into()
        }
    }
}

fn dispatch(command: &Command, ctx: &Context) -> Result<Exit, CliError> {
    match command {
        Command::Demo(args) => demo::run(args, ctx),
        Command::Init(args) => init::run(args, ctx),
        Command::Serve(args) => serve::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Ca(args) => ca::run(args, ctx),
        Command::Backup(args) => block_on(backup::backup(args, ctx)),
        Command::Restore(args) => backup::restore(args, ctx),
        Command::Job(args) => block_on(job::run(args, ctx)),
        Command::Task(args) => block_on(task::run(args, ctx)),
        Command::Swarm(args) => block_on(swarm::run(args, ctx)),
        Command::Plan(args) => block_on(plan::run(args, ctx)),
        Command::Schedule(args) => block_on(schedule::run(args, ctx)),
        Command::Group(args) => block_on(group::run(args, ctx)),
        Command::Env(args) => block_on(env::run(args, ctx)),
        Command::Import(args) => block_on(import::run(args, ctx)),
        Command::Login(args) => block_on(login::login(args, ctx)),
        Command::Logout(args) => block_on(login::logout(args, ctx)),
        Command::Whoami(args) => block_on(login::whoami(args, ctx)),
        Command::User(args) => block_on(user::run(args, ctx)),
        Command::Access(args) => block_on(access::run(args, ctx)),
        Command::Audit(args) => block_on(audit::run(args, ctx)),
        Command::Node(args) => block_on(node::run(args, ctx)),
        Command::Why(args) => block_on(why::run(args, ctx)),
        Command::Completions(args) => Ok(pages::completions(args)),
        Command::Man(args) => pages::man(args, ctx),
        Command::Ledger(args) => block_on(ledger::run(args, ctx)),
        Command::Token(args) => block_on(token::run(args, ctx)),
        Command::Drain(args) => block_on(drain::run(args, ctx)),
        Command::Doctor(args) => block_on(doctor::run(args, ctx)),
    }
}

/// Runs a command that talks to a server; one thread is plenty for one client.
fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::Other(anyhow::Error::new(error).context("cannot start")))?.block_on(work)
}

/// A time span from the command line, in seconds: `90`, `30s`, `1h 5m`.
///
/// # Errors
/// When it is none, or less than a second.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no time span of at least a second; write 90, 30s or 1h 5m");
    let seconds = match text.parse() {
        Ok(seconds) => seconds,
        Err(_) => humantime::parse_duration(text).map_err(|_| wrong())?.as_secs(),
    };
    if seconds == 0 { Err(wrong()) } else { Ok(seconds) }
}

/// Seconds for people: `4.2 s`, `3m 20s`.
fn elapsed(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = std::time::Duration::try_from_secs_f64(seconds.round()).unwrap_or_default();
    humantime::format_duration(whole).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_leaf_command_shows_an_example() {
        let mut open: Vec<_> = Cli::command().get_subcommands().cloned().collect();
        while let Some(command) = open.pop() {
            let children: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").cloned().collect();
            if children.is_empty() && !command.is_hide_set() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example"), "{} has no example", command.get_name());
            }
            open.extend(children);
        }
    }

    #[test]
    fn time_spans_are_read_and_shown() {
        assert_eq!([seconds("90"), seconds("30s"), seconds("1h 5m")], [Ok(90), Ok(30), Ok(3900)]);
        for bad in ["", "0", "10ms", "soon", "-1"] {
            assert!(seconds(bad).is_err(), "{bad:?}");
        }
        assert_eq!([elapsed(4.21), elapsed(200.4), elapsed(f64::MAX)], ["4.2 s", "3m 20s", "0s"]);
    }
}
