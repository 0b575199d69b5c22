//! A scripted pxp-agent: PCP v2 over real TLS, the life cycle of `docs/pcp.md` §10 and §13, and none of our additions.
//!
//! It names no spool and knows no `cancel`. A known transaction never starts again and is answered provisionally; a final
//! answer goes out once, at the end of the run, or is lost when there is no connection at that moment; a provisional
//! answer may come after the final one; a restarted agent tells of earlier runs by status queries only. The spool lies on
//! disk and the runs are processes, so that both outlive the agent. The agent itself is a task of the test: it is killed
//! by dropping it between any two of its steps.

mod answers;
mod life;
mod spool;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::life::Life;
use self::spool::Spool;
use super::signs::Signs;
use super::site::{Node, Site};
use bunraku_actors::testing::Chance;

/// A running agent.
pub(crate) struct Scripted {
    life: JoinHandle<()>,
    cut: Arc<Notify>,
}

impl Scripted {
    /// Starts an agent on what its node's disk holds.
    pub(crate) fn start(site: &Site, node: &Node, signs: Signs, chance: Chance) -> Self {
        let cut = Arc::new(Notify::new());
        let life = Life {
            name: node.name.clone(),
            broker: site.host.clone(),
            tls: node.tls(),
            spool: Spool::new(node),
            work: site.work(),
            workers: Mutex::default(),
            out: Mutex::default(),
            chance: Mutex::new(chance),
            signs,
            cut: Arc::clone(&cut),
        };
        Self { life: tokio::spawn(Arc::new(life).live()), cut }
    }

    /// Ends the agent between two steps. Its runs go on.
    pub(crate) async fn kill(self) {
        self.life.abort();
        // Canceled, which is what was asked for.
        let _ = self.life.await;
    }

    /// Breaks the present connection.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }
}
