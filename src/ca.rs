//! A small certificate authority of our own, for sites without Puppet's: P-256 keys, server and node certificates,
//! and a CRL of those that were revoked.
//!
//! Only `init`, `ca`, `swarm` and the demo open it; the service never does. It keeps no certificates, only who got which.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bunraku_actors::model::CertName;
use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::files::{self, CreateError};

/// How long certificates of simulated nodes last.
const THROW_AWAY_DAYS: u64 = 3;
/// How long certificates of servers and nodes are valid: five years.
const LEAF_DAYS: u64 = 5 * 365 + 1;
/// How long the authority's own certificate and its CRL are valid: fifteen years.
const CA_DAYS: u64 = 15 * 365 + 4;

/// Beside the inventory: serials that are revoked, with the day.
const REVOKED: &str = "revoked";

/// Why the authority could not do what was asked. Never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{what} cannot be used: {reason}")]
    Unusable { what: String, reason: String },
    #[error("'{0}' is neither a host name nor an IP address")]
    Name(String),
    #[error("no certificate of '{0}' is in the inventory")]
    Unknown(String),
}

/// A certificate with its key, as PEM. The key is wiped from memory when this is dropped.
pub struct Issued {
    pub cert_pem: String,
    pub key_pem: Zeroizing<String>,
}

/// A key that is kept nowhere, for certificates that last a few days.
pub struct ThrowAwayKey(KeyPair);

impl ThrowAwayKey {
    /// A new one.
    ///
    /// # Errors
    /// When none can be made.
    pub fn new() -> Result<Self, CaError> {
        new_key().map(Self)
    }

    /// As PKCS #8.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        self.0.serialize_der()
    }
}

/// An opened authority: whoever holds it can sign.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
}

