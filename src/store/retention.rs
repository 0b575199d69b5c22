//! Retention, as callers see it: what is too old, how much was removed, and what stands in the place of removed output.

use std::collections::BTreeSet;

use bunraku_actors::model::Action;
use bunraku_actors::ports::StoreError;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Store;
use super::request::Request;
use super::rows;

/// Ends of jobs before these moments are too old; `None` keeps everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cutoffs {
    pub jobs: Option<DateTime<Utc>>,
    pub output: Option<DateTime<Utc>>,
    /// Entries of the audit log before this moment.
    pub audit: Option<DateTime<Utc>>,
    /// Keys of commands that were to be kept until before this moment.
    pub keys: Option<DateTime<Utc>>,
}

/// What one pass removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub jobs: u64,
    /// Jobs whose output was removed.
    pub outputs: u64,
}

/// The result of a run whose output was removed.
#[must_use]
pub fn pruned_result() -> Value {
    json!({ "_pruned": "the output was removed: it was older than retention.output" })
}

impl Store {
    /// Removes what is too old, in small pieces between other work, and gives the space back to the file system. Jobs that
    /// are not over stay, and so do those that have left a hold. Returns when all of it is done.
    ///
    /// # Errors
    /// The store's; what was removed by then stays so, the rest is removed by the next call or after the next start.
    pub async fn prune(&self, cutoffs: Cutoffs) -> Result<Pruned, StoreError> {
        self.ask(|reply| Request::Prune(cutoffs, reply)).await
    }

    /// The hashes of the task files that jobs which are not over may still need.
    ///
    /// # Errors
    /// The store's.
    pub async fn files_in_use(&self) -> Result<BTreeSet<String>, StoreError> {
        self.read(|connection, specs| {
            let mut files = BTreeSet::new();
            for job in rows::unfinished_ids(connection)? {
                if let Action::Task(task) = &*specs.spec(connection, job)?.action {
                    files.extend(task.files.iter().map(|file| file.sha256.clone()));
                }
            }
            Ok(files)
        })
        .await
    }

    /// A setting of the installation, if it was ever written.
    ///
    /// # Errors
    /// The store's.
    pub async fn setting(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        self.read(move |connection, _| Ok(rows::setting(connection, name)?)).await
    }

    /// Writes a setting.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_setting(&self, name: &'static str, value: String) -> Result<(), StoreError> {
        self.change(move |connection| {
            let write =
                "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
            connection.prepare_cached(write)?.execute((name, value))?;
            Ok(())
        })
        .await
    }
}
