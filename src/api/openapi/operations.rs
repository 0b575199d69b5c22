//! What each route takes and answers. Tests compare this table with that of the routes, and recorded answers with it.

use serde_json::{Value, json};

use super::requests::{self, Parameter};
use super::schemas::{items, named, object, text};
use crate::api::routes::Endpoint;

/// A body of an answer.
pub(super) enum Answer {
    /// None.
    Nothing,
    /// Text of this type.
    Text(&'static str),
    /// JSON.
    Of(fn() -> Value),
    /// JSON, or text of this type for those who ask for it.
    Either(fn() -> Value, &'static str),
}

/// An operation of the description.
pub(super) struct Operation {
    /// `GET /path`, as in the table of routes.
    pub(super) route: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Option<fn() -> Value>,
    /// The answer when all is well.
    pub(super) ok: (u16, Answer),
    /// Other answers that are no errors of the common shape.
    pub(super) also: &'static [(u16, Answer)],
    /// Statuses of errors beside those that all routes of its kind have.
    pub(super) errors: &'static [u16],
}

impl Operation {
    pub(super) fn is_for(&self, endpoint: &Endpoint) -> bool {
        self.route.split_once(' ') == Some((endpoint.method, endpoint.path))
    }

    /// Whether it takes an idempotency key.
    pub(super) fn is_command(&self) -> bool {
        self.route.starts_with("POST /orchestrator/v1/command/")
            || self.route.ends_with("/retry")
            || (self.body.is_some() && self.route.contains("/environment_jobs"))
    }

    /// The group in which the page shows it: the part of the path that says what it is about.
    pub(super) fn tag(&self) -> &'static str {
        let path = self.route.split_once(' ').map_or("", |(_, path)| path);
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty() && !word.starts_with('{')).collect();
        match words[..] {
            ["orchestrator", "v1", "command", ..] => "commands",
            ["orchestrator", "v1", what, ..] => what,
            ["bunraku", "v1", what, ..] => what,
            ["rbac-api", ..] => "session",
            ["status", ..] => "status",
            _ => "service",
        }
    }
}

const fn ask(route: &'static str, summary: &'static str, query: &'static [Parameter], ok: fn() -> Value) -> Operation {
    Operation { route, summary, query, body: None, ok: (200, Answer::Of(ok)), also: &[], errors: &[] }
}

const fn send(
    route: &'static str,
    summary: &'static str,
    body: fn() -> Value,
    status: u16,
    ok: fn() -> Value,
) -> Operation {
    Operation { route, summary, query: &[], body: Some(body), ok: (status, Answer::Of(ok)), also: &[], errors: &[] }
}

impl Operation {
    const fn errors(self, errors: &'static [u16]) -> Self {
        Self { errors, ..self }
    }

    const fn also(self, also: &'static [(u16, Answer)]) -> Self {
        Self { also, ..self }
    }
}

fn started() -> Value {
    named("Started")
}

fn plan_name() -> Value {
    object(json!({ "name": text() }))
}

fn reference(key: &str) -> Value {
    let mut properties = json!({});
    properties[key] = named("NamedLink");
    object(properties)
}

fn status() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "object" } })
}

fn any_object() -> Value {
    json!({ "type": "object" })
}

fn audit() -> Value {
    let entry = object(json!({
        "id": text(), "timestamp": text(), "login": text(), "address": text(), "action": text(), "outcome": text(),
        "about": any_object(),
    }));
    object(json!({ "items": { "type": "array", "items": entry } }))
}

fn preview() -> Value {
    object(json!({
        "nodes": { "type": "integer" }, "not_connected": any_object(), "levels": { "type": "array", "items": any_object() },
    }))
}

fn grid() -> Value {
    let texts = || json!({ "type": "array", "items": text() });
    object(json!({
        "job": named("Job"), "live": named("LiveView"), "next-events": text(), "states": texts(), "causes": texts(),
        "groups": texts(), "levels": { "type": "integer" }, "nodes": any_object(),
    }))
}

