//! A parser for server-sent events: bytes in any portions go in, whole events come out.
//!
//! It knows the format only: no connection, no reconnecting, no meaning of the events.

use std::mem;

/// The longest line and the longest event that is taken. Events carry a node's result, which the server limits to far
/// less; a stream beyond this is broken, and it is cut off rather than kept in memory.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The last id seen in the stream, which need not be of this event.
    pub(crate) id: Option<String>,
    /// Its data, lines joined by line feeds.
    pub(crate) data: String,
}

/// The stream cannot be an event stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    #[error("an event of more than {MAX_EVENT} bytes")]
    TooLarge,
}

/// The state between two portions of bytes.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed right after it belongs to it.
    after_return: bool,
    /// A first line was seen: only before it can there be a byte order mark.
    begun: bool,
    id: Option<String>,
    data: String,
    has_data: bool,
}

impl SseParser {
    /// Takes the next bytes and returns the events that they complete.
    ///
    /// # Errors
    /// When an event is too large; the stream must be given up then.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, SseError> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_return = mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > MAX_EVENT {
                return Err(SseError::TooLarge);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let bytes = mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&bytes).into_owned();
        if !mem::replace(&mut self.begun, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = rest.to_owned();
        }
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // The format says that an id with a NUL is ignored.
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments keep the connection alive; our events carry their type in the data.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        let data = mem::take(&mut self.data);
        mem::take(&mut self.has_data).then(|| SseEvent { id: self.id.clone(), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &[u8]) -> Vec<SseEvent> {
        SseParser::default().push(text).unwrap()
    }

    fn event(id: Option<&str>, data: &str) -> SseEvent {
        SseEvent { id: id.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn events_comments_and_line_ends() {
        let text =
            b"\xef\xbb\xbf: hello\nid: 7\ndata: {\"a\":1}\n\n: alive\n\nid:8\r\nevent: x\r\ndata:b\r\ndata: c\r\n\r\n";
        assert_eq!(parse(text), [event(Some("7"), "{\"a\":1}"), event(Some("8"), "b\nc")]);
        assert_eq!(parse(b"data\r\rdata:  x\r\r"), [event(None, ""), event(None, " x")]);
        assert_eq!(parse(b"data: unfinished\n"), []);
        assert_eq!(parse(b"id: 1\n\ndata: later\n\n"), [event(Some("1"), "later")], "an id without data stays");
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = SseParser::default();
        let portion = vec![b'a'; 1024 * 1024];
        let refused = (0..20).any(|_| parser.push(&portion).is_err());
        assert!(refused);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_portions_give_the_same(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..200),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let whole = parse(&bytes);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let (mut parser, mut parts, mut from) = (SseParser::default(), Vec::new(), 0);
            for to in cuts {
                parts.extend(parser.push(&bytes[from..to]).unwrap());
                from = to;
            }
            prop_assert_eq!(parts, whole);
        }

        #[test]
        fn what_a_server_writes_comes_out(events in prop::collection::vec(("[0-9]{1,9}", "[^\r\n\0]{0,40}(\n[^\r\n]{0,20}){0,3}"), 0..6)) {
            let mut text = String::new();
            for (id, data) in &events {
                text.push_str(&format!("id: {id}\n"));
                for line in data.split('\n') {
                    text.push_str(&format!("data: {line}\n"));
                }
                text.push('\n');
            }
            let expected: Vec<_> = events.iter().map(|(id, data)| event(Some(id), data)).collect();
            prop_assert_eq!(parse(text.as_bytes()), expected);
        }
    }
}
