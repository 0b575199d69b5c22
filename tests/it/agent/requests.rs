//! Requests that start nothing, and those that are refused: texts and types of the answers.

use bunraku::agent::config::Module;
use bunraku::wire::pcp::MessageType;
use serde_json::{Value, json};
use uuid::Uuid;

use super::lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn the_upgrade_names_agent_and_spool() {
    let mut lab = Lab::new().await;
    let (running, connection) = lab.start().await;
    assert_eq!(connection.path, "/pcp2/agent");
    assert!(connection.user_agent.starts_with("bunraku-agent/"));
    let spool: Uuid = connection.spool.parse().unwrap();
    running.kill().await;
    let (_running, connection) = lab.start().await;
    assert_eq!(connection.spool.parse::<Uuid>().unwrap(), spool);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_actions_answer() {
    let mut lab = Lab::new().await;
    let (_running, mut connection) = lab.start().await;
    assert_eq!(connection.ask("ping", "ping", json!({})).await, json!({"request_hops": []}));
    assert_eq!(connection.ask("echo", "echo", json!({"argument": "hi"})).await, json!({"outcome": "hi"}));
    let unknown = connection.status(Uuid::new_v4()).await;
    assert_eq!(unknown["status"], "unknown");
    assert!(unknown["stdout"].as_str().unwrap().contains("found no results directory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_texts_of_pxp_agent() {
    let mut lab = Lab::new().await;
    lab.config.modules = vec![Module::Puppet];
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    let (blocking, other) = (MessageType::BlockingRequest, MessageType::NonBlockingRequest);
    for (kind, module, action, params, expected) in [
        (&blocking, "nosuch", "x", json!({}), "unknown module: nosuch".to_owned()),
        (&blocking, "ping", "pong", json!({}), "unknown action 'pong' for module 'ping'".to_owned()),
        (&other, "ping", "ping", json!({}), "the module 'ping' supports only blocking PXP requests".to_owned()),
        (
            &blocking,
            "echo",
            "echo",
            json!({"argument": 5}),
            format!("invalid input for blocking 'echo echo' request (transaction {id})"),
        ),
        (
            &other,
            "pxp-module-puppet",
            "run",
            json!({"job": "1"}),
            format!("invalid input for non blocking 'pxp-module-puppet run' request (transaction {id})"),
        ),
        (
            &other,
            "task",
            "run",
            json!({}),
            "refused by the policy of this node: module 'task' is not enabled".to_owned(),
        ),
    ] {
        let mut data = json!({"transaction_id": id, "module": module, "action": action, "params": params});
        if *kind == other {
            data["notify_outcome"] = true.into();
        }
        let request = connection.send(kind.clone(), &data).await;
        let error = connection.expect(MessageType::RpcErrorMessage).await;
        assert_eq!(error, json!({"transaction_id": id, "id": request, "description": expected}));
    }
    assert_eq!(lab.ledger(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_data_is_a_pcp_error_and_a_faulty_envelope_is_dropped() {
    let mut lab = Lab::new().await;
    let (_running, mut connection) = lab.start().await;
    for bad in ["no json", "{}", r#"{"id":"6f0c1f0a-5a0e-4c55-8f5e-0f6f3f0a7d11","message_type":"x","extra":1}"#] {
        connection.send_text(bad).await;
    }
    let data = json!({"transaction_id": "t-1", "module": "ping", "action": "ping", "params": {}, "extra": 1});
    let request = connection.send(MessageType::BlockingRequest, &data).await;
    let (kind, text, message) = connection.receive().await;
    assert_eq!((kind, text, message.in_reply_to), (MessageType::ErrorMessage, json!("invalid data"), Some(request)));
    let path = json!({
        "transaction_id": "../../etc", "module": "pxp-module-puppet", "action": "run",
        "params": {"flags": []}, "notify_outcome": true,
    });
    connection.send(MessageType::NonBlockingRequest, &path).await;
    let error: Value = connection.expect(MessageType::RpcErrorMessage).await;
    assert!(error["description"].as_str().unwrap().contains("not a UUID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_broker_is_not_talked_to() {
    let mut lab = Lab::new().await;
    lab.revoke_broker();
    let agent = tokio::spawn(bunraku::agent::serve(lab.config.clone()));
    let handshake = lab.broker.try_handshake().await;
    assert!(handshake.is_err(), "the agent refuses the certificate");
    agent.abort();
    lab.config.ssl.crl = None;
    let _ = agent.await;
    let (_running, mut connection) = lab.start().await;
    connection.ask("ping", "ping", json!({})).await;
}
