//! Runs outlive connections and agents, and are never started again.

use std::fs;

use bunraku::wire::pcp::MessageType;
use bunraku::wire::pxp::NO_RESULTS_DIRECTORY;
use serde_json::json;
use uuid::Uuid;

use super::lab::{Lab, until_exists};

fn waiting_script(lab: &Lab) -> String {
    let (started, go) = (lab.path("started"), lab.path("go"));
    format!(
        // Ends with the test's directory too: a run outlives its agent, but must not outlive the test.
        "#!/bin/sh\necho x >>{started}\nwhile [ ! -e {go} ] && [ -d \"$(dirname {go})\" ]; do sleep 0.05; done\n\
         echo done\n",
        started = started.display(),
        go = go.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_its_agent_and_the_next_one_answers() {
    let mut lab = Lab::new().await;
    let script = waiting_script(&lab);
    let params = lab.task(&script, &json!({}));
    let (running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    until_exists(&lab.path("started")).await;
    running.kill().await;
    let (_running, mut connection) = lab.start().await;
    assert_eq!(connection.status(id).await["status"], "running");
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    fs::write(lab.path("go"), "").unwrap();
    assert_eq!(connection.results(id).await, json!({"exitcode": 0, "stdout": "done\n"}));
    assert_eq!(connection.status(id).await["status"], "success");
    assert_eq!(fs::read_to_string(lab.path("started")).unwrap(), "x\n");
    assert_eq!(lab.ledger(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_answer_waits_for_the_next_connection() {
    let mut lab = Lab::new().await;
    let script = waiting_script(&lab);
    let params = lab.task(&script, &json!({}));
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    drop(connection);
    fs::write(lab.path("go"), "").unwrap();
    until_exists(&lab.config.spool_dir.join(id.to_string()).join("outcome.json")).await;
    let mut connection = lab.broker.accept().await;
    assert_eq!(connection.results(id).await["stdout"], "done\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_not_sent_is_sent_by_the_next_agent() {
    let mut lab = Lab::new().await;
    let script = waiting_script(&lab);
    let params = lab.task(&script, &json!({}));
    let (running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    until_exists(&lab.path("started")).await;
    running.kill().await;
    fs::write(lab.path("go"), "").unwrap();
    until_exists(&lab.config.spool_dir.join(id.to_string()).join("exitcode")).await;
    let (_running, mut connection) = lab.start().await;
    assert_eq!(connection.results(id).await["stdout"], "done\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_vanished_is_unknown_not_failed() {
    let mut lab = Lab::new().await;
    let script = waiting_script(&lab);
    let params = lab.task(&script, &json!({}));
    let (running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    let directory = lab.config.spool_dir.join(id.to_string());
    until_exists(&lab.path("started")).await;
    until_exists(&directory.join("child")).await;
    running.kill().await;
    for file in ["pid", "child"] {
        // As after a reboot: the processes of the record are of another boot.
        let text = fs::read_to_string(directory.join(file)).unwrap();
        let fields: Vec<&str> = text.split_whitespace().collect();
        fs::write(directory.join(file), format!("{} {} another-boot\n", fields[0], fields[1])).unwrap();
    }
    let (_running, mut connection) = lab.start().await;
    let error = connection.expect(MessageType::RpcErrorMessage).await;
    assert!(error["description"].as_str().unwrap().contains("task process is not running"));
    assert_eq!(connection.status(id).await["status"], "unknown");
    fs::write(lab.path("go"), "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn never_twice_a_spool_that_is_removed_under_a_living_agent_ends_it() {
    let mut lab = Lab::new().await;
    let params = lab.task("#!/bin/sh\necho once\n", &json!({}));
    let (running, mut connection) = lab.start().await;
    let (id, spool) = (Uuid::new_v4(), connection.spool.clone());
    connection.run(id, "task", &params).await;
    fs::rename(&lab.config.spool_dir, lab.path("aside")).unwrap();
    let about = json!({"transaction_id": id});
    let query = json!({"transaction_id": Uuid::new_v4(), "module": "status", "action": "query", "params": about});
    connection.send(MessageType::BlockingRequest, &query).await;
    let error = running.ended().await.unwrap_err().to_string();
    assert!(error.contains("was removed or replaced"), "{error}");
    // If it gave an answer, then none that lets the request be sent again.
    if let Some(answer) = connection.last_text().await {
        assert!(!answer.contains(NO_RESULTS_DIRECTORY), "{answer}");
    }
    let (_running, mut connection) = lab.start().await;
    assert_ne!(connection.spool, spool, "the next one has another spool, and says so");
    assert_eq!(connection.status(id).await["status"], "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn never_twice_a_run_whose_record_was_removed_is_not_taken_for_one_that_never_came() {
    let mut lab = Lab::new().await;
    let params = lab.task("#!/bin/sh\necho once\n", &json!({}));
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.run(id, "task", &params).await;
    assert_eq!(connection.status(id).await["status"], "success");
    fs::remove_dir_all(lab.config.spool_dir.join(id.to_string())).unwrap();
    let answer = connection.status(id).await.to_string();
    assert!(answer.contains("its record is not there any more") && !answer.contains(NO_RESULTS_DIRECTORY), "{answer}");
    let other = connection.status(Uuid::new_v4()).await.to_string();
    assert!(other.contains(NO_RESULTS_DIRECTORY), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn never_stuck_a_run_whose_directory_is_removed_ends_and_its_outcome_is_unknown() {
    let mut lab = Lab::new().await;
    let script = waiting_script(&lab);
    let params = lab.task(&script, &json!({}));
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    until_exists(&lab.path("started")).await;
    fs::remove_dir_all(lab.config.spool_dir.join(id.to_string())).unwrap();
    fs::write(lab.path("go"), "").unwrap();
    let error = connection.expect(MessageType::RpcErrorMessage).await;
    assert!(error["description"].as_str().unwrap().contains("task process is not running"), "{error}");
    assert_eq!(connection.status(id).await["status"], "unknown");
}