impl Authority {
    /// Makes a new authority in the new directory `dir` (mode 0700): `cert.pem`, `key.pem` (0600) and `inventory`.
    ///
    /// # Errors
    /// When the directory exists, or something cannot be written.
    pub fn create(dir: &Path, label: &str, now: DateTime<Utc>) -> Result<Self, CaError> {
        let key = new_key()?;
        let mut params = params(&format!("bunraku CA: {label}"), now, CA_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(|error| unusable("the new CA certificate", error))?;
        files::create_private_dir(dir)?;
        files::create_private(&dir.join("key.pem"), Zeroizing::new(key.serialize_pem()).as_bytes())?;
        files::create_public(&dir.join("cert.pem"), certificate.pem())?;
        files::create_private(&dir.join("inventory"), "")?;
        Ok(Self { dir: dir.to_owned(), issuer: Issuer::new(params, key), cert_pem: certificate.pem() })
    }

    /// Opens an authority that [`Authority::create`] made.
    ///
    /// # Errors
    /// When certificate or key are missing or unusable.
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).map_err(|source| CaError::Read { path, source })
        };
        let cert_pem = read("cert.pem")?;
        let key_pem = Zeroizing::new(read("key.pem")?);
        let key = KeyPair::from_pem(&key_pem).map_err(|error| unusable(dir.join("key.pem").display(), error))?;
        let issuer = Issuer::from_ca_cert_pem(&cert_pem, key)
            .map_err(|error| unusable(dir.join("cert.pem").display(), error))?;
        Ok(Self { dir: dir.to_owned(), issuer, cert_pem })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Issues a server certificate for these host names and addresses; the first one is its common name.
    ///
    /// # Errors
    /// When there is no name, or one is neither host name nor address.
    pub fn issue_server(&self, names: &[String], now: DateTime<Utc>) -> Result<Issued, CaError> {
        let first = names.first().ok_or_else(|| CaError::Name(String::new()))?;
        let names = names.iter().map(|name| alternative_name(name)).collect::<Result<Vec<_>, _>>()?;
        self.issue(first, names, now)
    }

    /// Issues a node's certificate: the certname is its common name and its only DNS name.
    ///
    /// # Errors
    /// When the certname cannot stand in a certificate as a DNS name, or the inventory cannot be written.
    pub fn issue_node(&self, certname: &CertName, now: DateTime<Utc>) -> Result<Issued, CaError> {
        let name = certname.as_str();
        self.issue(name, vec![alternative_name(name)?], now)
    }

    /// Revokes every certificate that this name has got so far, and returns how many those are that were not revoked before.
    /// Who looks at a CRL has to be given a new one.
    ///
    /// # Errors
    /// When the name has none, or what was revoked cannot be written down.
    pub fn revoke(&self, common_name: &str, now: DateTime<Utc>) -> Result<usize, CaError> {
        let inventory = self.read("inventory")?;
        let of_name = |line: &&str| line.split(' ').nth(2) == Some(common_name);
        let serials: Vec<&str> = inventory.lines().filter(of_name).filter_map(|line| line.split(' ').next()).collect();
        if serials.is_empty() {
            return Err(CaError::Unknown(common_name.to_owned()));
        }
        let known = self.revoked()?;
        let new: Vec<&str> =
            serials.into_iter().filter(|serial| !known.iter().any(|(revoked, _)| revoked == serial)).collect();
        let lines: String = new.iter().map(|serial| format!("{serial} {}\n", now.format("%Y-%m-%d"))).collect();
        self.append(REVOKED, &lines)?;
        Ok(new.len())
    }

    /// The serials that are revoked, and since when.
    fn revoked(&self) -> Result<Vec<(String, NaiveDate)>, CaError> {
        let text = match self.read(REVOKED) {
            Err(CaError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let parse = |line: &str| {
            let (serial, day) = line.split_once(' ')?;
            Some((serial.to_owned(), day.parse().ok()?))
        };
        let unusable = |line: &str| CaError::Unusable {
            what: self.dir.join(REVOKED).display().to_string(),
            reason: format!("'{line}' is no serial with a day"),
        };
        text.lines().map(|line| parse(line).ok_or_else(|| unusable(line))).collect()
    }

    fn read(&self, name: &str) -> Result<String, CaError> {
        let path = self.dir.join(name);
        fs::read_to_string(&path).map_err(|source| CaError::Read { path, source })
    }

    /// The revocation list as of now. Puppet and our own listeners want one, if only to say that nothing is revoked.
    ///
    /// # Errors
    /// When what was revoked cannot be read, or the list cannot be signed.
    pub fn crl(&self, now: DateTime<Utc>) -> Result<String, CaError> {
        let (this_update, next_update) = (ymd(now - Days::new(1)), ymd(now + Days::new(CA_DAYS)));
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(this_update.0, this_update.1, this_update.2),
            next_update: rcgen::date_time_ymd(next_update.0, next_update.1, next_update.2),
            // Later lists have higher numbers.
            crl_number: SerialNumber::from(now.timestamp().unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs: self
                .revoked()?
                .iter()
                .map(|(serial, day)| revoked_entry(serial, *day))
                .collect::<Result<_, _>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = params.signed_by(&self.issuer).and_then(|crl| crl.pem());
        signed.map_err(|error| unusable("the new CRL", error))
    }

    /// Signs a certificate of a simulated node, which goes into no inventory: it ends within days, and its key is nowhere.
    ///
    /// # Errors
    /// When the certname cannot stand in a certificate as a DNS name.
    pub fn sign_throw_away(&self, certname: &CertName, key: &ThrowAwayKey) -> Result<CertificateDer<'static>, CaError> {
        let name = certname.as_str();
        let mut params = params(name, Utc::now(), THROW_AWAY_DAYS);
        params.subject_alt_names = vec![alternative_name(name)?];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key.0, &self.issuer);
        let certificate = certificate.map_err(|error| unusable(format!("the new certificate of {name}"), error))?;
        Ok(certificate.der().clone())
    }

    fn issue(&self, common_name: &str, names: Vec<SanType>, now: DateTime<Utc>) -> Result<Issued, CaError> {
        let key = new_key()?;
        let mut params = params(common_name, now, LEAF_DAYS);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|error| unusable(format!("the new certificate of {common_name}"), error))?;
        self.record(&params, now + Days::new(LEAF_DAYS), common_name)?;
        Ok(Issued { cert_pem: certificate.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// One line per certificate: without it nobody could name the serial of a lost one.
    fn record(&self, params: &CertificateParams, until: DateTime<Utc>, common_name: &str) -> Result<(), CaError> {
        let serial = params.serial_number.as_ref().map(|serial| hex::encode(serial.to_bytes())).unwrap_or_default();
        let line = format!("{serial} {} {common_name}\n", until.format("%Y-%m-%d"));
        self.append("inventory", &line)
    }

    fn append(&self, name: &str, text: &str) -> Result<(), CaError> {
        let path = self.dir.join(name);
        let open = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let written = open.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| CaError::Write { path, source })
    }
}

fn revoked_entry(serial: &str, day: NaiveDate) -> Result<RevokedCertParams, CaError> {
    let bytes = hex::decode(serial)
        .map_err(|error| CaError::Unusable { what: format!("serial {serial}"), reason: error.to_string() })?;
    let part = |value: u32| u8::try_from(value).expect("months and days fit into a byte");
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&bytes),
        revocation_time: rcgen::date_time_ymd(day.year(), part(day.month()), part(day.day())),
        reason_code: None,
        invalidity_date: None,
    })
}

fn unusable(what: impl ToString, error: rcgen::Error) -> CaError {
    CaError::Unusable { what: what.to_string(), reason: error.to_string() }
}

fn new_key() -> Result<KeyPair, CaError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| unusable("a new key", error))
}

fn params(common_name: &str, now: DateTime<Utc>, days: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // A day back, so that a node whose clock is a little behind takes it.
    let (from, to) = (ymd(now - Days::new(1)), ymd(now + Days::new(days)));
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
    params.serial_number = Some(random_serial());
    params
}

