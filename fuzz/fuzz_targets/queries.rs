//! Queries and parts of paths as anybody may send them.

#![no_main]

use bunraku::api::invariants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| invariants::query(text));
