//! Frames: heads, PCP messages, PXP results.

use bunraku::broker::ws::parse_head;
use bunraku::wire::pcp::{Message, MessageType, Uri};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use serde_json::{Value, json};

/// The final answer to a Puppet run with so many bytes of output.
fn answer(bytes: usize) -> String {
    let data = json!({
        "transaction_id": "3f1c7e9e-6f0a-5a3e-9a55-0d7b9a0c4a11",
        "results": { "kind": "apply", "status": "changed", "exitcode": 0, "stdout": "x".repeat(bytes), "metrics": { "total": 12 } },
    });
    let (agent, server) = (Uri::of("web1.example.com", "agent"), Uri::of("orch.example.com", "orchestrator"));
    Message::new(MessageType::NonBlockingResponse, Some(agent), Some(server), Some(&data)).encode()
}

#[divan::bench(args = [0, 1_024, 65_536])]
fn decode_a_final_answer(bencher: Bencher<'_, '_>, bytes: usize) {
    let frame = answer(bytes);
    bencher
        .counter(BytesCount::new(frame.len()))
        .bench(|| Message::decode(black_box(&frame)).expect("it is a message"));
}

#[divan::bench(args = [0, 65_536])]
fn decode_its_results(bencher: Bencher<'_, '_>, bytes: usize) {
    let message = Message::decode(&answer(bytes)).expect("it is a message");
    bencher.bench(|| message.data_as::<Value>().expect("they are JSON"));
}

#[divan::bench]
fn encode_a_request(bencher: Bencher<'_, '_>) {
    let data = json!({
        "transaction_id": "3f1c7e9e-6f0a-5a3e-9a55-0d7b9a0c4a11", "module": "pxp-module-puppet", "action": "run",
        "notify_outcome": true, "params": { "flags": ["--noop"], "env": [], "job": "42" },
    });
    let (agent, server) = (Uri::of("web1.example.com", "agent"), Uri::of("orch.example.com", "orchestrator"));
    bencher.bench(|| {
        let (from, to) = (Some(server.clone()), Some(agent.clone()));
        Message::new(MessageType::NonBlockingRequest, from, to, Some(black_box(&data))).encode()
    });
}

#[divan::bench]
fn read_the_head_of_a_frame(bencher: Bencher<'_, '_>) {
    // A masked text frame of 300 bytes.
    let head = [0x81, 0xFE, 0x01, 0x2C, 1, 2, 3, 4];
    bencher.bench(|| parse_head(black_box(&head)).expect("it is whole"));
}
