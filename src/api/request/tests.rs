//! What commands accept, refuse and normalize; and that no body whatever makes the parsers panic.

use std::num::NonZeroU32;
use std::time::Duration;

use bunraku_actors::model::{DeployCommand, Owner, Scope, StopMode, TaskCommand};
use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::accounts::Role;
use crate::api::error::ApiError;
use crate::api::rights::Rules;

fn owner() -> Owner {
    Owner { id: "1".into(), login: "ops".into(), display_name: "Ops".into(), role: "operator".into() }
}

fn object(body: &Value) -> Object {
    super::body::parse(body.to_string().as_bytes()).unwrap()
}

fn deploy(body: Value) -> Result<DeployCommand, ApiError> {
    deploy_command(&object(&body), owner())
}

fn task(body: Value) -> Result<TaskCommand, ApiError> {
    task_command(&object(&body), owner())
}

/// Merges keys into a deploy that is fine without them.
fn deploy_with(extra: Value) -> Result<DeployCommand, ApiError> {
    let mut body = json!({ "environment": "production", "scope": { "nodes": ["a"] } });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    deploy(body)
}

fn task_with(extra: Value) -> Result<TaskCommand, ApiError> {
    let mut body = json!({ "task": "exec", "scope": { "nodes": ["a"] } });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    task(body)
}

fn key_of(error: &ApiError) -> &str {
    error.details()["key"].as_str().unwrap_or_default()
}

#[test]
fn a_bare_deploy_is_the_whole_environment() {
    let command = deploy(json!({ "environment": "production" })).unwrap();
    assert_eq!(command.scope, Scope::WholeEnvironment);
    assert!(command.enforce_environment);
    let expected = json!({
        "environment": "production", "enforce_environment": true, "scope": { "whole_environment": true },
        "target": null, "noop": false, "no_noop": false, "debug": false, "trace": false, "evaltrace": false,
        "concurrency": null, "description": "", "userdata": {},
    });
    assert_eq!(command.common.options, expected);
}

#[test]
fn null_counts_as_absent_everywhere() {
    let keys = [
        "scope",
        "target",
        "noop",
        "no_noop",
        "concurrency",
        "enforce_environment",
        "debug",
        "trace",
        "evaltrace",
        "description",
        "filetimeout",
        "http_connect_timeout",
        "http_keepalive_timeout",
        "http_read_timeout",
        "ordering",
        "skip_tags",
        "tags",
        "use_cached_catalog",
        "usecacheonfailure",
        "timeout",
        "userdata",
    ];
    let mut body = json!({ "environment": "production" });
    body.as_object_mut().unwrap().extend(keys.map(|key| (key.to_owned(), Value::Null)));
    assert_eq!(deploy(body).unwrap(), deploy(json!({ "environment": "production" })).unwrap());

    let plain = task_with(json!({})).unwrap();
    let nulls = json!({ "noop": null, "params": null, "targets": null, "environment": null, "timeout": null });
    assert_eq!(task_with(nulls).unwrap(), plain);
    let go_client = json!({ "scope": { "nodes": ["a"], "node_group": null, "query": null } });
    assert_eq!(task_with(go_client).unwrap(), plain);
    assert_eq!(deploy(json!({ "environment": "production" })).unwrap().scope, Scope::WholeEnvironment);
    let error = deploy(json!({ "environment": null })).unwrap_err();
    assert_eq!((key_of(&error), error.to_string().as_str()), ("environment", "environment is required"));
}

#[test]
fn an_empty_scope_beside_a_target_is_no_scope() {
    let command = deploy(json!({ "environment": "production", "scope": {}, "target": "Shop['eu']" })).unwrap();
    let Scope::Application(target) = command.scope else { panic!("an application") };
    assert_eq!((target.kind.as_str(), target.title.as_deref()), ("Shop", Some("eu")));
    assert_eq!(command.common.options["target"], "Shop['eu']");
    let blank = deploy(json!({ "environment": "production", "target": " " })).unwrap();
    assert_eq!(blank.scope, Scope::WholeEnvironment);
}

