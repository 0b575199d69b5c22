//! Reads whole messages from a peer.
//!
//! A large message is admitted to the budget of [`Inflight`] before it is read; the reasoning stands there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::inflight::{Inflight, SMALL, Share, deadline};
use super::frame::{FrameError, FrameHead, Opcode, close_code, head_length, parse_head, unmask};

/// Payload is read in steps of at most this size, so that a peer's claim about a length allocates nothing by itself.
const READ_STEP: usize = 64 * 1024;

/// One thing that a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// With its code, where it has one.
    Close(Option<u16>),
}

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    #[error("nothing was received for the idle time-out")]
    Idle,
    #[error("a large message did not arrive in time")]
    Slow,
    #[error("large messages of other sessions left no memory for one of this for the idle time-out")]
    Crowded,
    #[error("a message is larger than the limit of {0} bytes")]
    TooLarge(usize),
    #[error("broken WebSocket frame: {0}")]
    Frame(#[from] FrameError),
}

/// Reads messages, one after the other.
pub(crate) struct MessageReader<R> {
    stream: R,
    idle: Duration,
    limit: usize,
    inflight: Arc<Inflight>,
    /// The message of which some fragments are here.
    partial: Option<(Opcode, Vec<u8>)>,
    /// What the message under way has of the budget, or the one that was handed over last.
    admitted: Option<Admitted>,
}

/// A large message that may be read.
struct Admitted {
    share: Share,
    until: Instant,
}

impl<R: AsyncRead + Unpin> MessageReader<R> {
    /// `idle`: the longest silence; `limit`: the largest message in bytes; `inflight`: shared with all other readers.
    pub(in crate::broker) fn new(stream: R, idle: Duration, limit: usize, inflight: Arc<Inflight>) -> Self {
        Self { stream, idle, limit, inflight, partial: None, admitted: None }
    }

    /// Bytes of memory of the message under way between its fragments.
    pub(super) fn memory(&self) -> usize {
        self.partial.as_ref().map_or(0, |(_, message)| message.capacity())
    }

    /// Gives up the message under way and what it holds: no more is read.
    pub(crate) fn finish(&mut self) {
        self.partial = None;
        self.admitted = None;
    }

    /// The stream, when reading is over.
    pub(crate) fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The next message or control frame; the one before counts as handled. Not cancel-safe: once dropped half-way, the
    /// reader is of no more use.
    pub(crate) async fn next(&mut self) -> Result<Incoming, ReadError> {
        if self.partial.is_none() {
            self.admitted = None;
        }
        loop {
            let head = self.head().await?;
            let incoming = if head.opcode.is_control() {
                let payload = self.payload(head, Vec::new()).await?;
                Some(control(head.opcode, payload)?)
            } else {
                self.data(head).await?
            };
            if let Some(incoming) = incoming {
                return Ok(incoming);
            }
        }
    }

    async fn head(&mut self) -> Result<FrameHead, ReadError> {
        let mut bytes = [0_u8; 14];
        self.fill(&mut bytes[..2]).await?;
        // The first two bytes alone can be wrong already, and then the rest may never come.
        parse_head(&bytes[..2])?;
        let length = head_length([bytes[0], bytes[1]]);
        self.fill(&mut bytes[2..length]).await?;
        Ok(parse_head(&bytes[..length])?.expect("a head of full length is complete"))
    }

    async fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        let silent = Instant::now() + self.idle;
        let (until, error) = match &self.admitted {
            Some(admitted) if admitted.until < silent => (admitted.until, ReadError::Slow),
            _ => (silent, ReadError::Idle),
        };
        timeout_at(until, self.stream.read_exact(buffer)).await.map_err(|_| error)??;
        Ok(())
    }

    async fn data(&mut self, head: FrameHead) -> Result<Option<Incoming>, ReadError> {
        let (opcode, before) = match (head.opcode, self.partial.take()) {
            (Opcode::Continuation, Some(partial)) => partial,
            (Opcode::Continuation, None) => return Err(FrameError::StrayContinuation.into()),
            (_, Some(_)) => return Err(FrameError::Interleaved.into()),
            (opcode, None) => (opcode, Vec::new()),
        };
        let payload = self.payload(head, before).await?;
        if !head.last {
            self.partial = Some((opcode, payload));
            return Ok(None);
        }
        Ok(Some(match opcode {
            Opcode::Text => Incoming::Text(String::from_utf8(payload).map_err(|_| FrameError::NotUtf8)?),
            _ => Incoming::Binary(payload),
        }))
    }

    /// Reads a frame's payload behind what is in `message` already.
    async fn payload(&mut self, head: FrameHead, mut message: Vec<u8>) -> Result<Vec<u8>, ReadError> {
        let start = message.len();
        let room = self.limit.saturating_sub(start);
        let length = usize::try_from(head.length).ok().filter(|length| *length <= room);
        let length = length.ok_or(ReadError::TooLarge(self.limit))?;
        let total = start + length;
        if !head.opcode.is_control() {
            self.admit(total, head.last).await?;
        }
        let most = match (head.last, &self.admitted) {
            (true, _) => total,
            (false, Some(_)) => self.limit,
            (false, None) => SMALL.min(self.limit),
        };
        while message.len() < total {
            let done = message.len();
            let step = READ_STEP.min(total - done);
            make_room(&mut message, step, most);
            message.resize(done + step, 0);
            self.fill(&mut message[done..]).await?;
            unmask(&mut message[done..], head.mask, done - start);
        }
        Ok(message)
    }

    /// Sees to it that the message under way, of which so many bytes are known now, may be read.
    async fn admit(&mut self, total: usize, last: bool) -> Result<(), ReadError> {
        if let Some(admitted) = &mut self.admitted {
            if last {
                admitted.share.shrink(total);
            }
            return Ok(());
        }
        if total <= SMALL {
            return Ok(());
        }
        let bytes = if last { total } else { self.limit };
        let share = timeout(self.idle, self.inflight.take(bytes)).await.map_err(|_| ReadError::Crowded)?;
        self.admitted = Some(Admitted { share, until: Instant::now() + deadline(self.idle, bytes) });
        Ok(())
    }
}

