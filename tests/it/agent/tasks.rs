//! Tasks: once, whole, and without a trace of their parameters.

use bunraku::wire::pcp::MessageType;
use serde_json::{Value, json};
use uuid::Uuid;

use super::lab::Lab;

const ENV: &str = "#!/bin/sh\necho \"PT_name=$PT_name PT__task=$PT__task\"\ncat\necho oops >&2\nexit 3\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_once_and_is_remembered() {
    let mut lab = Lab::new().await;
    let params = lab.task(ENV, &json!({"name": "bob"}));
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    let results = connection.run(id, "task", &params).await;
    let stdout = "PT_name=bob PT__task=demo\n{\"name\":\"bob\",\"_task\":\"demo\"}";
    assert_eq!(results, json!({"exitcode": 3, "stdout": stdout, "stderr": "oops\n"}));
    // Again: known, nothing starts, no second final answer.
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    let status = connection.status(id).await;
    assert_eq!(
        status,
        json!({"transaction_id": id, "status": "failure", "exitcode": 3, "stdout": stdout, "stderr": "oops\n"})
    );
    assert_eq!(lab.ledger(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_leave_no_trace() {
    let mut lab = Lab::new().await;
    let params = lab.task("#!/bin/sh\ncat >/dev/null\n", &json!({"password": "correct horse"}));
    let (_running, mut connection) = lab.start().await;
    let results = connection.run(Uuid::new_v4(), "task", &params).await;
    assert_eq!(results, json!({"exitcode": 0}));
    assert!(lab.spool_holds("\"module\": \"task\""));
    assert!(!lab.spool_holds("correct horse") && !lab.spool_holds("password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_task_answers_with_its_results() {
    let mut lab = Lab::new().await;
    let params = lab.task("#!/bin/sh\necho done\n", &json!({}));
    let (_running, mut connection) = lab.start().await;
    let data = json!({"transaction_id": Uuid::new_v4(), "module": "task", "action": "run", "params": params});
    connection.send(MessageType::BlockingRequest, &data).await;
    let answer = connection.expect(MessageType::BlockingResponse).await;
    assert_eq!(answer["results"], json!({"exitcode": 0, "stdout": "done\n"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_and_broken_output_is_cut_and_marked() {
    let mut lab = Lab::new().await;
    lab.config.output_limit = 1000;
    let params = lab.task("#!/bin/sh\nhead -c 5000 /dev/zero | tr '\\0' x\nprintf 'a\\377b' >&2\n", &json!({}));
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    let results = connection.run(id, "task", &params).await;
    let stdout = results["stdout"].as_str().unwrap();
    assert!(stdout.starts_with("xxx") && stdout.ends_with("xxx\n… [cut by bunraku: 5000 bytes in all]\n"));
    assert!(stdout.len() < 1100);
    let repaired = "a\u{fffd}b\n… [repaired by bunraku: 3 bytes in all, some of them not UTF-8]\n";
    assert_eq!(results["stderr"], repaired);
    let status = connection.status(id).await;
    assert_eq!((&status["stdout"], &status["stderr"]), (&results["stdout"], &results["stderr"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_fail_are_told_and_start_nothing() {
    let mut lab = Lab::new().await;
    let good = lab.task("#!/bin/sh\n", &json!({}));
    let (_running, mut connection) = lab.start().await;
    let mut missing = good.clone();
    missing["files"][0]["uri"]["path"] = json!("/nope");
    let mut other_content = good;
    other_content["files"][0]["sha256"] = json!("1".repeat(64));
    for (params, words) in [
        (missing, "returned a response with HTTP status 404. Response body: not found"),
        (other_content, "has a SHA that differs from the provided SHA"),
    ] {
        let id = Uuid::new_v4();
        connection.start(id, "task", &params).await;
        connection.expect(MessageType::ProvisionalResponse).await;
        let error: Value = connection.expect(MessageType::RpcErrorMessage).await;
        let description = error["description"].as_str().unwrap();
        let beginning =
            format!("Failed to execute the task for the non blocking 'task run' request (transaction {id}). Error: ");
        assert!(description.starts_with(&beginning) && description.contains(words), "{description}");
        let status = connection.status(id).await;
        assert_eq!(status["status"], "failure");
        assert!(status["stdout"].as_str().unwrap().contains("\"_error\""));
    }
}
