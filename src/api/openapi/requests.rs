//! The rules of request bodies and parameters, as the parsers in `request/` have them. `null` counts as absent.

use serde_json::{Map, Value, json};

/// A key that may be absent or null.
fn optional(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn strings() -> Value {
    json!({ "type": ["array", "null"], "items": { "type": "string" } })
}

fn certnames() -> Value {
    json!({
        "type": "array", "minItems": 1,
        "items": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9._-]+$" },
    })
}

fn environment() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9_]*$", "maxLength": 255 })
}

fn task_name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)?$", "maxLength": 255 })
}

fn plan_name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)*$", "maxLength": 255 })
}

fn number_as_text() -> Value {
    json!({ "type": ["string", "integer"], "pattern": "^[0-9]+$", "minimum": 0 })
}

/// An object with these keys, of which some must be there.
fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn with(mut schema: Value, required: &[&str], properties: Value) -> Value {
    let more = properties.as_object().cloned().unwrap_or_default();
    if let Some(known) = schema["properties"].as_object_mut() {
        known.extend(more);
    }
    if let Some(known) = schema["required"].as_array_mut() {
        known.extend(required.iter().map(|key| json!(key)));
    }
    schema
}

/// Exactly one way to choose nodes.
fn scope(kinds: &[&str]) -> Value {
    let one = |kind: &&str| {
        let value = match *kind {
            "nodes" => certnames(),
            "whole_environment" => json!({ "const": true }),
            "query" => json!({ "type": ["string", "array"], "minLength": 1, "minItems": 1 }),
            _ => json!({ "type": "string", "minLength": 1 }),
        };
        json!({ "type": "object", "required": [kind], "maxProperties": 1, "properties": Map::from_iter([((*kind).to_owned(), value)]) })
    };
    json!({ "oneOf": kinds.iter().map(one).collect::<Vec<_>>() })
}

fn deploy_scope() -> Value {
    scope(&["nodes", "query", "node_group", "application", "whole_environment"])
}

fn task_scope() -> Value {
    scope(&["nodes", "query", "node_group"])
}

/// Tiers of nodes that follow each other.
fn order() -> Value {
    let kinds = [
        ("group", json!({ "type": "string", "minLength": 1 })),
        ("query", json!({ "type": ["string", "array"], "minLength": 1, "minItems": 1 })),
        ("nodes", certnames()),
    ];
    let one = |(kind, value): (&str, Value)| json!({ "type": "object", "required": [kind], "properties": { kind: value }, "additionalProperties": false });
    json!({ "type": ["array", "null"], "maxItems": 100, "items": { "oneOf": kinds.map(one) } })
}

pub(super) fn deploy() -> Value {
    let flags = [
        "noop",
        "no_noop",
        "enforce_environment",
        "debug",
        "trace",
        "evaltrace",
        "use_cached_catalog",
        "usecacheonfailure",
    ];
    let numbers = ["filetimeout", "http_connect_timeout", "http_keepalive_timeout", "http_read_timeout"];
    let mut properties = Map::new();
    properties.insert("environment".into(), environment());
    properties.insert("scope".into(), deploy_scope());
    properties.insert("target".into(), optional("string"));
    properties.insert("concurrency".into(), json!({ "type": ["integer", "null"], "minimum": 1, "maximum": u32::MAX }));
    properties.insert("timeout".into(), json!({ "type": ["integer", "null"], "minimum": 1 }));
    properties.insert("description".into(), optional("string"));
    properties.insert("userdata".into(), optional("object"));
    properties.insert("order".into(), order());
    properties.insert("ordering".into(), json!({ "enum": ["manifest", "title-hash", "random", null] }));
    properties.insert("tags".into(), optional("string"));
    properties.insert("skip_tags".into(), optional("string"));
    properties.extend(flags.map(|key| (key.to_owned(), optional("boolean"))));
    properties.extend(numbers.map(|key| (key.to_owned(), json!({ "type": ["integer", "null"], "minimum": 0 }))));
    object(&["environment"], Value::Object(properties))
}

