//! The directory port: environments and tasks from files.
//!
//! [`FileDirectory`] reads environments from `<environments_dir>/<name>.yaml` and tasks from the modules of their module
//! paths, and node groups from `<groups_dir>/*.yaml`, over facts from `facts_dir`. It never writes to any of them; its own content store keeps copies of the task files that jobs were started with.
//! Readers work on a snapshot and never wait for a reload; everything that touches a disk runs off the async threads.

mod classify;
mod content;
mod document;
mod facts;
mod groups;
mod hash;
mod snapshot;
mod tasks;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bunraku_actors::model::{CertName, EnvironmentName, Pattern, TaskName};
use bunraku_actors::ports::{Directory, DirectoryError, Environment, NodeGroup, SourceHealth, TaskDetail, TaskSummary};
use parking_lot::Mutex;
use tokio::sync::watch as generations;
use tokio::task::{AbortHandle, spawn_blocking};
use uuid::Uuid;

use self::classify::Classifier;
use self::content::{ContentError, ContentStore};
pub use self::groups::{ImportError, Imported, import_groups};
use self::hash::{Fingerprint, HashCache};
use self::snapshot::Snapshot;
use self::watch::DirectoryWatch;

/// How often a task is read again when its files change while they are copied.
const PIN_ATTEMPTS: usize = 5;

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
}

/// Environments and tasks from files. Dropping it ends the watch.
#[derive(Debug)]
pub struct FileDirectory {
    shared: Arc<Shared>,
    watch: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    snapshot: ArcSwap<Snapshot>,
    /// Held while the directory is read, so that an older reading never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
    /// Counts readings.
    generation: generations::Sender<u64>,
    hashes: HashCache,
    content: ContentStore,
    classifier: Classifier,
    /// Why the last attempt to keep a task file failed.
    content_trouble: Mutex<Option<String>>,
}

impl FileDirectory {
    /// Opens the content store, reads all environments, and goes on watching them. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the content store cannot be used. Missing or broken environments are no error, but trouble in
    /// [`Directory::health`].
    pub async fn start(options: Options) -> Result<Self, DirectoryError> {
        let store = options.file_store.clone();
        let content = blocking(move || ContentStore::open(&store).map_err(unavailable)).await?;
        let (groups_dir, facts_dir) = (options.groups_dir.clone(), options.facts_dir.clone());
        let classifier = blocking(move || Ok(Classifier::open(groups_dir, facts_dir))).await?;
        let mut watch = DirectoryWatch::new(&options.environments_dir);
        let shared = Arc::new(Shared {
            options,
            snapshot: ArcSwap::default(),
            reading: tokio::sync::Mutex::default(),
            generation: generations::Sender::new(0),
            hashes: HashCache::default(),
            content,
            classifier,
            content_trouble: Mutex::default(),
        });
        watch = shared.read_armed(watch).await?;
        let follower = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                watch.due().await;
                watch = match follower.read_armed(watch).await {
                    Ok(watch) => watch,
                    Err(error) => {
                        tracing::error!(%error, "the environments directory is not watched any more");
                        return;
                    }
                };
            }
        });
        Ok(Self { shared, watch: task.abort_handle() })
    }

    /// Removes the kept task files that no job needs any more; trouble is logged.
    pub async fn sweep_files(&self, in_use: BTreeSet<String>) {
        let shared = Arc::clone(&self.shared);
        match blocking(move || shared.content.sweep(&in_use).map_err(unavailable)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed task files that no job needs any more"),
            Err(error) => tracing::warn!(%error, "unused task files were not removed"),
        }
    }

    /// Counts how often the environments directory was read, changed or not.
    #[must_use]
    pub fn readings(&self) -> generations::Receiver<u64> {
        self.shared.generation.subscribe()
    }
}

impl Drop for FileDirectory {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Shared {
    /// Reads the directory after its watch is armed; gives the watch back.
    async fn read_armed(&self, mut watch: DirectoryWatch) -> Result<DirectoryWatch, DirectoryError> {
        let watch = blocking(move || {
            watch.arm();
            Ok(watch)
        })
        .await?;
        self.read().await?;
        Ok(watch)
    }

    async fn read(&self) -> Result<(), DirectoryError> {
        let _one_at_a_time = self.reading.lock().await;
        let before = self.snapshot.load_full();
        let options = self.options.clone();
        let next = blocking(move || Ok(before.reread(&options.environments_dir, &options.module_path))).await?;
        self.snapshot.store(Arc::new(next));
        self.generation.send_modify(|count| *count += 1);
        Ok(())
    }

    /// The present snapshot; read anew when `name` is unknown and yet has a file.
    async fn snapshot_for(&self, name: &EnvironmentName) -> Result<Arc<Snapshot>, DirectoryError> {
        let present = self.snapshot.load_full();
        if present.knows(name) {
            return Ok(present);
        }
        let file = snapshot::file_of(&self.options.environments_dir, name);
        if tokio::fs::try_exists(file).await.unwrap_or(false) {
            self.read().await?;
        }
        let present = self.snapshot.load_full();
        match present.unreadable() {
            Some(trouble) => Err(DirectoryError::Unavailable(trouble.to_owned())),
            None => Ok(present),
        }
    }

    /// The module path of an environment, `None` when there is no such environment.
    async fn module_path(&self, name: &EnvironmentName) -> Result<Option<Vec<PathBuf>>, DirectoryError> {
        Ok(self.snapshot_for(name).await?.get(name).map(|loaded| loaded.module_path.clone()))
    }

