//! Results and status answers of agents: any JSON becomes an outcome, nothing panics, outputs stay within their limit.

#![no_main]

use bunraku_actors::model::JobKind;
use bunraku::transport::{parse_results, parse_status};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const LIMIT: usize = 64;

fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    for kind in [JobKind::Deploy, JobKind::Task] {
        let _ = parse_status(&value, kind, true, LIMIT);
        let _ = parse_results(value.clone(), kind, true, LIMIT);
    }
});
