//! The life of a run over the wire, with everything that can come in between.

use bunraku::wire::pcp::MessageType;
use bunraku_actors::model::{JobKind, RunOutcome, TransactionId};
use bunraku_actors::ports::{RunSignal, StatusAnswer, Transport};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rig::{Rig, name, request, unchanged, until};

const PROVISIONAL: MessageType = MessageType::ProvisionalResponse;

fn about(transaction: TransactionId) -> Value {
    json!({"transaction_id": transaction})
}

fn refused(text: &str) -> RunSignal {
    RunSignal::Ended(RunOutcome::Refused { description: text.to_owned() })
}

#[tokio::test]
async fn request_provisional_catalog_final() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    let transaction = rig.run("a", 5);
    let (data, _) = agent.hear_request().await;
    assert_eq!(
        (&data["module"], &data["action"], &data["params"]["job"]),
        (&json!("pxp-module-puppet"), &json!("run"), &json!("8"))
    );
    assert_eq!(rig.signals().await, [(5, RunSignal::Sent)]);
    agent.say(PROVISIONAL, about(transaction)).await;
    assert_eq!(rig.signals().await, [(5, RunSignal::Accepted)]);
    agent.say(PROVISIONAL, json!({"transaction_id": transaction, "catalog_ready": true})).await;
    assert_eq!(rig.signals().await, [(5, RunSignal::CatalogReady)]);
    agent.finish(transaction, unchanged()).await;
    let [(5, RunSignal::Ended(RunOutcome::Puppet(outcome)))] = rig.signals().await else { panic!("Puppet's results") };
    assert_eq!((outcome.status.as_str(), outcome.exitcode), ("unchanged", 0));
}

#[tokio::test]
async fn an_error_may_overtake_the_provisional_answer() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    let transaction = rig.run("a", 1);
    let (_, id) = agent.hear_request().await;
    let error = json!({"transaction_id": transaction, "id": id, "description": "unknown module: x"});
    agent.say(MessageType::RpcErrorMessage, error).await;
    agent.say(PROVISIONAL, about(transaction)).await;
    assert_eq!(rig.signals().await, [(1, RunSignal::Sent), (1, refused("unknown module: x"))]);
    let next = rig.run("a", 2);
    agent.hear_request().await;
    agent.say(PROVISIONAL, about(next)).await;
    assert_eq!(rig.signals().await, [(2, RunSignal::Sent), (2, RunSignal::Accepted)]);
}

#[tokio::test]
async fn an_agent_that_looks_for_files_elsewhere_is_told_the_line_to_change() {
    let rig = Rig::start().await;
    let failed = "Failed to execute the task for the non blocking 'task run' request. Error: Failed to download file \
        with: Downloading file \"y.sh\" failed after trying all the available master-uris. Most recent error message: \
        https://puppet.example.com:8140/nope?environment=production returned a response with HTTP status 404.";
    let lines = [
        ("ours", "primary_uris: [https://orch.example.com:8143]\" into its agent.yaml"),
        ("theirs", "\"primary-uris\": [\"https://orch.example.com:8143\"]\" into its pxp-agent.conf"),
    ];
    let (mut ours, mut theirs) = (rig.own_agent("ours").await, rig.agent("theirs").await);
    for (agent, (name_of_node, line)) in [&mut ours, &mut theirs].into_iter().zip(lines) {
        let told = format!(
            "the agent cannot fetch the task's files from https://puppet.example.com:8140: put \"{line} ({failed})"
        );
        let transaction = rig.run(name_of_node, 1);
        let (_, id) = agent.hear_request().await;
        let error = json!({"transaction_id": transaction, "id": id, "description": failed});
        agent.say(MessageType::RpcErrorMessage, error).await;
        assert_eq!(rig.signals().await, [(1, RunSignal::Sent), (1, refused(&told))]);
        // The same when it is asked how the run ended, as after a restart.
        let transaction = rig.run(name_of_node, 2);
        agent.hear_request().await;
        assert_eq!(rig.signal().await, RunSignal::Sent);
        rig.transport.query_status(&name(name_of_node), transaction);
        let (data, _) = agent.hear_request().await;
        let fault = json!({"_error": {"kind": "puppetlabs.pxp-agent/execution-error", "details": {}, "msg": failed}});
        let results = json!({"transaction_id": transaction, "status": "failure", "stdout": fault.to_string()});
        let answer = json!({"transaction_id": data["transaction_id"], "results": results});
        agent.say(MessageType::BlockingResponse, answer).await;
        let over = RunOutcome::Refused { description: told };
        assert_eq!(rig.signal().await, RunSignal::Status(StatusAnswer::Over(over)));
    }
}

#[tokio::test]
async fn a_pcp_error_ends_the_run_that_it_answers() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    rig.run("a", 1);
    let (_, id) = agent.hear_request().await;
    let error = json!({"id": Uuid::new_v4(), "message_type": "http://puppetlabs.com/error_message",
                       "in_reply_to": id, "data": "invalid data", "sender": agent.uri});
    agent.send(tokio_tungstenite::tungstenite::Message::text(error.to_string())).await;
    assert_eq!(rig.signals().await, [(1, RunSignal::Sent), (1, refused("invalid data"))]);
}

