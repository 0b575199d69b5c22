//! `bunraku init`: a directory with everything that `bunraku serve` needs.

use std::path::PathBuf;

use serde_json::json;
use url::Url;

use super::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::app::init::{self, InitError, InitRequest};
use crate::config::template::quote;

const EXAMPLES: &str = "\
Examples:
  bunraku init /etc/bunraku --name orch.example.com
  bunraku init /etc/bunraku --ssldir /etc/puppetlabs/puppet/ssl --name orch.example.com
  bunraku init /etc/bunraku --ssldir /etc/puppetlabs/puppet/ssl --puppetserver https://puppet:8140

The second one takes certificate, key, CA and CRL from Puppet: the nodes' Puppet certificates are
valid here then, and nothing is signed. The third one takes environments and tasks from there too.";

/// Make a directory with certificates, an admin token, a database and a commented configuration
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// The directory; made if it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A name or address by which the service is reached; may be repeated [default: host name, localhost, 127.0.0.1, ::1]
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Puppet's ssldir; without it, a small CA of our own is made
    #[arg(long, value_name = "DIR")]
    ssldir: Option<PathBuf>,
    /// The address of a puppetserver that has the environments and tasks, with its scheme and port (8140)
    #[arg(long, value_name = "URL", value_parser = https, requires = "ssldir")]
    puppetserver: Option<Url>,
    /// The address of a PuppetDB that answers queries and has facts, with its scheme and port (8081)
    #[arg(long, value_name = "URL", value_parser = https, requires = "ssldir")]
    puppetdb: Option<Url>,
}

/// An address of a source.
fn https(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() == "https" { Ok(url) } else { Err("it must begin with https://".to_owned()) }
}

impl InitArgs {
    /// The keys of the configuration that were asked for.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let sources = [("puppetserver.url", &self.puppetserver), ("puppetdb.url", &self.puppetdb)];
        sources.into_iter().filter_map(|(key, url)| Some((key, quote(url.as_ref()?.as_str())))).collect()
    }
}

/// Carries out `bunraku init`.
///
/// # Errors
/// See [`CliError`].
pub(crate) fn run(args: &InitArgs, ctx: &Context) -> Result<Exit, CliError> {
    let request = InitRequest {
        dir: args.dir.clone(),
        names: args.names.clone(),
        ssldir: args.ssldir.clone(),
        settings: args.settings(),
        environment: args.puppetserver.is_none(),
    };
    let made = super::block_on(async { init::init(&request).await.map_err(CliError::from) })?;
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "dir": made.dir, "config": made.config(), "token_file": made.token_file(), "ca": made.ca(),
            "names": made.names,
        }));
        return Ok(Exit::Done);
    }
    let shown = made.dir.display();
    ctx.out.line(format!("{shown} is ready for {}", made.names.join(", ")));
    ctx.out.line(format!("  start the service    bunraku serve --config {}", made.config().display()));
    ctx.out.line(format!("  use it as admin      export BUNRAKU_CA={}", made.ca().display()));
    ctx.out.line(format!("                       bunraku --token-file {} node list", made.token_file().display()));
    if args.ssldir.is_none() {
        ctx.out.line(format!("  certificate a node   bunraku ca issue web1.example.com --dir {shown}"));
    }
    Ok(Exit::Done)
}

impl From<InitError> for CliError {
    fn from(error: InitError) -> Self {
        if error.is_usage() { Self::Usage(error.to_string()) } else { Self::Other(error.into()) }
    }
}
