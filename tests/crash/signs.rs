//! Moments that a fault may wait for: the closer it follows, the more likely it falls between two steps of the service.

use tokio::sync::broadcast;

/// Signs that wait for a slow listener; older ones are dropped, which costs nothing but a chance.
const CAPACITY: usize = 256;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A client read the head of a 202.
    Accepted,
    /// A request for a run reached a scripted agent.
    Request,
    /// A run began.
    Begun,
    /// A run ended.
    Ended,
    /// A client read an event of a stream.
    Event,
}

/// Where signs are given and waited for.
#[derive(Clone)]
pub(crate) struct Signs(broadcast::Sender<Sign>);

impl Signs {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }

    pub(crate) fn give(&self, sign: Sign) {
        // Nobody waits most of the time.
        let _ = self.0.send(sign);
    }

    /// Waits for the next sign of this kind.
    pub(crate) async fn wait(&self, wanted: Sign) {
        let mut signs = self.0.subscribe();
        loop {
            match signs.recv().await {
                Ok(sign) if sign == wanted => return,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