#[test]
fn options_show_what_has_a_default_and_what_was_given() {
    let given = json!({ "tags": "a,b", "filetimeout": 5, "timeout": 60, "concurrency": 3, "description": "d",
        "userdata": { "x": 1 }, "use_cached_catalog": false, "noop": true, "unheard_of": [1] });
    let command = deploy_with(given).unwrap();
    assert_eq!(command.common.concurrency, NonZeroU32::new(3));
    assert_eq!(command.common.timeout, Some(Duration::from_secs(60)));
    assert_eq!(command.run.tags.as_deref(), Some("a,b"));
    let options = &command.common.options;
    for (key, value) in
        [("tags", json!("a,b")), ("filetimeout", json!(5)), ("timeout", json!(60)), ("noop", json!(true))]
    {
        assert_eq!(options[key], value, "{key}");
    }
    assert_eq!(options["use_cached_catalog"], json!(false));
    assert!(options.get("usecacheonfailure").is_none() && options.get("unheard_of").is_none());
}

#[test]
fn deploys_are_refused_by_the_key_at_fault() {
    let cases = [
        (json!({ "environment": 1 }), "environment"),
        (json!({ "noop": "true" }), "noop"),
        (json!({ "noop": true, "no_noop": true }), "no_noop"),
        (json!({ "concurrency": 0 }), "concurrency"),
        (json!({ "concurrency": -1 }), "concurrency"),
        (json!({ "concurrency": 1.5 }), "concurrency"),
        (json!({ "concurrency": "5" }), "concurrency"),
        (json!({ "concurrency": 99_999_999_999_u64 }), "concurrency"),
        (json!({ "timeout": 0 }), "timeout"),
        (json!({ "tags": "a b" }), "tags"),
        (json!({ "tags": "--noop" }), "tags"),
        (json!({ "skip_tags": "" }), "skip_tags"),
        (json!({ "ordering": "alphabetical" }), "ordering"),
        (json!({ "filetimeout": -3 }), "filetimeout"),
        (json!({ "userdata": [] }), "userdata"),
        (json!({ "description": 5 }), "description"),
        (json!({ "scope": [] }), "scope"),
        (json!({ "scope": { "nodes": ["a"], "query": "x" } }), "scope"),
        (json!({ "scope": { "planets": ["mars"] } }), "scope"),
        (json!({ "scope": { "nodes": "a" } }), "scope.nodes"),
        (json!({ "scope": { "nodes": ["a", 5] } }), "scope.nodes[1]"),
        (json!({ "scope": { "nodes": ["a", "b c"] } }), "scope.nodes[1]"),
        (json!({ "scope": { "query": 5 } }), "scope.query"),
        (json!({ "scope": { "whole_environment": false } }), "scope.whole_environment"),
        (json!({ "scope": { "application": "Shop[" } }), "scope.application"),
        (json!({ "target": "Shop" }), "target"),
        (json!({ "environment": "", "enforce_environment": true }), "enforce_environment"),
    ];
    for (extra, key) in cases {
        let error = deploy_with(extra.clone()).unwrap_err();
        assert_eq!((error.status().as_u16(), key_of(&error)), (400, key), "{extra}: {error}");
    }
}

