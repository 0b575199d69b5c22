//! Frame heads and close payloads: bytes ↔ values, no I/O.

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    fn from_bits(bits: u8) -> Option<Self> {
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong]
            .into_iter()
            .find(|opcode| opcode.bits() == bits)
    }

    /// Close, ping and pong: short, never fragmented, allowed between the fragments of a message.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.bits() >= 0x8
    }
}

/// The head of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The last, or only, frame of its message.
    pub last: bool,
    pub opcode: Opcode,
    pub mask: [u8; 4],
    /// Bytes of payload.
    pub length: u64,
}

/// How a peer broke the framing rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a reserved bit is set without an extension")]
    ReservedBits,
    #[error("the opcode {0:#x} is reserved")]
    UnknownOpcode(u8),
    #[error("a client's frame is not masked")]
    Unmasked,
    #[error("a control frame is fragmented or longer than 125 bytes")]
    BadControlFrame,
    #[error("a payload length has its highest bit set")]
    LengthOverflow,
    #[error("a continuation frame without a message to continue")]
    StrayContinuation,
    #[error("a new message before the end of the one under way")]
    Interleaved,
    #[error("a text message is not UTF-8")]
    NotUtf8,
    #[error("a close frame has half a code")]
    HalfCloseCode,
    #[error("a close frame has the code {0}, which never goes over the wire")]
    BadCloseCode(u16),
    #[error("the reason of a close frame is not UTF-8")]
    ReasonNotUtf8,
}

/// How many bytes a client's frame head has, told from its first two.
pub(super) fn head_length(start: [u8; 2]) -> usize {
    const MASK: usize = 4;
    match start[1] & 0x7f {
        126 => 2 + 2 + MASK,
        127 => 2 + 8 + MASK,
        _ => 2 + MASK,
    }
}

/// Parses the head at the beginning of `bytes`; `None` when there is not enough of it yet.
///
/// # Errors
/// When the head breaks RFC 6455.
pub fn parse_head(bytes: &[u8]) -> Result<Option<FrameHead>, FrameError> {
    let Some(start) = bytes.first_chunk::<2>() else { return Ok(None) };
    let [first, second] = *start;
    if first & 0x70 != 0 {
        return Err(FrameError::ReservedBits);
    }
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(FrameError::UnknownOpcode(first & 0x0f))?;
    if second & 0x80 == 0 {
        return Err(FrameError::Unmasked);
    }
    let (last, short) = (first & 0x80 != 0, second & 0x7f);
    if opcode.is_control() && (!last || short > 125) {
        return Err(FrameError::BadControlFrame);
    }
    let Some(rest) = bytes.get(2..head_length(*start)) else { return Ok(None) };
    let (length_bytes, mask_bytes) = rest.split_at(rest.len() - 4);
    let length = match short {
        126 | 127 => length_bytes.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte)),
        short => u64::from(short),
    };
    if length >> 63 != 0 {
        return Err(FrameError::LengthOverflow);
    }
    let mask = mask_bytes.try_into().expect("a head ends with four bytes of mask");
    Ok(Some(FrameHead { last, opcode, mask, length }))
}

/// The head of an unfragmented frame of ours; servers do not mask.
pub(crate) fn head(opcode: Opcode, length: usize) -> Vec<u8> {
    let mut head = vec![0x80 | opcode.bits()];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => head.push(short),
        (_, Ok(medium)) => {
            head.push(126);
            head.extend(medium.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head
}

/// Removes the mask; `offset` is the place of `data` within the frame's payload.
pub(super) fn unmask(data: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut mask = mask;
    mask.rotate_left(offset % 4);
    let mut chunks = data.chunks_exact_mut(4);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// Why we end a session, as the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    /// At most 123 bytes.
    pub(crate) reason: &'static str,
}

/// The payload of a close frame.
pub(crate) fn close_payload(close: Close) -> Vec<u8> {
    let mut payload = close.code.to_be_bytes().to_vec();
    payload.extend(close.reason.as_bytes());
    payload
}

/// The code that a peer closes with, where it gives one (RFC 6455 §5.5.1, §7.4).
///
/// # Errors
/// When the payload is none of a close frame, or its code is one that only stands for the want of a code.
pub fn close_code(payload: &[u8]) -> Result<Option<u16>, FrameError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(FrameError::HalfCloseCode) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FrameError::BadCloseCode(code));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(FrameError::ReasonNotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(opcode: Opcode, length: usize, mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = head(opcode, length);
        bytes[1] |= 0x80;
        bytes.extend(mask);
        bytes
    }

    proptest! {
        #[test]
        fn heads_round_trip_and_prefixes_wait(length in prop_oneof![0..200_usize, 0..100_000_usize, any::<u32>().prop_map(|n| n as usize)], mask: [u8; 4]) {
            let bytes = masked(Opcode::Text, length, mask);
            prop_assert_eq!(bytes.len(), head_length([bytes[0], bytes[1]]));
            let expected = FrameHead { last: true, opcode: Opcode::Text, mask, length: length as u64 };
            prop_assert_eq!(parse_head(&bytes), Ok(Some(expected)));
            for end in 0..bytes.len() {
                prop_assert_eq!(parse_head(&bytes[..end]), Ok(None));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = parse_head(&bytes);
        }

        #[test]
        fn unmasking_in_pieces_equals_unmasking_whole(data in proptest::collection::vec(any::<u8>(), 0..300), mask: [u8; 4], cut: prop::sample::Index) {
            let cut = cut.index(data.len() + 1);
            let (mut whole, mut pieces) = (data.clone(), data.clone());
            unmask(&mut whole, mask, 0);
            unmask(&mut pieces[..cut], mask, 0);
            unmask(&mut pieces[cut..], mask, cut);
            prop_assert_eq!(&whole, &pieces);
            unmask(&mut whole, mask, 0);
            prop_assert_eq!(whole, data);
        }
    }

    #[test]
    fn broken_heads_are_told_apart() {
        let cases = [
            ([0xc1, 0x80], FrameError::ReservedBits),
            ([0x83, 0x80], FrameError::UnknownOpcode(3)),
            ([0x81, 0x05], FrameError::Unmasked),
            ([0x09, 0x80], FrameError::BadControlFrame),
            ([0x89, 0xfe], FrameError::BadControlFrame),
        ];
        for (bytes, error) in cases {
            assert_eq!(parse_head(&bytes), Err(error), "{bytes:02x?}");
        }
        let mut huge = vec![0x81, 0xff];
        huge.extend([0xff; 12]);
        assert_eq!(parse_head(&huge), Err(FrameError::LengthOverflow));
    }
}