/// Makes room for a step. Doubled, so that a message of many small pieces is not copied for each of them, but never more
/// than the message may still become.
fn make_room(message: &mut Vec<u8>, step: usize, most: usize) {
    let needed = message.len() + step;
    if message.capacity() < needed {
        let capacity = message.capacity().saturating_mul(2).min(most).max(needed);
        message.reserve_exact(capacity - message.len());
    }
}

fn control(opcode: Opcode, payload: Vec<u8>) -> Result<Incoming, FrameError> {
    Ok(match opcode {
        Opcode::Ping => Incoming::Ping(payload),
        Opcode::Pong => Incoming::Pong,
        _ => Incoming::Close(close_code(&payload)?),
    })
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::super::frame;
    use super::*;

    fn wire(last: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = frame::head(opcode, payload.len());
        if !last {
            bytes[0] &= 0x7f;
        }
        bytes[1] |= 0x80;
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    async fn read_all(bytes: &[u8], limit: usize) -> (Vec<Incoming>, ReadError) {
        let mut reader = MessageReader::new(bytes, Duration::from_secs(1), limit, Inflight::new(limit, limit));
        let mut seen = Vec::new();
        loop {
            match reader.next().await {
                Ok(incoming) => seen.push(incoming),
                Err(error) => return (seen, error),
            }
        }
    }

    #[tokio::test]
    async fn fragments_are_joined_around_control_frames() {
        let bytes = [
            wire(false, Opcode::Text, "häl".as_bytes()),
            wire(true, Opcode::Ping, b"?"),
            wire(true, Opcode::Continuation, b"lo"),
            wire(true, Opcode::Binary, &[7; 70_000]),
            wire(true, Opcode::Close, &[]),
        ];
        let (seen, end) = read_all(&bytes.concat(), 1 << 20).await;
        let expected = [
            Incoming::Ping(b"?".to_vec()),
            Incoming::Text("hällo".into()),
            Incoming::Binary(vec![7; 70_000]),
            Incoming::Close(None),
        ];
        assert_eq!(seen, expected);
        assert!(matches!(end, ReadError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof));
    }

    #[tokio::test]
    async fn the_limit_counts_the_whole_message() {
        let bytes: Vec<u8> = iter::once(wire(false, Opcode::Text, &[b'a'; 60]))
            .chain(iter::once(wire(true, Opcode::Continuation, &[b'a'; 41])))
            .flatten()
            .collect();
        assert!(matches!(read_all(&bytes, 101).await.0.as_slice(), [Incoming::Text(text)] if text.len() == 101));
        assert!(matches!(read_all(&bytes, 100).await.1, ReadError::TooLarge(100)));
    }

    #[tokio::test]
    async fn broken_sequences_and_texts_are_refused() {
        let stray = wire(true, Opcode::Continuation, b"x");
        let interleaved = [wire(false, Opcode::Text, b"x"), wire(true, Opcode::Text, b"y")].concat();
        let not_utf8 = wire(true, Opcode::Text, &[0xff]);
        for (bytes, expected) in [
            (stray, FrameError::StrayContinuation),
            (interleaved, FrameError::Interleaved),
            (not_utf8, FrameError::NotUtf8),
        ] {
            assert!(matches!(read_all(&bytes, 100).await.1, ReadError::Frame(error) if error == expected));
        }
    }

    #[tokio::test]
    async fn silence_ends_the_reading() {
        let (_peer, stream) = tokio::io::duplex(64);
        let mut reader = MessageReader::new(stream, Duration::from_millis(5), 100, Inflight::new(100, 100));
        assert!(matches!(reader.next().await, Err(ReadError::Idle)));
    }
}
