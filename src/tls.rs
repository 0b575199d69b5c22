//! TLS material: certificates, keys, CA bundles and CRLs from PEM files, and the rustls configurations made of them.
//!
//! One provider (aws-lc) for the whole process; [`install_provider`] comes first in `main` and in every test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bunraku_actors::model::CertName;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use x509_parser::revocation_list::CertificateRevocationList;

/// Why TLS material cannot be used. Names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not usable PEM: {reason}")]
    Pem { path: PathBuf, reason: String },
    #[error("{what}: {reason}")]
    Unusable { what: &'static str, reason: String },
}

/// Makes aws-lc the provider of the process. May be called any number of times.
pub fn install_provider() {
    // An error only says that a provider is installed already, and there is only this one in the binary.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Where the PEM files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPaths {
    /// The certificate, followed by intermediates.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The bundle of CA certificates.
    pub ca: PathBuf,
    /// The bundle of CRLs, if revocation is checked.
    pub crl: Option<PathBuf>,
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn pem_error(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::Pem { path: path.to_owned(), reason: reason.to_string() }
}

/// All certificates of a PEM file, at least one.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem_error(path, error))?;
    if certificates.is_empty() { Err(pem_error(path, "it holds no certificate")) } else { Ok(certificates) }
}

/// The private key of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds no key.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| pem_error(path, error))
}

/// The CRLs of a PEM file, the newest one of each issuer: verification takes the first that fits, and an outdated one
/// before the present one would let revoked certificates in.
///
/// # Errors
/// When the file cannot be read or parsed, or holds none.
pub fn read_crls(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut newest: BTreeMap<Vec<u8>, (CrlAge, CertificateRevocationListDer<'static>)> = BTreeMap::new();
    for crl in CertificateRevocationListDer::pem_slice_iter(&read(path)?) {
        let crl = crl.map_err(|error| pem_error(path, error))?;
        let (_, parsed) = x509_parser::parse_x509_crl(&crl).map_err(|error| pem_error(path, error))?;
        let issuer = parsed.issuer().as_raw().to_vec();
        let age = crl_age(&parsed);
        match newest.get(&issuer) {
            Some((known, _)) if *known >= age => {}
            _ => {
                newest.insert(issuer, (age, crl));
            }
        }
    }
    if newest.is_empty() {
        // Not the same as no file: nobody who names a list means "check nothing".
        return Err(pem_error(path, "it holds no revocation list"));
    }
    Ok(newest.into_values().map(|(_, crl)| crl).collect())
}

/// Orders CRLs of one issuer: time of issue, then the CRL number, big-endian behind its length.
type CrlAge = (i64, usize, Vec<u8>);

fn crl_age(crl: &CertificateRevocationList<'_>) -> CrlAge {
    let number = crl.crl_number().map(|number| number.to_bytes_be()).unwrap_or_default();
    (crl.last_update().timestamp(), number.len(), number)
}

/// The trust anchors of a CA bundle.
///
/// # Errors
/// When the file cannot be read or a certificate in it is unusable.
pub fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| pem_error(path, error))?;
    }
    Ok(roots)
}

/// The common name of a certificate, as a certname.
///
/// # Errors
/// When the certificate cannot be parsed, or has no CN that is a certname.
pub fn common_name(certificate: &CertificateDer<'_>) -> Result<CertName, TlsError> {
    let unusable = |reason: String| TlsError::Unusable { what: "peer certificate", reason };
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| unusable(error.to_string()))?;
    let cn = parsed.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
    let cn = cn.ok_or_else(|| unusable("it has no common name".to_owned()))?;
    CertName::parse(cn).map_err(|error| unusable(error.to_string()))
}

/// A client certificate verifier that can be replaced while the listener runs (CRL reload).
#[derive(Debug)]
pub struct ReloadableVerifier {
    current: ArcSwap<dyn_verifier::Holder>,
    required: bool,
}

mod dyn_verifier {
    use super::{Arc, ClientCertVerifier};

    /// `ArcSwap` needs a sized target.
    #[derive(Debug)]
    pub(super) struct Holder(pub(super) Arc<dyn ClientCertVerifier>);
}

impl ReloadableVerifier {
    /// Reads CA bundle and CRLs. `required`: a peer without a certificate fails the handshake.
    ///
    /// # Errors
    /// When a file is unusable.
    pub fn load(paths: &TlsPaths, required: bool) -> Result<Arc<Self>, TlsError> {
        let verifier = build_verifier(paths, required)?;
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(dyn_verifier::Holder(verifier)), required }))
    }

    /// Reads CA bundle and CRLs again; on an error the old ones stay.
    ///
    /// # Errors
    /// When a file is unusable.
    pub fn reload(&self, paths: &TlsPaths) -> Result<(), TlsError> {
        let verifier = build_verifier(paths, self.required)?;
        self.current.store(Arc::new(dyn_verifier::Holder(verifier)));
        Ok(())
    }

    /// Whether this chain (leaf first) would be accepted now.
    #[must_use]
    pub fn accepts(&self, chain: &[CertificateDer<'_>]) -> bool {
        chain.split_first().is_some_and(|(leaf, intermediates)| {
            self.current.load().0.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok()
        })
    }
}

fn build_verifier(paths: &TlsPaths, required: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(read_roots(&paths.ca)?);
    let mut builder = WebPkiClientVerifier::builder(roots);
    if let Some(crl) = &paths.crl {
        // Only the leaf's issuer must have a CRL: Puppet's bundle has one per CA, ours has one CA.
        // A leaf whose issuer has none is refused: an unknown status must not pass for a good one.
        builder = builder.with_crls(read_crls(crl)?).only_check_end_entity_revocation();
    }
    if !required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| TlsError::Unusable { what: "client verification", reason: error.to_string() })
}

