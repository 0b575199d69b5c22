//! A small cache of decoded job headers and specifications, which never change once they are committed.

use std::sync::Arc;

use bunraku_actors::model::{Action, JobHeader, JobId, JobSpec};
use indexmap::IndexMap;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::columns::{Db, get_packed};
use super::fault::Fault;
use super::sealed::{self, SecretKey};

/// Headers are kept up to about so many bytes.
const HEADER_BYTES: usize = 16 * 1024 * 1024;
/// The same for specifications.
const SPEC_BYTES: usize = 24 * 1024 * 1024;
/// What an entry weighs besides what varies.
const ENTRY_BYTES: usize = 1_000;
/// What a value weighs besides its text.
const VALUE_BYTES: usize = 40;
/// What a name weighs besides its text.
const NAME_BYTES: usize = 16;

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

    fn remove(&mut self, job: JobId) {
        if let Some((weight, _)) = self.entries.shift_remove(&job) {
            self.weight -= weight;
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.weight = 0;
    }

    fn insert(&mut self, job: JobId, weight: usize, value: Arc<V>) {
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
    key: Option<SecretKey>,
    headers: Mutex<Cache<JobHeader>>,
    specs: Mutex<Cache<JobSpec>>,
}

impl Specs {
    pub(super) fn new(key: Option<SecretKey>) -> Self {
        Self { key, headers: Mutex::new(Cache::new(HEADER_BYTES)), specs: Mutex::new(Cache::new(SPEC_BYTES)) }
    }

    /// The header of a job that exists.
    pub(super) fn header(&self, connection: &Connection, job: JobId) -> Result<Arc<JobHeader>, Fault> {
        if let Some(header) = self.headers.lock().get(job) {
            return Ok(header);
        }
        let header = Arc::new(read::<JobHeader>(connection, "SELECT header FROM job_specs WHERE job = ?1", job)?);
        self.headers.lock().insert(job, header_weight(&header), Arc::clone(&header));
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

    /// As [`Specs::spec`], with the sensitive parameters of a job that is not over.
    pub(super) fn whole_spec(&self, connection: &Connection, job: JobId) -> Result<Arc<JobSpec>, Fault> {
        sealed::opened(connection, job, self.spec(connection, job)?, self.key.as_ref())
    }

    /// The key for sensitive parameters.
    pub(super) fn key(&self) -> Option<&SecretKey> {
        self.key.as_ref()
    }

    /// Forgets everything: some of it may come from a transaction that was rolled back.
    pub(super) fn clear(&self) {
        self.headers.lock().clear();
        self.specs.lock().clear();
    }

    /// Forgets a job that was removed.
    pub(super) fn forget(&self, job: JobId) {
        self.headers.lock().remove(job);
        self.specs.lock().remove(job);
    }

    /// Remembers the specification of a job that is committed.
    pub(super) fn insert(&self, job: JobId, spec: Arc<JobSpec>) {
        let weight = spec_weight(&spec);
        self.specs.lock().insert(job, weight, spec);
    }
}

/// About how many bytes a header takes up.
pub(super) fn header_weight(header: &JobHeader) -> usize {
    ENTRY_BYTES + header.description.len() + header.options.as_text().len() + value_weight(&header.userdata)
}

/// The same for a specification.
fn spec_weight(spec: &JobSpec) -> usize {
    let names = spec.nodes.iter().map(|name| name.as_str().len() + NAME_BYTES).sum::<usize>();
    let action = match &*spec.action {
        Action::Deploy(_) => 0,
        Action::Task(task) => entries_weight(&task.input) + value_weight(&task.metadata),
    };
    let carried = spec.description.len() + spec.options.as_text().len() + value_weight(&spec.userdata);
    ENTRY_BYTES + names + size_of_val(&*spec.edges) + action + carried
}

/// About how many bytes a value takes up.
pub(super) fn value_weight(value: &Value) -> usize {
    VALUE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_weight).sum(),
            Value::Object(entries) => entries_weight(entries),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

fn entries_weight(entries: &Map<String, Value>) -> usize {
    entries.iter().map(|(key, value)| VALUE_BYTES + key.len() + value_weight(value)).sum()
}

fn read<T: DeserializeOwned>(connection: &Connection, sql: &str, job: JobId) -> Result<T, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([Db(job)], |row| get_packed(row, 0)).optional()?.flatten();
    found.ok_or_else(|| Fault::Inconsistent(format!("job {job} has no specification")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_least_recently_used_entry_goes_first() {
        let mut cache = Cache::new(30);
        for job in 1..=3 {
            cache.insert(JobId(job), 10, Arc::new(job));
        }
        assert!(cache.get(JobId(1)).is_some());
        cache.insert(JobId(4), 10, Arc::new(4));
        assert_eq!(cache.entries.keys().map(|job| job.0).collect::<Vec<_>>(), [3, 1, 4]);
        cache.insert(JobId(5), 1_000_000, Arc::new(5));
        assert_eq!(cache.entries.len(), 1, "one that is too large alone is kept until the next");
        cache.insert(JobId(5), 10, Arc::new(5));
        assert_eq!(cache.weight, 10);
    }

    #[test]
    fn what_users_attach_counts_by_its_bytes() {
        let text = |len: usize| json!({ "note": "x".repeat(len), "list": vec![1; 100] });
        let (small, large) = (value_weight(&text(0)), value_weight(&text(60_000)));
        assert_eq!(large - small, 60_000);
        assert!(small > 100 * VALUE_BYTES, "{small}");
    }
}
