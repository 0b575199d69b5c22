//! `bunraku doctor`: looks at everything that a service needs, on the machine where it runs, and says what to do.
//!
//! Changes nothing. What only a running service knows, such as who is connected, is asked over its API by the command.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::statvfs;
use x509_parser::extensions::GeneralName;

use super::backup::DATABASE;
use super::service::{directory_options, read_rules, secrets_file};
use crate::config::Config;
use crate::directory::Sources;
use crate::store;
use crate::tls::{self, ReloadableServer, ReloadableVerifier};

/// What ends sooner is worth a word.
const SOON: TimeDelta = TimeDelta::days(30);
/// Less free space than this, and a busy day fills the disk.
const LITTLE_SPACE: u64 = 1 << 30;
/// How long a service on this machine may take to be connected to.
const CONNECT: Duration = Duration::from_secs(2);
/// Certificates and reports do not mind less.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(60);

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Good,
    /// It works, and somebody should look at it.
    Doubtful,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub health: Health,
    /// In one word.
    pub about: &'static str,
    pub text: String,
    /// What to do; may have several lines, to be copied.
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn good(about: &'static str, text: impl Into<String>) -> Self {
        Self { health: Health::Good, about, text: text.into(), advice: None }
    }

    /// Somebody should look at it.
    #[must_use]
    pub fn doubtful(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { health: Health::Doubtful, about, text: text.into(), advice: Some(advice.into()) }
    }

    /// It does not work.
    #[must_use]
    pub fn bad(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { health: Health::Bad, about, text: text.into(), advice: Some(advice.into()) }
    }
}

/// Looks at a configuration and all that it names.
pub async fn examine(path: &Path) -> Vec<Finding> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            let advice = "correct it; `bunraku init` makes one, and docs/configuration.md has every key";
            return vec![Finding::bad("configuration", error.to_string(), advice)];
        }
    };
    let mut findings = vec![Finding::good("configuration", format!("{} is well-formed", path.display()))];
    findings.extend(certificates(&config));
    findings.extend(names(&config));
    findings.push(access(&config));
    findings.extend(data(&config));
    findings.push(service(&config));
    findings.extend(sources(&config).await);
    findings
}

