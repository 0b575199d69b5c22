//! PCP listener, sessions and inventory: sockets on one side, messages on the other.
//!
//! A tokio-rustls listener of its own with mutual TLS; one task and one bounded outbox per session; identity is the
//! certificate's common name. Reads from the bottom: `inflight` the memory of large messages, `ws` frames, `upgrade` the
//! HTTP head, `outbox` the queue of a session, `sessions` who is here, `session` the task, `router` what happens with a message, `listener` the way in.
//! What messages mean is decided by the [`Controller`]; the broker knows neither jobs nor transactions.

mod contention;
mod depths;
mod inflight;
mod inventory;
mod listener;
mod options;
mod outbox;
mod router;
mod server;
mod session;
mod sessions;
mod silent;
mod upgrade;
pub mod ws;

use bunraku_actors::model::CertName;
use uuid::Uuid;

pub use depths::QueueDepth;
pub use inflight::Receiving;
pub use options::Options;
pub use outbox::{Frame, NotQueued, OUTBOX_BYTES, OUTBOX_CAPACITY};
pub use server::{Broker, BrokerError};
pub use sessions::{Peer, Sessions};
pub use upgrade::{Refusal, Upgrade};

use crate::wire::pcp::Message;

/// Who is told what happens on agents' sessions. Called from session tasks: every method returns quickly, blocks on
/// nothing but short locks, and may be called from several threads at once.
pub trait Controller: Send + Sync + 'static {
    /// A session of type `agent` was opened; it may have superseded an older one of the same node.
    fn connected(&self, peer: &Peer);

    /// That session ended and no newer one had superseded it. [`Sessions::with_connection`] may know a newer one already.
    fn disconnected(&self, peer: &Peer);

    /// An agent sent an answer: an allowed message type, a sender that matches the certificate.
    fn received(&self, peer: &Peer, message: Message);

    /// The tagged frame was written to the socket, or its writing was begun when the session ended.
    fn sent(&self, tag: Uuid);

    /// The tagged frame was queued, and its session ended before a byte of it was written.
    fn unsent(&self, tag: Uuid);
}

/// The node that a peer is, for log lines and routing.
pub(crate) fn same_node(name: &CertName, uri_name: &str) -> bool {
    name.as_str() == uri_name
}
