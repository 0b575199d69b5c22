//! What goes over the wire below the messages: frames, right and wrong, close codes, and the memory of large messages.
//! Written and read as bytes, for no library sends what is wrong.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Agent, Rig, soon, until};

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The largest message, where a test sets one.
const LIMIT: usize = 100_000;

/// The head of a client's frame; the mask changes nothing.
fn begin(last: bool, opcode: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![u8::from(last) << 7 | opcode];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => bytes.push(0x80 | short),
        (_, Ok(medium)) => bytes.extend([&[0xfe][..], &medium.to_be_bytes()].concat()),
        _ => bytes.extend([&[0xff][..], &(length as u64).to_be_bytes()].concat()),
    }
    bytes.extend([0; 4]);
    bytes
}

fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    [begin(last, opcode, payload.len()), payload.to_vec()].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(true, CLOSE, &[&code.to_be_bytes(), reason].concat())
}

impl Agent {
    async fn put(&mut self, bytes: &[u8]) {
        let stream = self.socket.get_mut();
        soon("bytes to be sent", stream.write_all(bytes)).await.unwrap();
        soon("bytes to be sent", stream.flush()).await.unwrap();
    }

    /// Opcode and payload of the broker's next frame.
    async fn get(&mut self) -> (u8, Vec<u8>) {
        let stream = self.socket.get_mut();
        let mut head = [0; 2];
        soon("a frame", stream.read_exact(&mut head)).await.unwrap();
        assert_eq!(head[0] & 0xf0, 0x80, "whole frames without reserved bits");
        let length = match head[1] {
            126 => soon("a length", stream.read_u16()).await.unwrap().into(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        soon("a payload", stream.read_exact(&mut payload)).await.unwrap();
        (head[0] & 0x0f, payload)
    }

    /// The code of the close frame that comes next, behind which the connection ends.
    async fn ended(&mut self) -> u16 {
        let (opcode, payload) = self.get().await;
        assert_eq!(opcode, CLOSE, "{payload:?}");
        let (code, reason) = payload.split_first_chunk::<2>().unwrap();
        assert!(std::str::from_utf8(reason).is_ok(), "{reason:?}");
        let mut rest = Vec::new();
        soon("the end", self.socket.get_mut().read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, b"", "nothing comes behind a close frame");
        u16::from_be_bytes(*code)
    }

    /// Waits for the answer to something that is no PCP message.
    async fn answered(&mut self) {
        let (opcode, payload) = self.get().await;
        let text = String::from_utf8(payload).unwrap();
        assert!(opcode == TEXT && text.contains("Could not decode message"), "{text}");
    }
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code() {
    let rig = Rig::start().await;
    let mut cases = vec![(frame(true, CLOSE, b""), 1000)];
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
        cases.push((close(code, b""), code));
    }
    cases.push((close(1001, "going away, schön".as_bytes()), 1001));
    cases.push((close(1000, &[b'r'; 123]), 1000));
    // What was begun before is no message, and nothing behind it is heard.
    cases.push(([frame(false, TEXT, b"half"), close(4000, b"")].concat(), 4000));
    cases.push(([close(4001, b""), frame(true, TEXT, b"too late"), frame(true, PING, b"late")].concat(), 4001));
    for (bytes, code) in cases {
        let mut agent = rig.agent("a").await;
        agent.put(&bytes).await;
        assert_eq!(agent.ended().await, code, "{bytes:02x?}");
        drop(agent);
        until("it left", || rig.sessions.count() == 0).await;
    }
}

#[tokio::test]
async fn every_error_ends_the_session_with_its_code() {
    let rig = Rig::with(|options| options.max_message_size = LIMIT).await;
    let first = frame(false, TEXT, b"x");
    let half = frame(false, TEXT, "ä".as_bytes().split_at(1).0);
    let cases = [
        (1002, "reserved bits", vec![0xc1, 0x80]),
        (1002, "a reserved opcode", vec![0x83, 0x80]),
        (1002, "a reserved control opcode", vec![0x8b, 0x80]),
        (1002, "no mask", vec![0x81, 0x01, b'x']),
        (1002, "a ping in fragments", vec![0x09, 0x80]),
        (1002, "a ping of 126 bytes", begin(true, PING, 126)),
        (1002, "a close frame of 126 bytes", begin(true, CLOSE, 126)),
        (1002, "nothing to continue", frame(true, CONTINUATION, b"x")),
        (1002, "a message within another", [first.clone(), frame(true, TEXT, b"y")].concat()),
        (1002, "a length with its highest bit", [&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat()),
        (1002, "half a close code", frame(true, CLOSE, b"\x03")),
        (1002, "a code below the first", close(999, b"")),
        (1002, "the code for no code", close(1005, b"")),
        (1002, "the code for a lost connection", close(1006, b"")),
        (1002, "the code for a failed handshake", close(1015, b"")),
        (1002, "a code above the last", close(5000, b"")),
        (1007, "a reason that is no text", close(1000, &[0xff])),
        (1007, "a text that is none", frame(true, TEXT, &[0xff])),
        (1007, "half a character", [half.clone(), frame(true, CONTINUATION, b"x")].concat()),
        (1007, "the end within a character", [half, frame(true, CONTINUATION, b"")].concat()),
        (1009, "too large a frame", begin(true, TEXT, LIMIT + 1)),
        (1009, "too much in fragments", [first, begin(true, CONTINUATION, LIMIT)].concat()),
    ];
    for (code, what, bytes) in cases {
        let mut agent = rig.agent("a").await;
        agent.put(&bytes).await;
        assert_eq!(agent.ended().await, code, "{what}");
        drop(agent);
        until("it left", || rig.sessions.count() == 0).await;
    }
}

#[tokio::test]
async fn a_ping_comes_back_also_between_fragments() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    for payload in [b"".to_vec(), b"?".to_vec(), vec![0xff; 125]] {
        agent.put(&frame(true, PING, &payload)).await;
        assert_eq!(agent.get().await, (PONG, payload));
    }
    let (start, rest) = "nö".as_bytes().split_at(2);
    agent.put(&frame(false, TEXT, start)).await;
    for payload in [&b"between"[..], b"and again"] {
        agent.put(&frame(true, PONG, b"nobody asked")).await;
        agent.put(&frame(true, PING, payload)).await;
        assert_eq!(agent.get().await, (PONG, payload.to_vec()));
        agent.put(&frame(false, CONTINUATION, b"")).await;
    }
    agent.put(&frame(true, CONTINUATION, rest)).await;
    agent.answered().await;
}

#[tokio::test]
async fn large_messages_wait_for_memory_and_small_ones_do_not() {
    let rig = Rig::with(|options| {
        options.max_message_size = LIMIT;
        options.max_inflight = LIMIT;
    })
    .await;
    let receiving = rig.broker.receiving();
    let (mut holder, mut next) = (rig.agent("holder").await, rig.agent("next").await);
    holder.put(&begin(true, TEXT, LIMIT)).await;
    until("the first has the memory", || receiving().bytes >= LIMIT).await;
    next.put(&frame(true, TEXT, &[b'x'; 64 * 1024])).await;
    next.answered().await;
    next.put(&frame(true, TEXT, &[b'x'; 64 * 1024 + 1])).await;
    until("the second waits", || receiving().waiting == 1).await;
    holder.put(&[b'x'; LIMIT]).await;
    holder.answered().await;
    next.answered().await;
    until("all of it came back", || receiving().bytes == 0).await;

    // Nor does a session keep it that ends half-way.
    holder.put(&begin(true, TEXT, LIMIT)).await;
    until("the first has it again", || receiving().bytes >= LIMIT).await;
    drop(holder);
    until("all of it came back", || receiving().bytes == 0).await;
}

#[tokio::test]
async fn who_holds_memory_and_does_not_go_on_is_ended() {
    let idle = Duration::from_secs(1);
    let rig = Rig::with(|options| {
        options.max_message_size = LIMIT;
        options.max_inflight = LIMIT;
        options.idle_timeout = idle;
    })
    .await;
    let receiving = rig.broker.receiving();
    let mut silent = rig.agent("silent").await;
    silent.put(&begin(true, TEXT, LIMIT)).await;
    assert_eq!(silent.ended().await, 1001);
    until("its memory came back", || receiving().bytes == 0).await;

    let mut dripping = rig.agent("dripping").await;
    dripping.put(&frame(false, TEXT, &[b'x'; 64 * 1024 + 1])).await;
    until("it has the memory", || receiving().bytes >= LIMIT).await;
    // One byte now and then, which is no silence.
    let stream = dripping.socket.get_mut();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let drip = async {
        while writer.write_all(&frame(false, CONTINUATION, b"x")).await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(idle / 50).await;
        }
    };
    let mut told = [0; 4];
    let told = soon("the deadline", async {
        tokio::select! {
            () = drip => panic!("the connection ended without a close frame"),
            read = reader.read_exact(&mut told) => read.map(|_| told).unwrap(),
        }
    })
    .await;
    assert_eq!((told[0], u16::from_be_bytes([told[2], told[3]])), (0x80 | CLOSE, 1008));
    until("its memory came back too", || receiving().bytes == 0).await;
}