/// 127 random bits: a serial must be positive, so the highest bit stays clear.
fn random_serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// Year, month and day, as `rcgen::date_time_ymd` wants them.
fn ymd(at: DateTime<Utc>) -> (i32, u8, u8) {
    let part = |value: u32| u8::try_from(value).expect("months and days fit into a byte");
    (at.year(), part(at.month()), part(at.day()))
}

fn alternative_name(name: &str) -> Result<SanType, CaError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let host = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.split('.').all(|label| (1..=63).contains(&label.len()));
    let refused = || CaError::Name(name.to_owned());
    if host { Ok(SanType::DnsName(name.try_into().map_err(|_| refused())?)) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{self, ReloadableVerifier, TlsPaths};
    use chrono::TimeDelta;
    use std::os::unix::fs::PermissionsExt;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// Where the tests put a certificate, beside an authority in `ca`.
    fn paths_in(dir: &Path) -> TlsPaths {
        TlsPaths {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
            ca: dir.join("ca/cert.pem"),
            crl: Some(dir.join("crl.pem")),
        }
    }

    #[test]
    fn a_node_certificate_of_a_reopened_authority_is_accepted() {
        tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let ca_dir = dir.path().join("ca");
        Authority::create(&ca_dir, "test", Utc::now()).unwrap();
        let authority = Authority::open(&ca_dir).unwrap();
        let issued = authority.issue_node(&CertName::parse("web1.example.com").unwrap(), Utc::now()).unwrap();
        let paths = paths_in(dir.path());
        fs::write(&paths.cert, &issued.cert_pem).unwrap();
        fs::write(&paths.key, &*issued.key_pem).unwrap();
        fs::write(dir.path().join("crl.pem"), authority.crl(Utc::now()).unwrap()).unwrap();
        let chain = tls::read_certificates(&paths.cert).unwrap();
        assert_eq!(tls::common_name(&chain[0]).unwrap().as_str(), "web1.example.com");
        assert!(ReloadableVerifier::load(&paths, true).unwrap().accepts(&chain));
        tls::client_config(&paths).unwrap();
        let inventory = fs::read_to_string(ca_dir.join("inventory")).unwrap();
        assert!(inventory.lines().count() == 1 && inventory.ends_with(" web1.example.com\n"), "{inventory}");
    }

    #[test]
    fn what_was_revoked_stays_so_and_what_is_issued_afterwards_is_good() {
        tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let ca_dir = dir.path().join("ca");
        let authority = Authority::create(&ca_dir, "test", Utc::now()).unwrap();
        let issue = |name: &str| authority.issue_node(&CertName::parse(name).unwrap(), Utc::now()).unwrap();
        let (lost, other) = (issue("web1"), issue("web10"));
        assert!(matches!(authority.revoke("web", Utc::now()), Err(CaError::Unknown(_))));
        assert_eq!(authority.revoke("web1", Utc::now()).unwrap(), 1);
        assert_eq!(authority.revoke("web1", Utc::now()).unwrap(), 0, "again");
        let new = issue("web1");
        let accepted = |issued: &Issued| {
            let paths = paths_in(dir.path());
            fs::write(&paths.cert, &issued.cert_pem).unwrap();
            fs::write(&paths.key, &*issued.key_pem).unwrap();
            // Reopened: it is no matter of memory.
            let crl = Authority::open(&ca_dir).unwrap().crl(Utc::now()).unwrap();
            fs::write(dir.path().join("crl.pem"), crl).unwrap();
            let chain = tls::read_certificates(&paths.cert).unwrap();
            ReloadableVerifier::load(&paths, true).unwrap().accepts(&chain)
        };
        assert!(!accepted(&lost));
        assert!(accepted(&other) && accepted(&new));
        assert_eq!(mode(&ca_dir.join(REVOKED)), 0o600);
    }

    #[test]
    fn the_directory_and_the_key_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let ca_dir = dir.path().join("ca");
        Authority::create(&ca_dir, "test", Utc::now()).unwrap();
        assert_eq!(mode(&ca_dir), 0o700);
        assert_eq!(mode(&ca_dir.join("key.pem")), 0o600);
        assert!(Authority::create(&ca_dir, "test", Utc::now()).is_err(), "an authority is never replaced");
    }

    #[test]
    fn server_names_may_be_hosts_and_addresses_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(&dir.path().join("ca"), "test", Utc::now()).unwrap();
        authority.issue_server(&names(&["orch.example.com", "localhost", "127.0.0.1", "::1"]), Utc::now()).unwrap();
        for bad in ["", "a b", "a..b", "https://a", "ä"] {
            let refused = authority.issue_server(&names(&[bad]), Utc::now());
            assert!(matches!(refused, Err(CaError::Name(_))), "{bad:?}");
        }
    }

    #[test]
    fn every_day_of_leap_years_gives_valid_dates() {
        let start = "2028-02-25T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for offset in 0..10 {
            let now = start + TimeDelta::days(offset);
            let params = params("a", now, LEAF_DAYS);
            assert!(params.not_after > params.not_before);
        }
    }
}
