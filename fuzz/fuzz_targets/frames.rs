//! Bytes of a session as anybody may send them, in any pieces, beside the oracle.

#![no_main]

use bunraku::broker::ws::invariants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| invariants::frames(&input.0, &input.1));