#[tokio::test]
async fn duplicates_late_and_foreign_answers_are_dropped() {
    let rig = Rig::start().await;
    let (mut agent, mut other) = (rig.agent("a").await, rig.agent("b").await);
    let (first, second) = (rig.run("a", 1), rig.run("a", 2));
    agent.hear_request().await;
    agent.hear_request().await;
    assert_eq!(rig.signals().await, [(1, RunSignal::Sent), (2, RunSignal::Sent)]);
    other.finish(first, unchanged()).await;
    other.say(MessageType::InventoryRequest, json!({})).await;
    other.hear_error().await;
    agent.finish(TransactionId(Uuid::new_v4()), unchanged()).await;
    agent.finish(first, unchanged()).await;
    agent.finish(first, json!({"exitcode": 1})).await;
    rig.transport.forget(second);
    agent.finish(second, unchanged()).await;
    let [(1, RunSignal::Ended(RunOutcome::Puppet(_)))] = rig.signals().await else {
        panic!("one end, and only from the node that ran")
    };
    let third = rig.run("a", 3);
    agent.hear_request().await;
    agent.say(PROVISIONAL, about(third)).await;
    assert_eq!(rig.signals().await, [(3, RunSignal::Sent), (3, RunSignal::Accepted)], "nothing else came");
}

#[tokio::test]
async fn answers_of_the_wrong_shape_end_the_run_with_the_reason() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    let transaction = rig.run("a", 1);
    agent.hear_request().await;
    agent.say(MessageType::NonBlockingResponse, about(transaction)).await;
    let [(1, RunSignal::Sent), (1, RunSignal::Ended(RunOutcome::Unreadable { description }))] = rig.signals().await
    else {
        panic!("unreadable")
    };
    assert!(description.starts_with("the agent's answer is not valid: "), "{description}");
    assert!(description.contains("missing field `results`"), "{description}");
}

#[tokio::test]
async fn nothing_is_sent_without_a_session() {
    let rig = Rig::start().await;
    let transaction = rig.run("a", 1);
    assert_eq!(rig.signals().await, [(1, RunSignal::Unsent)]);
    rig.transport.query_status(&name("a"), transaction);
    rig.transport.cancel(&name("a"), transaction);
    assert_eq!(rig.transport.watch(&name("a"), 7, rig.outlet(9)), None);
    let mut agent = rig.agent("a").await;
    let [(9, RunSignal::Connected(connection))] = rig.signals().await else { panic!("connected") };
    assert_eq!(*rig.transport.connections(), [connection]);
    rig.transport.send(request("a", transaction));
    assert_eq!(agent.hear_request().await.0["transaction_id"], json!(transaction));
    assert_eq!(rig.signals().await, [(1, RunSignal::Sent)]);
}

#[tokio::test]
async fn what_a_session_never_began_is_unsent() {
    let rig = Rig::start().await;
    let agent = rig.agent("a").await;
    // The first frame fills every buffer on the way, so the runs behind it wait.
    let stuffing = bunraku::broker::Frame::plain("x".repeat(32 * 1024 * 1024));
    rig.sessions.send(&name("a"), stuffing).unwrap();
    rig.run("a", 1);
    rig.run("a", 2);
    rig.transport.watch(&name("a"), 1, rig.outlet(3));
    drop(agent);
    let expected = [(1, RunSignal::Unsent), (2, RunSignal::Unsent), (3, RunSignal::Disconnected)];
    assert_eq!(rig.signals().await, expected);
}

#[tokio::test]
async fn status_queries_are_answered_under_ids_of_their_own() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    // As after a restart: nothing was sent from here, the answers alone tell what ran.
    let transaction = TransactionId(Uuid::new_v4());
    rig.transport.expect(&name("a"), transaction, JobKind::Task, rig.outlet(4));
    let fault = |text: &str| {
        let kind = "puppetlabs.pxp-agent/execution-error";
        json!({"_error": {"kind": kind, "details": {}, "msg": text}}).to_string()
    };
    let cases = [
        (json!({"status": "running"}), StatusAnswer::Running),
        (json!({"status": "unknown", "stdout": fault("found no results directory")}), StatusAnswer::NeverArrived),
        (json!({"status": "unknown", "stdout": fault("no PID")}), StatusAnswer::Unknown("no PID".into())),
        (
            json!({"status": "failure", "exitcode": -1, "stdout": fault("no file")}),
            StatusAnswer::Over(RunOutcome::Refused { description: "no file".into() }),
        ),
    ];
    for (mut results, expected) in cases {
        rig.transport.query_status(&name("a"), transaction);
        let (data, _) = agent.hear_request().await;
        assert_eq!((&data["module"], &data["action"]), (&json!("status"), &json!("query")));
        assert_eq!(data["params"], about(transaction));
        assert_ne!(data["transaction_id"], json!(transaction));
        results["transaction_id"] = json!(transaction);
        let answer = json!({"transaction_id": data["transaction_id"], "results": results});
        agent.say(MessageType::BlockingResponse, answer.clone()).await;
        agent.say(MessageType::BlockingResponse, answer).await;
        assert_eq!(rig.signals().await, [(4, RunSignal::Status(expected))]);
    }
    rig.transport.query_status(&name("a"), transaction);
    let (data, id) = agent.hear_request().await;
    let error = json!({"transaction_id": data["transaction_id"], "id": id, "description": "too large"});
    agent.say(MessageType::RpcErrorMessage, error).await;
    assert_eq!(rig.signal().await, RunSignal::Status(StatusAnswer::Unknown("too large".into())));
}

