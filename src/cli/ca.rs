//! `bunraku ca`: certificates from the small authority that `bunraku init` made.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bunraku_actors::model::CertName;
use chrono::Utc;
use serde_json::json;

use super::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::counted;
use crate::ca::{Authority, CaError};
use crate::files;

const ISSUE_EXAMPLES: &str = "\
Examples:
  bunraku ca issue web1.example.com --dir /etc/bunraku
  bunraku ca issue orch.example.com --name localhost --dir /etc/bunraku --out renewed

writes cert.pem, key.pem, ca.pem and crl.pem into /etc/bunraku/issued/web1.example.com; take them to the node.
The second one is a new certificate for the service itself.";

const REVOKE_EXAMPLES: &str = "\
Example:
  bunraku ca revoke web1.example.com --dir /etc/bunraku && systemctl reload bunraku

Sessions with it are closed at the reload. What is issued to that name afterwards is good.";

/// Issue and revoke certificates of nodes
#[derive(Debug, clap::Args)]
pub(crate) struct CaArgs {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CaCommand {
    Issue(IssueArgs),
    Revoke(RevokeArgs),
}

/// Revoke all certificates that a name has got so far, and write the new revocation list
#[derive(Debug, clap::Args)]
#[command(after_help = REVOKE_EXAMPLES)]
struct RevokeArgs {
    /// The name that they were issued for
    #[arg(value_name = "CERTNAME")]
    certname: String,
    /// The directory that `bunraku init` made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where the list goes [default: DIR/ssl/crl.pem]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Issue a key and a certificate for a node
#[derive(Debug, clap::Args)]
#[command(after_help = ISSUE_EXAMPLES)]
struct IssueArgs {
    /// The node's certname
    #[arg(value_name = "CERTNAME", value_parser = certname)]
    certname: CertName,
    /// A further name or address in it, as the service's own has; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
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
    let args = match &args.command {
        CaCommand::Issue(args) => args,
        CaCommand::Revoke(args) => return revoke(args, ctx),
    };
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
    let authority = open(&args.dir)?;
    let certname = args.certname.as_str();
    let out = args.out.clone().unwrap_or_else(|| args.dir.join("issued").join(certname));
    let out = std::path::absolute(&out).with_context(|| format!("cannot find {}", out.display()))?;
    if out.exists() {
        return Err(CliError::Usage(format!("{} exists already; name another place with --out", out.display())));
    }
    let issued = if args.names.is_empty() {
        authority.issue_node(&args.certname, Utc::now())
    } else {
        let names = std::iter::once(certname).chain(args.names.iter().map(String::as_str));
        authority.issue_server(&names.map(str::to_owned).collect::<Vec<_>>(), Utc::now())
    };
    let issued = issued.map_err(|error| match error {
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

fn open(dir: &Path) -> Result<Authority, CliError> {
    Authority::open(&dir.join("ca")).map_err(|error| match error {
        CaError::Read { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            CliError::Usage(format!("{} has no CA of its own: {error}", dir.display()))
        }
        error => CliError::Other(error.into()),
    })
}

fn revoke(args: &RevokeArgs, ctx: &Context) -> Result<Exit, CliError> {
    let authority = open(&args.dir)?;
    let now = Utc::now();
    let revoked = authority.revoke(&args.certname, now).map_err(|error| match error {
        CaError::Unknown(_) => CliError::Usage(error.to_string()),
        error => CliError::Other(error.into()),
    })?;
    let list = args.out.clone().unwrap_or_else(|| args.dir.join("ssl/crl.pem"));
    let crl = authority.crl(now).context("the revocation list cannot be made")?;
    replace(&list, &crl).with_context(|| format!("cannot write {}", list.display()))?;
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "certname": args.certname, "revoked": revoked, "crl": list }));
    } else {
        ctx.out.line(format!(
            "{}: {}; the list is in {}",
            args.certname,
            counted(revoked as u64, "certificate is revoked", "certificates are revoked"),
            list.display()
        ));
    }
    Ok(Exit::Done)
}

/// The old list or the new one, whoever reads it meanwhile.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
