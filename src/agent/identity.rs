//! Who the agent is to others: certname, address, and the TLS configuration for its connections.
//!
//! Read at every connection, so that renewed certificates and CRLs need no restart.

use super::config::SslConfig;
use crate::tls::{self, TlsError};
use crate::wire::pcp::Uri;

/// The address of the agent whose certificate this is.
pub(super) fn own_uri(ssl: &SslConfig) -> Result<Uri, TlsError> {
    let certificates = tls::read_certificates(&ssl.cert)?;
    let leaf = certificates.first().expect("read_certificates gives at least one");
    Ok(Uri::of(tls::common_name(leaf)?.as_str(), "agent"))
}
