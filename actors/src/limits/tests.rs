//! Slots are never handed out beyond a limit, fairly, and all come back.

use crate::inbox::Inbox;
use crate::model::{CertName, JobId, JobKind, NodeIndex};

use super::*;

fn pool(runs: u32, compiles: u32, tasks: u32) -> Pool {
    Pool::new(&Limits {
        concurrent_runs: runs,
        concurrent_compiles: compiles,
        concurrent_tasks: tasks,
        ..Limits::default()
    })
}

fn name(n: u32) -> CertName {
    CertName::parse(&format!("n{n}")).unwrap()
}

struct Asker {
    job: JobId,
    inbox: Inbox<PoolSignal>,
}

impl Asker {
    fn join(pool: &Pool, job: u64, kind: JobKind) -> Self {
        let asker = Self { job: JobId(job), inbox: Inbox::default() };
        pool.join(asker.job, kind, asker.inbox.outlet());
        asker
    }

    /// Slots granted, and turns told of, since the last call.
    async fn news(&self) -> (u32, Vec<u32>) {
        let marker = PoolSignal::Granted(0);
        self.inbox.outlet().send(marker);
        let (mut slots, mut turns) = (0, Vec::new());
        for signal in self.inbox.take().await {
            match signal {
                PoolSignal::Granted(granted) => slots += granted,
                PoolSignal::TurnFree(node) => turns.push(node.0),
            }
        }
        (slots, turns)
    }
}

#[tokio::test]
async fn a_small_job_does_not_wait_for_a_big_one() {
    let pool = pool(200, 200, 10);
    let big = Asker::join(&pool, 1, JobKind::Task);
    let small = Asker::join(&pool, 2, JobKind::Task);
    pool.want(big.job, JobKind::Task, 1_000);
    assert_eq!(big.news().await.0, 10);
    for n in 0..10 {
        assert!(pool.start(big.job, JobKind::Task, &name(n), NodeIndex(n)));
    }
    pool.want(small.job, JobKind::Task, 5);
    for n in 0..5 {
        pool.end(big.job, JobKind::Task, &name(n), false);
    }
    assert_eq!(small.news().await.0, 5, "the job with the fewest slots is served first");
    assert_eq!(big.news().await.0, 0);
}

#[tokio::test]
async fn equals_are_served_in_turn() {
    let pool = pool(8, 8, 4);
    let askers: Vec<Asker> = (1..=4).map(|job| Asker::join(&pool, job, JobKind::Task)).collect();
    for asker in &askers {
        pool.want(asker.job, JobKind::Task, 1);
    }
    for asker in &askers {
        assert_eq!(asker.news().await.0, 1);
    }
}

#[tokio::test]
async fn a_deploy_needs_a_run_slot_and_a_compile_slot() {
    let pool = pool(3, 2, 1);
    let job = Asker::join(&pool, 1, JobKind::Deploy);
    pool.want(job.job, JobKind::Deploy, 9);
    assert_eq!(job.news().await.0, 2);
    assert_eq!(pool.bottleneck(JobKind::Deploy), Some(Binding::ConcurrentCompiles));
    for n in 0..2 {
        assert!(pool.start(job.job, JobKind::Deploy, &name(n), NodeIndex(n)));
        pool.catalog_ready(job.job, JobKind::Deploy);
    }
    assert_eq!(job.news().await.0, 1, "three runs are the limit");
    assert_eq!(pool.bottleneck(JobKind::Deploy), Some(Binding::ConcurrentRuns));
    pool.give_back(job.job, JobKind::Deploy, 1);
    assert_eq!(job.news().await.0, 1, "still asked for");
    pool.want(job.job, JobKind::Deploy, 0);
    pool.give_back(job.job, JobKind::Deploy, 1);
    assert_eq!(job.news().await.0, 0);
}

#[tokio::test]
async fn what_a_hold_keeps_counts_until_it_is_over() {
    let pool = pool(1, 1, 1);
    let job = Asker::join(&pool, 1, JobKind::Deploy);
    pool.want(job.job, JobKind::Deploy, 2);
    assert_eq!(job.news().await.0, 1);
    assert!(pool.start(job.job, JobKind::Deploy, &name(0), NodeIndex(0)));
    pool.keep_as_hold(job.job, JobKind::Deploy, &name(0), true);
    pool.leave(job.job, JobKind::Deploy);
    let next = Asker::join(&pool, 2, JobKind::Deploy);
    pool.want(next.job, JobKind::Deploy, 1);
    assert_eq!(next.news().await.0, 0);
    assert!(!pool.turn_is_free(next.job, JobKind::Deploy, &name(0), NodeIndex(7)));
    pool.hold_over(JobKind::Deploy, &name(0));
    assert_eq!(next.news().await, (1, vec![7]));
}

