//! What happens on a session, and how it ends.

use std::time::Duration;

use bunraku::broker::{NotQueued, OUTBOX_CAPACITY};
use bunraku::wire::pcp::{Message, MessageType, Uri};
use bunraku_actors::ports::{RunSignal, Transport};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;
use uuid::Uuid;

use super::rig::{Agent, Rig, name, orchestrator, soon, unchanged, until};

#[tokio::test]
async fn what_is_no_message_is_answered_and_the_session_stays() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    let extra = json!({"id": Uuid::new_v4(), "message_type": "x", "expires": "never"}).to_string();
    for frame in [Frame::text("no JSON"), Frame::text(extra), Frame::binary(vec![1, 2])] {
        agent.send(frame).await;
        assert_eq!(agent.hear_error().await, ("Could not decode message".to_owned(), None));
    }
    let id = agent.say(MessageType::InventoryRequest, json!({"query": []})).await;
    assert_eq!(agent.hear_error().await, ("Message not authorized.".to_owned(), Some(id)));
}

#[tokio::test]
async fn nodes_command_nobody() {
    let rig = Rig::start().await;
    let (mut agent, _other) = (rig.agent("a").await, rig.agent("b").await);
    let other = Uri::of("b", "agent");
    for kind in [MessageType::BlockingRequest, MessageType::NonBlockingRequest, MessageType::NonBlockingResponse] {
        let message = Message::new(kind, None, Some(other.clone()), Some(&json!({"transaction_id": "t"})));
        agent.send(Frame::text(message.encode())).await;
        assert_eq!(agent.hear_error().await, ("Message not authorized.".to_owned(), Some(message.id)));
    }
}

#[tokio::test]
async fn a_foreign_sender_ends_the_session() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    agent.uri = Uri::of("b", "agent");
    let id = agent.say(MessageType::NonBlockingResponse, json!({})).await;
    assert_eq!(agent.hear_error().await, ("Message not authenticated.".to_owned(), Some(id)));
    assert_eq!(agent.close_code().await, 4002);
}

#[tokio::test]
async fn a_newer_session_supersedes_the_older_at_once() {
    let rig = Rig::start().await;
    let paths = rig.ca.issue("a");
    let mut old = rig.connect(&paths, "/pcp2/", &[]).await.unwrap();
    let first = rig.transport.watch(&name("a"), 1, rig.outlet(1)).unwrap().generation;
    let mut new = rig.connect(&paths, "/pcp2/", &[]).await.unwrap();
    assert_eq!(old.close_code().await, 1006);
    let RunSignal::Connected(connection) = rig.signal().await else { panic!("the newer session is announced") };
    assert!(connection.generation > first);
    assert_eq!(rig.transport.connection(&name("a")), Some(connection));
    let transaction = rig.run("a", 2);
    assert_eq!(new.hear_request().await.0["transaction_id"], json!(transaction));
    assert_eq!(rig.signals().await, [(2, RunSignal::Sent)], "no late end of the older session was announced");
    drop(new);
    assert_eq!(rig.signal().await, RunSignal::Disconnected);
}

#[tokio::test]
async fn two_agents_with_one_certname_are_calmed() {
    let rig = Rig::start().await;
    let paths = rig.ca.issue("a");
    let mut refused = None;
    let mut sessions = Vec::new();
    for _ in 0..10 {
        match rig.connect(&paths, "/pcp2/", &[]).await {
            Ok(session) => sessions.push(session),
            Err(error) => refused = refused.or(Some(error.to_string())),
        }
    }
    assert!(refused.expect("the newcomer is refused").contains("503"));
    assert!(rig.transport.connection(&name("a")).unwrap().contended);
}

#[tokio::test]
async fn silence_ends_a_session_and_pings_keep_it() {
    let rig = Rig::with(|options| {
        options.idle_timeout = Duration::from_millis(300);
        options.ping_interval = None;
    })
    .await;
    let mut agent = rig.agent("a").await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        agent.send(Frame::Ping(b"p".to_vec().into())).await;
    }
    assert!(rig.transport.connection(&name("a")).is_some(), "kept alive for twice the idle time");
    assert_eq!(agent.close_code().await, 1001);
    until("the silent one left", || rig.sessions.count() == 0).await;
}

#[tokio::test]
async fn the_broker_pings_and_the_answers_keep_a_session() {
    let rig = Rig::with(|options| {
        options.idle_timeout = Duration::from_millis(400);
        options.ping_interval = Some(Duration::from_millis(50));
    })
    .await;
    let mut agent = rig.agent("a").await;
    let reading = tokio::time::timeout(Duration::from_millis(1_200), agent.close_code()).await;
    assert!(reading.is_err(), "the agent's library answers pings while it reads");
    assert_eq!(rig.sessions.count(), 1);
}

#[tokio::test]
async fn too_large_a_message_ends_the_session_with_1009() {
    let rig = Rig::with(|options| options.max_message_size = 10_000).await;
    let mut agent = rig.agent("a").await;
    agent.send(Frame::text("x".repeat(10_000))).await;
    assert_eq!(agent.hear_error().await.0, "Could not decode message");
    agent.send(Frame::text("x".repeat(10_001))).await;
    assert_eq!(agent.close_code().await, 1009);
}

