//! WebSocket frame heads and HTTP upgrade requests as anybody may send them.

#![no_main]

use bunraku::broker::{Upgrade, ws};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(head)) = ws::parse_head(bytes) {
        assert!(!head.opcode.is_control() || (head.last && head.length <= 125));
    }
    if let Err(refusal) = Upgrade::parse(bytes) {
        assert!(refusal.status >= 400);
    }
});
