//! What must hold of the reader for any bytes. Property tests and the fuzz target call the same function.
//!
//! The oracle is tungstenite's server side, which reads the same bytes. Where the two may differ, and why, is the table of
//! [`Difference`], each with the exact circumstances in [`difference`]; everything else that differs is a bug of ours. What
//! both take although a sender must not send it: a length in a longer form than it needs, on data frames (RFC 6455 §5.2
//! forbids to send it, and asks no receiver to fail for it; refusing it would protect nothing).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::super::inflight::{Inflight, Receiving};
use super::frame::FrameError;
use super::read::{Incoming, MessageReader, ReadError};

/// The largest message of both.
pub const LIMIT: usize = 300;
/// Bytes of the longest frame head.
const LONGEST_HEAD: usize = 14;

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
    /// Ours judges a head as soon as it is there, the oracle when the payload is: that may be missing, or its announced
    /// length too large, which the oracle tells first (RFC 6455 §7.1.7 sets no moment).
    HeadFirst,
    /// The oracle ends at the first fragment that is not UTF-8, ours at the end of the message: control frames in between
    /// are heard, and one of them, or a broken frame, may end it before (§8.1 and §5.6 set no moment either).
    TextWhole,
    /// The code 1014 came into IANA's registry after the RFC; ours takes it for one, the oracle for none (§7.4.2).
    BadGateway,
    /// Ours answers a close without a code with 1000, the oracle with an empty frame (§5.5.1: "typically echoes").
    EmptyClose,
    /// Control frames whose length stands in a longer form: the oracle takes those that are short all the same, and goes on;
    /// ours does not (§5.2: the least number of bytes must be used; §5.5: at most 125, so there is never need of one).
    LongControl,
    /// A close frame that is wrong twice, in its code and in its reason: the oracle tells the reason first, ours the code
    /// (§7.4.1 and §8.1 both say that the connection fails, not which of the two codes goes back).
    WrongTwice,
}

/// What one side made of the bytes.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    heard: Vec<Heard>,
    end: End,
    /// Ours says more precisely what was wrong, …
    error: Option<FrameError>,
    /// … and takes no byte more than it has judged.
    taken: usize,
}

/// Reads the bytes with both, in pieces of these sizes (all at once when there are none), and compares.
///
/// # Panics
/// When they differ in a way that is not in the table, or when ours depends on the pieces.
pub fn frames(bytes: &[u8], sizes: &[u8]) {
    frames_within(bytes, sizes, LIMIT);
}

/// As [`frames`], with another limit.
///
/// # Panics
/// As there.
pub fn frames_within(bytes: &[u8], sizes: &[u8], limit: usize) {
    let told = ours(bytes, sizes, limit);
    assert_eq!(told, ours(bytes, &[], limit), "pieces change what is read");
    let expected = oracle(bytes, sizes, limit);
    match difference(bytes, &told, &expected, limit) {
        // The oracle goes on, and what it makes of the rest is not compared.
        Some(Difference::LongControl) => {
            assert!(expected.heard.starts_with(&told.heard), "ours {told:?}, the oracle {expected:?}");
        }
        Some(Difference::TextWhole) => {
            let later = told.heard.strip_prefix(expected.heard.as_slice());
            let later = later.unwrap_or_else(|| panic!("ours {told:?}, the oracle {expected:?}"));
            let control = |heard: &Heard| matches!(heard, Heard::Ping(_) | Heard::Pong);
            assert!(later.iter().all(control), "ours heard {later:?} behind what is no text");
        }
        difference => assert_eq!(told.heard, expected.heard, "{difference:?}"),
    }
}