fn failures() -> Value {
    object(json!({ "groups": { "type": "array", "items": any_object() } }))
}

fn nodes() -> Value {
    let node = object(json!({
        "name": text(), "since": { "type": ["string", "null"] }, "agent": { "type": ["string", "null"] },
        "native": { "type": "boolean" }, "contended": { "type": "boolean" },
    }));
    object(json!({ "items": { "type": "array", "items": node } }))
}

fn why() -> Value {
    let reason =
        object(json!({ "job": text(), "state": text(), "reason": text(), "text": text(), "details": any_object() }));
    object(json!({
        "node": text(), "connected": { "type": "boolean" }, "summary": text(), "reasons": { "type": "array", "items": reason },
    }))
}

fn flushed() -> Value {
    object(json!({ "environment": text(), "flushed": { "type": "boolean" } }))
}

fn groups() -> Value {
    let group = object(json!({
        "id": text(), "name": text(), "description": text(), "parent": text(), "rule": { "type": ["array", "null"] },
    }));
    object(json!({ "items": { "type": "array", "items": group } }))
}

fn members() -> Value {
    let nodes = json!({ "type": "array", "items": text() });
    object(json!({ "id": text(), "name": text(), "nodes": nodes }))
}

fn usage() -> Value {
    let day =
        json!({ "type": "object", "required": ["date", "total_nodes", "nodes_with_agent", "nodes_without_agent"] });
    object(json!({ "items": { "type": "array", "items": day }, "pagination": any_object() }))
}

fn targets() -> Value {
    let target =
        json!({ "type": "object", "required": ["id", "name", "display_name", "all_tasks", "nodes", "node_groups"] });
    object(json!({ "items": { "type": "array", "items": target } }))
}

fn job_events() -> Value {
    items("Event", &["next-events"])
}

fn all_events() -> Value {
    let next = object(json!({ "event": text() }));
    object(
        json!({ "next-events": next, "more": { "type": "boolean" }, "items": { "type": "array", "items": named("Event") } }),
    )
}

fn drain() -> Value {
    object(json!({ "draining": { "type": "boolean" }, "nodes_running": { "type": "integer" } }))
}

fn access() -> Value {
    object(json!({
        "allowed": { "type": "boolean" }, "reason": text(), "roles": { "type": "array" }, "grants": { "type": "array" },
    }))
}

fn ready() -> Value {
    let texts = || json!({ "type": "array", "items": text() });
    object(json!({ "ready": { "type": "boolean" }, "trouble": texts(), "degraded": texts() }))
}

fn root() -> Value {
    object(
        json!({ "info": any_object(), "status": named("NamedLink"), "collections": { "type": "array" }, "commands": { "type": "array" } }),
    )
}

const PLAIN: &str = "text/plain";

