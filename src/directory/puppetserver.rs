//! Environments, tasks and task files of a puppetserver.
//!
//! What a task needs is checked as if an enemy had sent it: names must stay in their module, files have the size and hash
//! that were announced. A puppetserver that keeps environments in memory does not see new tasks: where one is missed, its
//! cache is flushed once and it is asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::{EnvironmentName, TaskFile, TaskName};
use bunraku_actors::ports::{DirectoryError, Environment, EnvironmentSettings, PlanSummary, TaskDetail, TaskSummary};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use super::hash::Fingerprint;
use super::remote::{Answer, Question, Remote, RemoteOptions};
use super::tasks;
use super::{broken, unavailable};
use crate::tls::TlsError;

/// How long the list of environments is taken for the present one. One that is not in it is looked for at once.
const FRESH: Duration = Duration::from_secs(5);
/// An environment's cache is flushed at most so often for the sake of a task that is missed.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// The most files of one task.
const MAX_FILES: usize = 10_000;
/// The largest file of a task.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// How many tasks are looked at together to find out which are mere implementations.
const LOOKS: usize = 4;
/// How long it is remembered which they are, while the list of tasks stays the same.
const LOOKED: Duration = Duration::from_secs(30);

/// A puppetserver.
#[derive(Debug)]
pub(super) struct Puppetserver {
    remote: Remote,
    environments: Mutex<Option<(Instant, Environments)>>,
    flushed: Mutex<BTreeMap<EnvironmentName, Instant>>,
    /// By environment; each locked while tasks are looked at, so that many who list them at once look once.
    looked: Mutex<BTreeMap<EnvironmentName, Arc<Turn<Option<Looked>>>>>,
}

/// Which of these tasks only implement others.
#[derive(Debug)]
struct Looked {
    at: Instant,
    listed: Vec<TaskSummary>,
    hidden: BTreeSet<TaskName>,
}

type Environments = Arc<BTreeMap<EnvironmentName, Arc<Environment>>>;

/// A task, and where its files are fetched.
#[derive(Debug)]
pub(super) struct RemoteTask {
    pub(super) detail: TaskDetail,
    /// One per file of `detail`, in the same order.
    pub(super) sources: Vec<Uri>,
}

/// Where a file is fetched: followed as it is, never built.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Uri {
    path: String,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct EnvironmentList {
    environments: BTreeMap<String, EnvironmentEntry>,
}

