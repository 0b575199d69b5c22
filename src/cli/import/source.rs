//! Where an import comes from: a service of Puppet Enterprise, with a token and a CA of its own, or a file.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::settings::{Settings, read_token};

/// What it takes to ask Puppet Enterprise.
#[derive(Debug, clap::Args)]
pub(super) struct PeArgs {
    /// A file that holds the token for Puppet Enterprise
    #[arg(long, value_name = "FILE")]
    pe_token_file: Option<PathBuf>,
    /// That token itself; better kept in a file
    #[arg(long, env = "BUNRAKU_PE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pe_token: Option<String>,
    /// CA certificates that Puppet Enterprise's certificate is checked with [default: those of the system]
    #[arg(long, env = "BUNRAKU_PE_CA", hide_env_values = true, value_name = "FILE")]
    pe_ca: Option<PathBuf>,
}

/// Whether that is an address, not a file.
pub(super) fn is_address(from: &str) -> bool {
    from.contains("://")
}

impl PeArgs {
    /// A client for that address; nothing is sent yet.
    ///
    /// # Errors
    /// A usage error when the address, the token or the CA cannot be used.
    pub(super) fn client(&self, from: &str) -> Result<Client, CliError> {
        Client::new(&self.settings(from)?)
    }

    fn settings(&self, from: &str) -> Result<Settings, CliError> {
        if !from.starts_with("https://") {
            return Err(CliError::Usage(format!("the address '{from}' does not begin with https://")));
        }
        let (token, token_from) = match (&self.pe_token_file, &self.pe_token) {
            (Some(path), _) => (read_token(path)?, path.display().to_string()),
            (None, Some(token)) => (token.trim().to_owned(), "BUNRAKU_PE_TOKEN".to_owned()),
            (None, None) => {
                let msg = "a token for Puppet Enterprise is missing: give --pe-token-file or BUNRAKU_PE_TOKEN";
                return Err(CliError::Usage(msg.to_owned()));
            }
        };
        let url = from.trim_end_matches('/').to_owned();
        Ok(Settings {
            url,
            token: Some(SecretString::from(token)),
            ca: self.pe_ca.clone(),
            url_from: "the address to import from".to_owned(),
            token_from: Some(token_from),
        })
    }
}