pub(super) fn task() -> Value {
    object(
        &["task", "scope"],
        json!({
            "task": task_name(),
            "scope": task_scope(),
            "params": optional("object"),
            "environment": { "type": ["string", "null"], "pattern": "^[a-z0-9_]+$" },
            "noop": optional("boolean"),
            "description": optional("string"),
            "concurrency": { "type": ["integer", "null"], "minimum": 1, "maximum": u32::MAX },
            "timeout": { "type": ["integer", "null"], "minimum": 1 },
            "userdata": optional("object"),
            "targets": { "type": ["array", "null"], "maxItems": 0 },
            "transport": optional("string"),
        }),
    )
}

pub(super) fn stop() -> Value {
    object(&["job"], json!({ "job": number_as_text(), "force": optional("boolean") }))
}

pub(super) fn task_target() -> Value {
    object(
        &["display_name", "nodes", "node_groups"],
        json!({
            "display_name": { "type": "string", "minLength": 1 },
            "tasks": strings(),
            "all_tasks": { "type": ["boolean", "string", "null"], "enum": [true, false, "true", "false", null] },
            "nodes": { "type": ["array", "null"], "items": { "type": "string", "pattern": "^[A-Za-z0-9._-]+$" } },
            "node_groups": strings(),
            "pql_query": optional("string"),
        }),
    )
}

fn plan_common() -> Value {
    object(
        &["plan_name"],
        json!({
            "plan_name": plan_name(),
            "environment": { "type": ["string", "null"], "pattern": "^[a-z0-9_]+$" },
            "description": optional("string"),
            "timeout": { "type": ["integer", "null"], "minimum": 1 },
            "userdata": optional("object"),
        }),
    )
}

pub(super) fn plan_run() -> Value {
    with(plan_common(), &[], json!({ "params": optional("object") }))
}

pub(super) fn environment_plan_run() -> Value {
    let wrapped = json!({
        "type": "object", "required": ["value"],
        "properties": { "value": {}, "type": { "enum": ["query", "node_group", null] } },
    });
    with(plan_common(), &["params"], json!({ "params": { "type": "object", "additionalProperties": wrapped } }))
}

pub(super) fn plan_start() -> Value {
    object(
        &["plan_name"],
        json!({
            "plan_name": plan_name(),
            "params": optional("object"),
            "sensitive": strings(),
            "description": optional("string"),
            "environment": optional("string"),
            "userdata": optional("object"),
        }),
    )
}

pub(super) fn plan_task() -> Value {
    with(task(), &["plan_job"], json!({ "plan_job": number_as_text() }))
}

pub(super) fn plan_finish() -> Value {
    object(
        &["plan_job", "status"],
        json!({ "plan_job": number_as_text(), "status": { "enum": ["success", "failure"] }, "result": {} }),
    )
}

pub(super) fn stop_plan() -> Value {
    object(&["plan_job"], json!({ "plan_job": number_as_text() }))
}

fn interval() -> Value {
    json!({
        "type": ["object", "null"], "required": ["units", "value"],
        "properties": { "units": { "const": "seconds" }, "value": { "type": "integer", "minimum": 1, "maximum": 3_153_600_000u64 } },
    })
}

fn schedule() -> Value {
    object(
        &["start_time"],
        json!({
            "start_time": { "type": "string", "format": "date-time" },
            "interval": interval(),
            "cron": optional("string"),
            "timezone": optional("string"),
        }),
    )
}

pub(super) fn new_schedule() -> Value {
    object(
        &["type", "input", "environment", "schedule"],
        json!({
            "type": { "enum": ["deploy", "task", "plan"] },
            "input": { "type": "object" },
            "environment": environment(),
            "schedule": schedule(),
            "description": optional("string"),
            "userdata": optional("object"),
            "paused": optional("boolean"),
            "enabled": optional("boolean"),
        }),
    )
}

