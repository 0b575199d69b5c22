//! What must hold of the reader for any bytes. Property tests and the fuzz target call the same function.
//!
//! The oracle is tungstenite's server side, which reads the same bytes. Where the two may differ, and why, is the table of
//! [`Difference`]; everything else that differs is a bug of ours.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::frame::FrameError;
use super::read::{Incoming, MessageReader, ReadError};

/// The largest message of both.
pub const LIMIT: usize = 300;

/// A message or control frame.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
}

/// Why no more is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With this code in the close frame that goes back; `None` without one.
    Closed(Option<u16>),
    Protocol,
    TooLarge,
    NotUtf8,
    /// The bytes are at their end.
    Lost,
}

/// How ours may differ from the oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// Ours judges a head as soon as it is there, the oracle when the payload is: then that may be missing, or too large
    /// (RFC 6455 §7.1.7 sets no moment).
    HeadFirst,
    /// The oracle ends at the first fragment that is not UTF-8, ours at the end of the message; control frames in between
    /// are heard, and one of them may be a close (§5.6 and §8.1 set no moment either).
    TextWhole,
    /// The code 1014 came into IANA's registry after the RFC; ours takes it for one, the oracle for none (§7.4.2).
    BadGateway,
    /// Ours answers a close without a code with 1000, the oracle with an empty frame (§5.5.1: "typically echoes").
    EmptyClose,
    /// Control frames whose length stands in the long form: the oracle takes those that are short all the same, and goes on.
    /// Ours does not (§5.2: the least number of bytes must be used; §5.5: at most 125).
    LongControl,
    /// A close frame that is wrong twice, in its code and in its reason: which is told first is open (§5.5.1).
    WrongTwice,
}

/// Reads the bytes with both, once in pieces of these sizes (all at once when there are none), and compares.
///
/// # Panics
/// When they differ in a way that is not in the table, or when ours depends on the pieces.
pub fn frames(bytes: &[u8], sizes: &[u8]) {
    let (heard, end, error) = ours(bytes, sizes);
    assert_eq!((&heard, end, error), (&ours(bytes, &[]).0, ours(bytes, &[]).1, error), "pieces change what is read");
    let (expected, theirs) = oracle(bytes, sizes);
    let is_prefix = heard.starts_with(&expected);
    let difference = match (end, theirs) {
        _ if error == Some(FrameError::BadControlFrame) && expected.starts_with(&heard) => {
            Some(Difference::LongControl)
        }
        (ours, theirs) if ours == theirs => None,
        // Told as closed, and answered as broken.
        (End::Protocol, End::Closed(Some(1002))) if is_close(error) => None,
        (End::Closed(Some(1014)), End::Closed(Some(1002))) => Some(Difference::BadGateway),
        (End::Closed(Some(1000)), End::Closed(None)) => Some(Difference::EmptyClose),
        (_, End::NotUtf8) if is_prefix => Some(Difference::TextWhole),
        (End::Protocol | End::TooLarge, End::Lost | End::TooLarge) => Some(Difference::HeadFirst),
        (End::Protocol, End::NotUtf8) | (End::NotUtf8, End::Protocol) if is_close(error) => {
            Some(Difference::WrongTwice)
        }
        _ => panic!("ours ends with {end:?} ({error:?}), the oracle with {theirs:?}"),
    };
    let later_controls = heard.iter().skip(expected.len()).all(|heard| matches!(heard, Heard::Ping(_) | Heard::Pong));
    if difference == Some(Difference::LongControl) {
        // What the oracle makes of the rest is not compared.
    } else if difference == Some(Difference::TextWhole) || theirs == End::NotUtf8 {
        assert!(is_prefix && later_controls, "ours heard {heard:?}, the oracle {expected:?}");
    } else {
        assert_eq!(heard, expected, "{difference:?}");
    }
    let longest = heard.iter().map(|heard| match heard {
        Heard::Text(text) => text.len(),
        Heard::Binary(bytes) | Heard::Ping(bytes) => bytes.len(),
        Heard::Pong => 0,
    });
    assert!(longest.max().unwrap_or_default() <= LIMIT, "the limit holds");
}

