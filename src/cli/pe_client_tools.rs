//! The files of Puppet Enterprise's client tools: `orchestrator.conf` of the machine and of the user, the token that
//! `puppet access login` writes, and the CA of the machine's Puppet agent. Read for `--pe` only, never written.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::CliError;
use super::settings::ClientFile;

/// The file of the machine.
const GLOBAL: &str = "/etc/puppetlabs/client-tools/orchestrator.conf";
/// The file of the user, below the home directory; what it sets wins.
const OF_USER: &str = ".puppetlabs/client-tools/orchestrator.conf";
/// Where the token is unless a file says otherwise, below the home directory.
const TOKEN: &str = ".puppetlabs/token";
/// The CA unless a file says otherwise.
const CA: &str = "/etc/puppetlabs/puppet/ssl/certs/ca.pem";

/// JSON with one object, `options`; what does not matter here is left unread.
#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Options {
    service_url: Option<String>,
    token_file: Option<PathBuf>,
    cacert: Option<PathBuf>,
}

/// What the files say, with the defaults of the client tools.
///
/// # Errors
/// A usage error when neither file names a server, or one cannot be read.
pub(super) fn read() -> Result<ClientFile, CliError> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    read_from(Path::new(GLOBAL), Path::new(CA), home.as_deref())
}

fn read_from(global: &Path, ca: &Path, home: Option<&Path>) -> Result<ClientFile, CliError> {
    let own = match home {
        Some(home) => options_of(&home.join(OF_USER))?,
        None => Options::default(),
    };
    let global_options = options_of(global)?;
    let Some(url) = own.service_url.or(global_options.service_url) else {
        let files = format!("{} and ~/{OF_USER}", global.display());
        return Err(CliError::Usage(format!("--pe: no service-url in {files}")));
    };
    let below_home = |path: PathBuf| match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    };
    let token = own.token_file.or(global_options.token_file).map(below_home);
    // Nobody has to be logged in: a token may come from a flag.
    let token = token.or_else(|| Some(home?.join(TOKEN)).filter(|path| path.is_file()));
    let named = own.cacert.or(global_options.cacert).map(below_home);
    Ok(ClientFile {
        url: Some(url),
        token_file: token,
        ca: named.or_else(|| Some(ca.to_owned()).filter(|path| path.is_file())),
        name: "the files of Puppet Enterprise's client tools (--pe)".to_owned(),
    })
}

fn options_of(path: &Path) -> Result<Options, CliError> {
    let unusable = |reason: String| CliError::Usage(format!("--pe: {} cannot be used: {reason}", path.display()));
    match fs::read(path) {
        Ok(text) => {
            let file: File = serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
            Ok(file.options)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Options::default()),
        Err(error) => Err(unusable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_file_wins_and_defaults_fill_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let (home, global, ca) = (dir.path().join("home"), dir.path().join("global.conf"), dir.path().join("ca.pem"));
        let own = home.join(OF_USER);
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        let read = || read_from(&global, &ca, Some(&home));
        assert!(read().unwrap_err().to_string().contains("no service-url"));
        let options = r#"{"options": {"service-url": "https://global:8143", "cacert": "/g.pem", "environment": "x"}}"#;
        fs::write(&global, options).unwrap();
        let settings = read().unwrap();
        assert_eq!((settings.url.as_deref(), settings.token_file), (Some("https://global:8143"), None));
        assert_eq!(settings.ca, Some("/g.pem".into()));
        fs::write(&own, r#"{"options": {"service-url": "https://own:8143", "token-file": "~/t"}}"#).unwrap();
        let settings = read().unwrap();
        assert_eq!((settings.url.as_deref(), settings.token_file), (Some("https://own:8143"), Some(home.join("t"))));
        fs::write(&own, "{}").unwrap();
        fs::write(&global, r#"{"options": {"service-url": "https://global:8143"}}"#).unwrap();
        fs::write(home.join(TOKEN), "secret").unwrap();
        fs::write(&ca, "").unwrap();
        let settings = read().unwrap();
        assert_eq!((settings.token_file, settings.ca), (Some(home.join(TOKEN)), Some(ca.clone())));
        fs::write(&own, "{").unwrap();
        assert!(read().unwrap_err().to_string().contains(OF_USER), "the file that is broken is named");
    }
}