#[tokio::test]
async fn a_turn_is_for_one_run_per_node_and_kind() {
    let pool = pool(9, 9, 9);
    let (one, two) = (Asker::join(&pool, 1, JobKind::Task), Asker::join(&pool, 2, JobKind::Task));
    let deploy = Asker::join(&pool, 3, JobKind::Deploy);
    for (asker, kind) in [(&one, JobKind::Task), (&two, JobKind::Task), (&deploy, JobKind::Deploy)] {
        pool.want(asker.job, kind, 1);
        assert_eq!(asker.news().await.0, 1);
    }
    assert!(pool.start(one.job, JobKind::Task, &name(0), NodeIndex(0)));
    assert!(pool.start(deploy.job, JobKind::Deploy, &name(0), NodeIndex(0)), "another kind");
    assert!(!pool.start(two.job, JobKind::Task, &name(0), NodeIndex(5)));
    pool.end(one.job, JobKind::Task, &name(0), false);
    assert_eq!(two.news().await.1, [5]);
    assert!(pool.start(two.job, JobKind::Task, &name(0), NodeIndex(5)), "its slot was still reserved");
}

#[tokio::test]
async fn recovered_runs_count_whatever_the_limit() {
    let pool = pool(2, 2, 2);
    let runs: Vec<Adopted> = (0..3).map(|n| Adopted { node: name(n), compiling: true }).collect();
    pool.adopt_runs(JobId(1), JobKind::Task, &runs);
    pool.adopt_hold(JobKind::Task, &name(9));
    let job = Asker::join(&pool, 1, JobKind::Task);
    pool.want(job.job, JobKind::Task, 5);
    for n in 0..2 {
        pool.end(job.job, JobKind::Task, &name(n), true);
        assert_eq!(job.news().await.0, 0);
    }
    pool.hold_over(JobKind::Task, &name(9));
    assert_eq!(job.news().await.0, 1);
    pool.adopt_runs(JobId(1), JobKind::Task, &runs[2..]);
    assert!(!pool.turn_is_free(JobId(1), JobKind::Task, &name(2), NodeIndex(2)));
    pool.leave(JobId(1), JobKind::Task);
    let next = Asker::join(&pool, 2, JobKind::Task);
    pool.want(next.job, JobKind::Task, 5);
    assert_eq!(next.news().await.0, 2, "all slots came back");
}

#[tokio::test]
async fn jobs_in_doubt_about_one_node_do_not_wait_for_each_other_while_it_is_away() {
    let pool = pool(10, 10, 10);
    let (one, two) = (Asker::join(&pool, 1, JobKind::Task), Asker::join(&pool, 2, JobKind::Task));
    let new = Asker::join(&pool, 3, JobKind::Task);
    let (node, index) = (name(1), NodeIndex(1));
    for job in [one.job, two.job] {
        pool.doubt(job, JobKind::Task, &node);
        pool.doubt(job, JobKind::Task, &node);
    }
    for job in [one.job, two.job, new.job] {
        assert!(pool.turn_is_free(job, JobKind::Task, &node, index), "only its connection is missing");
        pool.want(job, JobKind::Task, 1);
        assert!(!pool.start(job, JobKind::Task, &node, index), "either of the two may be going on");
    }
    assert_eq!((one.news().await.1, new.news().await.1), (vec![], vec![]));
    pool.doubt_over(two.job, JobKind::Task, &node);
    assert_eq!((one.news().await.1, new.news().await.1), (vec![1], vec![1]), "they look again");
    assert!(!pool.start(new.job, JobKind::Task, &node, index));
    assert!(pool.start(one.job, JobKind::Task, &node, index), "what it starts is what it was in doubt about");
    pool.doubt_over(one.job, JobKind::Task, &node);
    assert!(!pool.start(new.job, JobKind::Task, &node, index), "the run has the turn");
    pool.end(one.job, JobKind::Task, &node, false);
    assert_eq!(new.news().await.1, [1]);
    assert!(pool.start(new.job, JobKind::Task, &node, index));
}

#[tokio::test]
async fn the_end_of_a_hold_tells_a_job_that_is_in_doubt_itself() {
    let pool = pool(10, 10, 10);
    let one = Asker::join(&pool, 1, JobKind::Task);
    let (node, index) = (name(1), NodeIndex(1));
    pool.adopt_hold(JobKind::Task, &node);
    pool.doubt(one.job, JobKind::Task, &node);
    pool.want(one.job, JobKind::Task, 1);
    assert!(!pool.turn_is_free(one.job, JobKind::Task, &node, index));
    one.news().await;
    pool.hold_over(JobKind::Task, &node);
    assert_eq!(one.news().await.1, [1]);
    pool.leave(one.job, JobKind::Task);
    let next = Asker::join(&pool, 2, JobKind::Task);
    pool.want(next.job, JobKind::Task, 1);
    assert!(pool.start(next.job, JobKind::Task, &node, index), "nothing of it is left");
}
