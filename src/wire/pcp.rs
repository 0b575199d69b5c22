//! PCP version 2: one JSON object per WebSocket text message (`docs/pcp.md`).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The broker's own address.
pub const BROKER_URI: &str = "pcp:///server";
/// What every message type begins with.
const TYPE_PREFIX: &str = "http://puppetlabs.com/";

/// `pcp://<common name>/<client type>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uri {
    text: String,
    slash: usize,
}

/// The text is no PCP URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a PCP URI (pcp://<common name>/<client type>)")]
pub struct InvalidUri(String);

impl Uri {
    /// Accepts `^pcp://[^/]*/[^/]+$`.
    ///
    /// # Errors
    /// Refuses every other text.
    pub fn parse(text: &str) -> Result<Self, InvalidUri> {
        let invalid = || InvalidUri(text.chars().take(80).collect());
        let rest = text.strip_prefix("pcp://").ok_or_else(invalid)?;
        let (name, kind) = rest.split_once('/').ok_or_else(invalid)?;
        if kind.is_empty() || kind.contains('/') {
            return Err(invalid());
        }
        Ok(Self { text: text.to_owned(), slash: "pcp://".len() + name.len() })
    }

    /// The address of a client.
    #[must_use]
    pub fn of(common_name: &str, kind: &str) -> Self {
        Self { text: format!("pcp://{common_name}/{kind}"), slash: "pcp://".len() + common_name.len() }
    }

    /// The common name, empty for the broker.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.text["pcp://".len()..self.slash]
    }

    /// The client type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// The whole URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `other` is this URI, where `*` as common name or type stands for any.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let fits = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        fits(self.common_name(), other.common_name()) && fits(self.kind(), other.kind())
    }

    /// Whether common name or type is the wildcard `*`.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.common_name() == "*" || self.kind() == "*"
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Uri {
    type Error = InvalidUri;

    fn try_from(text: String) -> Result<Self, InvalidUri> {
        Self::parse(&text)
    }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> Self {
        uri.text
    }
}

/// The type of a PCP message, by the suffix of its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MessageType {
    AssociateRequest,
    AssociateResponse,
    InventoryRequest,
    InventoryResponse,
    InventoryUpdate,
    ErrorMessage,
    BlockingRequest,
    BlockingResponse,
    NonBlockingRequest,
    ProvisionalResponse,
    NonBlockingResponse,
    RpcErrorMessage,
    /// Any other; the whole name.
    Other(String),
}

impl MessageType {
    fn suffix(&self) -> Option<&'static str> {
        Some(match self {
            Self::AssociateRequest => "associate_request",
            Self::AssociateResponse => "associate_response",
            Self::InventoryRequest => "inventory_request",
            Self::InventoryResponse => "inventory_response",
            Self::InventoryUpdate => "inventory_update",
            Self::ErrorMessage => "error_message",
            Self::BlockingRequest => "rpc_blocking_request",
            Self::BlockingResponse => "rpc_blocking_response",
            Self::NonBlockingRequest => "rpc_non_blocking_request",
            Self::ProvisionalResponse => "rpc_provisional_response",
            Self::NonBlockingResponse => "rpc_non_blocking_response",
            Self::RpcErrorMessage => "rpc_error_message",
            Self::Other(_) => return None,
        })
    }
}

impl From<String> for MessageType {
    fn from(name: String) -> Self {
        match name.strip_prefix(TYPE_PREFIX) {
            Some("associate_request") => Self::AssociateRequest,
            Some("associate_response") => Self::AssociateResponse,
            Some("inventory_request") => Self::InventoryRequest,
            Some("inventory_response") => Self::InventoryResponse,
            Some("inventory_update") => Self::InventoryUpdate,
            Some("error_message") => Self::ErrorMessage,
            Some("rpc_blocking_request") => Self::BlockingRequest,
            Some("rpc_blocking_response") => Self::BlockingResponse,
            Some("rpc_non_blocking_request") => Self::NonBlockingRequest,
            Some("rpc_provisional_response") => Self::ProvisionalResponse,
            Some("rpc_non_blocking_response") => Self::NonBlockingResponse,
            Some("rpc_error_message") => Self::RpcErrorMessage,
            _ => Self::Other(name),
        }
    }
}

impl From<MessageType> for String {
    fn from(kind: MessageType) -> Self {
        match (kind.suffix(), kind) {
            (Some(suffix), _) => format!("{TYPE_PREFIX}{suffix}"),
            (None, MessageType::Other(name)) => name,
            (None, _) => unreachable!("only Other has no suffix"),
        }
    }
}

/// One message. `data` stays raw until someone needs it, so that forwarding never re-encodes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub id: Uuid,
    pub message_type: MessageType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Uri>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Uri>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

/// The text is no PCP message, or its data have another shape than the message type asks for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DecodeError(#[from] serde_json::Error);

impl Message {
    /// A message with a fresh id.
    ///
    /// # Panics
    /// When `data` does not serialize, which plain data types never do.
    #[must_use]
    pub fn new(
        message_type: MessageType,
        sender: Option<Uri>,
        target: Option<Uri>,
        data: Option<&(impl Serialize + ?Sized)>,
    ) -> Self {
        let data = data.map(|data| serde_json::value::to_raw_value(data).expect("plain data types serialize to JSON"));
        Self { id: Uuid::new_v4(), message_type, target, sender, in_reply_to: None, data }
    }

    /// Parses the text of one frame; unknown envelope keys are refused (§2).
    ///
    /// # Errors
    /// When it is no PCP v2 message.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The text of one frame.
    ///
    /// # Panics
    /// Never: every field serializes.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("messages serialize to JSON")
    }

    /// The data as the type that goes with the message type.
    ///
    /// # Errors
    /// When the data is missing or of another shape.
    pub fn data_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        Ok(serde_json::from_str(self.data.as_deref().map_or("null", RawValue::get))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_round_trips() {
        let text = r#"{"id":"6f0c1f0a-5a0e-4c55-8f5e-0f6f3f0a7d11","message_type":"http://puppetlabs.com/rpc_blocking_request","target":"pcp://web1.example.com/agent","sender":"pcp://orch.example.com/orchestrator","data":{"transaction_id":"41","module":"ping","action":"ping","params":{}}}"#;
        let message = Message::decode(text).unwrap();
        assert_eq!(message.message_type, MessageType::BlockingRequest);
        assert_eq!(message.target.as_ref().map(Uri::common_name), Some("web1.example.com"));
        assert_eq!(message.encode(), text);
    }

    #[test]
    fn unknown_keys_and_broken_uris_are_refused() {
        let id = "6f0c1f0a-5a0e-4c55-8f5e-0f6f3f0a7d11";
        let extra = format!(r#"{{"id":"{id}","message_type":"x","expires":"never"}}"#);
        assert!(Message::decode(&extra).is_err());
        for bad in ["pcp://a", "pcp://a/", "pcp://a/b/c", "http://a/b", ""] {
            assert!(Uri::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Uri::parse(BROKER_URI).unwrap().kind(), "server");
    }
}