#[tokio::test]
async fn a_peer_that_does_not_read_hinders_nobody_else() {
    let rig = Rig::start().await;
    let (slow, mut quick) = (rig.agent("slow").await, rig.agent("quick").await);
    // Enough to fill socket buffers, TLS buffers and the outbox behind them.
    let text = "x".repeat(256 * 1024);
    let full = (0..100 * OUTBOX_CAPACITY).find_map(|n| {
        if n % 8 == 0 {
            std::thread::yield_now();
        }
        rig.sessions.send(&name("slow"), bunraku::broker::Frame::plain(text.clone())).err()
    });
    assert_eq!(full, Some(NotQueued::Full));
    let transaction = rig.run("slow", 1);
    assert_eq!(rig.signals().await, [(1, RunSignal::Unsent)]);
    rig.transport.forget(transaction);
    rig.run("quick", 2);
    quick.hear_request().await;
    assert_eq!(rig.signals().await, [(2, RunSignal::Sent)]);
    drop(slow);
    until("the slow one left", || rig.sessions.count() == 1).await;
}

#[tokio::test]
async fn a_stuck_peer_is_given_up() {
    let rig = Rig::with(|options| options.write_timeout = Duration::from_millis(100)).await;
    let _stuck = rig.agent("a").await;
    let text = "x".repeat(8 * 1024 * 1024);
    rig.sessions.send(&name("a"), bunraku::broker::Frame::plain(text)).unwrap();
    let transaction = rig.run("a", 1);
    // The run behind the stuck frame was never begun.
    assert_eq!(rig.signals().await, [(1, RunSignal::Unsent)]);
    until("the stuck one left", || rig.sessions.count() == 0).await;
    rig.transport.forget(transaction);
}

#[tokio::test]
async fn large_frames_arrive_whole_both_ways() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    let shared: std::sync::Arc<str> = format!("\"{}\"}}", "y".repeat(3_000_000)).into();
    let head = format!(r#"{{"id":"{}","message_type":"x","sender":"{}","data":"#, Uuid::new_v4(), orchestrator());
    let frame = bunraku::broker::Frame { head, shared: Some(shared), tag: None };
    rig.sessions.send(&name("a"), frame).unwrap();
    assert_eq!(agent.hear().await.data_as::<String>().unwrap().len(), 3_000_000);

    let transaction = rig.run("a", 1);
    agent.hear_request().await;
    let mut results = unchanged();
    results["padding"] = json!("z".repeat(5_000_000));
    agent.finish(transaction, results).await;
    let [(1, RunSignal::Sent), (1, RunSignal::Ended(_))] = rig.signals().await else { panic!("the large answer") };
}

#[tokio::test]
async fn a_closing_peer_gets_its_close_back() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    soon("closing", agent.socket.close(None)).await.unwrap();
    assert_ne!(agent.close_code().await, 1006);
    until("it left", || rig.sessions.count() == 0).await;
}

#[tokio::test]
async fn controllers_see_the_inventory_and_reach_nodes() {
    let rig = Rig::with(|options| options.controllers = [name("console")].into()).await;
    let mut agent = rig.agent("web1").await;
    let mut console = rig.connect(&rig.ca.issue("console"), "/pcp2/controller", &[]).await.unwrap();
    let ask = |query, subscribe| json!({"query": query, "subscribe": subscribe});
    console.say_to_broker(MessageType::InventoryRequest, ask(json!(["pcp://*/agent"]), true)).await;
    let response = console.hear().await;
    assert_eq!(response.message_type, MessageType::InventoryResponse);
    assert_eq!(response.data_as::<serde_json::Value>().unwrap(), json!({"uris": ["pcp://web1/agent"]}));

    let other = rig.agent("web2").await;
    let change = |number| json!({"changes": [{"client": "pcp://web2/agent", "change": number}]});
    assert_eq!(console.hear().await.data_as::<serde_json::Value>().unwrap(), change(1));
    drop(other);
    assert_eq!(console.hear().await.data_as::<serde_json::Value>().unwrap(), change(-1));

    let ping = json!({"transaction_id": "t", "module": "ping", "action": "ping", "params": {}});
    for (target, error) in
        [("pcp://web2/agent", "Not connected."), ("pcp://*/agent", "Multiple recipients no longer supported.")]
    {
        let target = Uri::parse(target).unwrap();
        let message = Message::new(MessageType::BlockingRequest, None, Some(target), Some(&ping));
        console.send(Frame::text(message.encode())).await;
        assert_eq!(console.hear_error().await, (error.to_owned(), Some(message.id)));
    }
    let message = Message::new(MessageType::BlockingRequest, None, Some(agent.uri.clone()), Some(&ping));
    console.send(Frame::text(message.encode())).await;
    let arrived = agent.hear().await;
    assert_eq!((arrived.id, arrived.sender.as_ref()), (message.id, Some(&console.uri)), "the sender is filled in");
    let answer = json!({"transaction_id": "t", "results": {}});
    let answer = Message::new(MessageType::BlockingResponse, None, arrived.sender, Some(&answer));
    agent.send(Frame::text(answer.encode())).await;
    assert_eq!(console.hear().await.id, answer.id);
}

impl Agent {
    async fn say_to_broker(&mut self, kind: MessageType, data: serde_json::Value) {
        let message = Message::new(kind, None, None, Some(&data));
        self.send(Frame::text(message.encode())).await;
    }
}
