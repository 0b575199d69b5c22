//! A directory that holds what a test put in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{EnvironmentName, TaskName};
use crate::ports::{Directory, DirectoryError, Environment, SourceHealth, TaskDetail, TaskSummary};

/// Fixed environments; every task is in every environment.
#[derive(Debug, Default)]
pub struct FixedDirectory {
    environments: BTreeMap<EnvironmentName, Arc<Environment>>,
    tasks: BTreeMap<TaskName, TaskDetail>,
}

impl FixedDirectory {
    /// Adds an environment.
    #[must_use]
    pub fn with(mut self, environment: Environment) -> Self {
        self.environments.insert(environment.name.clone(), Arc::new(environment));
        self
    }

    /// Adds a task.
    #[must_use]
    pub fn with_task(mut self, task: TaskDetail) -> Self {
        self.tasks.insert(task.name.clone(), task);
        self
    }
}

#[async_trait]
impl Directory for FixedDirectory {
    async fn environments(&self) -> Result<Vec<Arc<Environment>>, DirectoryError> {
        Ok(self.environments.values().cloned().collect())
    }

    async fn environment(&self, name: &EnvironmentName) -> Result<Option<Arc<Environment>>, DirectoryError> {
        Ok(self.environments.get(name).cloned())
    }

    async fn tasks(&self, environment: &EnvironmentName) -> Result<Vec<TaskSummary>, DirectoryError> {
        let known = self.environments.contains_key(environment);
        let all = self.tasks.values().filter(|_| known);
        let summary =
            |task: &TaskDetail| TaskSummary { name: task.name.clone(), description: String::new(), private: false };
        Ok(all.map(summary).collect())
    }

    async fn task(&self, environment: &EnvironmentName, name: &TaskName) -> Result<Option<TaskDetail>, DirectoryError> {
        let known = self.environments.contains_key(environment);
        Ok(self.tasks.get(name).filter(|_| known).cloned())
    }

    async fn pin_task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError> {
        self.task(environment, name).await
    }

    async fn pinned_file(&self, _sha256: &str) -> Result<Option<PathBuf>, DirectoryError> {
        Ok(None)
    }

    fn health(&self) -> Vec<SourceHealth> {
        vec![SourceHealth { source: "fixed".into(), trouble: None }]
    }
}