impl ClientCertVerifier for ReloadableVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The hints would have to live as long as the swapped verifier; agents have one certificate and need none.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.current.load().0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().0.supported_verify_schemes()
    }
}

/// A server's configuration (TLS 1.2 and 1.3) with that client verification. No resumption: it would not re-verify.
///
/// # Errors
/// When certificate and key are unusable or do not belong together.
pub fn server_config(paths: &TlsPaths, verifier: Arc<ReloadableVerifier>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(read_certificates(&paths.cert)?, read_key(&paths.key)?)
        .map_err(|error| TlsError::Unusable { what: "server certificate", reason: error.to_string() })?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The TLS side of a listener whose certificate, CA bundle and CRLs can be read again while it runs.
#[derive(Debug)]
pub struct ReloadableServer {
    paths: TlsPaths,
    verifier: Arc<ReloadableVerifier>,
    certificate: Arc<ReloadableCertificate>,
}

#[derive(Debug)]
struct ReloadableCertificate(ArcSwap<CertifiedKey>);

impl ReloadableServer {
    /// Reads everything. `required`: a peer without a certificate fails the handshake.
    ///
    /// # Errors
    /// When a file is unusable, or certificate and key do not belong together.
    pub fn load(paths: TlsPaths, required: bool) -> Result<Self, TlsError> {
        let verifier = ReloadableVerifier::load(&paths, required)?;
        let certificate = Arc::new(ReloadableCertificate(ArcSwap::from_pointee(certified_key(&paths)?)));
        Ok(Self { paths, verifier, certificate })
    }

    /// The configuration for the listener; follows every [`ReloadableServer::reload`]. No resumption, as above.
    #[must_use]
    pub fn config(&self) -> ServerConfig {
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(Arc::clone(&self.verifier) as Arc<dyn ClientCertVerifier>)
            .with_cert_resolver(Arc::clone(&self.certificate) as Arc<dyn ResolvesServerCert>);
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config
    }

    /// Reads everything again; on an error all stays as it was.
    ///
    /// # Errors
    /// As [`ReloadableServer::load`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let certificate = certified_key(&self.paths)?;
        self.verifier.reload(&self.paths)?;
        self.certificate.0.store(Arc::new(certificate));
        Ok(())
    }
}

impl ResolvesServerCert for ReloadableCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified_key(paths: &TlsPaths) -> Result<CertifiedKey, TlsError> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(read_certificates(&paths.cert)?, read_key(&paths.key)?, &provider)
        .map_err(|error| TlsError::Unusable { what: "server certificate", reason: error.to_string() })
}

/// When material ends: the first certificate of each file, and the next update of the first CRL.
///
/// # Errors
/// When a file is unusable.
pub fn expiries(paths: &TlsPaths) -> Result<Vec<(&'static str, i64)>, TlsError> {
    let unusable = |reason: String| TlsError::Unusable { what: "certificate", reason };
    let end_of = |certificate: &CertificateDer<'_>| -> Result<i64, TlsError> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|error| unusable(error.to_string()))?;
        Ok(parsed.validity().not_after.timestamp())
    };
    let update_of = |crl: &CertificateRevocationListDer<'_>| -> Result<Option<i64>, TlsError> {
        let (_, parsed) = x509_parser::parse_x509_crl(crl).map_err(|error| unusable(error.to_string()))?;
        Ok(parsed.next_update().map(|at| at.timestamp()))
    };
    let mut ends = Vec::new();
    for (file, path) in [("cert", &paths.cert), ("ca", &paths.ca)] {
        let all = read_certificates(path)?.iter().map(end_of).collect::<Result<Vec<_>, _>>()?;
        ends.extend(all.into_iter().min().map(|first| (file, first)));
    }
    let crls = paths.crl.as_deref().map(read_crls).transpose()?.unwrap_or_default();
    let updates = crls.iter().map(update_of).collect::<Result<Vec<_>, _>>()?;
    ends.extend(updates.into_iter().flatten().min().map(|first| ("crl", first)));
    Ok(ends)
}

/// A client's configuration that shows its own certificate, and checks the server's, with its revocation where there are
/// CRLs.
///
/// # Errors
/// When a file is unusable.
pub fn client_config(paths: &TlsPaths) -> Result<ClientConfig, TlsError> {
    let mut verifier = WebPkiServerVerifier::builder(Arc::new(read_roots(&paths.ca)?));
    if let Some(crl) = &paths.crl {
        // The list may be that of another CA than the server's.
        let crls = read_crls(crl)?;
        verifier = verifier.with_crls(crls).only_check_end_entity_revocation().allow_unknown_revocation_status();
    }
    let unusable = |what, reason: String| TlsError::Unusable { what, reason };
    let verifier = verifier.build().map_err(|error| unusable("server verification", error.to_string()))?;
    ClientConfig::builder()
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(read_certificates(&paths.cert)?, read_key(&paths.key)?)
        .map_err(|error| unusable("client certificate", error.to_string()))
}

/// A client's configuration without a certificate, trusting one CA bundle.
///
/// # Errors
/// When the bundle is unusable.
pub fn anonymous_client_config(ca: &Path) -> Result<ClientConfig, TlsError> {
    Ok(ClientConfig::builder().with_root_certificates(read_roots(ca)?).with_no_client_auth())
}
