//! Frames of every documented shape, and the parsers' promises under arbitrary input.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::invariants;
use super::pcp::{Message, MessageType, Uri};
use super::pxp::{BlockingRequest, NonBlockingRequest, ProvisionalResponse, Response, RpcError, StatusResults};

const T: &str = "5a0e4c55-0000-4000-8000-0000000000aa";
const Q: &str = "5a0e4c55-0000-4000-8000-0000000000bb";

fn frame(suffix: &str, to_agent: bool, data: &Value) -> String {
    let (agent, controller) = ("pcp://db7.example.org/agent", "pcp://lead.example.org/orchestrator");
    let (target, sender) = if to_agent { (agent, controller) } else { (controller, agent) };
    let message_type = format!("http://puppetlabs.com/{suffix}");
    json!({"id": Q, "message_type": message_type, "target": target, "sender": sender, "data": data}).to_string()
}

/// Decodes a frame, encodes it to the same text, and gives its data as the type that belongs to it.
fn through<D: serde::de::DeserializeOwned>(suffix: &str, to_agent: bool, data: &Value) -> (MessageType, D) {
    let text = frame(suffix, to_agent, data);
    let message = Message::decode(&text).unwrap();
    assert_eq!(message.encode(), text);
    invariants::message(&text);
    let data = message.data_as().unwrap();
    (message.message_type, data)
}

#[test]
fn requests_have_their_documented_shapes() {
    let blocking = |module: &str, action: &str, params: Value| json!({"transaction_id": T, "module": module, "action": action, "params": params});
    for data in [
        blocking("ping", "ping", json!({})),
        blocking("nosuch", "x", json!({})),
        blocking("echo", "echo", json!({"argument": 5})),
        blocking("status", "query", json!({"transaction_id": Q})),
    ] {
        let (kind, request) = through::<BlockingRequest>("rpc_blocking_request", true, &data);
        assert_eq!((kind, request.transaction_id.as_str()), (MessageType::BlockingRequest, T));
    }
    let file = json!({"filename": "a.sh", "sha256": "0f", "size_bytes": 9,
                      "uri": {"path": "/x/a.sh", "params": {"environment": "test"}}});
    let task = json!({"task": "m::a", "input": {"n": 3, "o": {"a": [1]}}, "files": [file], "input_method": "stdin"});
    let puppet = json!({"env": [], "flags": ["--environment", "test"], "job": "12"});
    for (module, params) in [("task", task), ("command", json!({"command": "true"})), ("pxp-module-puppet", puppet)] {
        let mut data = blocking(module, "run", params);
        data["notify_outcome"] = json!(true);
        let (_, request) = through::<NonBlockingRequest>("rpc_non_blocking_request", true, &data);
        assert!(request.notify_outcome && request.module == module);
    }
    let mut extra = blocking("ping", "ping", json!({}));
    extra["extra"] = json!(1);
    assert!(
        Message::decode(&frame("rpc_blocking_request", true, &extra)).unwrap().data_as::<BlockingRequest>().is_err()
    );
}

#[test]
fn answers_have_their_documented_shapes() {
    let (kind, _) = through::<ProvisionalResponse>("rpc_provisional_response", false, &json!({"transaction_id": T}));
    assert_eq!(kind, MessageType::ProvisionalResponse);
    for results in [
        json!({"request_hops": []}),
        json!({"exitcode": 3, "stdout": "PT_x=1\n", "stderr": "oops\n"}),
        json!({"exitcode": 2, "stdout": "hi\n"}),
        json!({"status": "changed", "metrics": {"total": 8}, "exitcode": 0, "version": 1, "transaction_uuid": T}),
    ] {
        let data = json!({"transaction_id": T, "results": results});
        for suffix in ["rpc_blocking_response", "rpc_non_blocking_response"] {
            assert_eq!(through::<Response>(suffix, false, &data).1.results, results);
        }
    }
    let error = json!({"transaction_id": T, "id": Q, "description": "unknown module: nosuch"});
    let (_, error) = through::<RpcError>("rpc_error_message", false, &error);
    assert_eq!(error.id, Uuid::parse_str(Q).unwrap());
    let fault = json!({"_error": {"kind": "k", "details": {}, "msg": "found no results directory"}}).to_string();
    let status = json!({"transaction_id": T, "status": "unknown", "stdout": fault});
    assert!(serde_json::from_value::<StatusResults>(status).unwrap().exitcode.is_none());
}

#[test]
fn errors_and_inventory_have_their_documented_shapes() {
    let error = json!({"id": Q, "message_type": "http://puppetlabs.com/error_message", "in_reply_to": T, "data": "invalid data"});
    let message = Message::decode(&error.to_string()).unwrap();
    assert_eq!((message.in_reply_to, message.sender.is_none()), (Some(Uuid::parse_str(T).unwrap()), true));
    assert_eq!(message.data_as::<String>().unwrap(), "invalid data");
    let query = json!({"query": ["pcp://*/agent", "pcp://db7.example.org/*"], "subscribe": true});
    assert_eq!(through::<Value>("inventory_request", false, &query).0, MessageType::InventoryRequest);
    assert_eq!(
        through::<Value>("something_else", false, &query).0,
        MessageType::Other("http://puppetlabs.com/something_else".into())
    );
}

#[test]
fn wildcards_match_whole_parts() {
    let uri = |text| Uri::parse(text).unwrap();
    let web = uri("pcp://web1/agent");
    for pattern in ["pcp://*/agent", "pcp://web1/*", "pcp://*/*", "pcp://web1/agent"] {
        assert!(uri(pattern).matches(&web), "{pattern}");
    }
    for pattern in ["pcp://web*/agent", "pcp://*/controller", "pcp:///agent"] {
        assert!(!uri(pattern).matches(&web), "{pattern}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!(T)),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key = prop_oneof![
            Just("transaction_id"),
            Just("results"),
            Just("module"),
            Just("action"),
            Just("params"),
            Just("status"),
            Just("exitcode"),
            Just("stdout"),
            Just("id"),
            Just("description"),
            Just("notify_outcome"),
            Just("x"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn uris_keep_their_promise(text in prop_oneof![".{0,30}", "(pcp://)?[a-z.*/]{0,12}(/[a-z*]{0,6})?"]) {
        invariants::uri(&text);
    }

    #[test]
    fn messages_keep_their_promise(kind in "[a-z_:/.]{0,30}", data in any_json(), target in "pcp://[a-z]{0,5}/[a-z]{0,5}") {
        let text = json!({"id": T, "message_type": kind, "target": target, "data": data}).to_string();
        invariants::message(&text);
        invariants::data(&data.to_string());
    }

    #[test]
    fn arbitrary_texts_are_decoded_or_refused(text in ".{0,200}") {
        invariants::message(&text);
        invariants::data(&text);
    }
}
