//! The directory port: environments, tasks, groups, and which nodes there are, from where people keep them.
//!
//! [`Sources`] puts them together: environments and modules in files ([`files`]), a puppetserver ([`puppetserver`]) and a
//! PuppetDB ([`puppetdb`]), any mix of them. It never writes to any; its own content store keeps copies of the task files
//! that jobs were started with. What stands in files is answered without asking anybody else.

mod classify;
mod content;
mod document;
mod examine;
mod facts;
mod files;
mod groups;
mod hash;
mod puppetdb;
mod puppetserver;
mod remote;
mod snapshot;
mod tasks;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bunraku_actors::model::{CertName, EnvironmentName, Pattern, TaskName};
use bunraku_actors::ports::{
    Directory, DirectoryError, Environment, NodeGroup, PlanSummary, SourceHealth, TaskDetail, TaskSummary,
};
use serde_json::Value;
use tokio::sync::watch as generations;
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

pub use self::classify::FactsOfAgent;
use self::classify::{Classified, Classifier};
use self::content::{ContentError, ContentStore};
pub use self::examine::Examined;
use self::files::Files;
pub use self::groups::{ImportError, Imported, import_groups};
use self::hash::Fingerprint;
use self::puppetdb::PuppetDb;
use self::puppetserver::{Puppetserver, RemoteTask};
use self::remote::Remote;
pub use self::remote::RemoteOptions;
use crate::tls::TlsError;

/// How often a task is read again when its files change while they are copied.
const PIN_ATTEMPTS: usize = 5;
/// How often services of others are asked whether they run.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// One `<name>.yaml` per environment. Need not exist yet.
    pub environments_dir: PathBuf,
    /// Where modules are looked for, the first match wins; `$environment` in it stands for the environment's name.
    pub module_path: Vec<PathBuf>,
    /// The content store: the files in it are named by their SHA-256. Created when it is missing.
    pub file_store: PathBuf,
    /// One `*.yaml` per node group. Need not exist: then there are no groups.
    pub groups_dir: PathBuf,
    /// One `<certname>.yaml` or `.json` with the facts of each node.
    pub facts_dir: Option<PathBuf>,
    /// Has environments that have no file, and the tasks of those whose file names no modules.
    pub puppetserver: Option<RemoteOptions>,
    /// Answers queries, and has facts and reports.
    pub puppetdb: Option<RemoteOptions>,
}

/// Why the directory did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{section}: {source}")]
    Tls { section: &'static str, source: TlsError },
}

/// Everything that is known of environments, tasks, groups and nodes. Dropping it ends watch and probes.
#[derive(Debug)]
pub struct Sources {
    files: Files,
    content: Arc<ContentStore>,
    classifier: Arc<Classifier>,
    puppetserver: Option<Arc<Puppetserver>>,
    puppetdb: Option<Arc<PuppetDb>>,
    of_agents: FactsOfAgent,
    _probes: JoinSet<()>,
}

