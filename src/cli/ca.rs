//! `bunraku ca`: certificates from the small authority that `bunraku init` made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bunraku_actors::model::CertName;
use chrono::Utc;
use serde_json::json;

use super::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::ca::{Authority, CaError};
use crate::files;

const EXAMPLES: &str = "\
Example:
  bunraku ca issue web1.example.com --dir /etc/bunraku

writes cert.pem, key.pem, ca.pem and crl.pem into /etc/bunraku/issued/web1.example.com; take them to the node.";

/// Issue certificates for nodes
#[derive(Debug, clap::Args)]
pub(crate) struct CaArgs {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CaCommand {
    Issue(IssueArgs),
}

/// Issue a key and a certificate for a node
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct IssueArgs {
    /// The node's certname
    #[arg(value_name = "CERTNAME", value_parser = certname)]
    certname: CertName,
    /// The directory that `bunraku init` made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// A new directory for the files [default: DIR/issued/CERTNAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn certname(text: &str) -> Result<CertName, String> {
    CertName::parse(text).map_err(|error| error.to_string())
}

/// Carries out `bunraku ca …`.
///
/// # Errors
/// See [`CliError`].
pub(crate) fn run(args: &CaArgs, ctx: &Context) -> Result<Exit, CliError> {
    let CaCommand::Issue(args) = &args.command;
    let issued = issue(args)?;
    let path = |name: &str| issued.join(name);
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "certname": args.certname.as_str(),
            "cert": path("cert.pem"), "key": path("key.pem"), "ca": path("ca.pem"), "crl": path("crl.pem"),
        }));
    } else {
        ctx.out.line(format!("{}: key and certificate are in {}", args.certname, issued.display()));
    }
    Ok(Exit::Done)
}

/// Issues into a new directory; nothing that exists is overwritten.
fn issue(args: &IssueArgs) -> Result<PathBuf, CliError> {
    let authority = Authority::open(&args.dir.join("ca")).map_err(|error| match error {
        CaError::Read { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            CliError::Usage(format!("{} has no CA of its own: {error}", args.dir.display()))
        }
        error => CliError::Other(error.into()),
    })?;
    let certname = args.certname.as_str();
    let out = args.out.clone().unwrap_or_else(|| args.dir.join("issued").join(certname));
    let out = std::path::absolute(&out).with_context(|| format!("cannot find {}", out.display()))?;
    if out.exists() {
        return Err(CliError::Usage(format!("{} exists already; name another place with --out", out.display())));
    }
    let issued = authority.issue_node(&args.certname, Utc::now()).map_err(|error| match error {
        CaError::Name(_) => CliError::Usage(error.to_string()),
        error => CliError::Other(error.into()),
    })?;
    let crl = args.dir.join("ssl/crl.pem");
    let crl = fs::read(&crl).with_context(|| format!("cannot read {}", crl.display()))?;
    let write = || -> Result<(), files::CreateError> {
        files::create_dirs(out.parent().unwrap_or(Path::new("/")))?;
        files::create_private_dir(&out)?;
        files::create_private(&out.join("key.pem"), issued.key_pem.as_bytes())?;
        files::create_public(&out.join("cert.pem"), &issued.cert_pem)?;
        files::create_public(&out.join("ca.pem"), authority.cert_pem())?;
        files::create_public(&out.join("crl.pem"), &crl)
    };
    write().context("the certificate was issued but not written")?;
    Ok(out)
}
