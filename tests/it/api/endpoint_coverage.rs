//! Every route of the table has a recorded answer, and every record belongs to a route.

use std::collections::BTreeSet;
use std::path::Path;

use bunraku::api::ENDPOINTS;
use bunraku::api::openapi::slug;

/// The part of a record's file name before the case.
fn recorded() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api/snapshots");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| Some(file.split_once('@')?.0.to_owned())).collect()
}

#[test]
fn every_route_has_a_record() {
    let recorded = recorded();
    let routes: BTreeSet<String> =
        ENDPOINTS.iter().map(|endpoint| slug(&format!("{} {}", endpoint.method, endpoint.path))).collect();
    assert_eq!(routes.len(), ENDPOINTS.len(), "two routes share a name");
    let missing: Vec<_> = routes.difference(&recorded).collect();
    assert!(missing.is_empty(), "no recorded answer: {missing:#?}");
    let stray: Vec<_> = recorded.iter().filter(|name| *name != "any" && !routes.contains(*name)).collect();
    assert!(stray.is_empty(), "records of no route: {stray:#?}");
}

/// The endpoints that clients of Puppet Enterprise know.
const OF_PUPPET_ENTERPRISE: &str = "
GET /orchestrator
GET /orchestrator/v1
GET /orchestrator/v1/environments
GET /orchestrator/v1/environments/{environment}
GET /orchestrator/v1/environments/{environment}/applications
GET /orchestrator/v1/environments/{environment}/instances
POST /orchestrator/v1/command/deploy
POST /orchestrator/v1/command/stop
POST /orchestrator/v1/command/stop_plan
POST /orchestrator/v1/command/task
POST /orchestrator/v1/command/task_target
POST /orchestrator/v1/command/plan_run
POST /orchestrator/v1/command/environment_plan_run
POST /orchestrator/v1/command/schedule_task
POST /orchestrator/v1/command/schedule_deploy
POST /orchestrator/v1/command/schedule_plan
POST /orchestrator/v1/command/plan_start
POST /orchestrator/v1/command/plan_task
POST /orchestrator/v1/command/plan_finish
GET /orchestrator/v1/jobs
GET /orchestrator/v1/jobs/{id}
GET /orchestrator/v1/jobs/{id}/nodes
GET /orchestrator/v1/jobs/{id}/report
GET /orchestrator/v1/jobs/{id}/events
GET /orchestrator/v1/plans
GET /orchestrator/v1/plans/{module}/{plan}
GET /orchestrator/v1/plan_jobs
GET /orchestrator/v1/plan_jobs/{id}
GET /orchestrator/v1/plan_jobs/{id}/events
GET /orchestrator/v1/plan_jobs/{id}/event/{event}
GET /orchestrator/v1/scheduled_jobs/environment_jobs
GET /orchestrator/v1/scheduled_jobs/environment_jobs/{id}
POST /orchestrator/v1/scheduled_jobs/environment_jobs
PUT /orchestrator/v1/scheduled_jobs/environment_jobs/{id}
GET /orchestrator/v1/scheduled_jobs
DELETE /orchestrator/v1/scheduled_jobs/{id}
GET /orchestrator/v1/tasks
GET /orchestrator/v1/tasks/{module}/{task}
GET /orchestrator/v1/scopes/task_targets
GET /orchestrator/v1/scopes/task_targets/{id}
GET /orchestrator/v1/inventory
GET /orchestrator/v1/inventory/{node}
POST /orchestrator/v1/inventory
GET /orchestrator/v1/usage
GET /status/v1/services
GET /status/v1/services/{service}
GET /status/v1/simple
GET /status/v1/simple/{service}
POST /rbac-api/v1/auth/token
";

#[test]
fn every_endpoint_of_puppet_enterprise_is_there() {
    let known: BTreeSet<String> =
        ENDPOINTS.iter().map(|endpoint| format!("{} {}", endpoint.method, endpoint.path)).collect();
    let missing: Vec<_> = OF_PUPPET_ENTERPRISE.trim().lines().filter(|route| !known.contains(*route)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_kind_of_error_has_a_record() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api/snapshots");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let all: String = files.collect();
    let kinds = [
        "validation-error",
        "unknown-job",
        "unknown-environment",
        "empty-environment",
        "empty-target",
        "dependency-cycle",
        "query-error",
        "not-permitted",
        "unknown-task",
        "unknown-plan",
        "unknown-task-target",
        "mismatched-job-event-id",
        "invalid-time",
        "disabled-scheduled-job",
        "plan-already-finished",
        "unknown-error",
    ];
    let missing: Vec<_> =
        kinds.into_iter().filter(|kind| !all.contains(&format!("\"puppetlabs.orchestrator/{kind}\""))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
