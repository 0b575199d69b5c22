//! The spool on a real file system.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;

use super::*;
use crate::wire::pcp::Uri;

fn metadata(transaction: Uuid) -> Metadata {
    Metadata::new(transaction, "task", "run", Some(Uri::of("orch", "orchestrator")), Uuid::new_v4())
}

#[test]
fn a_spool_keeps_its_id_and_serves_one_agent() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, lock) = Spool::open(directory.path()).unwrap();
    let id = spool.id();
    assert!(matches!(Spool::open(directory.path()), Err(SpoolError::InUse { .. })));
    drop(lock);
    assert_eq!(Spool::open(directory.path()).unwrap().0.id(), id);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(Spool::open(other.path()).unwrap().0.id(), id);
}

#[test]
fn a_spool_that_was_removed_or_replaced_is_not_in_place() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("spool");
    let (spool, _lock) = Spool::open(&root).unwrap();
    assert!(spool.is_in_place());
    std::fs::rename(&root, parent.path().join("aside")).unwrap();
    assert!(!spool.is_in_place(), "removed");
    let (other, _other_lock) = Spool::open(&root).unwrap();
    assert!(other.is_in_place() && !spool.is_in_place(), "replaced");
    assert!(spool.id() < other.id(), "the id tells which spool is the older");
}

#[test]
fn a_transaction_is_created_once_and_ends_with_an_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _lock) = Spool::open(directory.path()).unwrap();
    let transaction = Uuid::new_v4();
    assert!(!spool.knows(transaction));
    assert!(spool.create(transaction, &metadata(transaction)).unwrap());
    assert!(!spool.create(transaction, &metadata(transaction)).unwrap());
    assert_eq!(spool.metadata(transaction).unwrap().status, RunStatus::Running);
    assert_eq!(spool.outcome(transaction).unwrap(), None);
    let outcome = Outcome::Results { results: json!({"exitcode": 3}), exitcode: 3 };
    let ended = spool.finish(transaction, &outcome).unwrap();
    assert_eq!(ended.status, RunStatus::Failure);
    assert!(ended.owes_answer());
    assert_eq!(spool.outcome(transaction).unwrap(), Some(outcome));
    spool.mark_notified(transaction).unwrap();
    assert!(!spool.metadata(transaction).unwrap().owes_answer());
}

#[test]
fn purging_spares_the_young_and_the_running() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, _lock) = Spool::open(directory.path()).unwrap();
    let (ended, running) = (Uuid::new_v4(), Uuid::new_v4());
    for transaction in [ended, running] {
        spool.create(transaction, &metadata(transaction)).unwrap();
    }
    spool.finish(ended, &Outcome::error("no")).unwrap();
    let ttl = Duration::from_secs(60);
    assert_eq!(spool.purge(ttl, Utc::now()).unwrap(), 0);
    assert_eq!(spool.purge(ttl, Utc::now() + chrono::TimeDelta::seconds(61)).unwrap(), 1);
    assert_eq!(spool.transactions().unwrap(), [running]);
}

#[test]
fn what_a_crash_left_half_made_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let transaction = Uuid::new_v4();
    std::fs::create_dir_all(directory.path().join(format!("{UNFINISHED}{transaction}"))).unwrap();
    let (spool, _lock) = Spool::open(directory.path()).unwrap();
    assert!(!spool.knows(transaction));
    assert!(spool.create(transaction, &metadata(transaction)).unwrap());
}

#[test]
fn only_plain_uuids_name_transactions() {
    let id = Uuid::new_v4();
    assert_eq!(parse_transaction(&id.to_string()), Some(id));
    for bad in ["", "..", "41", &id.simple().to_string(), &id.to_string().to_uppercase(), &id.urn().to_string()] {
        // An upper-case form may happen to hold no letter.
        assert!(parse_transaction(bad).is_none() || bad == id.to_string(), "{bad}");
    }
}

#[test]
fn the_ledger_gets_one_line_per_start() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let transaction = Uuid::new_v4();
    ledger.record(Utc::now(), transaction, "task", None).unwrap();
    ledger.record(Utc::now(), transaction, "pxp-module-puppet", Some("7")).unwrap();
    let text = std::fs::read_to_string(directory.path().join("ledger")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["transaction_id"], transaction.to_string());
    assert_eq!(lines[1]["job"], "7");
}
