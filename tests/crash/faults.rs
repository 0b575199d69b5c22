//! Which process dies when: drawn from chance, at a random moment or close behind a sign.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::signs::{Sign, Signs};
use bunraku_actors::testing::Chance;

/// What is done to the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service is killed.
    Service,
    /// The agents of these nodes are killed.
    Agents(Vec<usize>),
    /// Both at once.
    Both(Vec<usize>),
    /// A node loses power: its agent and its runs are killed.
    Reboot(usize),
    /// The same, and its disk is new.
    Reinstall(usize),
    /// The service is told to end, in good order.
    Terminate,
}

impl Fault {
    /// Draws one. Nodes are named by place; those from `natives` on are scripted.
    pub(crate) fn draw(nodes: usize, natives: usize, wipe_scripted: bool, chance: &mut Chance) -> Self {
        let places: Vec<usize> = (0..nodes).collect();
        let few = |chance: &mut Chance| {
            let count = usize::try_from(chance.between(1, 4)).unwrap();
            chance.some(&places, count)
        };
        match chance.between(0, 99) {
            0..=41 => Self::Service,
            42..=61 => Self::Agents(few(chance)),
            62..=81 => Self::Both(few(chance)),
            82..=89 => Self::Reboot(chance.pick(&places)),
            // A pxp-agent with a new disk cannot be told from one that never got the request: only where the service is
            // told not to send again must it not run twice.
            90..=95 => Self::Reinstall(chance.pick(if wipe_scripted { &places } else { &places[..natives] })),
            _ => Self::Terminate,
        }
    }

    /// Whether the service is among the killed.
    pub(crate) fn hits_service(&self) -> bool {
        matches!(self, Self::Service | Self::Both(_) | Self::Terminate)
    }

    /// The nodes whose agents are.
    pub(crate) fn nodes(&self) -> Vec<usize> {
        match self {
            Self::Agents(nodes) | Self::Both(nodes) => nodes.clone(),
            Self::Reboot(node) | Self::Reinstall(node) => vec![*node],
            Self::Service | Self::Terminate => Vec::new(),
        }
    }
}

/// The moment of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// Any.
    After(Duration),
    /// So long behind a sign.
    Behind(Sign, Duration),
}

/// A sign that does not come is not waited for.
const PATIENCE: Duration = Duration::from_millis(1_500);

impl Moment {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        if chance.percent(35) {
            return Self::After(chance.millis(20, 1_500));
        }
        let sign = chance.pick(&[Sign::Accepted, Sign::Request, Sign::Begun, Sign::Ended, Sign::Event]);
        let at_once = chance.percent(40);
        Self::Behind(sign, if at_once { Duration::ZERO } else { chance.millis(0, 40) })
    }

    pub(crate) async fn wait(self, signs: &Signs) {
        match self {
            Self::After(time) => sleep(time).await,
            Self::Behind(sign, delay) => {
                // Too late for this one is as good a moment as any.
                let _ = timeout(PATIENCE, signs.wait(sign)).await;
                if !delay.is_zero() {
                    sleep(delay).await;
                }
            }
        }
    }
}
