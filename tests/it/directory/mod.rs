//! Integration tests of `directory`: real files that change under a running [`Sources`].

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken;
mod deploy;
mod groups;
mod looks;
mod reload;
mod remote;
mod tasks;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bunraku::directory::{Options, Sources};
use bunraku_actors::model::{EnvironmentName, TaskName};
use bunraku_actors::ports::Directory as _;
use tempfile::TempDir;
use tokio::time::timeout;

/// Longer than any reading can take, shorter than the minute after which everything is read in any case.
const PATIENCE: Duration = Duration::from_secs(45);

/// A running directory on temporary files.
struct Lab {
    root: TempDir,
    directory: Sources,
}

impl Lab {
    async fn start() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("environments")).unwrap();
        Self::start_in(root).await
    }

    async fn start_in(root: TempDir) -> Self {
        let options = Options {
            environments_dir: root.path().join("environments"),
            module_path: vec![root.path().join("modules")],
            file_store: root.path().join("data/files"),
            groups_dir: root.path().join("groups"),
            facts_dir: Some(root.path().join("facts")),
            puppetserver: None,
            puppetdb: None,
        };
        let directory = Sources::start(options).await.unwrap();
        Self { root, directory }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// As editors save: a new file takes the old one's name.
    fn replace(&self, path: &str, content: &str) {
        let next = self.at(&format!("{path}.new"));
        fs::write(&next, content).unwrap();
        fs::rename(next, self.at(path)).unwrap();
    }

    /// The number of nodes of an environment, `None` when there is no such environment.
    async fn nodes(&self, name: &str) -> Option<usize> {
        let environment = self.directory.environment(&environment(name)).await.unwrap();
        environment.map(|environment| environment.nodes.len())
    }

    async fn names(&self) -> Vec<String> {
        let all = self.directory.environments().await.unwrap();
        all.iter().map(|environment| environment.name.to_string()).collect()
    }

    fn trouble(&self) -> Option<String> {
        self.directory.health().into_iter().find(|health| health.source == "environments").unwrap().trouble
    }

    /// Waits until a condition holds, looking again after each reading of the directory.
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let mut readings = self.directory.readings();
        let wait = async {
            loop {
                readings.mark_unchanged();
                if holds(self).await {
                    return;
                }
                readings.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("it never came to: {what}"));
    }
}

fn environment(name: &str) -> EnvironmentName {
    EnvironmentName::parse(name).unwrap()
}

fn task(name: &str) -> TaskName {
    TaskName::parse(name).unwrap()
}
