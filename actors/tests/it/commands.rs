//! What commands are refused for, and tasks.

use bunraku_actors::handle::{Limits, OrchestratorError};
use bunraku_actors::model::{
    ApplicationTarget, EnvironmentName, JobId, JobState, RunOutcome, Scope, StopMode, TaskFile, TaskName, TaskOutcome,
};
use bunraku_actors::ports::{JobStore, TaskDetail};
use bunraku_actors::testing::{Build, Script, names};
use serde_json::{Value, json};

use crate::support::{World, deploy, seconds, settled};

pub(crate) fn task(name: &str, metadata: Value) -> TaskDetail {
    let file = TaskFile { filename: "init.sh".into(), sha256: "0".repeat(64), size_bytes: 1, path: "/x".into() };
    TaskDetail { name: TaskName::parse(name).expect("a valid name"), metadata, files: vec![file] }
}

fn world(limits: Limits) -> World {
    let tasks = vec![
        task("plain", json!({})),
        task(
            "typed",
            json!({ "supports_noop": true, "parameters": {
            "name": { "type": "String" }, "count": { "type": "Integer", "default": 3 }, "more": { "type": "Optional[String]" },
        } }),
        ),
        task("secret", json!({ "parameters": { "password": { "type": "String[8]", "sensitive": true } } })),
        task("broken", json!({ "parameters": { "x": { "type": "Enum[a, b  " } } })),
        task(
            "typed_secret",
            json!({ "parameters": { "key": { "type": "Optional[Sensitive[String]]" }, "plain": {} } }),
        ),
        task("half_secret", json!({ "parameters": { "key": { "type": "String", "sensitive": "true" } } })),
    ];
    let nodes = names(["a", "b"]);
    let world = World::with_tasks(limits, Build::environment(Vec::new(), nodes.clone()), tasks);
    let outcome = RunOutcome::Task(TaskOutcome { exitcode: 0, stdout: "{\"x\":1}".into(), stderr: String::new() });
    world.agents.connect_all(&nodes, &Script { outcome, ..Script::default() });
    world
}

#[test]
fn deploys_are_refused_with_reasons() {
    world(Limits { job_nodes: 3, ..settled() }).live(async |service| {
        let refused = async |command| service.engine.deploy(command).await.unwrap_err();
        let mut unknown = Build::deploy(Scope::WholeEnvironment, 0);
        unknown.environment = EnvironmentName::parse("nowhere").ok();
        assert!(matches!(refused(unknown).await, OrchestratorError::UnknownEnvironment(name) if name == "nowhere"));
        let target = ApplicationTarget { kind: "Shop".into(), title: Some("x".into()) };
        let empty = refused(Build::deploy(Scope::Application(target), 0)).await;
        assert_eq!(empty.to_string(), "The target Shop[x] of environment production has no nodes");
        let mut long = deploy(&names(["a"]), 0);
        long.common.timeout = Some(seconds(86_401));
        assert!(matches!(refused(long).await, OrchestratorError::Invalid { key, .. } if key == "timeout"));
        let many = deploy(&names(["a", "b", "c", "d"]), 0);
        assert!(matches!(refused(many).await, OrchestratorError::Invalid { key, .. } if key == "scope"));
        let query = Build::deploy(Scope::Query(json!("nodes {}")), 0);
        assert!(matches!(refused(query).await, OrchestratorError::QueryUnsupported(_)));
        let stopped = service.engine.stop(JobId(99), StopMode::Plain).await.unwrap_err();
        assert!(matches!(stopped, OrchestratorError::UnknownJob(JobId(99))));
        assert!(service.world.store.unfinished().await.unwrap().is_empty(), "nothing was stored");
    });
}

#[test]
fn tasks_run_with_their_defaults() {
    world(settled()).live(async |service| {
        let mut command = Build::task("typed", names(["a", "b"]), 0);
        command.params.insert("name".into(), json!("x"));
        command.noop = true;
        let job = service.engine.task(command).await.unwrap();
        let spec = service.world.store.stored(job).await.unwrap().unwrap().spec;
        let bunraku_actors::model::Action::Task(action) = &*spec.action else { panic!("a task") };
        assert_eq!(Value::Object(action.input.clone()), json!({ "name": "x", "count": 3, "_noop": true }));
        assert_eq!(service.end(job).await, JobState::Finished);
        assert_eq!(service.world.store.node(job, "a").unwrap().result, json!({ "x": 1 }));
        assert_eq!(service.world.store.node(job, "a").unwrap().message, "Finished task on a - Success! ");
    });
}

