//! Encodes requests. What the nodes of a job have in common is encoded once and shared by all their frames.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bunraku_actors::model::{Action, CertName, DeployAction, JobId, TaskAction, TransactionId};
use bunraku_actors::ports::RunRequest;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::broker::Frame;
use crate::wire::pcp::{Message, MessageType, Uri};
use crate::wire::pxp::{
    BUNRAKU_MODULE, BlockingRequest, CANCEL_ACTION, FileSpec, FileUri, LEDGER_ACTION, PUPPET_MODULE, RUN_ACTION,
    STATUS_ACTION, STATUS_MODULE, TASK_MODULE,
};

/// Encoded parameters of so many jobs are kept; one more drops the oldest, which is encoded anew if it is needed again.
const CACHED_JOBS: usize = 64;
/// The keys of a task's metadata that agents look at (`docs/pcp.md` §11.2).
const METADATA_KEYS: [&str; 4] = ["input_method", "implementations", "files", "features"];

/// The encoded parameters of a job, tied to the very action they were made from.
struct Cached {
    job: JobId,
    action: Weak<Action>,
    shared: Arc<str>,
}

/// Encodes requests to nodes.
pub(super) struct Encoder {
    sender: Uri,
    cache: Mutex<VecDeque<Cached>>,
}

impl Encoder {
    pub(super) fn new(sender: Uri) -> Self {
        Self { sender, cache: Mutex::default() }
    }

    /// The frame of a run, under a fresh message id which is returned with it.
    pub(super) fn run(&self, run: &RunRequest) -> (Uuid, Frame) {
        let id = Uuid::new_v4();
        let module = match *run.action {
            Action::Deploy(_) => PUPPET_MODULE,
            Action::Task(_) => TASK_MODULE,
        };
        // Certname, sender and module hold nothing that JSON would escape: certnames exclude quotes and backslashes.
        let head = format!(
            "{{\"id\":\"{id}\",\"message_type\":\"{}\",\"target\":\"{}\",\"sender\":{},\"data\":{{\
             \"transaction_id\":\"{}\",\"module\":\"{module}\",\"action\":\"{RUN_ACTION}\",\"notify_outcome\":true,\"params\":",
            String::from(MessageType::NonBlockingRequest),
            target(&run.node),
            json!(self.sender),
            run.transaction,
        );
        (id, Frame { head, shared: Some(self.shared(run)), tag: Some(run.transaction.0) })
    }

    /// A status query about a transaction; `query` is its message id and its own throw-away transaction id.
    pub(super) fn status(&self, node: &CertName, transaction: TransactionId, query: Uuid) -> Frame {
        self.blocking(node, transaction, query, STATUS_MODULE, STATUS_ACTION)
    }

    /// The request to end a transaction.
    pub(super) fn cancel(&self, node: &CertName, transaction: TransactionId, query: Uuid) -> Frame {
        self.blocking(node, transaction, query, BUNRAKU_MODULE, CANCEL_ACTION)
    }

    /// The request for a part of the agent's ledger.
    pub(super) fn ledger(&self, node: &CertName, from: u64, query: Uuid) -> Frame {
        self.ask(node, query, BUNRAKU_MODULE, LEDGER_ACTION, ("from", json!(from)))
    }

    fn blocking(&self, node: &CertName, about: TransactionId, query: Uuid, module: &str, action: &str) -> Frame {
        self.ask(node, query, module, action, ("transaction_id", json!(about)))
    }

    /// A blocking request with one parameter.
    fn ask(&self, node: &CertName, query: Uuid, module: &str, action: &str, (key, value): (&str, Value)) -> Frame {
        let data = BlockingRequest {
            transaction_id: query.to_string(),
            module: module.to_owned(),
            action: action.to_owned(),
            params: Map::from_iter([(key.to_owned(), value)]),
        };
        let (sender, target) = (Some(self.sender.clone()), Some(target(node)));
        let mut message = Message::new(MessageType::BlockingRequest, sender, target, Some(&data));
        message.id = query;
        Frame::plain(message.encode())
    }

    /// The parameters of a run with the braces that close the message.
    fn shared(&self, run: &RunRequest) -> Arc<str> {
        let is_this = |cached: &Cached| cached.job == run.job && std::ptr::eq(cached.action.as_ptr(), &*run.action);
        if let Some(cached) = self.cache.lock().iter().find(|cached| is_this(cached)) {
            return Arc::clone(&cached.shared);
        }
        let shared: Arc<str> = format!("{}}}}}", params(run.job, &run.action)).into();
        // What is secret must not outlive its job in a cache.
        if matches!(&*run.action, Action::Task(task) if !task.sensitive.is_empty()) {
            return shared;
        }
        let cached = Cached { job: run.job, action: Arc::downgrade(&run.action), shared: Arc::clone(&shared) };
        let mut cache = self.cache.lock();
        if cache.len() >= CACHED_JOBS {
            cache.pop_front();
        }
        cache.push_back(cached);
        shared
    }
}

fn target(node: &CertName) -> Uri {
    Uri::of(node.as_str(), "agent")
}

/// The parameters of `pxp-module-puppet run` or `task run`.
fn params(job: JobId, action: &Action) -> Value {
    match action {
        Action::Deploy(deploy) => deploy_params(job, deploy),
        Action::Task(task) => task_params(task),
    }
}

fn deploy_params(job: JobId, deploy: &DeployAction) -> Value {
    json!({"env": [], "flags": deploy.flags(), "job": job.to_string()})
}

