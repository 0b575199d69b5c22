//! The outgoing queue of one session: bounded, filled from any thread, emptied by the session's writer.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::depths::Depths;

/// Frames that wait for one session. When so many wait, the session is slow: the newest frame is refused, nobody waits.
pub const OUTBOX_CAPACITY: usize = 64;
/// Bytes that wait for one session, shared parts included; one frame may always wait, however large. Full: as above.
pub const OUTBOX_BYTES: usize = 64 * 1024 * 1024;

/// One text message to a peer. What many frames have in common is shared between them.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The text, or its beginning.
    pub head: String,
    /// The rest of the text, common to many frames.
    pub shared: Option<Arc<str>>,
    /// Reported back when the frame was written, or never will be.
    pub tag: Option<Uuid>,
}

impl Frame {
    /// A frame of its own that nobody waits for.
    #[must_use]
    pub fn plain(text: String) -> Self {
        Self { head: text, shared: None, tag: None }
    }

    /// Bytes of text.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.shared.as_ref().map_or(0, |shared| shared.len())
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotQueued {
    #[error("not connected")]
    NotConnected,
    #[error("another agent is connected with this certname than when the run was started")]
    AnotherAgent,
    #[error("the session does not read what is sent to it: {OUTBOX_CAPACITY} frames wait")]
    Full,
}

/// What the writer has to send next.
#[derive(Debug)]
pub(crate) enum Next {
    Frame(Frame),
    /// The answer to a peer's ping.
    Pong(Vec<u8>),
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Only the newest ping is answered, as RFC 6455 allows.
    pong: Option<Vec<u8>>,
    closed: bool,
}

/// The queue of one session.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    arrived: Notify,
    depths: Arc<Depths>,
}

impl Outbox {
    /// An empty queue, counted there.
    pub(super) fn new(depths: Arc<Depths>) -> Self {
        Self { state: Mutex::default(), arrived: Notify::default(), depths }
    }

    /// Queues a frame.
    ///
    /// # Errors
    /// When the session has ended, or too much waits.
    pub(crate) fn push(&self, frame: Frame) -> Result<(), NotQueued> {
        {
            let mut state = self.state.lock();
            if state.closed {
                return Err(NotQueued::NotConnected);
            }
            let bytes = state.bytes + frame.len();
            if state.frames.len() >= OUTBOX_CAPACITY || (bytes > OUTBOX_BYTES && !state.frames.is_empty()) {
                return Err(NotQueued::Full);
            }
            state.bytes = bytes;
            state.frames.push_back(frame);
            self.depths.moved(state.frames.len() - 1, state.frames.len());
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// Has a peer's ping answered.
    pub(crate) fn pong(&self, payload: Vec<u8>) {
        self.state.lock().pong = Some(payload);
        self.arrived.notify_one();
    }

    /// What is there to send, without waiting.
    pub(crate) fn try_next(&self) -> Option<Next> {
        let mut state = self.state.lock();
        if let Some(payload) = state.pong.take() {
            return Some(Next::Pong(payload));
        }
        let frame = state.frames.pop_front()?;
        state.bytes -= frame.len();
        self.depths.moved(state.frames.len() + 1, state.frames.len());
        if state.frames.is_empty() {
            // A burst must not leave its memory with a session that is idle for days.
            state.frames = VecDeque::new();
        }
        Some(Next::Frame(frame))
    }

    /// What is there to send. Cancel-safe; one waiter only.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.arrived.notified().await;
        }
    }

    /// Ends the queue; returns the frames that were never begun.
    pub(crate) fn close(&self) -> Vec<Frame> {
        let mut state = self.state.lock();
        state.closed = true;
        state.bytes = 0;
        self.depths.moved(state.frames.len(), 0);
        std::mem::take(&mut state.frames).into()
    }
}

impl Drop for Outbox {
    /// A session that ended without closing its queue must not be counted forever.
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::depths::QueueDepth;
    use super::*;

    fn frame(text: &str) -> Frame {
        Frame { tag: Some(Uuid::from_u128(text.len() as u128)), ..Frame::plain(text.to_owned()) }
    }

    #[test]
    fn the_newest_frame_is_refused_when_full() {
        let outbox = Outbox::default();
        for _ in 0..OUTBOX_CAPACITY {
            outbox.push(frame("x")).unwrap();
        }
        assert_eq!(outbox.push(frame("y")), Err(NotQueued::Full));
        assert!(outbox.try_next().is_some());
        outbox.push(frame("y")).unwrap();
        assert_eq!(outbox.close().len(), OUTBOX_CAPACITY);
        assert_eq!(outbox.push(frame("z")), Err(NotQueued::NotConnected));
    }

    #[test]
    fn one_frame_fits_whatever_its_size() {
        let outbox = Outbox::default();
        let shared: Arc<str> = "x".repeat(OUTBOX_BYTES + 1).into();
        let large = Frame { shared: Some(shared), ..frame("a") };
        outbox.push(large.clone()).unwrap();
        assert_eq!(outbox.push(frame("b")), Err(NotQueued::Full));
        assert!(matches!(outbox.try_next(), Some(Next::Frame(first)) if first.len() == large.len()));
        outbox.push(frame("b")).unwrap();
    }

    #[tokio::test]
    async fn a_pong_overtakes_frames() {
        let outbox = Outbox::default();
        outbox.push(frame("a")).unwrap();
        outbox.pong(b"old".to_vec());
        outbox.pong(b"new".to_vec());
        assert!(matches!(outbox.next().await, Next::Pong(payload) if payload == b"new"));
        assert!(matches!(outbox.next().await, Next::Frame(frame) if frame.head == "a"));
        assert!(outbox.try_next().is_none());
    }

    #[test]
    fn what_waits_is_counted_over_all_queues() {
        let depths: Arc<Depths> = Arc::default();
        let [one, two] = [(); 2].map(|()| Outbox::new(Arc::clone(&depths)));
        for _ in 0..3 {
            one.push(frame("x")).unwrap();
        }
        two.push(frame("y")).unwrap();
        assert_eq!(depths.read(), QueueDepth { total: 4, most: 3 });
        assert!(one.try_next().is_some() && two.try_next().is_some());
        assert_eq!(depths.read(), QueueDepth { total: 2, most: 2 });
        two.push(frame("y")).unwrap();
        one.close();
        assert_eq!(depths.read(), QueueDepth { total: 1, most: 1 });
        drop(two);
        assert_eq!(depths.read(), QueueDepth { total: 0, most: 0 });
    }
}
