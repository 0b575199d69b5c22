//! Connected nodes (API §8.3).

use bunraku_actors::ports::Connection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::millis;

/// Whether a node is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InventoryRecord {
    pub name: String,
    pub connected: bool,
    /// Only when connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// When it connected; only when connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

impl InventoryRecord {
    pub(crate) fn new(name: &str, connection: Option<&Connection>, broker: &str) -> Self {
        Self {
            name: name.to_owned(),
            connected: connection.is_some(),
            broker: connection.map(|_| broker.to_owned()),
            timestamp: connection.map(|connection| millis(connection.since)),
        }
    }
}

/// A connected node in our own listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectedNode {
    pub name: String,
    /// When it connected.
    pub since: String,
    /// Name and version of the agent as it calls itself.
    pub agent: Option<String>,
    /// Whether it is the agent of this project, which can end runs on request.
    pub native: bool,
    /// Two sessions with this certname keep superseding each other.
    pub contended: bool,
}

impl From<&Connection> for ConnectedNode {
    fn from(connection: &Connection) -> Self {
        Self {
            name: connection.node.as_str().to_owned(),
            since: millis(connection.since),
            agent: connection.agent.clone(),
            native: connection.spool.is_some(),
            contended: connection.contended,
        }
    }
}
