//! `bunraku cancel`: what runs is ended with all that it started, what has not come never starts.

use std::fs;
use std::path::Path;

use bunraku::wire::pcp::MessageType;
use serde_json::json;
use uuid::Uuid;

use super::lab::{Lab, until, until_exists};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_ended_with_children_in_other_sessions() {
    let mut lab = Lab::new().await;
    let (child, ready) = (lab.path("child"), lab.path("ready"));
    let script = format!(
        "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM; echo $$ >{child}; mv {child} {ready}; while :; do sleep 0.1; done' &\nwait\n",
        child = child.display(),
        ready = ready.display()
    );
    let params = lab.task(&script, &json!({}));
    let (_running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    connection.start(id, "task", &params).await;
    connection.expect(MessageType::ProvisionalResponse).await;
    until_exists(&ready).await;
    let child = fs::read_to_string(&ready).unwrap().trim().to_owned();
    assert_eq!(connection.cancel(id).await, true);
    let results = connection.results(id).await;
    assert_eq!((&results["canceled"], &results["exitcode"]), (&json!(true), &json!(143)));
    until(|| !Path::new("/proc").join(&child).exists()).await;
    assert_eq!(connection.cancel(id).await, false, "it is over");
    let status = connection.status(id).await;
    assert_eq!((&status["status"], &status["canceled"]), (&json!("failure"), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_keeps_a_late_request_from_starting() {
    let mut lab = Lab::new().await;
    let mark = lab.path("mark");
    let params = lab.task(&format!("#!/bin/sh\ntouch {}\n", mark.display()), &json!({}));
    let (running, mut connection) = lab.start().await;
    let id = Uuid::new_v4();
    assert_eq!(connection.cancel(id).await, true);
    assert_eq!(connection.cancel(id).await, true);
    running.kill().await;
    let (_running, mut connection) = lab.start().await;
    let results = connection.run(id, "task", &params).await;
    assert_eq!(results["canceled"], true);
    assert_eq!(connection.status(id).await["status"], "failure");
    assert_eq!((lab.ledger(), mark.exists()), (0, false));
}