/// Certificate, key, CA and revocation list of both listeners.
fn certificates(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "certificates";
    let paths = config.tls_paths();
    let usable = ReloadableServer::load(paths.clone(), false).and_then(|_| ReloadableVerifier::load(&paths, true));
    let verifier = match usable {
        Ok(verifier) => verifier,
        Err(error) => {
            return vec![Finding::bad(ABOUT, error.to_string(), "put the file right, or name another under ssl")];
        }
    };
    let chain = tls::read_certificates(&paths.cert).unwrap_or_default();
    let mut findings = Vec::new();
    if verifier.accepts(&chain) {
        let cn = chain.first().and_then(|leaf| tls::common_name(leaf).ok());
        let cn = cn.map_or_else(|| "the service".to_owned(), |name| name.to_string());
        findings.push(Finding::good(ABOUT, format!("{cn} is signed by ssl.ca and not revoked")));
    } else {
        let advice = "ssl.cert must be signed by a CA of ssl.ca, good for clients and servers, and not in ssl.crl";
        findings.push(Finding::bad(ABOUT, "the service's own certificate is not accepted by its CA bundle", advice));
    }
    // Puppet lets its group read keys.
    if let Ok(found) = std::fs::metadata(&paths.key)
        && found.permissions().mode() & 0o007 != 0
    {
        let shown = paths.key.display();
        let text = format!("anybody on this machine may read or change ssl.key, {shown}");
        findings.push(Finding::bad(
            ABOUT,
            text,
            format!("chmod o= {shown}; better get a new key and certificate as well"),
        ));
    }
    let now = Utc::now();
    for (file, end) in tls::expiries(&paths).unwrap_or_default() {
        let end = DateTime::from_timestamp(end, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let advice = match file {
            "crl" => "fetch the CA's present revocation list, then SIGHUP",
            _ => "renew it (`bunraku ca`, or Puppet's CA), then SIGHUP",
        };
        if end <= now {
            findings.push(Finding::bad(ABOUT, format!("ssl.{file} ended at {end}"), advice));
        } else if end - now < SOON {
            findings.push(Finding::doubtful(ABOUT, format!("ssl.{file} ends at {end}"), advice));
        }
    }
    findings
}

/// Whether the names by which clients come lead here, and stand in the certificate.
fn names(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "names";
    let in_certificate = alternative_names(&config.tls_paths().cert);
    let mut findings = Vec::new();
    for name in &config.server.names {
        if !in_certificate.iter().any(|known| known == name) {
            let advice = format!("clients refuse it: get a certificate with the alternative name {name}");
            findings.push(Finding::bad(ABOUT, format!("{name} does not stand in ssl.cert"), advice));
        } else if (name.as_str(), 0).to_socket_addrs().is_err() {
            let advice = "put it into the DNS or /etc/hosts of clients and nodes";
            findings.push(Finding::doubtful(ABOUT, format!("{name} has no address on this machine"), advice));
        } else {
            findings.push(Finding::good(ABOUT, format!("{name} stands in the certificate and has an address")));
        }
    }
    findings
}

/// The alternative names of the first certificate of a file.
fn alternative_names(path: &Path) -> Vec<String> {
    let chain = tls::read_certificates(path).unwrap_or_default();
    let parsed = chain.first().and_then(|leaf| x509_parser::parse_x509_certificate(leaf).ok());
    let Some((_, certificate)) = parsed else { return Vec::new() };
    let names = certificate.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
    names.into_iter().flatten().filter_map(alternative_name).collect()
}

fn alternative_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => Some(Ipv4Addr::from(four).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

/// The roles, as the service reads them when it starts.
fn access(config: &Config) -> Finding {
    const ABOUT: &str = "access";
    let shown = config.access_file.display();
    match read_rules(&config.access_file) {
        Ok(_) if config.access_file.exists() => Finding::good(ABOUT, format!("{shown} can be used")),
        Ok(_) => Finding::good(ABOUT, format!("there is no {shown}: tokens have the roles that are always there")),
        Err(error) => {
            let advice = "correct it: the service does not start with it, and one that runs keeps what it had";
            Finding::bad(ABOUT, error.to_string(), advice)
        }
    }
}

/// The data directory: space, database, key.
fn data(config: &Config) -> Vec<Finding> {
    const ABOUT: &str = "data";
    let directory = &config.data_dir;
    let shown = directory.display();
    let Ok(space) = statvfs(directory) else {
        let advice = "`bunraku serve` makes it at its first start, if it may";
        return vec![Finding::doubtful(ABOUT, format!("there is no {shown}"), advice)];
    };
    let free = space.f_bavail * space.f_frsize;
    let text = format!("{} free in {shown}", bytesize::ByteSize(free));
    let mut findings = vec![if free < LITTLE_SPACE {
        Finding::doubtful(ABOUT, text, "make room: a full disk stops new jobs; see retention in the configuration")
    } else {
        Finding::good(ABOUT, text)
    }];
    let database = directory.join(DATABASE);
    if database.exists() {
        findings.push(match store::check(&database) {
            Ok(()) => Finding::good(ABOUT, "the database can be opened by this release"),
            Err(error) => Finding::bad(ABOUT, error.to_string(), "see docs/operations.md, Back up and restore"),
        });
    }
    let key = secrets_file(config);
    if let Ok(found) = std::fs::metadata(&key)
        && found.permissions().mode() & 0o077 != 0
    {
        let advice = format!("chmod 600 {}", key.display());
        findings.push(Finding::bad(ABOUT, format!("others may read {}", key.display()), advice));
    }
    findings
}

/// Whether somebody listens where the service should. Its lock is left alone: it would be taken from a service that starts.
fn service(config: &Config) -> Finding {
    let listening = config.server.listen.parse::<SocketAddr>().map(|mut address| {
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        TcpStream::connect_timeout(&address, CONNECT).is_ok()
    });
    match listening {
        Ok(true) => Finding::good("service", "it is running"),
        _ => Finding::doubtful("service", "it is not running", "start it: systemctl start bunraku"),
    }
}

/// What puppetserver and PuppetDB let us do.
async fn sources(config: &Config) -> Vec<Finding> {
    let mut options = directory_options(config);
    // Looked at, not used: nothing is written beside a running service.
    let scratch = match tempfile::tempdir() {
        Ok(scratch) => scratch,
        Err(error) => {
            return vec![Finding::bad("sources", error.to_string(), "make room in the directory for such files")];
        }
    };
    scratch.path().clone_into(&mut options.file_store);
    match Sources::start(options).await {
        Ok(sources) => of_sources(config, &sources).await,
        Err(error) => vec![Finding::bad("sources", error.to_string(), "correct the section of the configuration")],
    }
}

async fn of_sources(config: &Config, sources: &Sources) -> Vec<Finding> {
    use bunraku_actors::ports::Directory as _;
    let mut findings = Vec::new();
    for health in sources.health() {
        // Services of others are asked below, and tell more.
        if let Some(trouble) =
            health.trouble.filter(|_| !["puppetserver", "puppetdb"].contains(&health.source.as_str()))
        {
            let advice = format!("correct the {} it names; the others are in force", health.source);
            findings.push(Finding::bad("files", trouble, advice));
        }
    }
    let certname = own_name(config);
    let (examined, ahead) = sources.examine().await;
    for one in examined {
        findings.push(match (one.found, one.rule) {
            (Ok(text), _) => Finding::good(one.source, text),
            (Err(text), Some((method, path))) => Finding::doubtful(one.source, text, rule(&certname, method, path)),
            (Err(text), None) => Finding::bad(one.source, text, advice_for(one.source, &certname)),
        });
    }
    for (name, ahead) in ahead {
        if ahead.abs() > CLOCKS_APART {
            let text = format!("the clock of {name} is {} seconds ahead of ours", ahead.num_seconds());
            findings.push(Finding::bad("clock", text, "let both machines keep time by NTP"));
        } else {
            findings.push(Finding::good("clock", format!("{name} has the same time")));
        }
    }
    findings
}

fn own_name(config: &Config) -> String {
    let shown = config.puppetserver.cert.as_ref().unwrap_or(&config.ssl.cert);
    let leaf = tls::read_certificates(shown).ok().and_then(|chain| chain.into_iter().next());
    leaf.and_then(|leaf| tls::common_name(&leaf).ok()).map_or_else(|| "CERTNAME".to_owned(), |name| name.to_string())
}

/// A rule for puppetserver's `auth.conf`, to be pasted.
fn rule(certname: &str, method: &str, path: &str) -> String {
    format!(
        "add to authorization.rules in puppetserver's auth.conf, then restart it:\n\
         {{ name: \"bunraku {path}\", sort-order: 400, allow: \"{certname}\",\n\
         \x20 match-request: {{ path: \"{path}\", type: path, method: {method} }} }}"
    )
}

fn advice_for(source: &str, certname: &str) -> String {
    match source {
        "puppetdb" => {
            format!("see that it runs at puppetdb.url, and that {certname} stands in its certificate-allowlist")
        }
        _ => "see that it runs at puppetserver.url, and that ssl.cert (or puppetserver.cert) is of its CA".to_owned(),
    }
}