#[derive(Debug, Deserialize)]
struct EnvironmentEntry {
    #[serde(default)]
    settings: SettingsEntry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SettingsEntry {
    modulepath: Vec<String>,
    manifest: String,
    /// A number of seconds, or `unlimited`.
    environment_timeout: Value,
    config_version: String,
}

#[derive(Debug, Deserialize)]
struct TaskEntry {
    name: String,
    /// As its author wrote them: of another type than they should be they count as absent.
    #[serde(default)]
    private: Value,
    #[serde(default)]
    description: Value,
}

#[derive(Debug, Deserialize)]
struct PlanEntry {
    name: String,
}

#[derive(Debug, Deserialize)]
struct TaskAnswer {
    metadata: serde_json::Map<String, Value>,
    files: Vec<FileEntry>,
}

#[derive(Debug, Deserialize)]
struct FileEntry {
    filename: String,
    sha256: String,
    size_bytes: u64,
    uri: Uri,
}

/// What a task that cannot be read is answered with.
#[derive(Debug, Deserialize)]
struct TaskProblem {
    msg: String,
}

impl Puppetserver {
    pub(super) fn new(options: RemoteOptions) -> Result<Self, TlsError> {
        let remote = Remote::new("puppetserver", options)?;
        Ok(Self { remote, environments: Mutex::default(), flushed: Mutex::default(), looked: Mutex::default() })
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Its environments, those that do not compile among them.
    pub(super) async fn environments(&self) -> Result<Environments, DirectoryError> {
        let known = self.environments.lock().clone();
        match known.filter(|(read, _)| read.elapsed() < FRESH) {
            Some((_, environments)) => Ok(environments),
            None => self.read_environments().await,
        }
    }

    /// One of them; `None` when there is none of that name even now.
    pub(super) async fn environment(&self, name: &EnvironmentName) -> Result<Option<Arc<Environment>>, DirectoryError> {
        if let Some(found) = self.environments().await?.get(name) {
            return Ok(Some(Arc::clone(found)));
        }
        Ok(self.read_environments().await?.get(name).cloned())
    }

    async fn read_environments(&self) -> Result<Environments, DirectoryError> {
        const ABOUT: &str = "environments";
        let list: EnvironmentList = self.list(Question::get(ABOUT, "/puppet/v3/environments", &[])).await?;
        let environments: BTreeMap<_, _> = list
            .environments
            .into_iter()
            .filter_map(|(name, entry)| {
                let name = EnvironmentName::parse(&name).ok()?;
                Some((name.clone(), Arc::new(environment(name, entry.settings))))
            })
            .collect();
        let environments = Arc::new(environments);
        self.looked.lock().retain(|name, _| environments.contains_key(name));
        *self.environments.lock() = Some((Instant::now(), Arc::clone(&environments)));
        Ok(environments)
    }

    /// The tasks of an environment that are meant to be run, sorted by name.
    pub(super) async fn tasks(&self, environment: &EnvironmentName) -> Result<Vec<TaskSummary>, DirectoryError> {
        let params = [("environment", environment.as_str())];
        let list: Vec<TaskEntry> = self.list(Question::get("tasks", "/puppet/v3/tasks", &params)).await?;
        let mut listed: Vec<TaskSummary> = list
            .into_iter()
            .filter_map(|entry| {
                let name = TaskName::parse(&entry.name).ok()?;
                let description = entry.description.as_str().unwrap_or_default().to_owned();
                Some(TaskSummary { name, description, private: entry.private == Value::Bool(true) })
            })
            .collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        let hidden = self.hidden(environment, &listed).await;
        listed.retain(|task| !hidden.contains(&task.name));
        Ok(listed)
    }

    /// As [`Self::implementations`], for a while from memory: who lists tasks lists them often.
    async fn hidden(&self, environment: &EnvironmentName, listed: &[TaskSummary]) -> BTreeSet<TaskName> {
        let place = Arc::clone(self.looked.lock().entry(environment.clone()).or_default());
        let mut looked = place.lock().await;
        if let Some(looked) = looked.as_ref().filter(|looked| looked.at.elapsed() < LOOKED && looked.listed == *listed)
        {
            return looked.hidden.clone();
        }
        let at = Instant::now();
        let (hidden, certain) = self.implementations(environment, listed).await;
        *looked = certain.then(|| Looked { at, listed: listed.to_vec(), hidden: hidden.clone() });
        hidden
    }

    /// Those listed that only implement other tasks. They have no metadata, hence no description: only the modules which
    /// have such tasks are looked into. False when some of them did not answer.
    async fn implementations(
        &self,
        environment: &EnvironmentName,
        listed: &[TaskSummary],
    ) -> (BTreeSet<TaskName>, bool) {
        let module = |task: &TaskSummary| task.name.parts().0.to_owned();
        let doubtful: BTreeSet<String> = listed.iter().filter(|task| task.description.is_empty()).map(module).collect();
        let speaks = |task: &&TaskSummary| !task.description.is_empty() && doubtful.contains(&module(task));
        let speaking: Vec<TaskName> = listed.iter().filter(speaks).map(|task| task.name.clone()).collect();
        let looks = stream::iter(speaking).map(|name| async move {
            match self.ask_task(environment, &name).await {
                Ok(found) => Some(found.map(|found| tasks::implementations_of(&found.detail)).unwrap_or_default()),
                // A broken task names no implementations; it is told to whoever asks for it.
                Err(DirectoryError::BrokenTask { .. }) => Some(Vec::new()),
                Err(_) => None,
            }
        });
        let named: Vec<Option<Vec<TaskName>>> = looks.buffer_unordered(LOOKS).collect().await;
        let certain = named.iter().all(Option::is_some);
        let plain: BTreeSet<&TaskName> =
            listed.iter().filter(|task| task.description.is_empty()).map(|task| &task.name).collect();
        let hidden = named.into_iter().flatten().flatten().filter(|name| plain.contains(name)).collect();
        (hidden, certain)
    }

    /// One task; `None` when no module has it.
    pub(super) async fn task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<RemoteTask>, DirectoryError> {
        let found = self.ask_task(environment, name).await?;
        // Where we may not do that, it is told in the source's health, and the task is missed as it was.
        if found.is_none() && self.may_be_outdated(environment).await? && self.flush(environment).await.is_ok() {
            return self.ask_task(environment, name).await;
        }
        Ok(found)
    }

    async fn ask_task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<RemoteTask>, DirectoryError> {
        const ABOUT: &str = "tasks";
        let (module, task) = name.parts();
        let path = format!("/puppet/v3/tasks/{module}/{task}");
        let question = Question::get(ABOUT, &path, &[("environment", environment.as_str())]);
        let answer = match self.remote.read::<TaskAnswer>(question).await.map_err(unavailable)? {
            Ok(found) => return checked(name, found).map(Some).map_err(|problem| broken(name, problem)),
            Err(answer) => answer,
        };
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            // It cannot be read, or lacks its files: a fault of this task alone.
            StatusCode::INTERNAL_SERVER_ERROR => match answer.json::<TaskProblem>() {
                Ok(problem) => Err(broken(name, problem.msg)),
                Err(_) => Err(unavailable(self.remote.unexpected(ABOUT, &answer))),
            },
            _ => Err(unavailable(self.refused(ABOUT, &path, &answer))),
        }
    }

    /// Writes one file of a task to `into`.
    pub(super) async fn fetch(&self, source: &Uri, expected: &Fingerprint, into: File) -> Result<(), DirectoryError> {
        let mut question = Question::get("files", &source.path, &[]);
        question.params = source.params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.remote.download(question, into, expected.size).await.map_err(unavailable)
    }