/// All operations, in the order of the routes.
pub(super) const OPERATIONS: &[Operation] = &[
    ask("GET /orchestrator", "What the API offers", &[], root),
    ask("GET /orchestrator/v1", "What the API offers", &[], root),
    ask("GET /orchestrator/v1/status", "Health of the orchestrator", &[], any_object),
    ask("GET /orchestrator/v1/openapi.json", "This description", &[], any_object),
    send("POST /orchestrator/v1/command/deploy", "Run Puppet", requests::deploy, 202, started),
    send("POST /orchestrator/v1/command/stop", "Stop a job", requests::stop, 202, || named("Stopped")),
    send("POST /orchestrator/v1/command/task", "Run a task", requests::task, 202, started),
    send("POST /orchestrator/v1/command/task_target", "Name tasks and nodes", requests::task_target, 200, || {
        reference("task_target")
    }),
    send("POST /orchestrator/v1/command/plan_run", "Refused: plans run elsewhere", requests::plan_run, 202, plan_name),
    send(
        "POST /orchestrator/v1/command/environment_plan_run",
        "Refused: plans run elsewhere",
        requests::environment_plan_run,
        202,
        plan_name,
    ),
    send("POST /orchestrator/v1/command/plan_start", "Begin a plan job", requests::plan_start, 202, plan_name),
    send("POST /orchestrator/v1/command/plan_task", "Run a task of a plan job", requests::plan_task, 202, started),
    send("POST /orchestrator/v1/command/plan_finish", "End a plan job", requests::plan_finish, 202, plan_name),
    send("POST /orchestrator/v1/command/stop_plan", "Stop a plan job", requests::stop_plan, 202, plan_name),
    send("POST /orchestrator/v1/command/schedule_deploy", "Schedule a run", requests::schedule_deploy, 202, || {
        reference("scheduled_job")
    }),
    send("POST /orchestrator/v1/command/schedule_task", "Schedule a task", requests::schedule_task, 202, || {
        reference("scheduled_job")
    }),
    send(
        "POST /orchestrator/v1/command/schedule_plan",
        "Refused: plans run elsewhere",
        requests::schedule_plan,
        202,
        || reference("scheduled_job"),
    ),
    ask("GET /orchestrator/v1/jobs", "List jobs", requests::JOBS, || items("Job", &["pagination"])),
    ask("GET /orchestrator/v1/jobs/{id}", "One job", &[], || named("Job")),
    ask("GET /orchestrator/v1/jobs/{id}/nodes", "Its nodes", requests::NODES, || {
        items("Node", &["next-events", "pagination"])
    }),
    ask("GET /orchestrator/v1/jobs/{id}/report", "Its report", &[], || items("ReportItem", &["report"])),
    Operation {
        ok: (200, Answer::Either(job_events, "text/event-stream")),
        ..ask("GET /orchestrator/v1/jobs/{id}/events", "Its events", requests::START, job_events)
    }
    .also(&[(204, Answer::Nothing)]),
    ask("GET /orchestrator/v1/inventory", "Connected nodes", &[], || items("InventoryRecord", &[])),
    send("POST /orchestrator/v1/inventory", "Whether nodes are connected", requests::inventory, 200, || {
        items("InventoryRecord", &[])
    }),
    ask("GET /orchestrator/v1/inventory/{node}", "One node", &[], || named("InventoryRecord")),
    ask("GET /orchestrator/v1/environments", "Environments", &[], || items("EnvironmentItem", &[])),
    ask("GET /orchestrator/v1/environments/{environment}", "One environment", &[], || named("EnvironmentItem")),
    ask("GET /orchestrator/v1/environments/{environment}/applications", "Its applications", &[], || {
        named("ApplicationList")
    }),
    ask("GET /orchestrator/v1/environments/{environment}/instances", "Their instances", &[], || {
        items("InstanceItem", &[])
    }),
    ask("GET /orchestrator/v1/tasks", "Tasks", requests::ENVIRONMENT, || items("TaskItem", &["environment"]))
        .errors(&[404]),
    ask("GET /orchestrator/v1/tasks/{module}/{task}", "One task", requests::ENVIRONMENT, || named("TaskView")),
    ask("GET /orchestrator/v1/plans", "Plans", requests::ENVIRONMENT, || items("PlanItem", &["environment"]))
        .errors(&[404]),
    ask("GET /orchestrator/v1/plans/{module}/{plan}", "One plan", requests::ENVIRONMENT, || named("PlanView")),
    ask("GET /orchestrator/v1/plan_jobs", "Plan jobs", requests::PLAN_JOBS, || items("PlanJob", &["pagination"])),
    ask("GET /orchestrator/v1/plan_jobs/{id}", "One plan job", &[], || named("PlanJob")),
    ask("GET /orchestrator/v1/plan_jobs/{id}/events", "Its events", requests::START, || {
        items("PlanEventView", &["next-events"])
    }),
    ask("GET /orchestrator/v1/plan_jobs/{id}/event/{event}", "One event", &[], || named("PlanEventView")),
    ask("GET /orchestrator/v1/scheduled_jobs", "Scheduled jobs, the older view", requests::OLDER_SCHEDULES, || {
        items("OlderSchedule", &["pagination"])
    }),
    ask("GET /orchestrator/v1/scheduled_jobs/environment_jobs", "Scheduled jobs", requests::SCHEDULES, || {
        items("ScheduledJob", &["pagination"])
    }),
    send(
        "POST /orchestrator/v1/scheduled_jobs/environment_jobs",
        "Schedule a job",
        requests::new_schedule,
        200,
        || reference("scheduled_job"),
    ),
    ask("GET /orchestrator/v1/scheduled_jobs/environment_jobs/{id}", "One scheduled job", &[], || {
        named("ScheduledJob")
    }),
    send(
        "PUT /orchestrator/v1/scheduled_jobs/environment_jobs/{id}",
        "Change or disable it",
        requests::changed_schedule,
        200,
        || reference("scheduled_job"),
    ),
    Operation {
        route: "DELETE /orchestrator/v1/scheduled_jobs/{id}",
        summary: "Disable a scheduled job",
        query: &[],
        body: None,
        ok: (204, Answer::Nothing),
        also: &[],
        errors: &[],
    },
    ask("GET /orchestrator/v1/scopes/task_targets", "Task targets", &[], targets),
    ask("GET /orchestrator/v1/scopes/task_targets/{id}", "One task target", &[], any_object),
    ask("GET /orchestrator/v1/usage", "Nodes and changes by day", requests::USAGE, usage),
    send("POST /rbac-api/v1/auth/token", "Log in", requests::login, 200, || object(json!({ "token": text() })))
        .errors(&[401, 429]),
    Operation {
        ok: (200, Answer::Text(PLAIN)),
        also: &[],
        ..ask("GET /status/v1/simple", "The state in a word", &[], any_object)
    },
    Operation {
        ok: (200, Answer::Text(PLAIN)),
        also: &[(404, Answer::Text(PLAIN)), (503, Answer::Text(PLAIN))],
        ..ask("GET /status/v1/simple/{service}", "The state of a service in a word", &[], any_object)
    },
    ask("GET /status/v1/services", "All services", requests::LEVEL, status)
        .also(&[(400, Answer::Of(any_object)), (503, Answer::Of(status))]),
    ask("GET /status/v1/services/{service}", "One service", requests::LEVEL, any_object).also(&[
        (400, Answer::Of(any_object)),
        (404, Answer::Of(any_object)),
        (503, Answer::Of(any_object)),
    ]),
    ask("GET /bunraku/v1/tokens", "Tokens", &[], || items("TokenView", &[])),
    send("POST /bunraku/v1/tokens", "Make a token", requests::new_token, 201, || named("CreatedToken")),
    Operation {
        route: "DELETE /bunraku/v1/tokens/{id}",
        summary: "Revoke a token",
        query: &[],
        body: None,
        ok: (204, Answer::Nothing),
        also: &[],
        errors: &[],
    },
    ask("GET /bunraku/v1/users", "Users", &[], || items("UserView", &[])),
    send("POST /bunraku/v1/users", "Make a user", requests::new_user, 201, || named("UserView")).errors(&[409]),
    send("PUT /bunraku/v1/users/{login}", "Change a user", requests::user_change, 200, || named("UserView")),
    ask("GET /bunraku/v1/access", "Who may do what, and why", requests::ACCESS, access),
    ask("GET /bunraku/v1/whoami", "Who you are", &[], || named("WhoAmI")),
    send("POST /bunraku/v1/session", "Log a browser in", requests::session, 200, || named("WhoAmI"))
        .errors(&[401, 429]),
    Operation {
        route: "DELETE /bunraku/v1/session",
        summary: "Log out",
        query: &[],
        body: None,
        ok: (204, Answer::Nothing),
        also: &[],
        errors: &[],
    },
    Operation {
        ok: (204, Answer::Nothing),
        ..send("PUT /bunraku/v1/password", "Another password", requests::password, 204, any_object)
    }
    .errors(&[429]),
    ask("POST /bunraku/v1/environments/{environment}/flush", "Let its code be read again", &[], flushed),
    ask("GET /bunraku/v1/groups", "Node groups", &[], groups),
    ask("GET /bunraku/v1/groups/{group}/nodes", "The nodes of a group, by id or name", &[], members),
    Operation {
        ok: (200, Answer::Either(audit, "application/x-ndjson")),
        ..ask("GET /bunraku/v1/audit", "Who did what", requests::AUDIT, audit)
    },
    Operation {
        ok: (200, Answer::Either(all_events, "text/event-stream")),
        ..ask("GET /bunraku/v1/events", "Events of all jobs", requests::ALL_EVENTS, all_events)
    },
    ask("GET /bunraku/v1/drain", "Whether the service is drained", &[], drain),
    send("POST /bunraku/v1/drain", "Begin or end a drain", requests::drain, 200, drain),
    send("POST /bunraku/v1/ledger/verify", "The store beside the agents' ledgers", requests::ledger, 200, || {
        named("LedgerReport")
    })
    .errors(&[404]),
    Operation {
        ok: (200, Answer::Text("text/event-stream")),
        ..ask("GET /bunraku/v1/jobs/changes", "Jobs as they change", &[], any_object)
    },
    ask("GET /bunraku/v1/jobs/{id}/live", "What a job waits for", &[], || named("LiveView")),
    ask("GET /bunraku/v1/jobs/{id}/grid", "All of its nodes at a glance", &[], grid),
    Operation {
        ok: (200, Answer::Text("text/event-stream")),
        ..ask(
            "GET /bunraku/v1/jobs/{id}/events",
            "Its events in brief, and its live state",
            requests::START,
            any_object,
        )
    }
    .also(&[(204, Answer::Nothing)]),
    ask("GET /bunraku/v1/jobs/{id}/failures", "What its nodes that did not finish have in common", &[], failures),
    ask("GET /bunraku/v1/jobs/{id}/nodes/{node}", "All that is known of one of its nodes", &[], || named("Node")),
    ask("POST /bunraku/v1/jobs/{id}/resume", "Let a restored job go on", &[], || named("LiveView")),
    send("POST /bunraku/v1/jobs/{id}/retry", "Run nodes of a job again", requests::retry, 202, started),
    send("POST /bunraku/v1/preview", "What a deploy or a task would be", requests::preview, 200, preview)
        .errors(&[404]),
    ask("GET /bunraku/v1/nodes", "Nodes with their agents", requests::KNOWN, nodes),
    ask("GET /bunraku/v1/nodes/{node}/why", "Why a node waits or did not run", &[], why),
    Operation {
        ok: (200, Answer::Text("text/html")),
        ..ask("GET /bunraku/v1/docs/{file:.*}", "This page", &[], any_object)
    },
    Operation {
        ok: (200, Answer::Text(PLAIN)),
        also: &[(503, Answer::Text(PLAIN))],
        ..ask("GET /livez", "Whether the process lives", &[], any_object)
    },
    ask("GET /readyz", "Whether commands are taken", &[], ready).also(&[(503, Answer::Of(ready))]),
    Operation { ok: (200, Answer::Text(PLAIN)), ..ask("GET /metrics", "Metrics for Prometheus", &[], any_object) }
        .errors(&[404]),
    Operation {
        ok: (200, Answer::Text("application/octet-stream")),
        ..ask("GET /puppet/v3/file_content/{mount}/{module}/{file:.*}", "A file of a task", requests::FILE, any_object)
    },
];
