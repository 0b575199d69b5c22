//! The ledger: one line per started run, only ever appended, synced before the run starts.
//!
//! Its purpose is proof: whoever doubts that a run never starts twice counts the lines of its id. It is never purged;
//! a line is about 150 bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::agent::files::SHARED;
use crate::wire::pxp::{LedgerLine, LedgerResults};

/// So many bytes of the file one answer covers, about.
const PAGE_BYTES: u64 = 48 * 1024;

/// The open ledger.
#[derive(Debug)]
pub(in crate::agent) struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

impl Ledger {
    /// Opens `ledger` in the spool's directory for appending.
    pub(in crate::agent) fn open(root: &Path) -> io::Result<Self> {
        let path = root.join("ledger");
        let file = OpenOptions::new().append(true).create(true).mode(SHARED).open(&path)?;
        Ok(Self { path, file: Mutex::new(file) })
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
        let (module, job) = (module.to_owned(), job.map(str::to_owned));
        let mut line = serde_json::to_vec(&LedgerLine { time, transaction_id: transaction, module, job })?;
        line.push(b'\n');
        let mut file = self.file.lock();
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The lines from this byte on, as many as one answer may hold.
    pub(in crate::agent) fn page(&self, from: u64) -> io::Result<LedgerResults> {
        let mut file = File::open(&self.path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from))?;
        // What is appended meanwhile is for the next page.
        let mut reader = BufReader::new(file.take(end.saturating_sub(from)));
        let mut page = LedgerResults::default();
        let mut at = from;
        let mut text = Vec::new();
        while at - from < PAGE_BYTES {
            text.clear();
            let length = reader.read_until(b'\n', &mut text)?;
            if length == 0 {
                return Ok(page);
            }
            at += length as u64;
            match serde_json::from_slice(&text) {
                Ok(line) => page.lines.push(line),
                Err(_) => page.unreadable += 1,
            }
        }
        page.next = (at < end).then_some(at);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_on_one_page() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let ids: Vec<Uuid> = (0..900).map(Uuid::from_u128).collect();
        for id in &ids {
            ledger.record(DateTime::UNIX_EPOCH, *id, "task", Some("7")).unwrap();
        }
        // A power cut in the middle of a line; the agent goes on after it.
        ledger.file.lock().write_all(b"{\"time\":\"19\n").unwrap();
        ledger.record(DateTime::UNIX_EPOCH, Uuid::from_u128(999), "task", None).unwrap();
        let (mut found, mut from, mut pages, mut unreadable) = (Vec::new(), Some(0), 0, 0);
        while let Some(at) = from {
            let page = ledger.page(at).unwrap();
            found.extend(page.lines.iter().map(|line| line.transaction_id));
            (from, pages, unreadable) = (page.next, pages + 1, unreadable + page.unreadable);
        }
        assert_eq!(found.len(), 901);
        assert_eq!((&found[..900], found[900]), (&ids[..], Uuid::from_u128(999)));
        assert!(pages > 1 && unreadable == 1, "{pages} pages, {unreadable} unreadable");
        assert_eq!(ledger.page(1 << 40).unwrap(), LedgerResults::default(), "behind the end is nothing");
    }
}