pub(super) fn changed_schedule() -> Value {
    object(
        &[],
        json!({
            "input": optional("object"),
            "environment": { "type": ["string", "null"], "pattern": "^[a-z0-9_]*$" },
            "schedule": schedule(),
            "description": optional("string"),
            "userdata": optional("object"),
            "enabled": optional("boolean"),
            "paused": optional("boolean"),
        }),
    )
}

fn older(schema: Value) -> Value {
    let options = json!({ "type": ["object", "null"], "properties": { "interval": interval() } });
    let time = json!({ "type": "string", "format": "date-time" });
    with(schema, &["scheduled_time"], json!({ "scheduled_time": time, "schedule_options": options }))
}

pub(super) fn schedule_deploy() -> Value {
    older(with(deploy(), &["scope"], json!({})))
}

pub(super) fn schedule_task() -> Value {
    older(task())
}

pub(super) fn schedule_plan() -> Value {
    older(plan_run())
}

pub(super) fn inventory() -> Value {
    object(
        &["nodes"],
        json!({ "nodes": { "type": "array", "items": { "type": "string", "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 255 } } }),
    )
}

pub(super) fn login() -> Value {
    object(
        &["login", "password"],
        json!({
            "login": { "type": "string", "maxLength": 128 },
            "password": { "type": "string", "maxLength": 256 },
            "lifetime": optional("string"),
            "label": optional("string"),
        }),
    )
}

pub(super) fn session() -> Value {
    object(
        &[],
        json!({
            "login": { "type": "string", "maxLength": 128 },
            "password": { "type": "string", "maxLength": 256 },
            "token": optional("string"),
        }),
    )
}

/// A deploy, or with the key `task` a task.
pub(super) fn preview() -> Value {
    let mut shown = deploy();
    shown["properties"]["task"] = optional("string");
    shown["properties"]["params"] = optional("object");
    shown.as_object_mut().expect("it is an object").shift_remove("required");
    shown
}

pub(super) fn new_token() -> Value {
    object(
        &["login", "role"],
        json!({
            "login": { "type": "string", "pattern": "^[A-Za-z0-9._@-]{1,128}$" },
            "role": { "type": "string" },
            "lifetime": optional("string"),
            "display_name": optional("string"),
            "description": optional("string"),
        }),
    )
}

pub(super) fn new_user() -> Value {
    object(
        &["login", "password"],
        json!({
            "login": { "type": "string", "pattern": "^[A-Za-z0-9._@-]{1,128}$" },
            "password": { "type": "string", "minLength": 8, "maxLength": 256 },
            "display_name": optional("string"),
            "email": optional("string"),
        }),
    )
}

pub(super) fn user_change() -> Value {
    object(
        &[],
        json!({
            "password": { "type": ["string", "null"], "minLength": 8, "maxLength": 256 },
            "display_name": optional("string"),
            "email": optional("string"),
            "revoked": optional("boolean"),
        }),
    )
}

pub(super) fn password() -> Value {
    object(
        &["old", "new"],
        json!({ "old": { "type": "string" }, "new": { "type": "string", "minLength": 8, "maxLength": 256 } }),
    )
}

pub(super) fn drain() -> Value {
    object(&["drain"], json!({ "drain": { "type": "boolean" } }))
}

pub(super) fn ledger() -> Value {
    object(&[], json!({ "job": optional("string"), "since": { "type": ["string", "null"], "format": "date-time" } }))
}

pub(super) fn retry() -> Value {
    object(&[], json!({ "which": { "enum": ["failed", "not_run", "unknown", "all", null] } }))
}

/// A variable part of a path.
pub(super) fn path_part(path: &str, name: &str) -> Value {
    match name {
        "id" if path.contains("/tokens/") => json!({ "type": "string", "format": "uuid" }),
        "id" | "event" => json!({ "type": "string", "pattern": "^[0-9]{1,18}$" }),
        "environment" => json!({ "type": "string", "pattern": "^[a-z0-9_]{1,64}$" }),
        "login" => json!({ "type": "string", "pattern": "^[A-Za-z0-9._@-]{1,64}$" }),
        "module" | "task" | "plan" => json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$" }),
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

/// A parameter with its schema.
pub(super) type Parameter = (&'static str, fn() -> Value);

fn natural() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn date() -> Value {
    json!({ "type": "string", "format": "date" })
}

fn direction() -> Value {
    json!({ "enum": ["asc", "desc"] })
}

fn environment_word() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9_]+$" })
}

macro_rules! words {
    ($($name:ident: $($word:literal)*;)*) => {$(
        fn $name() -> Value {
            json!({ "enum": [$($word),*] })
        }
    )*};
}

words! {
    job_orders: "owner" "timestamp" "environment" "name" "state";
    node_orders: "name" "duration" "state" "start_timestamp" "finish_timestamp";
    job_types: "deploy" "task" "plan_task" "plan_script" "plan_upload" "plan_command" "plan_wait" "plan_apply" "plan_apply_prep";
    states: "new" "ready" "running" "finished" "failed" "errored" "skipped" "stopping" "stopped";
    inclusion: "include" "exclude";
    truth: "true" "false";
    all_job_states: "new" "ready" "running" "stopping" "stopped" "finished" "failed";
    schedule_orders: "next_run_time" "environment" "owner" "name" "type";
    older_orders: "next_run" "scheduled_time" "name";
    schedule_types: "deploy" "task" "plan";
    outcomes: "accepted" "refused" "failed";
    formats: "json" "lines";
    levels: "critical" "info" "debug";
}

const LIMIT: Parameter = ("limit", natural);
const OFFSET: Parameter = ("offset", natural);
const ORDER: Parameter = ("order", direction);

pub(super) const ENVIRONMENT: &[Parameter] = &[("environment", environment_word)];
pub(super) const JOBS: &[Parameter] = &[
    LIMIT,
    OFFSET,
    ("order_by", job_orders),
    ORDER,
    ("type", job_types),
    ("task", text),
    ("min_finish_timestamp", moment),
    ("max_finish_timestamp", moment),
    ("state", all_job_states),
    ("owner", text),
    ("environment", text),
    ("search", text),
    ("short", truth),
];
pub(super) const KNOWN: &[Parameter] = &[("known", truth)];
pub(super) const NODES: &[Parameter] = &[LIMIT, OFFSET, ("order_by", node_orders), ORDER, ("state", states)];
pub(super) const START: &[Parameter] = &[("start", natural)];
pub(super) const ALL_EVENTS: &[Parameter] = &[("start", natural), LIMIT];
pub(super) const PLAN_JOBS: &[Parameter] = &[
    LIMIT,
    OFFSET,
    ("order_by", job_orders),
    ORDER,
    ("results", inclusion),
    ("min_finish_timestamp", moment),
    ("max_finish_timestamp", moment),
];
pub(super) const SCHEDULES: &[Parameter] =
    &[LIMIT, OFFSET, ("order_by", schedule_orders), ORDER, ("type", schedule_types)];
pub(super) const OLDER_SCHEDULES: &[Parameter] =
    &[LIMIT, OFFSET, ("order_by", older_orders), ORDER, ("type", schedule_types)];
pub(super) const USAGE: &[Parameter] = &[("start_date", date), ("end_date", date), ("events", inclusion)];
pub(super) const AUDIT: &[Parameter] = &[
    ("login", text),
    ("outcome", outcomes),
    ("action", text),
    ("since", moment),
    ("until", moment),
    ("after", natural),
    ("before", natural),
    ORDER,
    LIMIT,
    ("format", formats),
];
pub(super) const ACCESS: &[Parameter] =
    &[("user", text), ("action", text), ("instance", text), ("environment", environment_word), ("node", text)];
pub(super) const LEVEL: &[Parameter] = &[("level", levels)];
pub(super) const FILE: &[Parameter] = &[("environment", text), ("sha256", text)];