#[test]
fn an_empty_environment_has_no_graph() {
    let command = deploy_with(json!({ "environment": "" })).unwrap();
    assert_eq!((command.environment, command.enforce_environment), (None, false));
    for extra in [json!({}), json!({ "scope": { "whole_environment": true } }), json!({ "target": "Shop" })] {
        let mut body = json!({ "environment": "" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(key_of(&deploy(body).unwrap_err()), "scope", "{extra}");
    }
    let error = deploy(json!({ "environment": "No-Such" })).unwrap_err();
    assert_eq!(error.kind(), "puppetlabs.orchestrator/unknown-environment");
}

#[test]
fn nodes_are_merged_and_never_none() {
    let command = deploy_with(json!({ "scope": { "nodes": ["b", "a", "b"] } })).unwrap();
    let Scope::Nodes(nodes) = &command.scope else { panic!("nodes") };
    assert_eq!(nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(command.common.options["scope"], json!({ "nodes": ["b", "a"] }));
    let error = deploy_with(json!({ "scope": { "nodes": [] } })).unwrap_err();
    assert_eq!(error.kind(), "puppetlabs.orchestrator/empty-target");
    assert_eq!(*error.details(), json!({ "environment": "production", "target": "nodes" }));
}

#[test]
fn tasks_are_checked() {
    let command = task_with(json!({ "params": { "a": 1 }, "targets": [], "noop": true })).unwrap();
    assert_eq!((command.task.as_str(), command.noop, &command.params["a"]), ("exec", true, &json!(1)));
    assert_eq!(command.common.options["transport"], "pxp");
    let cases = [
        (json!({ "task": "Exec" }), "task"),
        (json!({ "task": null }), "task"),
        (json!({ "params": [] }), "params"),
        (json!({ "scope": {} }), "scope"),
        (json!({ "scope": { "application": "Shop" } }), "scope.application"),
        (json!({ "scope": { "whole_environment": true } }), "scope.whole_environment"),
        (json!({ "transport": 5 }), "transport"),
    ];
    for (extra, key) in cases {
        let error = task_with(extra.clone()).unwrap_err();
        assert_eq!((error.status().as_u16(), key_of(&error)), (400, key), "{extra}: {error}");
    }
    assert_eq!(task_with(json!({ "environment": "" })).unwrap_err().status().as_u16(), 404);
}

#[test]
fn targets_are_refused_without_a_word_of_their_content() {
    for targets in [json!([{ "password": "hunter2" }]), json!({ "password": "hunter2" }), json!("hunter2")] {
        let error = task_with(json!({ "targets": targets })).unwrap_err();
        assert_eq!(key_of(&error), "targets");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn bodies_nest_at_most_64_levels() {
    let body = |levels: usize| format!("{{\n\"a\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(super::body::parse(body(63).as_bytes()).is_ok());
    for levels in [64, 126, 100_000] {
        let error = super::body::parse(body(levels).as_bytes()).unwrap_err();
        assert_eq!((error.status().as_u16(), error.kind()), (400, "puppetlabs.orchestrator/validation-error"));
        assert_eq!(error.to_string(), "the request body nests deeper than 64 arrays and objects, at line 2 column 69");
    }
}

#[test]
fn what_users_attach_has_a_limit() {
    // {"a":"…"} is 8 bytes more than the text.
    let attached = |bytes: usize| json!({ "a": "x".repeat(bytes - 8) });
    assert!(deploy_with(json!({ "userdata": attached(64 * 1024) })).is_ok());
    assert!(task_with(json!({ "params": attached(64 * 1024) })).is_ok());
    let large = attached(64 * 1024 + 1);
    let errors = [
        ("userdata", deploy_with(json!({ "userdata": large })).unwrap_err()),
        ("userdata", task_with(json!({ "userdata": large })).unwrap_err()),
        ("params", task_with(json!({ "params": large })).unwrap_err()),
    ];
    for (key, error) in errors {
        assert_eq!((error.status().as_u16(), key_of(&error)), (400, key));
        assert_eq!(error.details()["size"], 65_537, "{error}");
    }
}

#[test]
fn ids_beyond_64_bits_are_unknown() {
    for (id, status) in [
        ("18446744073709551617", 404),
        ("\"18446744073709551617\"", 404),
        ("18446744073709551615", 404),
        ("1e300", 404),
        ("1.5", 400),
        ("-1", 400),
        ("-18446744073709551617", 400),
        ("\"1.5\"", 400),
    ] {
        let body = super::body::parse(format!("{{\"job\": {id}}}").as_bytes()).unwrap();
        assert_eq!(stop_request(&body).unwrap_err().status().as_u16(), status, "{id}");
    }
}

#[test]
fn stops_name_a_job() {
    let stop = |body: Value| stop_request(&object(&body));
    let expected = StopRequest { job: bunraku_actors::model::JobId(42), mode: StopMode::Plain };
    assert_eq!(stop(json!({ "job": "42" })).unwrap(), expected);
    assert_eq!(stop(json!({ "job": 42, "force": false })).unwrap(), expected);
    assert_eq!(stop(json!({ "job": "42", "force": true })).unwrap().mode, StopMode::Force);
    for (body, status) in [
        (json!({}), 400),
        (json!({ "job": "4x" }), 400),
        (json!({ "job": "-1" }), 400),
        (json!({ "job": 1.5 }), 400),
        (json!({ "job": [] }), 400),
        (json!({ "job": "1", "force": "yes" }), 400),
        (json!({ "job": "99999999999999999999999" }), 404),
        (json!({ "job": "0" }), 404),
    ] {
        assert_eq!(stop(body.clone()).unwrap_err().status().as_u16(), status, "{body}");
    }
}

#[test]
fn tokens_have_a_bounded_life() {
    let now = Utc::now();
    let request = |extra: Value| {
        let mut body = json!({ "login": "ci", "role": "operator" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        token_request(&object(&body), &Rules::default(), now)
    };
    let token = request(json!({})).unwrap();
    assert_eq!((token.role, token.expires_at), (Role::Operator.into(), Some(now + TimeDelta::days(365))));
    assert_eq!(token.display_name, "ci");
    assert_eq!(request(json!({ "lifetime": "30d" })).unwrap().expires_at, Some(now + TimeDelta::days(30)));
    assert_eq!(request(json!({ "lifetime": "unlimited" })).unwrap().expires_at, None);
    for (extra, key) in [
        (json!({ "login": "" }), "login"),
        (json!({ "login": "a b" }), "login"),
        (json!({ "role": "god" }), "role"),
        (json!({ "lifetime": "soon" }), "lifetime"),
        (json!({ "lifetime": "0s" }), "lifetime"),
        (json!({ "lifetime": "1000years" }), "lifetime"),
        (json!({ "display_name": "x".repeat(200) }), "display_name"),
    ] {
        assert_eq!(key_of(&request(extra).unwrap_err()), key);
    }
}

#[test]
fn bodies_are_objects_whatever_stands_around_them() {
    use super::body::parse;
    assert_eq!(parse(b"").unwrap(), Object::default());
    assert_eq!(parse(b" \r\n").unwrap(), Object::default());
    assert_eq!(parse(b"\xEF\xBB\xBF{}").unwrap(), Object::default());
    let error = parse(b"{\n  \"a\": tru }").unwrap_err();
    assert_eq!(error.details()["line"], 2);
    assert!(error.to_string().contains("line 2 column"), "{error}");
    for bad in [&b"[]"[..], b"5", b"null", b"{", b"\xff\xfe", b"{} {}"] {
        assert_eq!(parse(bad).unwrap_err().status().as_u16(), 400, "{bad:?}");
    }
}

#[test]
fn queries_are_typed() {
    let query = Query::parse(
        "limit=5&offset=x&order=up&state=a%20b&start=999999999999999999999&min=2026-03-01T12:00:05%2B01:00",
    );
    assert_eq!(query.number("limit").unwrap(), Some(5));
    assert_eq!(query.number("start").unwrap(), Some(i64::MAX as u64));
    assert_eq!(key_of(&query.number("offset").unwrap_err()), "offset");
    assert_eq!(key_of(&query.choice("order", &[("asc", ())]).unwrap_err()), "order");
    assert_eq!(query.text("state"), Some("a b"));
    assert_eq!(query.time("min").unwrap().unwrap().to_rfc3339(), "2026-03-01T11:00:05+00:00");
    assert_eq!(query.environment().unwrap().as_str(), "production");
    for text in ["limit=", "limit=-1", "limit=%2B5", "limit=1.0"] {
        assert!(Query::parse(text).number("limit").is_err(), "{text}");
    }
}

#[test]
fn job_numbers_are_digits() {
    assert_eq!(job_id("007").unwrap().0, 7);
    for (text, status) in [("", 400), ("x", 400), ("+1", 400), ("1 ", 400), ("0", 404), ("99999999999999999999", 404)] {
        assert_eq!(job_id(text).unwrap_err().status().as_u16(), status, "{text:?}");
    }
}

/// Any JSON, with the keys that the parsers look for among the names.
fn json_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{0,6}",
        ".{0,12}",
        Just("Shop[x]".to_owned()),
        Just("production".to_owned()),
        Just(String::new())
    ];
    let key = prop_oneof![
        Just("environment"),
        Just("scope"),
        Just("nodes"),
        Just("query"),
        Just("application"),
        Just("target"),
        Just("noop"),
        Just("no_noop"),
        Just("concurrency"),
        Just("tags"),
        Just("timeout"),
        Just("task"),
        Just("params"),
        Just("targets"),
        Just("job"),
        Just("force"),
        Just("userdata"),
        Just("login"),
        Just("role"),
        Just("lifetime"),
        Just("whole_environment"),
        Just("enforce_environment"),
        Just("x")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone().prop_map(str::to_owned), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        invariants::body(&bytes);
    }

    #[test]
    fn any_json_is_a_command_or_a_documented_error(value in json_value()) {
        invariants::body(value.to_string().as_bytes());
    }

    #[test]
    fn any_query_is_parsed_or_refused(text in ".{0,60}") {
        invariants::query(&text);
    }

    /// Names reach directories and addresses: what is no plain word must not get through, however it is written.
    #[test]
    fn names_are_plain_words(module in odd_name(), task in odd_name()) {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if let Ok(name) = task_name(&module, &task) {
            let (module, task) = name.parts();
            prop_assert!(plain(module) && plain(task), "{:?}", name);
        }
        for query in [format!("environment={module}"), format!("environment={module}&environment={task}")] {
            if let Ok(name) = Query::parse(&query).environment() {
                prop_assert!(plain(name.as_str()) && !name.as_str().is_empty(), "{:?}", query);
            }
        }
        if let Ok(job) = job_id(&module) {
            prop_assert_eq!(module.trim_start_matches('0'), job.to_string());
        }
    }
}

/// Words, and what stands between the parts of paths on any system, plain and encoded.
fn odd_name() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "..",
        ".",
        "/",
        "\\",
        "%2e",
        "%2E%2e",
        "%2f",
        "%5C",
        "%00",
        "\0",
        "%252e",
        "%c0%ae",
        "\u{ff0e}",
        "\u{2025}",
        "\u{ff0f}",
        "~",
        ":",
        "::",
        " ",
        "+",
        "\n",
        "C:",
        "a",
        "production",
        "init",
        "0",
        "7",
        "_",
        "A",
        "\u{661}",
    ]);
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

#[test]
fn errors_do_not_repeat_whole_requests() {
    let long = "x".repeat(100_000);
    for body in [
        json!({ "environment": long.clone() }),
        json!({ "environment": "production", long.clone(): 1 }),
        json!({ "environment": "production", "scope": { "nodes": [long.clone(), "/".repeat(100_000)] } }),
        json!({ "environment": "production", "scope": { long.clone(): 1 } }),
        json!({ "environment": "production", "scope": { "application": long.clone() } }),
        json!({ "environment": "production", "target": long.clone() }),
        json!({ "environment": "production", "concurrency": long.clone(), "tags": long.clone() }),
        json!({ "task": long.clone(), "scope": { "nodes": ["a"] } }),
        json!({ "task": "a", "environment": long.clone(), "scope": { "nodes": ["a"] } }),
        json!({ "job": long.clone() }),
        json!({ "login": "a", "role": long.clone(), "lifetime": long.clone() }),
    ] {
        invariants::body(body.to_string().as_bytes());
    }
    invariants::query(&format!("environment={long}&order={long}&limit={long}"));
    invariants::query(&long);
}
