//! What readers hold of the shared budget, and that none of them hinders another for good.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

use super::super::inflight::{Inflight, Receiving, SMALL, deadline};
use super::read::{Incoming, MessageReader, ReadError};
use super::{Opcode, head};

/// The largest message.
const LIMIT: usize = 256 * 1024;
const IDLE: Duration = Duration::from_secs(60);
const NOTHING: Receiving = Receiving { bytes: 0, waiting: 0 };

/// The head of a client's frame, with a mask that changes nothing.
fn begin(last: bool, opcode: Opcode, length: usize) -> Vec<u8> {
    let mut bytes = head(opcode, length);
    bytes[0] &= if last { 0xff } else { 0x7f };
    bytes[1] |= 0x80;
    bytes.extend([0; 4]);
    bytes
}

fn frame(last: bool, opcode: Opcode, length: usize) -> Vec<u8> {
    let mut bytes = begin(last, opcode, length);
    bytes.resize(bytes.len() + length, b'x');
    bytes
}

/// A peer, and the reader of what it sends; all that it sends fits on the way.
fn pair(inflight: &Arc<Inflight>) -> (DuplexStream, MessageReader<DuplexStream>) {
    let (peer, stream) = duplex(2 * LIMIT);
    (peer, MessageReader::new(stream, IDLE, LIMIT, Arc::clone(inflight)))
}

async fn length(reader: &mut MessageReader<DuplexStream>) -> usize {
    match reader.next().await {
        Ok(Incoming::Text(text)) => text.len(),
        other => panic!("expected a text, got {other:?}"),
    }
}

