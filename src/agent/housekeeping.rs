//! Forgetting what is old: ended runs and unused task files. At the start, then every hour.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::interval;

use super::files::off_thread;
use super::state::Agent;

const INTERVAL: Duration = Duration::from_secs(3600);

/// Purges for ever. A fault is logged and tried again an hour later.
pub(super) async fn keep(agent: &Agent) {
    let mut hours = interval(INTERVAL);
    loop {
        hours.tick().await;
        let (spool, ttl) = (agent.spool.clone(), agent.config.spool_ttl);
        report("spool", off_thread(move || spool.purge(ttl, Utc::now())).await);
        let (cache, ttl) = (agent.config.task_cache_dir.clone(), agent.config.task_cache_ttl);
        report("task cache", off_thread(move || purge_cache(&cache, ttl, Utc::now())).await);
    }
}

fn report(what: &str, result: io::Result<usize>) {
    match result {
        Ok(0) => {}
        Ok(count) => tracing::info!(what, count, "purged"),
        Err(error) => tracing::warn!(what, %error, "cannot purge"),
    }
}

/// Removes the directories of contents that nobody used for `ttl`; a use touches the directory.
fn purge_cache(cache: &Path, ttl: Duration, now: DateTime<Utc>) -> io::Result<usize> {
    let entries = match fs::read_dir(cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let used = DateTime::<Utc>::from(entry.metadata()?.modified()?);
        if (now - used).to_std().unwrap_or_default() > ttl {
            fs::remove_dir_all(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_contents_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("a")).unwrap();
        let ttl = Duration::from_secs(60);
        assert_eq!(purge_cache(directory.path(), ttl, Utc::now()).unwrap(), 0);
        assert_eq!(purge_cache(directory.path(), ttl, Utc::now() + chrono::TimeDelta::seconds(61)).unwrap(), 1);
        assert_eq!(purge_cache(&directory.path().join("none"), ttl, Utc::now()).unwrap(), 0);
    }
}
