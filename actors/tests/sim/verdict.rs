//! The last look: everything is over, nothing is left behind, and all that was told is true.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Once};

use bunraku_actors::handle::Orchestrator;
use bunraku_actors::model::{Attempt, Cause, JobState, NodeIndex, NodeState};
use bunraku_actors::testing::MemoryStore;

use crate::agent::End;
use crate::book::Book;
use crate::store::FAILURE;
use crate::transport::ON_PURPOSE;
use crate::world::World;

thread_local! {
    /// Panics of this thread that nobody planned.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// From now on panics are remembered; those on purpose are not even shown.
pub(crate) fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<&str>() == Some(&ON_PURPOSE) {
                return;
            }
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            shown(panic);
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

/// While the service still lives: nothing holds a slot, a route or a watch for what is over.
pub(crate) fn at_rest(world: &World, engine: &Orchestrator) {
    let (glance, fault) = (engine.glance(), engine.fault());
    let mut state = world.lock();
    let over = state.book.all_over();
    let open: Vec<String> = open_jobs(&state.book);
    if !over {
        state.book.broken(format!("never stuck: {open:?}, {} slots {:?}", glance.holds, glance.slots));
        return;
    }
    let taken: Vec<_> = glance.slots.iter().filter(|slot| slot.used > 0).collect();
    let left = format!("slots {taken:?}, holds {}, jobs {:?}", glance.holds, glance.jobs);
    let (routes, watches) = state.waiting();
    if !taken.is_empty() || glance.holds > 0 || !glance.jobs.is_empty() || routes + watches > 0 {
        state.book.broken(format!("something is left behind: {left}, routes {routes}, watches {watches}"));
    }
    // A store that fails again and again is a fault until the next start.
    if let Some(fault) = fault.filter(|fault| !fault.ends_with(FAILURE)) {
        state.book.broken(format!("the service is at fault: {fault}"));
    }
}

fn open_jobs(book: &Book) -> Vec<String> {
    let open = book.jobs.iter().filter(|(_, job)| !job.state.is_terminal());
    open.map(|(id, job)| {
        let nodes: Vec<_> = job.nodes.iter().map(|node| node.state.name()).collect();
        format!("job {id} {} {nodes:?}", job.state.name())
    })
    .collect()
}

/// After the last life.
pub(crate) fn after_all(world: &World, store: &Arc<MemoryStore>) {
    let mut wrong = PANICS.with_borrow_mut(std::mem::take);
    wrong.extend(store.violations().into_iter().map(|rule| format!("a rule of the store: {rule}")));
    let mut state = world.lock();
    let book = &mut state.book;
    wrong.extend(untrue(book));
    for job in &book.told_jobs {
        if !book.jobs.contains_key(job) {
            wrong.push(format!("accepted is durable: job {job} is lost"));
        }
    }
    for job in &book.told_stops {
        let end = book.jobs.get(job).map(|job| job.state);
        if end != Some(JobState::Stopped) {
            wrong.push(format!("stop is monotonic: job {job} was stopped and is {end:?}"));
        }
    }
    wrong.into_iter().for_each(|how| book.broken(how));
    count(book);
}

/// What is told beside what took place, once everything has ended.
fn untrue(book: &Book) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for (id, job) in &book.jobs {
        for (node, at) in job.nodes.iter().zip((0..).map(NodeIndex)) {
            let transaction = job.spec.transaction(at, Attempt::FIRST);
            known.insert(transaction);
            let really = book.executions.get(&transaction).map(|run| run.end);
            let fits = match (node.state, node.cause) {
                (NodeState::Finished, _) => really == Some(Some(End::Succeeded)),
                (NodeState::Failed, _) => really == Some(Some(End::Failed)),
                (NodeState::Skipped, _) | (NodeState::Errored, Some(Cause::NotConnected | Cause::Undeliverable)) => {
                    really.is_none()
                }
                _ => true,
            };
            if !fits {
                let (name, told) = (job.spec.node(at), (node.state.name(), node.cause.map(Cause::name)));
                wrong.push(format!("never a lie: {name} of job {id} is told to be {told:?}, and really {really:?}"));
            }
        }
    }
    wrong
}

fn count(book: &mut Book) {
    let mut seen = Vec::new();
    for node in book.jobs.values().flat_map(|job| &job.nodes) {
        seen.push(format!("node {}", node.state.name()));
        seen.extend(node.cause.map(|cause| format!("cause {}", cause.name())));
    }
    seen.extend(book.executions.iter().map(|_| "execution".to_owned()));
    seen.iter().for_each(|what| book.tally.count(what));
}
