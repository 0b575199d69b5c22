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
    end: Mutex<End>,
}

/// Where the next line goes.
#[derive(Debug)]
struct End {
    file: File,
    /// The last line may be a part of one: a full disk or a power cut came in between. It must take no other along.
    torn: bool,
}

impl Ledger {
    /// Opens `ledger` in the spool's directory for appending.
    pub(in crate::agent) fn open(root: &Path) -> io::Result<Self> {
        let path = root.join("ledger");
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(SHARED).open(&path)?;
        let torn = !ends_with_a_line(&mut file)?;
        Ok(Self { path, end: Mutex::new(End { file, torn }) })
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
        let line = serde_json::to_string(&LedgerLine { time, transaction_id: transaction, module, job })?;
        let mut end = self.end.lock();
        let before = if end.torn { "\n" } else { "" };
        end.torn = true;
        end.file.write_all(format!("{before}{line}\n").as_bytes())?;
        end.torn = false;
        end.file.sync_data()
    }

    /// Whether the run was started, by this agent or an earlier one. Reads all of the file: for the rare moments in which
    /// nothing else is known of a run. False as well when the file was replaced: see [`Spool::is_in_place`].
    ///
    /// [`Spool::is_in_place`]: super::Spool::is_in_place
    pub(in crate::agent) fn names(&self, transaction: Uuid) -> io::Result<bool> {
        let mut lines = BufReader::new(File::open(&self.path)?);
        let mut text = Vec::new();
        while lines.read_until(b'\n', &mut text)? > 0 {
            // Of a torn line the run was never started.
            let line = serde_json::from_slice::<LedgerLine>(&text);
            if line.is_ok_and(|line| line.transaction_id == transaction) {
                return Ok(true);
            }
            text.clear();
        }
        Ok(false)
    }

    /// The lines from this byte on, as many as one answer may hold.
    pub(in crate::agent) fn page(&self, from: u64) -> io::Result<LedgerResults> {
        let mut file = File::open(&self.path)?;
        // Under the lock: a line that is being written is seen whole or not at all.
        let end = {
            let _writing = self.end.lock();
            file.metadata()?.len()
        };
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

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
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
        ledger.end.lock().file.write_all(b"{\"time\":\"19").unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
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
        let named = [0, 899, 999, 900].map(|id| ledger.names(Uuid::from_u128(id)).unwrap());
        assert_eq!(named, [true, true, true, false]);
    }
}
