//! Environments and tasks from files.
//!
//! Readers work on a snapshot and never wait for a reload; everything that touches a disk runs off the async threads.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bunraku_actors::model::{EnvironmentName, TaskName};
use bunraku_actors::ports::{DirectoryError, Environment, PlanSummary, TaskDetail, TaskSummary};
use tokio::sync::watch as generations;
use tokio::task::AbortHandle;

use super::content::{ContentError, ContentStore};
use super::hash::{Fingerprint, HashCache};
use super::snapshot::{self, Snapshot};
use super::watch::DirectoryWatch;
use super::{PIN_ATTEMPTS, blocking, broken, tasks, unavailable};

/// Where the files are, and what is read of them.
#[derive(Debug)]
pub(super) struct Files {
    shared: Arc<Shared>,
    watch: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    environments_dir: PathBuf,
    module_path: Vec<PathBuf>,
    snapshot: ArcSwap<Snapshot>,
    /// Held while the directory is read, so that an older reading never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
    /// Counts readings.
    generation: generations::Sender<u64>,
    hashes: HashCache,
    content: Arc<ContentStore>,
}

impl Files {
    /// Reads all environments, and goes on watching them. Needs a tokio runtime.
    pub(super) async fn start(
        environments_dir: PathBuf,
        module_path: Vec<PathBuf>,
        content: Arc<ContentStore>,
    ) -> Result<Self, DirectoryError> {
        let mut watch = DirectoryWatch::new(&environments_dir);
        let shared = Arc::new(Shared {
            environments_dir,
            module_path,
            snapshot: ArcSwap::default(),
            reading: tokio::sync::Mutex::default(),
            generation: generations::Sender::new(0),
            hashes: HashCache::default(),
            content,
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

    /// Counts how often the environments directory was read, changed or not.
    pub(super) fn readings(&self) -> generations::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// All environments, by name.
    pub(super) fn environments(&self) -> Result<Vec<Arc<Environment>>, DirectoryError> {
        let snapshot = self.shared.snapshot.load();
        match snapshot.unreadable() {
            Some(trouble) => Err(unavailable(trouble)),
            None => Ok(snapshot.all().map(|loaded| Arc::clone(&loaded.environment)).collect()),
        }
    }

    /// Those that have a file, but no good version of it.
    pub(super) fn is_broken(&self, name: &EnvironmentName) -> bool {
        self.shared.snapshot.load().broken(name).is_some()
    }

    /// One of them. One that has a file without a good version is refused: nobody else may stand in for it, without its
    /// order and its modules.
    pub(super) async fn environment(&self, name: &EnvironmentName) -> Result<Option<Arc<Environment>>, DirectoryError> {
        let snapshot = self.shared.snapshot_for(name).await?;
        if let Some(trouble) = snapshot.broken(name) {
            return Err(unavailable(format!("environment {name} cannot be used: {trouble}")));
        }
        Ok(snapshot.get(name).map(|loaded| Arc::clone(&loaded.environment)))
    }

    /// Whether an environment's file says where its modules are.
    pub(super) async fn names_modules(&self, name: &EnvironmentName) -> Result<bool, DirectoryError> {
        self.environment(name).await?;
        Ok(self.shared.snapshot_for(name).await?.get(name).is_some_and(|loaded| loaded.names_modules))
    }

    /// What the modules of an environment say; `None` when there is no such environment.
    async fn in_modules<T: Send + 'static>(
        &self,
        environment: &EnvironmentName,
        look: impl FnOnce(&Shared, &[PathBuf]) -> Result<T, DirectoryError> + Send + 'static,
    ) -> Result<Option<T>, DirectoryError> {
        let snapshot = self.shared.snapshot_for(environment).await?;
        let Some(loaded) = snapshot.get(environment) else { return Ok(None) };
        let (shared, module_path) = (Arc::clone(&self.shared), loaded.module_path.clone());
        blocking(move || look(&shared, &module_path).map(Some)).await
    }

    /// The tasks of an environment, sorted by name.
    pub(super) async fn tasks(&self, environment: &EnvironmentName) -> Result<Vec<TaskSummary>, DirectoryError> {
        Ok(self.in_modules(environment, |_, modules| tasks::list(modules)).await?.unwrap_or_default())
    }

    /// One task.
    pub(super) async fn task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError> {
        let name = name.clone();
        let look = move |shared: &Shared, modules: &[PathBuf]| tasks::resolve(modules, &name, &shared.hashes);
        Ok(self.in_modules(environment, look).await?.flatten().map(|resolved| resolved.detail))
    }

    /// One task, its files kept.
    pub(super) async fn pin_task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError> {
        let name = name.clone();
        Ok(self.in_modules(environment, move |shared, modules| shared.pin(modules, &name)).await?.flatten())
    }

    /// The plans of an environment, sorted by name.
    pub(super) async fn plans(&self, environment: &EnvironmentName) -> Result<Vec<PlanSummary>, DirectoryError> {
        Ok(self.in_modules(environment, |_, modules| tasks::plans::list(modules)).await?.unwrap_or_default())
    }

    /// What is wrong with the environments.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.snapshot.load().trouble()
    }
}

impl Drop for Files {
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
        let (directory, module_path) = (self.environments_dir.clone(), self.module_path.clone());
        let next = blocking(move || Ok(before.reread(&directory, &module_path))).await?;
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
        let file = snapshot::file_of(&self.environments_dir, name);
        if tokio::fs::try_exists(file).await.unwrap_or(false) {
            self.read().await?;
        }
        let present = self.snapshot.load_full();
        match present.unreadable() {
            Some(trouble) => Err(DirectoryError::Unavailable(trouble.to_owned())),
            None => Ok(present),
        }
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
                Ok(()) => {}
                Err(ContentError::Changed) => {
                    self.hashes.forget(source);
                    return Ok(false);
                }
                Err(error @ ContentError::Source(_)) => {
                    return Err(broken(name, format!("file '{}' {error}", file.filename)));
                }
                Err(error @ ContentError::Store { .. }) => return Err(unavailable(error)),
            }
        }
        Ok(true)
    }
}
