//! What the service does by itself now and then: removes what is too old, and makes the scheduled backups.
//!
//! Neither trusts the wall clock: see [`clock`] for what may be removed, and [`backups`] for what is due.

mod backups;
mod clock;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::ports::{Clock as _, Transport};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::Instant;

use self::backups::Backups;
use self::clock::Trust;
use self::usage::UsageCount;
use super::SystemClock;
use super::backup::DATABASE;
use crate::api::records::{PlanState, Records as _};
use crate::config::{self, Config};
use crate::directory::Sources;
use crate::store::{Cutoffs, Store};

/// How often it is looked whether a backup is due.
const LOOK: Duration = Duration::from_secs(60);
/// How often what is too old is removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// How often the usage of nodes is counted.
const COUNT_EVERY: Duration = Duration::from_secs(600);
/// The setting that holds [`Trust`] from one process to the next.
const TRUST: &str = "clock_trust";

/// All that upkeep needs.
pub(super) struct Upkeep {
    store: Store,
    directory: Arc<Sources>,
    retention: config::Retention,
    plan_silence: Duration,
    backups: Option<Backups>,
    usage: UsageCount,
    /// When and as of when the clock was looked at last.
    looked: Option<(Instant, Trust)>,
}

impl Upkeep {
    pub(super) fn new(config: &Config, store: Store, directory: Arc<Sources>, transport: Arc<dyn Transport>) -> Self {
        let usage = UsageCount::new(store.clone(), transport);
        let backups = Backups::new(&config.backup, config.data_dir.join(DATABASE));
        Self {
            store,
            directory,
            retention: config.retention.clone(),
            plan_silence: config.limits.plan_silence,
            backups,
            usage,
            looked: None,
        }
    }

    /// Goes on until it is dropped.
    pub(super) async fn run(mut self) {
        let mut pruned: Option<Instant> = None;
        let mut counted: Option<Instant> = None;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if pruned.is_none_or(|last| last.elapsed() >= PRUNE_EVERY) {
                pruned = Some(Instant::now());
                self.prune().await;
            }
            self.end_silent_plans().await;
            if counted.is_none_or(|last| last.elapsed() >= COUNT_EVERY) {
                counted = Some(Instant::now());
                self.usage.look(SystemClock.now()).await;
            }
            if let Some(backups) = &mut self.backups {
                backups.look(SystemClock.now()).await;
            }
        }
    }

    /// Ends plan jobs whose runner is gone: nothing stays open for ever.
    async fn end_silent_plans(&self) {
        let now = SystemClock.now();
        let silence = humantime::format_duration(self.plan_silence);
        let Some(before) = TimeDelta::from_std(self.plan_silence).ok().and_then(|age| now.checked_sub_signed(age))
        else {
            return;
        };
        let silent = match self.store.silent_plans(before).await {
            Ok(silent) => silent,
            Err(error) => return tracing::warn!(%error, "plan jobs that are silent were not looked for"),
        };
        for plan in silent {
            let result = json!({ "_error": {
                "kind": "puppetlabs.orchestrator/plan-lost",
                "msg": format!("Nothing was heard of the plan for {silence}"),
                "details": {},
            }});
            match self.store.finish_plan(plan, PlanState::Failure, result, now).await {
                Ok(()) => tracing::warn!(%plan, %silence, "a plan job was ended: its runner says nothing"),
                Err(error) => tracing::warn!(%plan, %error, "a silent plan job was not ended"),
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
    Cutoffs {
        jobs: before(retention.jobs),
        output: before(retention.output),
        audit: before(retention.audit),
        keys: Some(now),
    }
}
