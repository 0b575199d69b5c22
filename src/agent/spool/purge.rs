//! Forgetting: runs that ended long ago. A running one, or one that nobody can read, is never touched.

use std::fs;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{RunStatus, Spool};

impl Spool {
    /// Removes the directories of runs that started more than `ttl` before `now` and are over; how many.
    pub(in crate::agent) fn purge(&self, ttl: Duration, now: DateTime<Utc>) -> io::Result<usize> {
        let mut removed = 0;
        for transaction in self.transactions()? {
            let Ok(metadata) = self.metadata(transaction) else { continue };
            let age = (now - metadata.start).to_std().unwrap_or_default();
            if metadata.status != RunStatus::Running && age > ttl {
                fs::remove_dir_all(self.directory(transaction))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