fn task_params(task: &TaskAction) -> Value {
    let mut input = task.input.clone();
    let secrets = task.secrets.values().into_iter().flatten();
    input.extend(secrets.map(|(name, value)| (name.clone(), value.clone())));
    if task.noop {
        input.insert("_noop".to_owned(), Value::Bool(true));
    }
    let kept = |key: &&str| Some(((*key).to_owned(), task.metadata.get(key)?.clone()));
    let metadata: Map<String, Value> = METADATA_KEYS.iter().filter_map(kept).collect();
    let files: Vec<FileSpec> = task
        .files
        .iter()
        .map(|file| FileSpec {
            filename: file.filename.clone(),
            sha256: file.sha256.clone(),
            size_bytes: Some(file.size_bytes),
            uri: FileUri {
                path: file.path.clone(),
                params: Map::from_iter([
                    ("environment".to_owned(), json!(task.environment)),
                    ("sha256".to_owned(), json!(file.sha256)),
                ]),
            },
        })
        .collect();
    json!({"task": task.task, "input": input, "metadata": metadata, "files": files})
}

#[cfg(test)]
mod tests {
    use bunraku_actors::model::{DeployOptions, TaskFile, TaskName};

    use super::*;
    use crate::wire::pxp::NonBlockingRequest;

    fn run(node: &str, action: &Arc<Action>) -> RunRequest {
        RunRequest {
            spool: None,
            job: JobId(8),
            node: CertName::parse(node).unwrap(),
            transaction: TransactionId(Uuid::from_u128(node.len() as u128)),
            action: Arc::clone(action),
        }
    }

    fn decode(frame: &Frame) -> (Message, NonBlockingRequest) {
        let text = format!("{}{}", frame.head, frame.shared.as_deref().unwrap_or_default());
        let message = Message::decode(&text).unwrap();
        let data = message.data_as().unwrap();
        (message, data)
    }

    #[test]
    fn a_deploy_is_a_puppet_run_with_flags_and_job() {
        let deploy = DeployAction {
            enforced_environment: Some("production".into()),
            options: DeployOptions { noop: true, ..DeployOptions::default() },
        };
        let action = Arc::new(Action::Deploy(deploy));
        let encoder = Encoder::new(Uri::of("orch", "orchestrator"));
        let (id, frame) = encoder.run(&run("web1", &action));
        let (message, data) = decode(&frame);
        assert_eq!((message.id, message.message_type), (id, MessageType::NonBlockingRequest));
        assert_eq!(message.target, Some(Uri::of("web1", "agent")));
        assert_eq!(message.sender, Some(Uri::of("orch", "orchestrator")));
        assert_eq!(
            (data.module.as_str(), data.action.as_str(), data.notify_outcome),
            ("pxp-module-puppet", "run", true)
        );
        assert_eq!(data.transaction_id, Uuid::from_u128(4).to_string());
        let flags = [
            "--environment",
            "production",
            "--strict_environment_mode",
            "--noop",
            "--no-use_cached_catalog",
            "--no-usecacheonfailure",
        ];
        assert_eq!(Value::Object(data.params), json!({"env": [], "flags": flags, "job": "8"}));

        let (_, other) = encoder.run(&run("web22", &action));
        let same = |a: &Frame, b: &Frame| Arc::ptr_eq(a.shared.as_ref().unwrap(), b.shared.as_ref().unwrap());
        assert!(same(&frame, &other), "the parameters of a job are encoded once");
        let (_, copied) = encoder.run(&run("web1", &Arc::new((*action).clone())));
        assert!(!same(&frame, &copied), "another action of the same job number is not mistaken for it");
    }

    #[test]
    fn a_task_names_its_files_by_content() {
        let action = Arc::new(Action::Task(TaskAction {
            task: TaskName::parse("demo::env").unwrap(),
            input: Map::from_iter([("name".to_owned(), json!("b\"ob"))]),
            sensitive: Vec::new(),
            secrets: Default::default(),
            metadata: json!({"description": "x", "input_method": "stdin", "features": ["f"], "parameters": {}}),
            files: vec![TaskFile {
                filename: "env.sh".into(),
                sha256: "ab".into(),
                size_bytes: 93,
                path: "/p/env.sh".into(),
            }],
            noop: true,
            environment: "production".into(),
        }));
        let (_, data) = decode(&Encoder::new(Uri::of("o", "orchestrator")).run(&run("web1", &action)).1);
        let file = json!({"filename": "env.sh", "sha256": "ab", "size_bytes": 93,
                          "uri": {"path": "/p/env.sh", "params": {"environment": "production", "sha256": "ab"}}});
        let expected = json!({"task": "demo::env", "input": {"name": "b\"ob", "_noop": true},
                              "metadata": {"input_method": "stdin", "features": ["f"]}, "files": [file]});
        assert_eq!((data.module.as_str(), Value::Object(data.params)), ("task", expected));
    }

    #[test]
    fn queries_have_a_transaction_of_their_own() {
        let (query, about) = (Uuid::from_u128(1), TransactionId(Uuid::from_u128(2)));
        let node = CertName::parse("web1").unwrap();
        let encoder = Encoder::new(Uri::of("o", "orchestrator"));
        for (frame, module, action) in [
            (encoder.status(&node, about, query), "status", "query"),
            (encoder.cancel(&node, about, query), "bunraku", "cancel"),
        ] {
            let message = Message::decode(&frame.head).unwrap();
            let data: BlockingRequest = message.data_as().unwrap();
            assert_eq!((message.id, data.transaction_id), (query, query.to_string()));
            assert_eq!((data.module.as_str(), data.action.as_str()), (module, action));
            assert_eq!(data.params["transaction_id"], json!(about));
        }
    }
}
