//! The user's own sessions: one token for each server, in a file that only the user can read.
//!
//! A token is only ever shown to the server that gave it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::error::CliError;

/// Tokens by the address of their server.
type Tokens = BTreeMap<String, String>;

/// The file of sessions.
#[derive(Debug, Clone)]
pub(super) struct Sessions(PathBuf);

impl Sessions {
    /// The file in the user's directory for configuration; `None` when there is no such directory.
    pub(super) fn of_user() -> Option<Self> {
        super::settings::user_dir().map(|dir| Self(dir.join("sessions.json")))
    }

    /// The token for a server.
    ///
    /// # Errors
    /// A usage error that names the file when it cannot be read.
    pub(super) fn token(&self, url: &str) -> Result<Option<String>, CliError> {
        Ok(self.read()?.remove(url))
    }

    /// Keeps the token of a server.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn keep(&self, url: &str, token: String) -> Result<(), CliError> {
        let mut tokens = self.read()?;
        tokens.insert(url.to_owned(), token);
        self.write(&tokens)
    }

    /// Forgets the token of a server; whether there was one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn forget(&self, url: &str) -> Result<bool, CliError> {
        let mut tokens = self.read()?;
        let known = tokens.remove(url).is_some();
        if known {
            self.write(&tokens)?;
        }
        Ok(known)
    }

    fn read(&self) -> Result<Tokens, CliError> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Tokens::new()),
            Err(error) => return Err(unusable(&self.0, &error.to_string())),
        };
        // What stands in the file is not shown: it may be a token.
        serde_json::from_str(&text).map_err(|_| unusable(&self.0, "it is not what `bunraku login` writes"))
    }

    /// Replaces the file as a whole: a reader sees the old one or the new one.
    fn write(&self, tokens: &Tokens) -> Result<(), CliError> {
        let failed = |error: std::io::Error| unusable(&self.0, &error.to_string());
        let dir = self.0.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir).map_err(failed)?;
        let fresh = self.0.with_extension(format!("json.{}", std::process::id()));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(failed)?;
        let text = serde_json::to_string_pretty(tokens).map_err(|error| CliError::Other(error.into()))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&fresh, &self.0).map_err(failed)
    }
}

fn unusable(path: &Path, reason: &str) -> CliError {
    CliError::Usage(format!("{} cannot be used: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn each_server_gets_its_own_token_and_nobody_else_can_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions(dir.path().join("deep/sessions.json"));
        assert_eq!(sessions.token("https://a").unwrap(), None);
        sessions.keep("https://a", "one".into()).unwrap();
        sessions.keep("https://b", "two".into()).unwrap();
        assert_eq!(sessions.token("https://a").unwrap().as_deref(), Some("one"));
        assert_eq!(fs::metadata(&sessions.0).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(sessions.forget("https://a").unwrap() && !sessions.forget("https://a").unwrap());
        assert_eq!(sessions.token("https://b").unwrap().as_deref(), Some("two"));
        fs::write(&sessions.0, "secret but not JSON").unwrap();
        let error = sessions.token("https://b").unwrap_err().to_string();
        assert!(error.contains("sessions.json") && !error.contains("secret but"), "{error}");
    }
}
