//! The task of one session: reads, writes, and ends for exactly one reason.
//!
//! Reading and writing go on side by side, so that a peer that does not read can still be heard, and the other way
//! round. However the task ends, by an error, a stop, a panic or the end of the runtime, its membership is given up and
//! every frame that was never begun is reported as unsent.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use uuid::Uuid;

use super::outbox::{Frame, Next};
use super::router::{Flow, Router};
use super::sessions::{Session, Stop};
use super::ws::{self, Close, Incoming, MessageReader, Opcode, ReadError};

/// So long a peer has to take a close frame and to end its side.
const LINGER: Duration = Duration::from_secs(2);
/// Frames are gathered up to this size and written together.
const WRITE_STEP: usize = 16 * 1024;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer closed it")]
    ByPeer(Option<u16>),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("writing failed: {0}")]
    Write(io::Error),
    #[error("the peer takes no data")]
    Stuck,
    #[error("a newer session of the same client took over")]
    Superseded,
    #[error("closed with {}: {}", .0.code, .0.reason)]
    Closed(Close),
    #[error("closed with {}: {}", .1.code, .1.reason)]
    Refused(String, Close),
}

impl End {
    /// The close frame that the peer gets, if it can get one.
    fn close(&self) -> Option<Close> {
        let (code, reason) = match self {
            // Its own code comes back (RFC 6455 §5.5.1).
            Self::ByPeer(code) => (code.unwrap_or(1000), ""),
            Self::Read(ReadError::TooLarge(_)) => (1009, "Message too large."),
            Self::Read(ReadError::Frame(ws::FrameError::NotUtf8 | ws::FrameError::ReasonNotUtf8)) => {
                (1007, "Text is not UTF-8.")
            }
            Self::Read(ReadError::Frame(_)) => (1002, "Broken WebSocket frame."),
            Self::Read(ReadError::Idle) => (1001, "Idle timeout."),
            Self::Read(ReadError::Slow) => (1008, "Message too slow."),
            Self::Read(ReadError::Crowded) => (1013, "Too many large messages."),
            Self::Closed(close) | Self::Refused(_, close) => return Some(*close),
            Self::Read(ReadError::Io(_)) | Self::Write(_) | Self::Stuck | Self::Superseded => return None,
        };
        Some(Close { code, reason })
    }
}

/// Gives up a session's place when dropped.
struct Membership {
    session: Arc<Session>,
    router: Arc<Router>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let present = self.router.sessions.leave(&self.session);
        for tag in self.session.outbox.close().into_iter().filter_map(|frame| frame.tag) {
            self.router.controller.unsent(tag);
        }
        if present && self.session.is_agent() {
            self.router.controller.disconnected(&self.session.peer);
        }
    }
}

/// Runs a session that has joined: announces it, answers the upgrade, and returns when it is over.
pub(super) async fn run<S>(stream: S, upgraded: String, session: Arc<Session>, router: Arc<Router>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let options = &router.options;
    let mut reader =
        MessageReader::new(reader, options.idle_timeout, options.max_message_size, Arc::clone(&router.inflight));
    let mut writer = Writer { stream: writer, timeout: options.write_timeout, in_frame: false };
    let membership = Membership { session: Arc::clone(&session), router: Arc::clone(&router) };
    if session.is_agent() {
        router.controller.connected(&session.peer);
    }
    tracing::debug!(node = %session.peer.node, uri = %session.peer.uri, generation = session.peer.generation, "session opened");
    let end = match writer.write(upgraded.as_bytes()).await {
        Err(end) => end,
        Ok(()) => tokio::select! {
            end = listen(&mut reader, &session, &router) => end,
            end = talk(&mut writer, &session, &router) => end,
            stop = session.stopped() => match stop {
                Stop::Superseded => End::Superseded,
                Stop::Close(close) => End::Closed(close),
            },
        },
    };
    // The goodbye may take a while; others need the memory.
    reader.finish();
    if let End::Read(ReadError::Slow | ReadError::Crowded) = &end {
        tracing::warn!(node = %session.peer.node, reason = %end, "a large message was given up");
    }
    drop(membership);
    tracing::debug!(node = %session.peer.node, uri = %session.peer.uri, generation = session.peer.generation, reason = %end, "session ended");
    if let Some(close) = end.close().filter(|_| !writer.in_frame) {
        // A peer that is gone, or does not answer, only costs the linger time.
        let last_words = if let End::Refused(text, _) = &end { Some(text.as_str()) } else { None };
        let _ = timeout(LINGER, say_goodbye(&mut writer, &mut reader, last_words, close)).await;
    }
}

/// Reads and handles messages until something ends the session.
async fn listen<R: AsyncRead + Unpin>(reader: &mut MessageReader<R>, session: &Session, router: &Router) -> End {
    loop {
        let flow = match reader.next().await {
            Ok(Incoming::Text(text)) => router.receive(session, &text),
            Ok(Incoming::Binary(_)) => router.undecodable(session),
            Ok(Incoming::Ping(payload)) => {
                session.outbox.pong(payload);
                Flow::Continue
            }
            Ok(Incoming::Pong) => Flow::Continue,
            Ok(Incoming::Close(code)) => return End::ByPeer(code),
            Err(error) => return error.into(),
        };
        match flow {
            Flow::Continue => {}
            Flow::Superseded => return End::Superseded,
            Flow::Close(last_words, close) => return End::Refused(last_words, close),
        }
    }
}

/// Writes what is queued until writing fails; pings a peer to which nothing was sent for a while.
async fn talk<W: AsyncWrite + Unpin>(writer: &mut Writer<W>, session: &Session, router: &Router) -> End {
    loop {
        let next = match router.options.ping_interval {
            Some(interval) => timeout(interval, session.outbox.next()).await.ok(),
            None => Some(session.outbox.next().await),
        };
        let written = match next {
            Some(next) => writer.burst(next, session, router).await,
            None => writer.write(&ws::head(Opcode::Ping, 0)).await,
        };
        if let Err(end) = written {
            return end;
        }
    }
}

