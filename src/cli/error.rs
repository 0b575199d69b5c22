//! What can go wrong in a command, what the user is told, and with which exit code the command ends.

use std::path::PathBuf;

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
    Unreachable {
        url: String,
        reason: String,
        /// Who named this address.
        named_by: String,
    },
    /// There is a server, and its certificate is not one that we trust.
    #[error("{url} is not trusted: {reason}")]
    Untrusted { url: String, reason: String, trouble: Distrust },
    /// 401 or 403.
    #[error("{msg}")]
    NotPermitted {
        status: u16,
        kind: String,
        msg: String,
        /// Where the token came from; nothing when none was sent.
        token_from: Option<String>,
    },
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

/// Why a server's certificate is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// It was not signed by a CA of this file, or of the system.
    Issuer { ca: Option<PathBuf> },
    /// It bears other names than that of the address.
    Name,
    /// Its time is over, or has not begun.
    Time,
}

impl Distrust {
    fn hint(&self) -> String {
        const WHERE: &str = "the CA that `bunraku init` made is ssl/ca.pem in the service's directory, Puppet's is \
                             /etc/puppetlabs/puppet/ssl/certs/ca.pem on every node";
        match self {
            Self::Issuer { ca: None } => {
                format!("copy the CA of the server here and name it with --ca FILE or BUNRAKU_CA: {WHERE}")
            }
            Self::Issuer { ca: Some(ca) } => {
                format!(
                    "{} is the CA of another server; name the right one with --ca FILE or BUNRAKU_CA: {WHERE}",
                    ca.display()
                )
            }
            Self::Name => {
                "use a name in --url that stands in the server's certificate; `bunraku doctor` on the server \
                           shows them"
                    .to_owned()
            }
            Self::Time => "compare the clocks of both machines; `bunraku doctor` on the server says until when its \
                           certificate is valid"
                .to_owned(),
        }
    }
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
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::NotReady { .. } => Exit::Unreachable,
            Self::NotPermitted { .. } => Exit::NotPermitted,
            Self::Server(_) | Self::Other(_) => Exit::Failed,
        }
    }

    /// What the user may do next, if there is something to say.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { named_by, .. } => Some(format!(
                "the address is that of {named_by}; is it right, does the server run there (`bunraku doctor` on its machine), \
                 and does a firewall let you through?"
            )),
            Self::Untrusted { trouble, .. } => Some(trouble.hint()),
            Self::NotReady { .. } => Some("try again in a moment; the server's log says what it waits for".to_owned()),
            Self::NotPermitted { status: 401, kind, token_from, .. } => Some(login_hint(kind, token_from.as_deref())),
            Self::NotPermitted { .. } => Some(
                "`bunraku whoami` shows who you are and what you may do; whoever keeps access.yaml on the server can give \
                 you more"
                    .to_owned(),
            ),
            Self::Refused { kind, details, .. } => refusal_hint(kind, details),
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
            Self::Untrusted { .. } => ("bunraku.cli/untrusted", json!({})),
            Self::NotReady { .. } => ("bunraku.cli/not-ready", json!({})),
            Self::Server(_) => ("bunraku.cli/server-error", json!({})),
            Self::Other(_) => ("bunraku.cli/error", json!({})),
        };
        json!({ "kind": kind, "msg": self.to_string(), "details": details, "exit_code": self.exit().code() })
    }
}

/// How to become somebody whom the server knows.
fn login_hint(kind: &str, token_from: Option<&str>) -> String {
    let ways = "log in with `bunraku login`, or give a valid token with --token-file, --token or BUNRAKU_TOKEN";
    match (last_part(kind), token_from) {
        ("invalid-credentials", _) => "try again; `bunraku user password` gives a user another password".to_owned(),
        (_, None) => format!("no token was sent: {ways}"),
        ("token-expired", Some(from)) => format!("the time of the token of {from} is over: {ways}"),
        (_, Some(from)) => format!("the server does not take the token of {from}: {ways}"),
    }
}

fn refusal_hint(kind: &str, details: &Value) -> Option<String> {
    let hint = match last_part(kind) {
        "unknown-job" => "`bunraku job list` shows the newest jobs, `--limit` more of them".to_owned(),
        "unknown-task" => {
            let environment = details.get("environment").and_then(Value::as_str).unwrap_or("production");
            format!("`bunraku task list --environment {environment}` shows the tasks that there are")
        }
        "unknown-environment" => "`bunraku env list` shows the environments that there are".to_owned(),
        "empty-target" | "empty-environment" => "`bunraku node list` shows the connected nodes".to_owned(),
        _ => return None,
    };
    Some(hint)
}

fn last_part(kind: &str) -> &str {
    kind.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_permitted(status: u16) -> CliError {
        CliError::NotPermitted { status, kind: "k".into(), msg: "m".into(), token_from: None }
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
        assert_eq!(
            CliError::Unreachable { url: "u".into(), reason: "r".into(), named_by: "--url".into() }.exit().code(),
            5
        );
        assert_eq!(CliError::NotReady { url: "u".into(), msg: "m".into() }.exit().code(), 5);
        assert_eq!(not_permitted(401).exit().code(), 6);
        assert_eq!(not_permitted(403).exit().code(), 6);
        assert_ne!(not_permitted(401).hint(), not_permitted(403).hint());
        assert_eq!(CliError::Server("x".into()).exit().code(), 1);
    }

    #[test]
    fn every_trouble_has_its_next_step() {
        let url = || "https://orch.example.com:8143".to_owned();
        let untrusted = |trouble| CliError::Untrusted { url: url(), reason: "r".into(), trouble };
        let denied = |kind: &str, from: Option<&str>| CliError::NotPermitted {
            status: 401,
            kind: format!("puppetlabs.rbac/{kind}"),
            msg: "m".into(),
            token_from: from.map(str::to_owned),
        };
        let refused = |kind: &str, details: Value| CliError::Refused {
            status: 404,
            kind: format!("puppetlabs.orchestrator/{kind}"),
            msg: "m".into(),
            details,
        };
        let troubles = [
            CliError::Unreachable { url: url(), reason: "connection refused".into(), named_by: "BUNRAKU_URL".into() },
            untrusted(Distrust::Issuer { ca: None }),
            untrusted(Distrust::Issuer { ca: Some("/etc/other.pem".into()) }),
            untrusted(Distrust::Name),
            untrusted(Distrust::Time),
            CliError::NotReady { url: url(), msg: "starting".into() },
            denied("user-unauthenticated", None),
            denied("token-expired", Some("`bunraku login`")),
            denied("invalid-token", Some("/etc/bunraku/token")),
            denied("invalid-credentials", None),
            not_permitted(403),
            refused("unknown-job", json!({})),
            refused("unknown-environment", json!({})),
            refused("unknown-task", json!({ "environment": "staging" })),
            refused("empty-target", json!({})),
        ];
        let shown = troubles.iter().map(|error| format!("{error}\n  next: {}", error.hint().unwrap_or_default()));
        insta::assert_snapshot!("next_steps", shown.collect::<Vec<_>>().join("\n"));
    }
}