/// Polls it until nothing more happens by itself.
async fn stands_still<T: std::fmt::Debug>(work: impl Future<Output = T>) {
    let done = timeout(Duration::from_millis(1), work).await;
    assert!(done.is_err(), "it should have waited: {done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_message_waits_its_turn_and_a_small_one_does_not() {
    let inflight = Inflight::new(LIMIT, LIMIT);
    let ((mut one, mut first), (mut two, mut second)) = (pair(&inflight), pair(&inflight));
    one.write_all(&frame(true, Opcode::Text, LIMIT)).await.unwrap();
    two.write_all(&frame(true, Opcode::Text, SMALL)).await.unwrap();
    two.write_all(&frame(true, Opcode::Text, SMALL + 1)).await.unwrap();

    assert_eq!(length(&mut first).await, LIMIT);
    assert_eq!(inflight.read().bytes, LIMIT, "until it was handled");
    assert_eq!(length(&mut second).await, SMALL, "whoever holds what");
    let waiting = tokio::spawn(async move { length(&mut second).await });
    // The next message is asked for, so the one before was handled.
    stands_still(first.next()).await;
    assert_eq!(waiting.await.unwrap(), SMALL + 1);
    drop(first);
    assert_eq!(inflight.read(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn halves_of_many_messages_do_not_block_each_other() {
    // Room for two; taken as the bytes arrive, ten halves would fill it, each waiting for its rest.
    let inflight = Inflight::new(2 * LIMIT, LIMIT);
    let start = Instant::now();
    let mut peers = Vec::new();
    let mut readings = Vec::new();
    for n in 0..10 {
        let (mut peer, mut reader) = pair(&inflight);
        let first = if n % 2 == 0 { frame(false, Opcode::Text, LIMIT / 2) } else { begin(true, Opcode::Text, LIMIT) };
        peer.write_all(&first).await.unwrap();
        peers.push(peer);
        readings.push(tokio::spawn(async move { length(&mut reader).await }));
    }
    // The last ones send their second half first.
    for (n, peer) in peers.iter_mut().enumerate().rev() {
        let rest = if n % 2 == 0 { frame(true, Opcode::Continuation, LIMIT / 2) } else { vec![b'x'; LIMIT] };
        peer.write_all(&rest).await.unwrap();
    }
    for reading in readings {
        assert_eq!(reading.await.unwrap(), LIMIT);
    }
    assert_eq!((inflight.read(), Instant::now()), (NOTHING, start), "no time-out had to help");
}

#[tokio::test(start_paused = true)]
async fn a_message_in_fragments_takes_the_most_and_gives_back_what_is_too_much() {
    let inflight = Inflight::new(LIMIT, LIMIT);
    let (mut peer, mut reader) = pair(&inflight);
    peer.write_all(&frame(false, Opcode::Text, SMALL)).await.unwrap();
    stands_still(reader.next()).await;
    assert_eq!(inflight.read(), NOTHING, "it is small yet");

    let (mut peer, mut reader) = pair(&inflight);
    peer.write_all(&frame(false, Opcode::Text, SMALL)).await.unwrap();
    peer.write_all(&frame(false, Opcode::Continuation, 1)).await.unwrap();
    peer.write_all(&frame(true, Opcode::Ping, 5)).await.unwrap();
    assert_eq!(reader.next().await.unwrap(), Incoming::Ping(b"xxxxx".to_vec()));
    assert_eq!(inflight.read().bytes, LIMIT, "nobody knows what it will become");
    peer.write_all(&frame(true, Opcode::Continuation, 1023)).await.unwrap();
    assert_eq!(length(&mut reader).await, SMALL + 1024);
    assert_eq!(inflight.read().bytes, SMALL + 1024);
    drop(reader);
    assert_eq!(inflight.read(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn who_holds_and_only_drips_is_ended_and_the_next_one_is_read() {
    let inflight = Inflight::new(LIMIT, LIMIT);
    let ((mut one, mut first), (mut two, mut second)) = (pair(&inflight), pair(&inflight));
    let start = Instant::now();
    // Each fragment comes in time; the deadline is the message's.
    one.write_all(&frame(false, Opcode::Text, SMALL + 1)).await.unwrap();
    two.write_all(&frame(true, Opcode::Text, LIMIT)).await.unwrap();
    let dripping = tokio::spawn(async move {
        while one.write_all(&frame(false, Opcode::Continuation, 1)).await.is_ok() {
            sleep(IDLE / 2).await;
        }
    });
    let reading = tokio::spawn(async move {
        // So late that its own patience outlasts the deadline of the other.
        sleep(IDLE / 2).await;
        length(&mut second).await
    });
    let end = first.next().await;
    assert!(matches!(end, Err(ReadError::Slow)), "{end:?}");
    assert_eq!(start.elapsed(), deadline(IDLE, LIMIT));
    first.finish();
    assert_eq!(reading.await.unwrap(), LIMIT);
    drop(first);
    dripping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_holds_and_is_silent_is_ended_by_the_idle_time_out() {
    let inflight = Inflight::new(LIMIT, LIMIT);
    let (mut peer, mut reader) = pair(&inflight);
    let start = Instant::now();
    peer.write_all(&begin(true, Opcode::Text, LIMIT)).await.unwrap();
    let end = reader.next().await;
    assert!(matches!(end, Err(ReadError::Idle)), "{end:?}");
    assert_eq!((start.elapsed(), inflight.read().bytes), (IDLE, LIMIT));
    reader.finish();
    assert_eq!(inflight.read(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_gives_up() {
    let inflight = Inflight::new(LIMIT, LIMIT);
    let held = inflight.take(LIMIT).await;
    let (mut peer, mut reader) = pair(&inflight);
    let start = Instant::now();
    peer.write_all(&frame(true, Opcode::Text, LIMIT)).await.unwrap();
    let end = reader.next().await;
    assert!(matches!(end, Err(ReadError::Crowded)), "{end:?}");
    assert_eq!((start.elapsed(), inflight.read().waiting), (IDLE, 0));
    drop(held);
    assert_eq!(inflight.read(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn too_large_a_message_does_not_wait_to_be_refused() {
    let inflight = Inflight::new(LIMIT, LIMIT);
    let _held = inflight.take(LIMIT).await;
    let (mut peer, mut reader) = pair(&inflight);
    let start = Instant::now();
    peer.write_all(&begin(true, Opcode::Text, LIMIT + 1)).await.unwrap();
    let end = reader.next().await;
    assert!(matches!(end, Err(ReadError::TooLarge(LIMIT))), "{end:?}");
    assert_eq!(start.elapsed(), Duration::ZERO);
}