#[tokio::test]
async fn only_our_own_agent_is_asked_to_cancel() {
    let rig = Rig::start().await;
    let (mut ours, mut theirs) = (rig.own_agent("ours").await, rig.agent("theirs").await);
    let foreign = rig.run("theirs", 1);
    theirs.hear_request().await;
    rig.transport.cancel(&name("theirs"), foreign);
    let [(1, RunSignal::Sent), (1, RunSignal::CancelRefused(_))] = rig.signals().await else { panic!("refused") };

    let transaction = rig.run("ours", 2);
    ours.hear_request().await;
    assert_eq!(rig.signal().await, RunSignal::Sent);
    rig.transport.cancel(&name("ours"), transaction);
    let (data, _) = ours.hear_request().await;
    assert_eq!((&data["module"], &data["action"]), (&json!("bunraku"), &json!("cancel")));
    let results = json!({"transaction_id": transaction, "canceled": true});
    let answer = json!({"transaction_id": data["transaction_id"], "results": results});
    ours.say(MessageType::BlockingResponse, answer).await;
    assert_eq!(rig.signal().await, RunSignal::CancelAccepted);
    let results = json!({"canceled": true, "exitcode": 143});
    ours.finish(transaction, results.clone()).await;
    assert_eq!(rig.signal().await, RunSignal::Ended(RunOutcome::Canceled { results }));
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_asks_how_it_ended() {
    let rig = Rig::start().await;
    let mut agent = rig.own_agent("a").await;
    let transaction = rig.run("a", 1);
    agent.hear_request().await;
    rig.transport.cancel(&name("a"), transaction);
    let (data, _) = agent.hear_request().await;
    let results = json!({"transaction_id": transaction, "canceled": false});
    let answer = json!({"transaction_id": data["transaction_id"], "results": results});
    agent.say(MessageType::BlockingResponse, answer).await;
    let (data, _) = agent.hear_request().await;
    assert_eq!((&data["module"], &data["params"]), (&json!("status"), &about(transaction)));
    let text = unchanged().to_string();
    let results = json!({"transaction_id": transaction, "status": "success", "exitcode": 0, "stdout": text});
    let answer = json!({"transaction_id": data["transaction_id"], "results": results});
    agent.say(MessageType::BlockingResponse, answer).await;
    let [(1, RunSignal::Sent), (1, RunSignal::Status(StatusAnswer::Over(RunOutcome::Puppet(outcome))))] =
        rig.signals().await
    else {
        panic!("the outcome")
    };
    assert_eq!(outcome.status, "unchanged");
}

#[tokio::test]
async fn many_nodes_run_at_once() {
    const NODES: u64 = 40;
    let rig = Rig::start().await;
    let mut agents = Vec::new();
    for n in 0..NODES {
        agents.push(rig.agent(&format!("n{n}")).await);
    }
    let serving: Vec<_> = agents
        .into_iter()
        .map(|mut agent| {
            tokio::spawn(async move {
                let (data, _) = agent.hear_request().await;
                let transaction = serde_json::from_value(data["transaction_id"].clone()).unwrap();
                agent.say(PROVISIONAL, about(transaction)).await;
                agent.finish(transaction, unchanged()).await;
                agent
            })
        })
        .collect();
    for n in 0..NODES {
        rig.run(&format!("n{n}"), n);
    }
    let mut ended = Vec::new();
    while ended.len() < NODES as usize {
        let batch = super::rig::soon("all ends", rig.inbox.take()).await;
        ended.extend(batch.into_iter().filter(|(_, signal)| matches!(signal, RunSignal::Ended(_))).map(|(key, _)| key));
    }
    ended.sort_unstable();
    assert_eq!(ended, (0..NODES).collect::<Vec<_>>());
    drop(serving);
    until("everyone left", || rig.sessions.count() == 0).await;
}

#[tokio::test]
async fn the_loss_of_a_run_that_its_agent_tells_of_proves_that_the_request_arrived() {
    let rig = Rig::start().await;
    let mut agent = rig.agent("a").await;
    let transaction = rig.run("a", 1);
    let (_, id) = agent.hear_request().await;
    let lost = format!("{}: no exit code", bunraku::wire::pxp::LOST_PROCESS);
    agent
        .say(MessageType::RpcErrorMessage, json!({"transaction_id": transaction, "id": id, "description": lost}))
        .await;
    let unknown = RunSignal::Status(StatusAnswer::Unknown(lost));
    assert_eq!(rig.signals().await, [(1, RunSignal::Sent), (1, RunSignal::Accepted), (1, unknown)]);
}
