//! What the broker can be told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bunraku_actors::model::CertName;

use crate::wire::pcp::Uri;

/// Options of the broker; the defaults suit a service with pxp-agents of default settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The sender URI of our own requests: to it agents may answer. Stays the same for the life of an installation.
    pub own_uri: Uri,
    /// Common names which may connect as another client type than `agent`, ask for the inventory and send requests.
    pub controllers: BTreeSet<CertName>,
    /// Sessions at most; the next one is refused with 503.
    pub max_connections: usize,
    /// TLS handshakes at once; the next ones wait for their turn. One whose peer keeps it waiting gives its turn up.
    pub max_handshakes: usize,
    /// Connections that have said nothing yet, or keep their handshake waiting, at most; one more turns the oldest away.
    pub max_silent: usize,
    /// So long such a connection may stay whoever else comes; until then the next ones wait in the kernel's backlog.
    pub silent_grace: Duration,
    /// From accept to the end of the upgrade.
    pub handshake_timeout: Duration,
    /// A session from which nothing arrives for so long is ended; three ping intervals of a pxp-agent.
    pub idle_timeout: Duration,
    /// How often we ping a session to which nothing was sent; `None`: never.
    pub ping_interval: Option<Duration>,
    /// A peer that takes no byte for so long is ended.
    pub write_timeout: Duration,
    /// The largest message from a peer.
    pub max_message_size: usize,
    /// Bytes of messages over 64 KiB that may be under way from all peers at once; the next ones wait. At least one message
    /// of the largest size always fits.
    pub max_inflight: usize,
    /// The pause between two sessions that are ended because their certificates are refused now.
    pub close_pace: Duration,
}

impl Options {
    /// The defaults for this address and sender URI.
    #[must_use]
    pub fn new(listen: SocketAddr, own_uri: Uri) -> Self {
        Self {
            listen,
            own_uri,
            controllers: BTreeSet::new(),
            max_connections: 15_000,
            max_handshakes: 256,
            max_silent: 4_096,
            silent_grace: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(360),
            ping_interval: Some(Duration::from_secs(120)),
            write_timeout: Duration::from_secs(30),
            max_message_size: 64 * 1024 * 1024,
            max_inflight: 512 * 1024 * 1024,
            close_pace: Duration::from_millis(30),
        }
    }
}
