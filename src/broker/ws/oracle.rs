//! Sequences of frames, right and wrong in every way that RFC 6455 knows, read by ours and by the oracle; and our own frames
//! read by the oracle's client side.

use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::invariants::{LIMIT, frames, frames_within};
use super::{Close, Opcode, close_payload, head};

/// Some of it is cut in the middle of a character.
const TEXT: &str = "plain äöü € 😀 text";

/// A frame as a client may send it.
#[derive(Debug, Clone)]
struct Sent {
    last: bool,
    reserved: u8,
    opcode: u8,
    masked: bool,
    /// 7, 16 or 64 bits for the length, where it fits.
    form: u8,
    payload: Vec<u8>,
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.last) << 7 | self.reserved << 4 | self.opcode];
        let (mask, length) = (u8::from(self.masked) << 7, self.payload.len());
        match (self.form, u8::try_from(length)) {
            (0, Ok(short @ ..126)) => bytes.push(mask | short),
            (0 | 1, _) => {
                bytes.push(mask | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        let key = [0x5a, 0x01, 0xff, 0x80];
        if self.masked {
            bytes.extend(key);
        }
        let keys = key.iter().cycle().map(|key| if self.masked { *key } else { 0 });
        bytes.extend(self.payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
        bytes
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        prop::sample::select(vec![0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1011, 1013, 1014, 1015]),
        prop::sample::select(vec![1016_u16, 2999, 3000, 4002, 4999, 5000, 65_535]),
    ];
    let reason = prop_oneof![Just(Vec::new()), Just("enough €".into()), Just(vec![0xff]), vec(Just(b'r'), 110..125)];
    let close = (code, reason).prop_map(|(code, reason)| [code.to_be_bytes().to_vec(), reason].concat());
    prop_oneof![
        3 => (0..TEXT.len(), 0..TEXT.len()).prop_map(|(a, b)| TEXT.as_bytes()[a.min(b)..a.max(b)].to_vec()),
        3 => Just(TEXT.into()),
        2 => close,
        1 => vec(any::<u8>(), 0..4),
        1 => prop::sample::select(vec![1, 124, 125, 126, 127, LIMIT - 1, LIMIT, LIMIT + 1, 70_000])
            .prop_filter("16 bits", |length| *length < 65_536).prop_map(|length| vec![b'x'; length]),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let opcode = prop_oneof![6 => 0_u8..3, 5 => 8_u8..11, 1 => 0_u8..16];
    let reserved = prop_oneof![30 => Just(0_u8), 1 => 1_u8..8];
    let likely = prop::bool::weighted(0.97);
    let last = prop::bool::weighted(0.6);
    (last, reserved, opcode, likely, prop_oneof![8 => Just(0_u8), 1 => Just(1_u8), 1 => Just(2_u8)], payload())
        .prop_map(|(last, reserved, opcode, masked, form, payload)| {
            // Most control frames are as they should be, so that many frames come after them.
            let control = opcode >= 8 && payload.len() <= 125;
            Sent { last: last || control, reserved, opcode, masked, form, payload }
        })
}

/// A limit that messages of several read steps reach.
const LARGE: usize = 200_000;

/// Frames around the sizes of a read step and of that limit, with pings between them.
fn large() -> impl Strategy<Value = Sent> {
    let step = 65_536;
    let lengths = vec![0, 1, step - 1, step, step + 1, 2 * step, LARGE - step, LARGE - 1, LARGE, LARGE + 1];
    let payload = (prop::sample::select(lengths), 0..TEXT.len()).prop_map(|(length, begin)| {
        // Characters lie across every border of a step somewhere.
        TEXT.bytes().cycle().skip(begin).take(length).collect::<Vec<_>>()
    });
    let opcode = prop_oneof![4 => Just(0_u8), 1 => Just(1), 2 => Just(2), 1 => Just(9)];
    (prop::bool::weighted(0.3), opcode, payload).prop_map(|(last, opcode, mut payload)| {
        let control = opcode == 9;
        if control {
            payload.truncate(125);
        }
        let form = u8::from(payload.len() > 125) + u8::from(payload.len() > 65_535);
        Sent { last: last || control, reserved: 0, opcode, masked: true, form, payload }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn ours_reads_what_the_oracle_reads(sent in vec(sent(), 0..8), sizes in vec(0_u8..20, 0..4), cut in prop::option::weighted(0.3, any::<prop::sample::Index>())) {
        let mut bytes: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        frames(&bytes, &sizes);
    }

    #[test]
    fn noise_is_read_alike(bytes in vec(any::<u8>(), 0..60), sizes in vec(any::<u8>(), 0..3)) {
        frames(&bytes, &sizes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn large_messages_are_read_alike(sent in vec(large(), 1..6), sizes in vec(100_u8.., 0..4), cut in prop::option::weighted(0.2, any::<prop::sample::Index>())) {
        let mut bytes: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        frames_within(&bytes, &sizes, LARGE);
    }
}

/// Every first byte, with every length form, alone and inside a fragmented message.
#[test]
fn every_head_is_judged_alike() {
    let begin = Sent { last: false, reserved: 0, opcode: 1, masked: true, form: 0, payload: b"a".to_vec() };
    for first in 0..=u8::MAX {
        for form in 0..3 {
            for (masked, payload) in
                [(true, Vec::new()), (true, vec![0x03, 0xe8]), (true, vec![b'x'; 126]), (false, vec![])]
            {
                let frame = Sent {
                    last: first & 0x80 != 0,
                    reserved: first >> 4 & 7,
                    opcode: first & 15,
                    masked,
                    form,
                    payload,
                };
                frames(&frame.bytes(), &[]);
                frames(&[begin.bytes(), frame.bytes(), frame.bytes()].concat(), &[1]);
            }
        }
    }
}

/// A session with all that is allowed, cut off at every place and in pieces of every size.
#[test]
fn every_cut_is_judged_alike() {
    let sent = |last, opcode, form, payload: &[u8]| Sent {
        last,
        reserved: 0,
        opcode,
        masked: true,
        form,
        payload: payload.to_vec(),
    };
    let (start, rest) = TEXT.as_bytes().split_at(7);
    let session = [
        sent(true, 1, 0, TEXT.as_bytes()),
        sent(false, 1, 0, start),
        sent(true, 9, 0, &[b'p'; 125]),
        sent(false, 0, 1, b""),
        sent(true, 10, 0, b"?"),
        sent(true, 0, 2, rest),
        sent(true, 2, 1, &[7; LIMIT]),
        sent(true, 8, 0, b"\x03\xe8done"),
        sent(true, 1, 0, b"nobody hears this"),
    ];
    let bytes = session.iter().flat_map(Sent::bytes).collect::<Vec<_>>();
    for end in 0..=bytes.len() {
        frames(&bytes[..end], &[1]);
        frames(&bytes[..end], &[]);
    }
    for size in 1..=u8::MAX {
        frames(&bytes, &[size]);
    }
}

/// Every code that a close frame can have.
#[test]
fn every_close_code_is_judged_alike() {
    for code in 0..=u16::MAX {
        let payload = code.to_be_bytes().to_vec();
        frames(&Sent { last: true, reserved: 0, opcode: 8, masked: true, form: 0, payload }.bytes(), &[]);
    }
}

/// What was written, to be read.
struct Written(io::Cursor<Vec<u8>>);

impl Read for Written {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_oracles_client_reads_what_ours_writes() {
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 1 << 20] {
        let text = "t".repeat(length);
        bytes.extend(head(Opcode::Text, length));
        bytes.extend(text.as_bytes());
        expected.push(Message::text(text));
    }
    for (opcode, payload) in [(Opcode::Ping, &b""[..]), (Opcode::Ping, b"?"), (Opcode::Pong, b"an answer")] {
        bytes.extend(head(opcode, payload.len()));
        bytes.extend(payload);
        expected.push(match opcode {
            Opcode::Ping => Message::Ping(payload.to_vec().into()),
            _ => Message::Pong(payload.to_vec().into()),
        });
    }
    let close = close_payload(Close { code: 1009, reason: "Message too large." });
    bytes.extend(head(Opcode::Close, close.len()));
    bytes.extend(close);
    let mut client =
        WebSocket::from_raw_socket(Written(io::Cursor::new(bytes)), Role::Client, Some(WebSocketConfig::default()));
    for message in expected {
        assert!(client.read().unwrap() == message, "a message of {} bytes", message.len());
    }
    let Message::Close(Some(frame)) = client.read().unwrap() else { panic!("no close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1009, "Message too large."));
}
