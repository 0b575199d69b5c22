//! The ledger: one line per started run, only ever appended, synced before the run starts.
//!
//! Its purpose is proof: whoever doubts that a run never starts twice counts the lines of its id. It is never purged;
//! a line is about 150 bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::Mutex;
use serde::Serialize;
use uuid::Uuid;

use crate::agent::files::SHARED;

/// The open ledger.
#[derive(Debug)]
pub(in crate::agent) struct Ledger {
    file: Mutex<File>,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    transaction_id: Uuid,
    module: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
}

impl Ledger {
    /// Opens `ledger` in the spool's directory for appending.
    pub(in crate::agent) fn open(root: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(SHARED).open(root.join("ledger"))?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Appends a start. Durable on return.
    pub(in crate::agent) fn record(
        &self,
        start: DateTime<Utc>,
        transaction: Uuid,
        module: &str,
        job: Option<&str>,
    ) -> io::Result<()> {
        let time = start.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut line = serde_json::to_vec(&Line { time, transaction_id: transaction, module, job })?;
        line.push(b'\n');
        let mut file = self.file.lock();
        file.write_all(&line)?;
        file.sync_data()
    }
}
