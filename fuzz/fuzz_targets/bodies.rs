//! Bodies of commands as anybody may send them.

#![no_main]

use bunraku::api::invariants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| invariants::body(bytes));