impl Sources {
    /// Opens the content store, reads all environments, and goes on watching them. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the content store or a certificate cannot be used. Missing or broken environments, and services that do not
    /// answer, are no error, but trouble in [`Directory::health`].
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let store = options.file_store;
        let content = blocking(move || ContentStore::open(&store).map_err(unavailable)).await?;
        let content = Arc::new(content);
        let (groups_dir, facts_dir) = (options.groups_dir, options.facts_dir);
        let classifier = blocking(move || Ok(Classifier::open(groups_dir, facts_dir))).await?;
        let tls = |section| move |source| StartError::Tls { section, source };
        let puppetserver = options.puppetserver.map(Puppetserver::new).transpose().map_err(tls("puppetserver"))?;
        let puppetdb = options.puppetdb.map(PuppetDb::new).transpose().map_err(tls("puppetdb"))?;
        let files = Files::start(options.environments_dir, options.module_path, Arc::clone(&content)).await?;
        let (puppetserver, puppetdb) = (puppetserver.map(Arc::new), puppetdb.map(Arc::new));
        let mut probes = JoinSet::new();
        if let Some(server) = puppetserver.clone() {
            probes.spawn(async move { keep_probing(server.remote()).await });
        }
        if let Some(database) = puppetdb.clone() {
            probes.spawn(async move { keep_probing(database.remote()).await });
        }
        Ok(Self {
            files,
            content,
            classifier: Arc::new(classifier),
            puppetserver,
            puppetdb,
            of_agents: FactsOfAgent::default(),
            _probes: probes,
        })
    }

    /// Believes what agents say of their nodes, where nobody else knows anything of them.
    #[must_use]
    pub fn with_facts_of_agents(mut self, of_agents: FactsOfAgent) -> Self {
        self.of_agents = of_agents;
        self
    }

    /// Removes the kept task files that no job needs any more; trouble is logged.
    pub async fn sweep_files(&self, in_use: BTreeSet<String>) {
        let content = Arc::clone(&self.content);
        match blocking(move || content.sweep(&in_use).map_err(unavailable)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed task files that no job needs any more"),
            Err(error) => tracing::warn!(%error, "unused task files were not removed"),
        }
    }

    /// Reads the certificates that we show to others again; what is unusable is logged and stays as it was.
    pub fn reload_tls(&self) {
        let remotes =
            [self.puppetserver.as_ref().map(|server| server.remote()), self.puppetdb.as_ref().map(|db| db.remote())];
        for remote in remotes.into_iter().flatten() {
            if let Err(error) = remote.reload() {
                tracing::error!(%error, "a source of the directory keeps its certificates");
            }
        }
    }

    /// Counts how often the environments directory was read, changed or not.
    #[must_use]
    pub fn readings(&self) -> generations::Receiver<u64> {
        self.files.readings()
    }

    /// The puppetserver, where it is the one that has the environment's tasks.
    async fn server_of(&self, environment: &EnvironmentName) -> Result<Option<&Puppetserver>, DirectoryError> {
        let Some(server) = &self.puppetserver else { return Ok(None) };
        if self.files.names_modules(environment).await? {
            return Ok(None);
        }
        Ok(server.environment(environment).await?.map(|_| &**server))
    }

    /// Keeps the files of a puppetserver's task. Begins again while anything of it changes, so that metadata and files are
    /// of one state of the module.
    async fn pin_remote(
        &self,
        server: &Puppetserver,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError> {
        for _ in 0..PIN_ATTEMPTS {
            let Some(task) = server.task(environment, name).await? else { return Ok(None) };
            if self.keep_remote(server, &task).await? {
                return Ok(Some(task.detail));
            }
        }
        Err(broken(name, "the content of its files is not what puppetserver says of them"))
    }

    /// Keeps every file; false when one has other content than it should.
    async fn keep_remote(&self, server: &Puppetserver, task: &RemoteTask) -> Result<bool, DirectoryError> {
        for (file, source) in task.detail.files.iter().zip(&task.sources) {
            let expected = Fingerprint { sha256: file.sha256.clone(), size: file.size_bytes };
            let content = Arc::clone(&self.content);
            let missing = expected.clone();
            let place = blocking(move || match content.has(&missing) {
                true => Ok(None),
                false => content.unfinished().map(Some).map_err(unavailable),
            });
            let Some(copy) = place.await? else { continue };
            let into = copy.reopen().map_err(unavailable)?;
            server.fetch(source, &expected, into).await?;
            let content = Arc::clone(&self.content);
            let admitted = blocking(move || match content.admit(copy, &expected) {
                Err(ContentError::Changed) => Ok(false),
                other => other.map(|()| true).map_err(unavailable),
            });
            if !admitted.await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Groups, and all facts that their rules look at.
    async fn classified(&self) -> Result<Classified, DirectoryError> {
        let classifier = Arc::clone(&self.classifier);
        let mut classified = blocking(move || Ok(classifier.look())).await?;
        classified.of_agent = self.of_agents.clone();
        if let Some(database) = &self.puppetdb {
            classified.from_puppetdb = database.facts(&classified.wanted()).await?;
        }
        Ok(classified)
    }
}

async fn keep_probing(remote: &Remote) {
    let mut looks = tokio::time::interval(PROBE_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        remote.probe().await;
    }
}

fn unavailable(error: impl ToString) -> DirectoryError {
    DirectoryError::Unavailable(error.to_string())
}

fn broken(task: &TaskName, reason: impl Into<String>) -> DirectoryError {
    DirectoryError::BrokenTask { task: task.to_string(), reason: reason.into() }
}

/// Runs work that waits for a disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DirectoryError> + Send + 'static,
) -> Result<T, DirectoryError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(unavailable(format!("reading files failed: {error}"))))
}

#[async_trait]
impl Directory for Sources {
    async fn environments(&self) -> Result<Vec<Arc<Environment>>, DirectoryError> {
        let in_files = self.files.environments()?;
        let Some(server) = &self.puppetserver else { return Ok(in_files) };
        let mut all: BTreeMap<EnvironmentName, Arc<Environment>> = match server.environments().await {
            Ok(known) => (*known).clone(),
            // What stands in files goes on; that the others are missing stands in the health.
            Err(error) if !in_files.is_empty() => {
                tracing::warn!(%error, "environments of puppetserver are not listed");
                BTreeMap::new()
            }
            Err(error) => return Err(error),
        };
        all.retain(|name, _| !self.files.is_broken(name));
        all.extend(in_files.into_iter().map(|environment| (environment.name.clone(), environment)));
        Ok(all.into_values().collect())
    }