fn is_close(error: Option<FrameError>) -> bool {
    matches!(error, Some(FrameError::BadCloseCode(_) | FrameError::ReasonNotUtf8))
}

fn ours(bytes: &[u8], sizes: &[u8]) -> (Vec<Heard>, End, Option<FrameError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    runtime.block_on(async {
        let mut reader = MessageReader::new(Pieces::new(bytes, sizes), Duration::from_secs(3_600), LIMIT);
        let mut heard = Vec::new();
        loop {
            let (end, error) = match reader.next().await {
                Ok(Incoming::Text(text)) => {
                    heard.push(Heard::Text(text));
                    continue;
                }
                Ok(Incoming::Binary(bytes)) => {
                    heard.push(Heard::Binary(bytes));
                    continue;
                }
                Ok(Incoming::Ping(bytes)) => {
                    heard.push(Heard::Ping(bytes));
                    continue;
                }
                Ok(Incoming::Pong) => {
                    heard.push(Heard::Pong);
                    continue;
                }
                Ok(Incoming::Close(code)) => (End::Closed(Some(code.unwrap_or(1000))), None),
                Err(ReadError::Io(_)) => (End::Lost, None),
                Err(ReadError::Idle) => panic!("all bytes are there at once"),
                Err(ReadError::TooLarge(_)) => (End::TooLarge, None),
                Err(ReadError::Frame(error @ (FrameError::NotUtf8 | FrameError::ReasonNotUtf8))) => {
                    (End::NotUtf8, Some(error))
                }
                Err(ReadError::Frame(error)) => (End::Protocol, Some(error)),
            };
            return (heard, end, error);
        }
    })
}

fn oracle(bytes: &[u8], sizes: &[u8]) -> (Vec<Heard>, End) {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut socket = WebSocket::from_raw_socket(Pieces::new(bytes, sizes), Role::Server, Some(config));
    let mut heard = Vec::new();
    loop {
        let end = match socket.read() {
            Ok(Message::Text(text)) => {
                heard.push(Heard::Text(text.as_str().to_owned()));
                continue;
            }
            Ok(Message::Binary(bytes)) => {
                heard.push(Heard::Binary(bytes.to_vec()));
                continue;
            }
            Ok(Message::Ping(bytes)) => {
                heard.push(Heard::Ping(bytes.to_vec()));
                continue;
            }
            Ok(Message::Pong(_)) => {
                heard.push(Heard::Pong);
                continue;
            }
            Ok(Message::Close(frame)) => End::Closed(frame.map(|frame| frame.code.into())),
            Ok(Message::Frame(_)) => panic!("frames are not read raw"),
            Err(Error::Utf8(_)) => End::NotUtf8,
            Err(Error::Capacity(_)) => End::TooLarge,
            Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => End::Lost,
            Err(Error::Protocol(_)) => End::Protocol,
            Err(other) => panic!("the oracle ends with {other}"),
        };
        return (heard, end);
    }
}

/// Bytes that arrive in pieces; what is written meanwhile is nobody's concern.
struct Pieces<'a> {
    left: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

impl<'a> Pieces<'a> {
    fn new(bytes: &'a [u8], sizes: &'a [u8]) -> Self {
        Self { left: bytes, sizes: sizes.iter().cycle() }
    }

    fn next(&mut self, room: usize) -> &'a [u8] {
        let size = self.sizes.next().map_or(usize::MAX, |size| usize::from(*size).max(1));
        let (piece, left) = self.left.split_at(size.min(room).min(self.left.len()));
        self.left = left;
        piece
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let piece = self.next(buffer.remaining());
        buffer.put_slice(piece);
        Poll::Ready(Ok(()))
    }
}

impl io::Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.next(buffer.len());
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

impl io::Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
