//! Certificates of simulated agents: signed by the server's CA, one key for all, kept in memory only.

use std::sync::Arc;

use bunraku_actors::model::CertName;
use rustls::client::WebPkiServerVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::SwarmError;
use crate::ca::{Authority, ThrowAwayKey};

/// What all of them share.
pub(super) struct Identities {
    key: ThrowAwayKey,
    signing: Arc<dyn rustls::sign::SigningKey>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// Shows the one certificate that there is, whoever asks.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Identities {
    pub(super) fn new(authority: &Authority) -> Result<Self, SwarmError> {
        let unusable = |error: &dyn std::fmt::Display| SwarmError::Certificates(error.to_string());
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.cert_pem().as_bytes()).map_err(|error| unusable(&error))?;
        roots.add(root).map_err(|error| unusable(&error))?;
        let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build().map_err(|error| unusable(&error))?;
        let key = ThrowAwayKey::new()?;
        let der = PrivateKeyDer::try_from(key.to_der()).map_err(|error| unusable(&error))?;
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).map_err(|error| unusable(&error))?;
        Ok(Self { key, signing, verifier })
    }

    /// The configuration of one agent.
    pub(super) fn config_of(&self, authority: &Authority, name: &CertName) -> Result<Arc<ClientConfig>, SwarmError> {
        let certificate = authority.sign_throw_away(name, &self.key)?;
        let certified = CertifiedKey::new(vec![certificate], Arc::clone(&self.signing));
        let builder = ClientConfig::builder().with_webpki_verifier(Arc::clone(&self.verifier));
        let mut config = builder.with_client_cert_resolver(Arc::new(Always(Arc::new(certified))));
        // Each connection stands for a machine of its own: nothing is resumed.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}
