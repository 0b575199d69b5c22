//! What can go wrong in a command, what the user is told, and with which exit code the command ends.

use serde_json::{Value, json};

use super::exit::Exit;

/// Why a command did not do what was asked. The text never holds a token or a parameter's value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line, or a file that it names, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No answer from the server.
    #[error("cannot reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// 401 or 403.
    #[error("{msg}")]
    NotPermitted { status: u16, kind: String, msg: String },
    /// Another 4xx: the request itself is refused.
    #[error("{msg}")]
    Refused { status: u16, kind: String, msg: String, details: Value },
    /// The server answered, but cannot serve now.
    #[error("{url} is not ready: {msg}")]
    NotReady { url: String, msg: String },
    /// The server broke down on this request, or answers what makes no sense.
    #[error("{0}")]
    Server(String),
    /// Something on this machine failed.
    #[error("{}", whole(.0))]
    Other(#[from] anyhow::Error),
}

/// An error with its causes, each said once: some say theirs themselves.
fn whole(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

impl CliError {
    /// The exit code that tells of it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Refused { .. } => Exit::Usage,
            Self::Unreachable { .. } | Self::NotReady { .. } => Exit::Unreachable,
            Self::NotPermitted { .. } => Exit::NotPermitted,
            Self::Server(_) | Self::Other(_) => Exit::Failed,
        }
    }

    /// What the user may do next, if there is something to say.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => {
                Some("is the server running, and are --url and --ca (or BUNRAKU_URL, BUNRAKU_CA) right?")
            }
            Self::NotReady { .. } => Some("try again in a moment; the server's log says what it waits for"),
            Self::NotPermitted { status: 401, .. } => {
                Some("log in with `bunraku login`, or give a valid token with --token-file, --token or BUNRAKU_TOKEN")
            }
            Self::NotPermitted { .. } => Some("`bunraku whoami` shows what you may do; roles are given in access.yaml"),
            Self::Refused { kind, .. } => refusal_hint(kind),
            Self::Usage(_) | Self::Server(_) | Self::Other(_) => None,
        }
    }

    /// The same for programs.
    pub(crate) fn to_json(&self) -> Value {
        let (kind, details) = match self {
            Self::NotPermitted { kind, .. } => (kind.as_str(), json!({})),
            Self::Refused { kind, details, .. } => (kind.as_str(), details.clone()),
            Self::Usage(_) => ("bunraku.cli/usage", json!({})),
            Self::Unreachable { .. } => ("bunraku.cli/unreachable", json!({})),
            Self::NotReady { .. } => ("bunraku.cli/not-ready", json!({})),
            Self::Server(_) => ("bunraku.cli/server-error", json!({})),
            Self::Other(_) => ("bunraku.cli/error", json!({})),
        };
        json!({ "kind": kind, "msg": self.to_string(), "details": details, "exit_code": self.exit().code() })
    }
}

fn refusal_hint(kind: &str) -> Option<&'static str> {
    match kind.rsplit('/').next().unwrap_or_default() {
        "unknown-job" => Some("`bunraku job list` shows the jobs"),
        "unknown-task" => Some("`bunraku task list` shows the tasks of an environment"),
        "unknown-environment" => Some("environments are the files <name>.yaml in the server's environments directory"),
        "empty-target" | "empty-environment" => Some("`bunraku node list` shows the connected nodes"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_permitted(status: u16) -> CliError {
        CliError::NotPermitted { status, kind: "k".into(), msg: "m".into() }
    }

    #[test]
    fn exit_codes_follow_the_kind_of_trouble() {
        let refused = CliError::Refused {
            status: 404,
            kind: "puppetlabs.orchestrator/unknown-job".into(),
            msg: "Unknown job 9".into(),
            details: json!({"job": "9"}),
        };
        assert_eq!(refused.exit().code(), 2);
        assert!(refused.hint().unwrap().contains("job list"));
        assert_eq!(refused.to_json()["details"]["job"], "9");
        assert_eq!(CliError::Unreachable { url: "u".into(), reason: "r".into() }.exit().code(), 5);
        assert_eq!(CliError::NotReady { url: "u".into(), msg: "m".into() }.exit().code(), 5);
        assert_eq!(not_permitted(401).exit().code(), 6);
        assert_eq!(not_permitted(403).exit().code(), 6);
        assert_ne!(not_permitted(401).hint(), not_permitted(403).hint());
        assert_eq!(CliError::Server("x".into()).exit().code(), 1);
    }
}
