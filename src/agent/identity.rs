//! Who the agent is to others: certname, address, and the TLS configuration for its connections.
//!
//! Read at every connection, so that renewed certificates and CRLs need no restart.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;

use super::config::SslConfig;
use crate::tls::{self, TlsError};
use crate::wire::pcp::Uri;

/// The address of the agent whose certificate this is.
pub(super) fn own_uri(ssl: &SslConfig) -> Result<Uri, TlsError> {
    let certificates = tls::read_certificates(&ssl.cert)?;
    let leaf = certificates.first().expect("read_certificates gives at least one");
    Ok(Uri::of(tls::common_name(leaf)?.as_str(), "agent"))
}

/// A configuration that shows the node's certificate, and checks the server's, with its revocation if a CRL is set.
pub(super) fn client_config(ssl: &SslConfig) -> Result<ClientConfig, TlsError> {
    let Some(crl) = &ssl.crl else { return tls::client_config(&ssl.paths()) };
    let unusable = |what, reason: String| TlsError::Unusable { what, reason };
    let verifier = WebPkiServerVerifier::builder(Arc::new(tls::read_roots(&ssl.ca)?))
        .with_crls(tls::read_crls(crl)?)
        .only_check_end_entity_revocation()
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| unusable("server verification", error.to_string()))?;
    ClientConfig::builder()
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(tls::read_certificates(&ssl.cert)?, tls::read_key(&ssl.key)?)
        .map_err(|error| unusable("client certificate", error.to_string()))
}
