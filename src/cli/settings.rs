//! Which server, which token and which CA a command uses: flags before environment before the user's own client file
//! before the session of `bunraku login`. With `--pe` the files of Puppet Enterprise's client tools stand in for the
//! client file; they are never read unasked, for their server is another one on most machines.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::error::CliError;
use super::pe_client_tools;
use super::sessions::Sessions;

/// Where the server is when nobody says.
const DEFAULT_URL: &str = "https://localhost:8143";

/// Options that every command takes which talks to a server.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server's address [default: https://localhost:8143]
    #[arg(
        long,
        global = true,
        env = "BUNRAKU_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Server"
    )]
    pub(crate) url: Option<String>,
    /// The token; better kept in a file, since other users see command lines
    #[arg(
        long,
        global = true,
        env = "BUNRAKU_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Server"
    )]
    pub(crate) token: Option<String>,
    /// A file that holds the token
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub(crate) token_file: Option<PathBuf>,
    /// CA certificates that the server's certificate is checked with [default: those of the system]
    #[arg(
        long,
        global = true,
        env = "BUNRAKU_CA",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Server"
    )]
    pub(crate) ca: Option<PathBuf>,
    /// Take address, token and CA from the files of Puppet Enterprise's client tools (orchestrator.conf)
    #[arg(long, global = true, help_heading = "Server")]
    pub(crate) pe: bool,
}

/// The user's own client file, `~/.config/bunraku/client.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClientFile {
    pub(super) url: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
    /// What this file is called in messages.
    #[serde(skip)]
    pub(super) name: String,
}

/// What is used in the end.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) token: Option<SecretString>,
    pub(crate) ca: Option<PathBuf>,
    /// Who named the address, and who the token: for messages.
    pub(crate) url_from: String,
    pub(crate) token_from: Option<String>,
}

impl Settings {
    /// Settles flags, environment and client file.
    ///
    /// # Errors
    /// A usage error which names the file that cannot be used.
    pub(crate) fn resolve(args: &ServerArgs) -> Result<Self, CliError> {
        let file = match client_file() {
            _ if args.pe => pe_client_tools::read()?,
            Some(path) if path.is_file() => read_client_file(&path)?,
            _ => ClientFile::default(),
        };
        Self::combine(args, file, Sessions::of_user())
    }

    fn combine(args: &ServerArgs, file: ClientFile, sessions: Option<Sessions>) -> Result<Self, CliError> {
        let (url, url_from) = match (args.url.clone(), file.url) {
            (Some(url), _) => {
                let from = flag_or_variable("--url", "BUNRAKU_URL", &url);
                (url, from.to_owned())
            }
            (None, Some(url)) => (url, file.name.clone()),
            (None, None) => {
                (DEFAULT_URL.to_owned(), "the default (--url, BUNRAKU_URL or client.yaml name another)".into())
            }
        };
        if !url.starts_with("https://") {
            return Err(CliError::Usage(format!("the server address '{url}' does not begin with https://")));
        }
        // A flag that names a file beats the token of the environment, which clap cannot tell from `--token`.
        let url = url.trim_end_matches('/').to_owned();
        let token = match (&args.token_file, &args.token, &file.token_file) {
            (Some(path), _, _) | (None, None, Some(path)) => Some((read_token(path)?, path.display().to_string())),
            (None, Some(token), _) => {
                let from = flag_or_variable("--token", "BUNRAKU_TOKEN", token);
                Some((token.trim().to_owned(), from.to_owned()))
            }
            (None, None, None) => match sessions {
                Some(sessions) => sessions.token(&url)?.map(|token| (token, "your last `bunraku login`".to_owned())),
                None => None,
            },
        };
        let (token, token_from) = token.unzip();
        let ca = args.ca.clone().or(file.ca);
        Ok(Self { url, token: token.map(SecretString::from), ca, url_from, token_from })
    }
}

