//! Makes the directory of a service: certificates, configuration, database, admin token.
//!
//! Everything is made in a hidden directory beside its final place and moved there at the end, the configuration last:
//! a failure leaves nothing behind, and a directory with a configuration is complete. What exists is never touched.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bunraku_actors::ports::StoreError;
use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use crate::api::accounts::{Accounts, NewToken, Role, TokenHash, new_token_text};
use crate::ca::{Authority, CaError};
use crate::config::template;
use crate::files::{self, CreateError};
use crate::store::{self, Store};

/// What a directory is made of, in the order of moving. The configuration is last: it says that all is there.
const PARTS: [&str; 8] = ["ca", "ssl", "data", "environments", "modules", "token", "access.yaml", CONFIG];
const CONFIG: &str = "bunraku.yaml";

/// Roles and who has them, all of it commented out.
const ACCESS: &str = include_str!("../../config/access.yaml");

const ENVIRONMENT: &str = "\
# The environment `production`. Nodes and applications are described in docs/environments.md; jobs may name any
# connected node, whether it stands here or not.
nodes: []
";

/// Why the directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("{dir} is initialized already: it holds '{part}'; nothing was changed")]
    Exists { dir: PathBuf, part: String },
    #[error("'{0}' is neither a host name nor an IP address")]
    Name(String),
    #[error("{ssldir} cannot be used: {reason}")]
    PuppetSsl { ssldir: PathBuf, reason: String },
    #[error(transparent)]
    Ca(CaError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("cannot prepare {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot make the database: {0}")]
    Database(String),
}

impl InitError {
    /// Whether the request is at fault, not the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Exists { .. } | Self::Name(_) | Self::PuppetSsl { .. })
    }
}

impl From<CaError> for InitError {
    fn from(error: CaError) -> Self {
        match error {
            CaError::Name(name) => Self::Name(name),
            error => Self::Ca(error),
        }
    }
}