#[test]
fn what_is_sensitive_is_neither_shown_nor_repeated() {
    world(settled()).live(async |service| {
        let mut command = Build::task("secret", names(["a"]), 0);
        command.params.insert("password".into(), json!("hunter2hunter2"));
        command.common.options = json!({ "params": command.params.clone(), "sensitive": [] });
        let checked = service.engine.check_task(command.clone()).await.unwrap_err().to_string();
        assert_eq!(checked, "parameter password of task secret is sensitive, and a schedule keeps no such values");
        let job = service.engine.task(command).await.unwrap();
        let spec = service.world.store.stored(job).await.unwrap().unwrap().spec;
        let bunraku_actors::model::Action::Task(action) = &*spec.action else { panic!("a task") };
        assert_eq!((action.input.len(), &action.sensitive), (0, &vec!["password".to_owned()]));
        assert_eq!(action.secrets.values().unwrap()["password"], "hunter2hunter2");
        let kept = serde_json::to_string(&*spec).unwrap() + &format!("{spec:?}");
        assert!(!kept.contains("hunter2"), "{kept}");
        let options: Value = serde_json::from_str(spec.options.as_text()).unwrap();
        assert_eq!(options, json!({ "params": {}, "sensitive": ["password"] }));
        assert_eq!(service.end(job).await, JobState::Finished);
    });
}

#[test]
fn a_type_that_is_sensitive_is_enough() {
    world(settled()).live(async |service| {
        let mut command = Build::task("typed_secret", names(["a"]), 0);
        command.params = json!({ "key": "hunter2hunter2", "plain": "x" }).as_object().cloned().unwrap();
        let job = service.engine.task(command).await.unwrap();
        let spec = service.world.store.stored(job).await.unwrap().unwrap().spec;
        let kept = serde_json::to_string(&*spec).unwrap() + &format!("{spec:?}");
        assert!(!kept.contains("hunter2"), "{kept}");
        let mut half = Build::task("half_secret", names(["a"]), 0);
        half.params.insert("key".into(), json!("hunter2"));
        let refused = service.engine.task(half).await.unwrap_err().to_string();
        assert_eq!(refused, "task half_secret: parameter key: sensitive must be true or false");
        assert_eq!(service.end(job).await, JobState::Finished);
    });
}

#[test]
fn tasks_are_refused_with_reasons() {
    world(settled()).live(async |service| {
        let refused = async |name: &str, params: Value, noop: bool| {
            let mut command = Build::task(name, names(["a"]), 0);
            command.params = params.as_object().cloned().unwrap();
            command.noop = noop;
            service.engine.task(command).await.unwrap_err().to_string()
        };
        assert_eq!(refused("absent", json!({}), false).await, "Unknown task absent in environment production");
        assert_eq!(refused("plain", json!({}), true).await, "task plain does not support noop");
        assert_eq!(refused("typed", json!({}), false).await, "task typed needs the parameter name");
        assert_eq!(refused("typed", json!({ "nmae": 1 }), false).await, "task typed has no parameter nmae");
        assert_eq!(
            refused("typed", json!({ "name": ["x"] }), false).await,
            "parameter name must match String, not [\"x\"]"
        );
        assert_eq!(
            refused("typed", json!({ "name": "x", "count": 1.5 }), false).await,
            "parameter count must match Integer, not 1.5"
        );
        assert_eq!(
            refused("secret", json!({ "password": 1234 }), false).await,
            "parameter password must match String[8], not this number"
        );
        let broken = refused("broken", json!({ "x": 1 }), false).await;
        assert_eq!(broken, "task broken: the type of its parameter x cannot be read: expected ']' at character 12");
        assert!(refused("plain", json!({ "_task": 1 }), false).await.contains("_task"));
    });
}