/// Sends what is left to say and the close frame, then reads until the peer has ended its side: unread data would reset the connection and
/// could take the close frame with it.
async fn say_goodbye<R, W>(
    writer: &mut Writer<W>,
    reader: &mut MessageReader<R>,
    last_words: Option<&str>,
    close: Close,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut frame = Vec::new();
    if let Some(text) = last_words {
        frame.extend(ws::head(Opcode::Text, text.len()));
        frame.extend(text.as_bytes());
    }
    let payload = ws::close_payload(close);
    frame.extend(ws::head(Opcode::Close, payload.len()));
    frame.extend(payload);
    writer.stream.write_all(&frame).await?;
    writer.stream.shutdown().await?;
    let mut waste = vec![0; 4096];
    while reader.stream().read(&mut waste).await? > 0 {}
    Ok(())
}

/// The writing half.
struct Writer<W> {
    stream: W,
    timeout: Duration,
    /// Something was begun and not completed: nothing else fits behind it.
    in_frame: bool,
}

/// Reports the tags of a burst when it is over: what was begun counts as sent, whatever became of it.
struct Begun<'a> {
    tags: Vec<Uuid>,
    router: &'a Router,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        for tag in self.tags.drain(..) {
            self.router.controller.sent(tag);
        }
    }
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes this and what else waits, up to one step, with one flush.
    async fn burst(&mut self, first: Next, session: &Session, router: &Router) -> Result<(), End> {
        let mut begun = Begun { tags: Vec::new(), router };
        let mut buffer = Vec::new();
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Next::Pong(payload) => {
                    buffer.extend(ws::head(Opcode::Pong, payload.len()));
                    buffer.extend(payload);
                }
                Next::Frame(frame) => {
                    begun.tags.extend(frame.tag);
                    self.append(&mut buffer, frame).await?;
                }
            }
            next = if buffer.len() < WRITE_STEP { session.outbox.try_next() } else { None };
        }
        self.write(&buffer).await
    }

    /// Gathers a frame in the buffer; a large shared part is written from where it is.
    async fn append(&mut self, buffer: &mut Vec<u8>, frame: Frame) -> Result<(), End> {
        buffer.extend(ws::head(Opcode::Text, frame.len()));
        buffer.extend(frame.head.as_bytes());
        match frame.shared {
            Some(shared) if shared.len() > WRITE_STEP => {
                let gathered = std::mem::take(buffer);
                self.write_unflushed(&gathered).await?;
                self.write_unflushed(shared.as_bytes()).await
            }
            Some(shared) => {
                buffer.extend(shared.as_bytes());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Writes whole frames to the socket.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.write_unflushed(bytes).await?;
        within(self.timeout, self.stream.flush()).await?;
        self.in_frame = false;
        Ok(())
    }

    async fn write_unflushed(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.in_frame = true;
        for step in bytes.chunks(WRITE_STEP) {
            within(self.timeout, self.stream.write_all(step)).await?;
        }
        Ok(())
    }
}

async fn within(limit: Duration, work: impl Future<Output = io::Result<()>>) -> Result<(), End> {
    timeout(limit, work).await.map_err(|_| End::Stuck)?.map_err(End::Write)
}

#[cfg(test)]
mod tests {
    use super::super::sessions::{AGENT, Newcomer, Sessions};
    use super::super::{Controller, Options, Peer};
    use super::*;
    use crate::wire::pcp::{Message, Uri};

    struct Deaf;

    impl Controller for Deaf {
        fn connected(&self, _: &Peer) {}
        fn disconnected(&self, _: &Peer) {}
        fn received(&self, _: &Peer, _: Message) {}
        fn sent(&self, _: Uuid) {}
        fn unsent(&self, _: Uuid) {}
    }

    #[test]
    fn every_end_has_the_code_of_the_documentation() {
        let read = |error: ReadError| End::from(error).close().map(|close| close.code);
        let codes = [
            read(ReadError::Idle),
            read(ws::FrameError::Unmasked.into()),
            read(ws::FrameError::BadCloseCode(1005).into()),
            read(ws::FrameError::NotUtf8.into()),
            read(ws::FrameError::ReasonNotUtf8.into()),
            read(ReadError::Slow),
            read(ReadError::TooLarge(1)),
            read(ReadError::Crowded),
            read(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            End::ByPeer(Some(4000)).close().map(|close| close.code),
            End::ByPeer(None).close().map(|close| close.code),
        ];
        let expected = [1001, 1002, 1002, 1007, 1007, 1008, 1009, 1013].map(Some);
        assert_eq!(codes[..8], expected);
        assert_eq!(codes[8..], [None, Some(4000), Some(1000)]);
    }

    /// Tens of thousands of these wait at once, so what a session's task keeps is part of its contract.
    #[test]
    fn the_task_of_a_session_is_small() {
        let options = Options::new("127.0.0.1:0".parse().unwrap(), Uri::of("o", "orchestrator"));
        let sessions = Sessions::new();
        let node = "a".to_owned().try_into().unwrap();
        let newcomer =
            Newcomer { node, kind: AGENT.to_owned(), spool: None, agent: None, facts: None, chain: Vec::new() };
        let session = sessions.join(newcomer, 1, |_| true).unwrap();
        let router = Arc::new(Router::new(options, sessions, Arc::new(Deaf)));
        let task = run(tokio::io::empty(), String::new(), session, router);
        assert!(size_of_val(&task) <= 4096, "{} bytes", size_of_val(&task));
    }
}
