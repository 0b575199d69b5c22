//! Log lines: everything that the engine says of a job names it, and its node; no parameter of a task is ever said.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bunraku_actors::handle::Limits;
use bunraku_actors::model::{JobState, StopMode};
use bunraku_actors::testing::{Build, Script};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::commands::task;
use crate::support::{World, numbered, seconds, settled};

/// A line as `level message field=value …`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").expect("writing to memory does not fail");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("bunraku_actors") && *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        self.0.lock().expect("nobody panicked with it").push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn lines_name_job_and_node_and_no_parameter() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let limits = Limits { connect_timeout: seconds(5), deploy_timeout: seconds(60), ..settled() };
    let nodes = numbered(2);
    let task = task("secretive", serde_json::json!({ "parameters": { "word": {} } }));
    let world = World::with_tasks(limits, Build::environment(Vec::new(), nodes.clone()), vec![task]);
    world.agents.connect_all(&nodes, &Script::lasting(seconds(500)));
    world.agents.script(&nodes[1], Script { run_for: seconds(500), ..Script::pxp() });
    world.live(async |service| {
        let first = service.deploy(&nodes, 0).await;
        assert_eq!(service.end(first).await, JobState::Failed);
        world.agents.disconnect(&nodes[1]);
        let second = service.deploy(&nodes, 0).await;
        service.reached(second, bunraku_actors::model::NodeState::Running, 1).await;
        service.engine.stop(second, StopMode::Force).await.unwrap();
        service.end(second).await;
        let mut command = Build::task("secretive", nodes[..1].to_vec(), 0);
        command.params.insert("word".into(), "hunter2".into());
        let third = service.engine.task(command).await.unwrap();
        service.end(third).await;
    });
    let lines = lines.0.lock().unwrap();
    let of_jobs: Vec<_> = lines.iter().filter(|line| !line.contains("unfinished work is taken up")).collect();
    for line in &of_jobs {
        assert!(line.contains(" job="), "{line}");
        let about_a_node = ["node did not finish", "node started", "node finished", "a hold ran out", "input refused"];
        assert!(!about_a_node.iter().any(|what| line.contains(what)) || line.contains(" node="), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    for told in ["job created", "stop accepted", "job over", "node did not finish", "timed_out"] {
        assert!(of_jobs.iter().any(|line| line.contains(told)), "{told} in {of_jobs:#?}");
    }
}
