//! Messages, URIs and PXP data as anybody may send them.

#![no_main]

use bunraku::wire::invariants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    invariants::uri(text);
    invariants::message(text);
    invariants::data(text);
});
