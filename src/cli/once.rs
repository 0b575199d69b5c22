//! `--idempotency-key`, for commands that somebody may give twice without wanting two jobs.

use super::answers::job_name;
use super::client::Client;
use super::error::CliError;

/// The longest key that the service takes.
const LONGEST: usize = 255;

/// Under which key a job is started.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct OnceArg {
    /// Start it once: the same command with this key, within a day, watches the job that the first one started
    #[arg(long, value_name = "KEY", value_parser = key)]
    idempotency_key: Option<String>,
}

/// A key as the service takes it.
fn key(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if !plain || text.trim().is_empty() || text.len() > LONGEST {
        return Err(format!("a key is 1 to {LONGEST} printable ASCII characters"));
    }
    Ok(text.trim().to_owned())
}

impl OnceArg {
    /// Sends the command that starts a job, and returns the job's number.
    ///
    /// # Errors
    /// See [`CliError`]; a key that another command has used is refused by the service.
    pub(crate) async fn start(
        &self,
        client: &Client,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<String, CliError> {
        job_name(&client.post_once(path, body, self.idempotency_key.as_deref()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_the_service_takes() {
        assert_eq!(key(" 3f2a/noop ").unwrap(), "3f2a/noop");
        for wrong in ["", "  ", "ключ", "two\nlines", &"x".repeat(LONGEST + 1)] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }
}