    async fn environment(&self, name: &EnvironmentName) -> Result<Option<Arc<Environment>>, DirectoryError> {
        if let Some(found) = self.files.environment(name).await? {
            return Ok(Some(found));
        }
        match &self.puppetserver {
            Some(server) => server.environment(name).await,
            None => Ok(None),
        }
    }

    async fn tasks(&self, environment: &EnvironmentName) -> Result<Vec<TaskSummary>, DirectoryError> {
        match self.server_of(environment).await? {
            Some(server) => server.tasks(environment).await,
            None => self.files.tasks(environment).await,
        }
    }

    async fn task(&self, environment: &EnvironmentName, name: &TaskName) -> Result<Option<TaskDetail>, DirectoryError> {
        match self.server_of(environment).await? {
            Some(server) => Ok(server.task(environment, name).await?.map(|task| task.detail)),
            None => self.files.task(environment, name).await,
        }
    }

    async fn pin_task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError> {
        match self.server_of(environment).await? {
            Some(server) => self.pin_remote(server, environment, name).await,
            None => self.files.pin_task(environment, name).await,
        }
    }

    async fn pinned_file(&self, sha256: &str) -> Result<Option<PathBuf>, DirectoryError> {
        let (content, sha256) = (Arc::clone(&self.content), sha256.to_owned());
        blocking(move || content.find(&sha256).map_err(unavailable)).await
    }

    async fn plans(&self, environment: &EnvironmentName) -> Result<Vec<PlanSummary>, DirectoryError> {
        match self.server_of(environment).await? {
            Some(server) => server.plans(environment).await,
            None => self.files.plans(environment).await,
        }
    }

    async fn query(&self, query: &Value) -> Result<Option<Vec<CertName>>, DirectoryError> {
        match &self.puppetdb {
            Some(database) => database.certnames(query).await.map(Some),
            None => Ok(None),
        }
    }

    async fn report_events(&self, transactions: &[String]) -> Result<BTreeMap<String, Vec<Value>>, DirectoryError> {
        match &self.puppetdb {
            Some(database) if !transactions.is_empty() => database.events(transactions).await,
            _ => Ok(BTreeMap::new()),
        }
    }

    /// What agents say of their nodes, of those that are connected.
    async fn facts(&self, nodes: &[CertName]) -> Result<BTreeMap<CertName, Value>, DirectoryError> {
        Ok(nodes.iter().filter_map(|node| Some((node.clone(), self.of_agents.of(node)?))).collect())
    }

    async fn flush(&self, environment: &EnvironmentName) -> Result<bool, DirectoryError> {
        match &self.puppetserver {
            Some(server) => server.flush(environment).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn groups(&self) -> Result<Option<Vec<Arc<NodeGroup>>>, DirectoryError> {
        let classifier = Arc::clone(&self.classifier);
        blocking(move || Ok(classifier.is_configured().then(|| classifier.groups().all()))).await
    }

    async fn group(&self, key: &str) -> Result<Option<Arc<NodeGroup>>, DirectoryError> {
        let (classifier, key) = (Arc::clone(&self.classifier), key.to_owned());
        blocking(move || Ok(classifier.groups().find(&key).cloned())).await
    }

    async fn members(&self, group: Uuid, others: Vec<CertName>) -> Result<Vec<CertName>, DirectoryError> {
        let classified = self.classified().await?;
        let environments = self.files.environments().unwrap_or_default();
        blocking(move || {
            let assigned = environments.iter().flat_map(|environment| environment.all_nodes().cloned());
            Ok(classified.members(group, assigned.chain(others)))
        })
        .await
    }

    async fn within_groups(
        &self,
        groups: &[Pattern],
        nodes: Vec<CertName>,
    ) -> Result<BTreeSet<CertName>, DirectoryError> {
        let classified = self.classified().await?;
        let groups = groups.to_vec();
        blocking(move || Ok(classified.within(&groups, nodes))).await
    }

    fn health(&self) -> Vec<SourceHealth> {
        let source = |source: &str, trouble| SourceHealth { source: source.to_owned(), trouble };
        let mut sources =
            vec![source("environments", self.files.trouble()), source("task files", self.content.trouble())];
        if self.classifier.is_configured() {
            sources.push(source("groups", self.classifier.groups_trouble()));
        }
        if let Some(trouble) = self.classifier.facts_trouble() {
            sources.push(source("facts", trouble));
        }
        if let Some(server) = &self.puppetserver {
            sources.push(source("puppetserver", server.remote().trouble()));
        }
        if let Some(database) = &self.puppetdb {
            sources.push(source("puppetdb", database.remote().trouble()));
        }
        sources
    }
}
