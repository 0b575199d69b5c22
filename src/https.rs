//! Asking other services over HTTPS with a certificate of our own: task files, puppetserver, PuppetDB.

use reqwest::{ClientBuilder, redirect};

use crate::tls::{self, TlsError, TlsPaths};

/// A client that shows this certificate. It follows no redirects and uses no proxy: the certificate is for the named hosts
/// only.
///
/// # Errors
/// When a file is unusable.
pub(crate) fn client(paths: &TlsPaths) -> Result<ClientBuilder, TlsError> {
    let tls = tls::client_config(paths)?;
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).redirect(redirect::Policy::none()).no_proxy())
}

/// An error with everything that led to it, on one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