impl From<StoreError> for InitError {
    fn from(error: StoreError) -> Self {
        Self::Database(error.to_string())
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub struct InitRequest {
    pub dir: PathBuf,
    /// Names and addresses of the service; empty: host name, `localhost` and the loopback addresses.
    pub names: Vec<String>,
    /// Puppet's ssldir, whose certificates are used instead of a CA of our own.
    pub ssldir: Option<PathBuf>,
    /// Further keys of the configuration with their YAML text.
    pub settings: Vec<(&'static str, String)>,
    /// Whether the file of an empty environment `production` is made; it would hide the one of a puppetserver.
    pub environment: bool,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Initialized {
    /// The directory, absolute.
    pub dir: PathBuf,
    pub names: Vec<String>,
}

impl Initialized {
    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// The file with the admin token.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// The CA bundle that clients check the service with.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ssl/ca.pem")
    }
}

/// Makes the directory.
///
/// # Errors
/// When it is initialized already, when a name or the ssldir is unusable, or when something cannot be written.
pub async fn init(request: &InitRequest) -> Result<Initialized, InitError> {
    let dir = std::path::absolute(&request.dir).map_err(io_error(&request.dir))?;
    refuse_existing(&dir)?;
    let existed = dir.exists();
    let result = build(request, &dir, Utc::now()).await;
    if result.is_err() && !existed {
        // Only the directory that this call made, and only if it is empty: anything else is somebody's.
        let _ = fs::remove_dir(&dir);
    }
    result.map(|names| Initialized { dir, names })
}

async fn build(request: &InitRequest, dir: &Path, now: DateTime<Utc>) -> Result<Vec<String>, InitError> {
    files::create_dirs(dir)?;
    let staging = tempfile::Builder::new().prefix(".init-").tempdir_in(dir).map_err(io_error(dir))?;
    let names = if request.names.is_empty() { default_names() } else { request.names.clone() };
    match &request.ssldir {
        Some(ssldir) => link_puppet_ssl(staging.path(), ssldir, &names)?,
        None => own_ssl(staging.path(), &names, now)?,
    }
    write_config(staging.path(), &names, &request.settings)?;
    files::create_dirs(&staging.path().join("modules"))?;
    files::create_dirs(&staging.path().join("environments"))?;
    if request.environment {
        files::create_public(&staging.path().join("environments/production.yaml"), ENVIRONMENT)?;
    }
    files::create_public(&staging.path().join("access.yaml"), ACCESS)?;
    files::create_private_dir(&staging.path().join("data"))?;
    create_admin(staging.path(), &names, now).await?;
    for part in PARTS {
        let from = staging.path().join(part);
        if from.exists() {
            fs::rename(&from, dir.join(part)).map_err(io_error(&dir.join(part)))?;
        }
    }
    Ok(names)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> InitError + use<> {
    let path = path.to_owned();
    move |source| InitError::Io { path, source }
}

fn refuse_existing(dir: &Path) -> Result<(), InitError> {
    let there = PARTS.into_iter().find(|part| dir.join(part).symlink_metadata().is_ok());
    there.map_or(Ok(()), |part| Err(InitError::Exists { dir: dir.to_owned(), part: part.to_owned() }))
}

/// The host's name first: it stands in links. A name that no certificate can hold is left out.
fn default_names() -> Vec<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let usable = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let host = usable.then_some(host).filter(|host| host != "localhost");
    host.into_iter().chain(["localhost", "127.0.0.1", "::1"].map(str::to_owned)).collect()
}

fn own_ssl(dir: &Path, names: &[String], now: DateTime<Utc>) -> Result<(), InitError> {
    let label = names.first().map_or("", String::as_str);
    let authority = Authority::create(&dir.join("ca"), label, now)?;
    let server = authority.issue_server(names, now)?;
    let ssl = dir.join("ssl");
    files::create_dirs(&ssl)?;
    files::create_public(&ssl.join("cert.pem"), &server.cert_pem)?;
    files::create_private(&ssl.join("key.pem"), server.key_pem.as_bytes())?;
    files::create_public(&ssl.join("ca.pem"), authority.cert_pem())?;
    files::create_public(&ssl.join("crl.pem"), authority.crl(now)?)?;
    Ok(())
}

/// Links, not copies: Puppet renews certificates and revocation lists in place, and the service has to see that.
fn link_puppet_ssl(dir: &Path, ssldir: &Path, names: &[String]) -> Result<(), InitError> {
    let refused = |reason: String| InitError::PuppetSsl { ssldir: ssldir.to_owned(), reason };
    let ssldir = fs::canonicalize(ssldir).map_err(|error| refused(error.to_string()))?;
    let certname = puppet_certname(&ssldir, names).map_err(refused)?;
    let links = [
        ("cert.pem", format!("certs/{certname}.pem")),
        ("key.pem", format!("private_keys/{certname}.pem")),
        ("ca.pem", "certs/ca.pem".to_owned()),
        ("crl.pem", "crl.pem".to_owned()),
    ];
    let ssl = dir.join("ssl");
    files::create_dirs(&ssl)?;
    for (name, target) in links {
        let target = ssldir.join(target);
        fs::File::open(&target).map_err(|error| refused(format!("{}: {error}", target.display())))?;
        symlink(&target, ssl.join(name)).map_err(io_error(&ssl.join(name)))?;
    }
    let paths = crate::tls::TlsPaths {
        cert: ssl.join("cert.pem"),
        key: ssl.join("key.pem"),
        ca: ssl.join("ca.pem"),
        crl: Some(ssl.join("crl.pem")),
    };
    crate::tls::client_config(&paths).map_err(|error| refused(error.to_string()))?;
    Ok(())
}

/// The certname whose key is there: the first of the names given, or else the only one.
fn puppet_certname(ssldir: &Path, names: &[String]) -> Result<String, String> {
    let keys = ssldir.join("private_keys");
    let entries = fs::read_dir(&keys).map_err(|error| format!("{}: {error}", keys.display()))?;
    let mut found: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".pem").map(str::to_owned)).collect();
    found.sort();
    if let Some(named) = names.iter().find(|name| found.contains(name)) {
        return Ok(named.clone());
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(format!("{} holds no key", keys.display())),
        several => Err(format!("it holds keys of {}; say which one with --name", several.join(", "))),
    }
}

fn write_config(dir: &Path, names: &[String], settings: &[(&'static str, String)]) -> Result<(), InitError> {
    let quoted: Vec<_> = names.iter().map(|name| template::quote(name)).collect();
    let mut values = vec![("server.names", format!("[{}]", quoted.join(", ")))];
    values.extend(settings.iter().cloned());
    files::create_public(&dir.join(CONFIG), template::render(&values))?;
    Ok(())
}

/// Makes the database with one token in it, which never expires: whoever can read the file is the admin.
async fn create_admin(dir: &Path, names: &[String], now: DateTime<Utc>) -> Result<(), InitError> {
    let options = store::Options { sender_uri: super::first_uri(names), ..store::Options::default() };
    let store =
        Store::open(dir.join("data/bunraku.db"), options).map_err(|error| InitError::Database(error.to_string()))?;
    let text = Zeroizing::new(new_token_text());
    let token = NewToken {
        login: "admin".to_owned(),
        display_name: "Administrator".to_owned(),
        role: Role::Admin.into(),
        description: "made by bunraku init".to_owned(),
        expires_at: None,
    };
    let created = store.create_token(token, TokenHash::of(&text), now).await;
    // Closed whatever came of it, so that nothing writes to a directory that is about to move or to go.
    store.close().await;
    created?;
    files::create_private(&dir.join("token"), Zeroizing::new(format!("{}\n", *text)).as_bytes())?;
    Ok(())
}
