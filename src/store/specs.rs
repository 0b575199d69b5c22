//! A small cache of decoded job headers and specifications, which never change once they are committed.

use std::sync::Arc;

use bunraku_actors::model::{JobHeader, JobId, JobSpec};
use indexmap::IndexMap;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;

use super::columns::{Db, get_packed};
use super::fault::Fault;

/// Headers are kept until their jobs have this many nodes together (one counts as [`ENTRY_WEIGHT`] more).
const HEADER_WEIGHT: usize = 600_000;
/// The same for specifications: some 20 MiB of names.
const SPEC_WEIGHT: usize = 400_000;
/// What an entry weighs besides its nodes.
const ENTRY_WEIGHT: usize = 200;

/// Least recently used entries go first; the entry just added always stays.
#[derive(Debug)]
struct Cache<V> {
    entries: IndexMap<JobId, (usize, Arc<V>)>,
    weight: usize,
    limit: usize,
}

impl<V> Cache<V> {
    fn new(limit: usize) -> Self {
        Self { entries: IndexMap::new(), weight: 0, limit }
    }

    fn get(&mut self, job: JobId) -> Option<Arc<V>> {
        let place = self.entries.get_index_of(&job)?;
        self.entries.move_index(place, self.entries.len() - 1);
        self.entries.get(&job).map(|(_, value)| Arc::clone(value))
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }

    fn insert(&mut self, job: JobId, nodes: usize, value: Arc<V>) {
        let weight = nodes + ENTRY_WEIGHT;
        self.weight += weight;
        if let Some((old, _)) = self.entries.insert(job, (weight, value)) {
            self.weight -= old;
        }
        while self.weight > self.limit && self.entries.len() > 1 {
            if let Some((_, (old, _))) = self.entries.shift_remove_index(0) {
                self.weight -= old;
            }
        }
    }
}

/// Both caches, over the table `job_specs`.
#[derive(Debug)]
pub(super) struct Specs {
    headers: Mutex<Cache<JobHeader>>,
    specs: Mutex<Cache<JobSpec>>,
}

impl Default for Specs {
    fn default() -> Self {
        Self { headers: Mutex::new(Cache::new(HEADER_WEIGHT)), specs: Mutex::new(Cache::new(SPEC_WEIGHT)) }
    }
}

impl Specs {
    /// The header of a job that exists.
    pub(super) fn header(&self, connection: &Connection, job: JobId) -> Result<Arc<JobHeader>, Fault> {
        if let Some(header) = self.headers.lock().get(job) {
            return Ok(header);
        }
        let header = Arc::new(read::<JobHeader>(connection, "SELECT header FROM job_specs WHERE job = ?1", job)?);
        self.headers.lock().insert(job, header.node_count as usize, Arc::clone(&header));
        Ok(header)
    }

    /// The specification of a job that exists.
    pub(super) fn spec(&self, connection: &Connection, job: JobId) -> Result<Arc<JobSpec>, Fault> {
        if let Some(spec) = self.specs.lock().get(job) {
            return Ok(spec);
        }
        let spec = Arc::new(read::<JobSpec>(connection, "SELECT spec FROM job_specs WHERE job = ?1", job)?);
        self.insert(job, Arc::clone(&spec));
        Ok(spec)
    }

    /// Forgets everything: some of it may come from a transaction that was rolled back.
    pub(super) fn clear(&self) {
        self.headers.lock().clear();
        self.specs.lock().clear();
    }

    /// Remembers the specification of a job that is committed.
    pub(super) fn insert(&self, job: JobId, spec: Arc<JobSpec>) {
        self.specs.lock().insert(job, spec.nodes.len(), spec);
    }
}

fn read<T: DeserializeOwned>(connection: &Connection, sql: &str, job: JobId) -> Result<T, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([Db(job)], |row| get_packed(row, 0)).optional()?.flatten();
    found.ok_or_else(|| Fault::Inconsistent(format!("job {job} has no specification")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_goes_first() {
        let mut cache = Cache::new(3 * (ENTRY_WEIGHT + 10));
        for job in 1..=3 {
            cache.insert(JobId(job), 10, Arc::new(job));
        }
        assert!(cache.get(JobId(1)).is_some());
        cache.insert(JobId(4), 10, Arc::new(4));
        assert_eq!(cache.entries.keys().map(|job| job.0).collect::<Vec<_>>(), [3, 1, 4]);
        cache.insert(JobId(5), 1_000_000, Arc::new(5));
        assert_eq!(cache.entries.len(), 1, "one that is too large alone is kept until the next");
        cache.insert(JobId(5), 10, Arc::new(5));
        assert_eq!(cache.weight, ENTRY_WEIGHT + 10);
    }
}
