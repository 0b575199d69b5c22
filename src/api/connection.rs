//! One client's connection: who is behind it, and how long it may keep us waiting.
//!
//! The HTTP layer itself bounds the first head of a connection and silence between requests, and handlers bound the
//! bodies that they read. What it leaves open is bounded here: every later head, bodies that nobody reads, and clients
//! that do not read. What it
//! refuses without a word gets its words here as well (`refusal`). No request is looked into.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bunraku_actors::model::CertName;
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::refusal;
use super::seats::Seat;

/// What requests can learn of the connection on which they came.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// From the client's certificate.
    pub(super) certname: Option<CertName>,
    pub(super) activity: Rc<Activity>,
}

/// How long a connection may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the first byte of a request to the end of its head.
    pub(super) head: Duration,
    /// Between requests.
    pub(super) idle: Duration,
    /// While the client takes nothing of what is sent.
    pub(super) stall: Duration,
}

/// A timer that is made when it is needed.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, deadline: Instant, ctx: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(ctx)
    }
}

/// What happens on a connection, shared with the requests that come on it.
#[derive(Debug)]
pub(super) struct Activity {
    /// Requests that are being answered.
    answering: Cell<usize>,
    /// When there were none any more.
    quiet_since: Cell<Instant>,
    /// When the first byte came since then.
    heard_since: Cell<Option<Instant>>,
    /// Whether the end of an answer may not be sent yet: what is written meanwhile is its own.
    tail: Cell<bool>,
    room: Room,
}

/// Whether there was room for a connection when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// It is one too many: it is told so and closed.
    None,
}

impl Activity {
    fn new(room: Room) -> Self {
        let now = Instant::now();
        Self {
            answering: Cell::new(0),
            quiet_since: Cell::new(now),
            heard_since: Cell::new(None),
            tail: Cell::new(false),
            room,
        }
    }

    pub(super) fn room(&self) -> Room {
        self.room
    }

    /// Marks a request as being answered until the mark is dropped, which is with the last of the answer's body.
    pub(super) fn answer(self: &Rc<Self>) -> Answering {
        self.answering.set(self.answering.get() + 1);
        Answering(Rc::clone(self))
    }

    /// Whether what is written now is said by nobody but the HTTP layer.
    fn is_between_answers(&self) -> bool {
        self.answering.get() == 0 && !self.tail.get()
    }

    /// Everything that was written is sent.
    fn sent(&self) {
        self.tail.set(false);
    }

    fn heard(&self) {
        if self.answering.get() == 0 && self.heard_since.get().is_none() {
            self.heard_since.set(Some(Instant::now()));
        }
    }

    /// When patience ends; never while a request is being answered.
    fn deadline(&self, patience: &Patience) -> Option<Instant> {
        if self.answering.get() > 0 {
            return None;
        }
        let silent = self.quiet_since.get() + patience.idle;
        Some(self.heard_since.get().map_or(silent, |since| since + patience.head))
    }
}

/// See [`Activity::answer`].
pub(super) struct Answering(Rc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        let left = self.0.answering.get().saturating_sub(1);
        self.0.answering.set(left);
        self.0.tail.set(true);
        if left == 0 {
            self.0.quiet_since.set(Instant::now());
            self.0.heard_since.set(None);
        }
    }
}

/// A TLS stream with patience.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    patience: Patience,
    reading: Timer,
    writing: Timer,
    /// Since when the client takes nothing.
    stalled_since: Option<Instant>,
    /// What goes out before anything else.
    unsent: Bytes,
    _seat: Seat,
}

impl Connection {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        certname: Option<CertName>,
        patience: Patience,
        (seat, room): (Seat, Room),
    ) -> Self {
        let peer = Peer { certname, activity: Rc::new(Activity::new(room)) };
        Self {
            stream,
            peer,
            patience,
            reading: Timer::default(),
            writing: Timer::default(),
            stalled_since: None,
            unsent: Bytes::new(),
            _seat: seat,
        }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Waits for more, no longer than patience lasts. A head that was begun is refused with 408.
    fn wait(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deadline) = self.peer.activity.deadline(&self.patience) else { return Poll::Pending };
        ready!(self.reading.poll(deadline, ctx));
        if self.peer.activity.heard_since.get().is_some() && self.unsent.is_empty() {
            self.unsent = refusal::slow_head();
            // Whoever does not take it at once gets none.
            let _ = self.send_unsent(ctx);
            let _ = Pin::new(&mut self.stream).poll_flush(ctx);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Gives a client up that takes nothing for too long, whatever it sends meanwhile.
    fn sent<T>(&mut self, result: Poll<io::Result<T>>, ctx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled_since = None;
            return result;
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        ready!(self.writing.poll(since + self.patience.stall, ctx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn send_unsent(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(ctx, &self.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(ctx, buf) {
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    self.peer.activity.heard();
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.wait(ctx),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.send_unsent(ctx))?;
        if self.peer.activity.is_between_answers()
            && let Some(answer) = refusal::with_words(data)
        {
            self.unsent = answer;
            return Poll::Ready(Ok(data.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(ctx, data);
        self.sent(result, ctx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_unsent(ctx))?;
        let result = Pin::new(&mut self.stream).poll_flush(ctx);
        ready!(self.sent(result, ctx))?;
        self.peer.activity.sent();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_unsent(ctx))?;
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lasts_until_it_is_sent() {
        let activity = Rc::new(Activity::new(Room::Enough));
        assert!(activity.is_between_answers());
        let (one, other) = (activity.answer(), activity.answer());
        drop(one);
        activity.sent();
        assert!(!activity.is_between_answers(), "the other is not over");
        drop(other);
        assert!(!activity.is_between_answers(), "its end may not be sent yet");
        activity.sent();
        assert!(activity.is_between_answers());
    }

    #[tokio::test(start_paused = true)]
    async fn patience_is_for_silence_then_for_the_head_and_never_for_an_answer() {
        let seconds = Duration::from_secs;
        let patience = Patience { head: seconds(15), idle: seconds(75), stall: seconds(30) };
        let activity = Rc::new(Activity::new(Room::Enough));
        let begun = Instant::now();
        assert_eq!(activity.deadline(&patience), Some(begun + patience.idle));
        for step in [10, 20, 40] {
            tokio::time::advance(seconds(step)).await;
            activity.heard();
        }
        let first = begun + seconds(10);
        assert_eq!(activity.deadline(&patience), Some(first + patience.head), "later bytes win no time");
        let answering = activity.answer();
        activity.heard();
        assert_eq!(activity.deadline(&patience), None);
        drop(answering);
        assert_eq!(activity.deadline(&patience), Some(Instant::now() + patience.idle));
    }
}