/// In what these two differ, `None` for not at all.
fn difference(bytes: &[u8], told: &Told, expected: &Told, limit: usize) -> Option<Difference> {
    let bad_code = matches!(told.error, Some(FrameError::BadCloseCode(_)));
    // Without the last byte that ours has judged, the frame that ended it is not whole: what the oracle refused came
    // before. Where nothing ended it but the end of the bytes, it may be the last frame.
    let judged = told.taken - usize::from(told.end != End::Lost);
    let before = || oracle(&bytes[..judged], &[], limit).end == End::NotUtf8;
    match (told.end, expected.end) {
        (_, End::NotUtf8) if before() => Some(Difference::TextWhole),
        _ if is_long_control(bytes, told) => Some(Difference::LongControl),
        (ours, theirs) if ours == theirs && told.heard == expected.heard => None,
        // Told as closed, and answered as broken.
        (End::Protocol, End::Closed(Some(1002))) if bad_code => None,
        (End::Closed(Some(1014)), End::Closed(Some(1002))) => Some(Difference::BadGateway),
        (End::Closed(Some(1000)), End::Closed(None)) => Some(Difference::EmptyClose),
        (End::Protocol, End::NotUtf8) if bad_code => Some(Difference::WrongTwice),
        (End::Protocol | End::TooLarge, End::Lost | End::TooLarge) => {
            // Had all of the payload come, whatever it is, the oracle would have ended too.
            let whole = [bytes, &vec![0; limit + LONGEST_HEAD]].concat();
            let later = oracle(&whole, &[], limit);
            assert!(matches!(later.end, End::Protocol | End::TooLarge), "ours {told:?}, the oracle {later:?}");
            Some(Difference::HeadFirst)
        }
        _ => panic!("ours {told:?}, the oracle {expected:?}"),
    }
}

/// Whether ours ended at the head of an unfragmented control frame with its length in a longer form.
fn is_long_control(bytes: &[u8], told: &Told) -> bool {
    let start = bytes[..told.taken].last_chunk::<2>();
    let is_long = start.is_some_and(|[first, second]| first & 0x80 != 0 && second & 0x7f > 125);
    told.error == Some(FrameError::BadControlFrame) && is_long
}

fn ours(bytes: &[u8], sizes: &[u8], limit: usize) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    let inflight = Inflight::new(0, limit);
    let pieces = Pieces::new(bytes, sizes);
    let mut reader = MessageReader::new(pieces, Duration::from_secs(3_600), limit, Arc::clone(&inflight));
    let mut heard = Vec::new();
    let (end, error) = runtime.block_on(async {
        loop {
            assert!(reader.memory() <= limit, "{} bytes of memory between fragments", reader.memory());
            heard.push(match reader.next().await {
                Ok(Incoming::Text(text)) => {
                    assert!(text.capacity() <= limit, "{} bytes of memory", text.capacity());
                    Heard::Text(text)
                }
                Ok(Incoming::Binary(bytes)) => {
                    assert!(bytes.capacity() <= limit, "{} bytes of memory", bytes.capacity());
                    Heard::Binary(bytes)
                }
                Ok(Incoming::Ping(bytes)) => Heard::Ping(bytes),
                Ok(Incoming::Pong) => Heard::Pong,
                Ok(Incoming::Close(code)) => return (End::Closed(Some(code.unwrap_or(1000))), None),
                Err(ReadError::Io(_)) => return (End::Lost, None),
                Err(error @ (ReadError::Idle | ReadError::Slow | ReadError::Crowded)) => {
                    panic!("all bytes are there at once, and nobody else: {error}")
                }
                Err(ReadError::TooLarge(_)) => return (End::TooLarge, None),
                Err(ReadError::Frame(error @ (FrameError::NotUtf8 | FrameError::ReasonNotUtf8))) => {
                    return (End::NotUtf8, Some(error));
                }
                Err(ReadError::Frame(error)) => return (End::Protocol, Some(error)),
            });
        }
    });
    let taken = bytes.len() - reader.stream().left.len();
    drop(reader);
    assert_eq!(inflight.read(), Receiving { bytes: 0, waiting: 0 }, "the budget is whole again");
    Told { heard, end, error, taken }
}

fn oracle(bytes: &[u8], sizes: &[u8], limit: usize) -> Told {
    let config = WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit));
    let mut socket = WebSocket::from_raw_socket(Pieces::new(bytes, sizes), Role::Server, Some(config));
    let mut heard = Vec::new();
    let end = loop {
        heard.push(match socket.read() {
            Ok(Message::Text(text)) => Heard::Text(text.as_str().to_owned()),
            Ok(Message::Binary(bytes)) => Heard::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Heard::Ping(bytes.to_vec()),
            Ok(Message::Pong(_)) => Heard::Pong,
            Ok(Message::Close(frame)) => break End::Closed(frame.map(|frame| frame.code.into())),
            Ok(Message::Frame(_)) => panic!("frames are not read raw"),
            Err(Error::Utf8(_)) => break End::NotUtf8,
            Err(Error::Capacity(_)) => break End::TooLarge,
            Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => break End::Lost,
            Err(Error::Protocol(_)) => break End::Protocol,
            Err(other) => panic!("the oracle ends with {other}"),
        });
    };
    Told { heard, end, error: None, taken: bytes.len() }
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