    /// The plans of an environment, sorted by name.
    pub(super) async fn plans(&self, environment: &EnvironmentName) -> Result<Vec<PlanSummary>, DirectoryError> {
        let params = [("environment", environment.as_str())];
        let list: Vec<PlanEntry> = self.list(Question::get("plans", "/puppet/v3/plans", &params)).await?;
        let mut names: Vec<_> = list.into_iter().map(|entry| PlanSummary::named(entry.name)).collect();
        names.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(names)
    }

    /// Lets puppetserver read an environment's code again.
    pub(super) async fn flush(&self, environment: &EnvironmentName) -> Result<(), DirectoryError> {
        const ABOUT: &str = "environment cache";
        const PATH: &str = "/puppet-admin-api/v1/environment-cache";
        let mut question = Question::get(ABOUT, PATH, &[("environment", environment.as_str())]);
        question.method = Method::DELETE;
        let answer = self.remote.ask(question).await.map_err(unavailable)?;
        // Puppetserver answers so, and nobody else who may stand at this address.
        if answer.status != StatusCode::NO_CONTENT {
            return Err(unavailable(self.refused(ABOUT, PATH, &answer)));
        }
        self.remote.well(ABOUT);
        *self.environments.lock() = None;
        self.looked.lock().remove(environment);
        Ok(())
    }

    /// Whether a task may be missed only because the environment was read before; true once in a while.
    async fn may_be_outdated(&self, name: &EnvironmentName) -> Result<bool, DirectoryError> {
        let environments = self.environments().await?;
        let Some(environment) = environments.get(name) else { return Ok(false) };
        if environment.settings.environment_timeout == 0 {
            return Ok(false);
        }
        let mut flushed = self.flushed.lock();
        if flushed.get(name).is_some_and(|last| last.elapsed() < FLUSH_EVERY) {
            return Ok(false);
        }
        flushed.insert(name.clone(), Instant::now());
        Ok(true)
    }

    async fn list<T: DeserializeOwned + Send + 'static>(&self, question: Question<'_>) -> Result<T, DirectoryError> {
        let (about, path) = (question.about, question.path.to_owned());
        let read = self.remote.read(question).await.map_err(unavailable)?;
        read.map_err(|answer| unavailable(self.refused(about, &path, &answer)))
    }

    /// The sentence for an answer that is no good, with what to do where our name is not allowed to ask.
    fn refused(&self, about: &'static str, path: &str, answer: &Answer) -> String {
        if answer.status != StatusCode::FORBIDDEN {
            return self.remote.unexpected(about, answer);
        }
        let problem = format!(
            "does not let us ask for {path}: its auth.conf needs a rule for our certificate name with that path and a \
             sort-order below 500; `bunraku doctor` prints it"
        );
        self.remote.broken(about, problem)
    }
}

fn environment(name: EnvironmentName, settings: SettingsEntry) -> Environment {
    let settings = EnvironmentSettings {
        modulepath: settings.modulepath,
        manifest: settings.manifest,
        // What has no number of seconds lasts until it is flushed.
        environment_timeout: settings.environment_timeout.as_i64().unwrap_or(-1),
        config_version: settings.config_version,
    };
    Environment {
        name,
        settings,
        applications: Vec::new(),
        instances: Vec::new(),
        nodes: Vec::new(),
        order: Vec::new(),
    }
}

/// What puppetserver says of a task, if all of it can be relied on.
fn checked(name: &TaskName, answer: TaskAnswer) -> Result<RemoteTask, String> {
    if answer.files.is_empty() {
        return Err("it has no files".to_owned());
    }
    if answer.files.len() > MAX_FILES {
        return Err(format!("it has more than {MAX_FILES} files"));
    }
    let mut files = Vec::with_capacity(answer.files.len());
    let mut sources = Vec::with_capacity(answer.files.len());
    for FileEntry { filename, sha256, size_bytes, uri } in answer.files {
        let refuse = |problem: &str| format!("file '{filename}' {problem}");
        let hex = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex {
            return Err(refuse("has no SHA-256"));
        }
        if size_bytes > MAX_FILE_BYTES {
            return Err(refuse(&format!("is larger than {MAX_FILE_BYTES} bytes")));
        }
        let odd = |part: &str| part == ".." || part == "." || part.contains(['%', '\\']);
        if !uri.path.starts_with("/puppet/v3/") || uri.path.split('/').any(odd) {
            return Err(refuse(&format!("is said to be at {}, which is no place of puppetserver's", uri.path)));
        }
        let path = tasks::served_path(name, &filename).ok_or_else(|| refuse("is not a plain path in a module"))?;
        files.push(TaskFile { sha256: sha256.to_ascii_lowercase(), size_bytes, path, filename });
        sources.push(uri);
    }
    let detail = TaskDetail { name: name.clone(), metadata: Value::Object(answer.metadata), files };
    Ok(RemoteTask { detail, sources })
}
