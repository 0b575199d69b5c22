//! Connections that have said nothing yet: they cost little, but anybody can make them.
//!
//! A bounded number may wait for their first words; one more turns the oldest away. So however many there are, who
//! speaks is heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// By age.
    doors: BTreeMap<u64, oneshot::Sender<()>>,
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Silent {
    limit: usize,
    waiting: Arc<Mutex<Waiting>>,
}

/// A place among them, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    waiting: Arc<Mutex<Waiting>>,
    turned_away: oneshot::Receiver<()>,
}

impl Silent {
    /// For at most `limit` connections, which is not 0.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, waiting: Arc::default() }
    }

    /// Takes a place; the oldest connection loses its own when there are too many.
    pub(super) fn enter(&self) -> Place {
        let (door, turned_away) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.doors.insert(number, door);
        if waiting.doors.len() > self.limit
            && let Some((_, oldest)) = waiting.doors.pop_first()
        {
            // Its connection may have spoken at this very moment; then nobody listens.
            let _ = oldest.send(());
        }
        drop(waiting);
        Place { number, waiting: Arc::clone(&self.waiting), turned_away }
    }
}

impl Place {
    /// Waits for the first words; `None` when the connection is turned away before.
    pub(super) async fn wait<T>(mut self, words: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            spoken = words => Some(spoken),
            _ = &mut self.turned_away => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.lock().doors.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way_and_places_come_back() {
        let silent = Silent::new(2);
        let (first, second) = (silent.enter(), silent.enter());
        assert_eq!(silent.enter().wait(ready(3)).await, Some(3));
        assert_eq!(first.wait(pending::<u8>()).await, None, "the third came when the places were taken");
        let third = silent.enter();
        assert_eq!(second.wait(ready(2)).await, Some(2), "the second was never too many");
        assert_eq!(third.wait(ready(4)).await, Some(4));
        assert!(silent.waiting.lock().doors.is_empty());
    }
}
