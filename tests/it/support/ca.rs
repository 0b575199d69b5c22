//! A throw-away certificate authority for tests: certificates, keys and a revocation list as PEM files.
//!
//! P-256 keys throughout, so that issuing costs no time worth naming. Nothing here is fit for use outside tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bunraku::tls::TlsPaths;
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// One CA with its directory; everything goes with it when it is dropped.
pub(crate) struct TestCa {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    count: u64,
    serials: BTreeMap<String, u64>,
    revoked: Vec<u64>,
    crl_number: u64,
}

impl TestCa {
    /// A new CA with an empty revocation list.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = name("bunraku test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let authority = dir.path().join("site/ca");
        fs::create_dir_all(&authority).unwrap();
        fs::write(authority.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(authority.join("key.pem"), key.serialize_pem()).unwrap();
        let ca = Self { dir, issuer: Issuer::new(params, key), issued: Mutex::default() };
        ca.write_crl();
        ca
    }

    /// A directory with the CA in it, as `bunraku init` lays it.
    pub(crate) fn site(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    /// A certificate for this common name, good for client and server on `localhost`, `127.0.0.1` and that name.
    pub(crate) fn issue(&self, cn: &str) -> TlsPaths {
        let key = KeyPair::generate().unwrap();
        let names = [cn, "localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = name(cn);
        let serial = {
            let mut issued = self.issued.lock();
            issued.count += 1;
            let serial = 100 + issued.count;
            issued.serials.insert(cn.to_owned(), serial);
            serial
        };
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let paths = TlsPaths {
            cert: self.path(&format!("{cn}.pem")),
            key: self.path(&format!("{cn}.key")),
            ca: self.ca(),
            crl: Some(self.path("crl.pem")),
        };
        fs::write(&paths.cert, certificate.pem()).unwrap();
        fs::write(&paths.key, key.serialize_pem()).unwrap();
        paths
    }

    /// Puts the certificate last issued for this common name on the revocation list and writes the list anew.
    pub(crate) fn revoke(&self, cn: &str) {
        {
            let mut issued = self.issued.lock();
            let serial = issued.serials[cn];
            issued.revoked.push(serial);
        }
        self.write_crl();
    }

    /// The CA's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The directory with all files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir().join(file)
    }

    fn write_crl(&self) {
        let mut issued = self.issued.lock();
        issued.crl_number += 1;
        let revoked_certs = issued.revoked.iter().map(|serial| revoked(*serial)).collect();
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(issued.crl_number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = params.signed_by(&self.issuer).unwrap();
        fs::write(self.path("crl.pem"), crl.pem().unwrap()).unwrap();
    }
}

fn revoked(serial: u64) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2020, 1, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    }
}

fn name(cn: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, cn);
    name
}