/// Which of both a value came from. clap does not tell; a flag that repeats the variable may be taken for it.
fn flag_or_variable(flag: &'static str, variable: &'static str, value: &str) -> &'static str {
    if std::env::var(variable).is_ok_and(|set| set == value) { variable } else { flag }
}

fn client_file() -> Option<PathBuf> {
    user_dir().map(|dir| dir.join("client.yaml"))
}

/// The user's own directory of this program.
pub(super) fn user_dir() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(config.join("bunraku"))
}

fn read_client_file(path: &Path) -> Result<ClientFile, CliError> {
    let unusable = |reason: String| CliError::Usage(format!("{} cannot be used: {reason}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    if text.trim().is_empty() {
        return Ok(ClientFile::default());
    }
    let file: ClientFile = serde_saphyr::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    Ok(ClientFile { name: path.display().to_string(), ..file })
}

pub(super) fn read_token(path: &Path) -> Result<String, CliError> {
    let unusable = |reason: String| CliError::Usage(format!("no token in {}: {reason}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() { Err(unusable("the file is empty".to_owned())) } else { Ok(token.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn token(settings: &Settings) -> &str {
        settings.token.as_ref().unwrap().expose_secret()
    }

    #[test]
    fn flags_beat_the_client_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, " abc\n").unwrap();
        let file = || ClientFile {
            url: Some("https://file:1/".into()),
            token_file: Some(path.clone()),
            ca: Some("file.pem".into()),
            name: "client.yaml".into(),
        };
        let settings = Settings::combine(&ServerArgs::default(), file(), None).unwrap();
        assert_eq!((settings.url.as_str(), token(&settings)), ("https://file:1", "abc"));
        assert_eq!(
            (settings.url_from.as_str(), settings.token_from.clone()),
            ("client.yaml", Some(path.display().to_string()))
        );
        let args = ServerArgs {
            url: Some("https://flag:2".into()),
            token: Some("flag".into()),
            token_file: None,
            ca: Some("flag.pem".into()),
            pe: false,
        };
        let settings = Settings::combine(&args, file(), None).unwrap();
        assert_eq!((settings.url.as_str(), token(&settings)), ("https://flag:2", "flag"));
        assert_eq!((settings.url_from.as_str(), settings.token_from.as_deref()), ("--url", Some("--token")));
        assert_eq!(settings.ca, Some("flag.pem".into()));
        let args = ServerArgs { token_file: Some(path), token: Some("from the environment".into()), ..args };
        assert_eq!(token(&Settings::combine(&args, ClientFile::default(), None).unwrap()), "abc");
    }

    #[test]
    fn nothing_said_means_this_machine_without_a_token() {
        let settings = Settings::combine(&ServerArgs::default(), ClientFile::default(), None).unwrap();
        assert_eq!(settings.url, DEFAULT_URL);
        assert!(settings.token.is_none() && settings.ca.is_none());
    }

    #[test]
    fn unusable_settings_are_named() {
        let args = ServerArgs { url: Some("http://plain".into()), ..ServerArgs::default() };
        assert!(
            Settings::combine(&args, ClientFile::default(), None).unwrap_err().to_string().contains("http://plain")
        );
        let args = ServerArgs { token_file: Some("/nonexistent".into()), ..ServerArgs::default() };
        assert!(
            Settings::combine(&args, ClientFile::default(), None).unwrap_err().to_string().contains("/nonexistent")
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.yaml");
        fs::write(&path, "url: https://a\ncolour: red\n").unwrap();
        let error = read_client_file(&path).unwrap_err().to_string();
        assert!(error.contains("client.yaml") && error.contains("colour"), "{error}");
    }

    #[test]
    fn debug_output_hides_the_token() {
        let args = ServerArgs { token: Some("very-secret".into()), ..ServerArgs::default() };
        let settings = Settings::combine(&args, ClientFile::default(), None).unwrap();
        assert!(!format!("{settings:?}").contains("very-secret"));
    }
}