    /// Resolves a task and keeps its files. Begins again while anything of it changes, so that metadata and files are
    /// of one state of the module.
    fn pin(&self, module_path: &[PathBuf], name: &TaskName) -> Result<Option<TaskDetail>, DirectoryError> {
        for _ in 0..PIN_ATTEMPTS {
            let Some(resolved) = tasks::resolve(module_path, name, &self.hashes)? else { return Ok(None) };
            if !self.keep_all(name, &resolved)? {
                continue;
            }
            let after = tasks::resolve(module_path, name, &self.hashes)?;
            if after.is_some_and(|after| after.detail == resolved.detail) {
                return Ok(Some(resolved.detail));
            }
        }
        Err(broken(name, "its files change while they are copied"))
    }

    /// Keeps every file; false when one has other content by now.
    fn keep_all(&self, name: &TaskName, resolved: &tasks::Resolved) -> Result<bool, DirectoryError> {
        for (file, source) in resolved.detail.files.iter().zip(&resolved.sources) {
            let expected = Fingerprint { sha256: file.sha256.clone(), size: file.size_bytes };
            match self.content.keep(source, &expected) {
                Ok(()) => *self.content_trouble.lock() = None,
                Err(ContentError::Changed) => {
                    self.hashes.forget(source);
                    return Ok(false);
                }
                Err(error @ ContentError::Source(_)) => {
                    return Err(broken(name, format!("file '{}' {error}", file.filename)));
                }
                Err(error @ ContentError::Store { .. }) => {
                    *self.content_trouble.lock() = Some(error.to_string());
                    return Err(unavailable(error));
                }
            }
        }
        Ok(true)
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
impl Directory for FileDirectory {
    async fn environments(&self) -> Result<Vec<Arc<Environment>>, DirectoryError> {
        let snapshot = self.shared.snapshot.load();
        match snapshot.unreadable() {
            Some(trouble) => Err(unavailable(trouble)),
            None => Ok(snapshot.all().map(|loaded| Arc::clone(&loaded.environment)).collect()),
        }
    }

    async fn environment(&self, name: &EnvironmentName) -> Result<Option<Arc<Environment>>, DirectoryError> {
        let snapshot = self.shared.snapshot_for(name).await?;
        Ok(snapshot.get(name).map(|loaded| Arc::clone(&loaded.environment)))
    }

    async fn tasks(&self, environment: &EnvironmentName) -> Result<Vec<TaskSummary>, DirectoryError> {
        let Some(module_path) = self.shared.module_path(environment).await? else { return Ok(Vec::new()) };
        blocking(move || tasks::list(&module_path)).await
    }

    async fn task(&self, environment: &EnvironmentName, name: &TaskName) -> Result<Option<TaskDetail>, DirectoryError> {
        let Some(module_path) = self.shared.module_path(environment).await? else { return Ok(None) };
        let (shared, name) = (Arc::clone(&self.shared), name.clone());
        blocking(move || Ok(tasks::resolve(&module_path, &name, &shared.hashes)?.map(|resolved| resolved.detail))).await
    }

    async fn pin_task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError> {
        let Some(module_path) = self.shared.module_path(environment).await? else { return Ok(None) };
        let (shared, name) = (Arc::clone(&self.shared), name.clone());
        blocking(move || shared.pin(&module_path, &name)).await
    }

    async fn pinned_file(&self, sha256: &str) -> Result<Option<PathBuf>, DirectoryError> {
        let (shared, sha256) = (Arc::clone(&self.shared), sha256.to_owned());
        blocking(move || shared.content.find(&sha256).map_err(unavailable)).await
    }

    async fn groups(&self) -> Result<Option<Vec<Arc<NodeGroup>>>, DirectoryError> {
        let shared = Arc::clone(&self.shared);
        let read = move || Ok(shared.classifier.is_configured().then(|| shared.classifier.groups().all()));
        blocking(read).await
    }

    async fn group(&self, key: &str) -> Result<Option<Arc<NodeGroup>>, DirectoryError> {
        let (shared, key) = (Arc::clone(&self.shared), key.to_owned());
        blocking(move || Ok(shared.classifier.groups().find(&key).cloned())).await
    }

    async fn members(&self, group: Uuid, others: Vec<CertName>) -> Result<Vec<CertName>, DirectoryError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let snapshot = shared.snapshot.load_full();
            let assigned = snapshot.all().flat_map(|loaded| loaded.environment.all_nodes().cloned());
            Ok(shared.classifier.members(group, assigned.chain(others).collect()))
        })
        .await
    }

    async fn within_groups(
        &self,
        groups: &[Pattern],
        nodes: Vec<CertName>,
    ) -> Result<BTreeSet<CertName>, DirectoryError> {
        let (shared, groups) = (Arc::clone(&self.shared), groups.to_vec());
        blocking(move || Ok(shared.classifier.within(&groups, nodes))).await
    }

    fn health(&self) -> Vec<SourceHealth> {
        let source = |source: &str, trouble| SourceHealth { source: source.to_owned(), trouble };
        let classifier = &self.shared.classifier;
        let mut sources = vec![
            source("environments", self.shared.snapshot.load().trouble()),
            source("task files", self.shared.content_trouble.lock().clone()),
        ];
        if classifier.is_configured() {
            sources.push(source("groups", classifier.groups_trouble()));
        }
        if let Some(trouble) = classifier.facts_trouble() {
            sources.push(source("facts", trouble));
        }
        sources
    }
}
