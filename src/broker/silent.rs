//! Connections whose peer is not known yet: they cost little, but anybody can make them.
//!
//! A bounded number may wait for their first words, or for the next ones of a handshake that they keep waiting. One more
//! turns the oldest away, but nobody who came only just now: until then it waits itself. So however many there are, who
//! speaks is heard, also when a whole fleet comes back at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

#[derive(Debug)]
struct Waiting {
    since: Instant,
    door: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Waitings {
    next: u64,
    /// By age.
    all: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    grace: Duration,
    waitings: Mutex<Waitings>,
    /// Told when a place becomes free.
    left: Notify,
}

/// All of them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Silent(Arc<Shared>);

/// A place among them, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    shared: Arc<Shared>,
    turned_away: oneshot::Receiver<()>,
}

impl Silent {
    /// For at most `limit` connections, which is not 0; each of them may stay for `grace`, whoever else comes.
    pub(super) fn new(limit: usize, grace: Duration) -> Self {
        Self(Arc::new(Shared { limit, grace, waitings: Mutex::default(), left: Notify::new() }))
    }

    /// Takes a place; when there are too many, the oldest loses its own as soon as it had its time.
    pub(super) async fn enter(&self) -> Place {
        loop {
            match self.try_enter(Instant::now()) {
                Ok(place) => return place,
                Err(until) => tokio::select! {
                    () = self.0.left.notified() => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    /// A place, or when to try again at the latest.
    fn try_enter(&self, now: Instant) -> Result<Place, Instant> {
        let mut waitings = self.0.waitings.lock();
        if waitings.all.len() >= self.0.limit
            && let Some(oldest) = waitings.all.first_entry()
        {
            let until = oldest.get().since + self.0.grace;
            if now < until {
                return Err(until);
            }
            // Its connection may have spoken at this very moment; then nobody listens.
            let _ = oldest.remove().door.send(());
        }
        let (door, turned_away) = oneshot::channel();
        let number = waitings.next;
        waitings.next += 1;
        waitings.all.insert(number, Waiting { since: now, door });
        Ok(Place { number, shared: Arc::clone(&self.0), turned_away })
    }
}

impl Place {
    /// Waits for the next words; `None` when the connection is turned away before.
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
        self.shared.waitings.lock().all.remove(&self.number);
        self.shared.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way_and_places_come_back() {
        let silent = Silent::new(2, Duration::ZERO);
        let (first, second) = (silent.enter().await, silent.enter().await);
        assert_eq!(silent.enter().await.wait(ready(3)).await, Some(3));
        assert_eq!(first.wait(pending::<u8>()).await, None, "the third came when the places were taken");
        let third = silent.enter().await;
        assert_eq!(second.wait(ready(2)).await, Some(2), "the second was never too many");
        assert_eq!(third.wait(ready(4)).await, Some(4));
        assert!(silent.0.waitings.lock().all.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_who_came_just_now() {
        let grace = Duration::from_secs(1);
        let silent = Silent::new(2, grace);
        let begin = Instant::now();
        let (first, second) = (silent.enter().await, silent.enter().await);
        let third = silent.enter().await;
        assert!(Instant::now() >= begin + grace, "the newcomer waited");
        assert_eq!(first.wait(pending::<u8>()).await, None);
        let fourth = tokio::join!(silent.enter(), async { drop(third) }).0;
        assert!(Instant::now() < begin + grace * 2, "a place that becomes free is taken at once");
        assert_eq!((second.wait(ready(2)).await, fourth.wait(ready(4)).await), (Some(2), Some(4)));
    }
}
