//! What the service does by itself now and then: removes what is too old, and makes the scheduled backups.
//!
//! Neither trusts the wall clock: see [`clock`] for what may be removed, and [`backups`] for what is due.

mod backups;
mod clock;

use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::ports::Clock as _;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use self::backups::Backups;
use self::clock::Trust;
use super::SystemClock;
use super::backup::DATABASE;
use crate::config::{self, Config};
use crate::directory::FileDirectory;
use crate::store::{Cutoffs, Store};

/// How often it is looked whether a backup is due.
const LOOK: Duration = Duration::from_secs(60);
/// How often what is too old is removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// The setting that holds [`Trust`] from one process to the next.
const TRUST: &str = "clock_trust";

/// All that upkeep needs.
pub(super) struct Upkeep {
    store: Store,
    directory: Arc<FileDirectory>,
    retention: config::Retention,
    backups: Option<Backups>,
    /// When and as of when the clock was looked at last.
    looked: Option<(Instant, Trust)>,
}

impl Upkeep {
    pub(super) fn new(config: &Config, store: Store, directory: Arc<FileDirectory>) -> Self {
        let backups = Backups::new(&config.backup, config.data_dir.join(DATABASE));
        Self { store, directory, retention: config.retention.clone(), backups, looked: None }
    }

    /// Goes on until it is dropped.
    pub(super) async fn run(mut self) {
        let mut pruned: Option<Instant> = None;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if pruned.is_none_or(|last| last.elapsed() >= PRUNE_EVERY) {
                pruned = Some(Instant::now());
                self.prune().await;
            }
            if let Some(backups) = &mut self.backups {
                backups.look(SystemClock.now()).await;
            }
        }
    }

    /// Removes what is too old, if the clock can be relied on.
    async fn prune(&mut self) {
        let now = SystemClock.now();
        if !self.is_trusted(now).await {
            tracing::warn!(
                "the clock jumped not long ago: nothing is removed for its age until it has stood for a day"
            );
            return;
        }
        match self.store.prune(cutoffs(&self.retention, now)).await {
            Ok(pruned) if pruned.jobs + pruned.outputs > 0 => {
                tracing::info!(jobs = pruned.jobs, outputs = pruned.outputs, "removed what was too old");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "what is too old was not removed"),
        }
        match self.store.files_in_use().await {
            Ok(in_use) => self.directory.sweep_files(in_use).await,
            Err(error) => tracing::warn!(%error, "unused task files were not removed"),
        }
    }

    async fn is_trusted(&mut self, now: DateTime<Utc>) -> bool {
        let trust = match self.looked.take() {
            Some((then, trust)) => trust.later(now, Some(then.elapsed())),
            None => match self.store.setting(TRUST).await {
                Ok(Some(text)) => match serde_json::from_str::<Trust>(&text) {
                    Ok(trust) => trust.later(now, None),
                    Err(_) => Trust::first(now),
                },
                Ok(None) => Trust::first(now),
                // Without knowing what was, nothing is removed; the next look asks again.
                Err(_) => return false,
            },
        };
        self.looked = Some((Instant::now(), trust));
        let kept = match serde_json::to_string(&trust) {
            Ok(text) => self.store.set_setting(TRUST, text).await.is_ok(),
            Err(_) => false,
        };
        kept && trust.holds(now)
    }
}

fn cutoffs(retention: &config::Retention, now: DateTime<Utc>) -> Cutoffs {
    let before = |age: Option<Duration>| {
        let age = TimeDelta::from_std(age?).ok()?;
        now.checked_sub_signed(age)
    };
    Cutoffs { jobs: before(retention.jobs), output: before(retention.output) }
}
