//! `bunraku ledger`: what was started, and nothing else, for whoever is told by it that nothing ran twice.

use bunraku::wire::pcp::MessageType;
use serde_json::json;
use uuid::Uuid;

use super::lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_has_one_line_for_each_start() {
    let mut lab = Lab::new().await;
    let params = lab.task("#!/bin/sh\necho hello\n", &json!({"secret": "hunter2"}));
    let (_running, mut connection) = lab.start().await;
    assert_eq!(connection.ask("bunraku", "ledger", json!({"from": 0})).await["lines"], json!([]));
    let ids = [Uuid::new_v4(), Uuid::new_v4()];
    for id in ids {
        connection.run(id, "task", &params).await;
    }
    // Known already: it does not start, and leaves no line.
    connection.start(ids[0], "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    let results = connection.ask("bunraku", "ledger", json!({"from": 0})).await;
    let lines = results["lines"].as_array().unwrap();
    let told: Vec<_> = lines.iter().map(|line| line["transaction_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ids.map(|id| id.to_string()));
    assert_eq!((&results["next"], &lines[0]["module"]), (&json!(null), &json!("task")));
    assert!(!results.to_string().contains("hunter2"));
}
