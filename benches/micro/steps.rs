//! The step functions: a run from its start to its end, and what ends do to their job.

use std::sync::Arc;

use bunraku_actors::machine::{Contact, Facts, Node, NodeInput, Rules, judge};
use bunraku_actors::model::{Action, Cause, CertName, DeployAction, DeployOptions, PuppetOutcome, RunOutcome};
use bunraku_actors::ports::{Connection, RunSignal};
use chrono::{DateTime, TimeDelta, Utc};
use divan::{Bencher, black_box};

fn node() -> CertName {
    CertName::parse("web1.example.com").expect("it is a name")
}

fn action() -> Arc<Action> {
    Arc::new(Action::Deploy(DeployAction { enforced_environment: None, options: DeployOptions::default() }))
}

fn rules() -> Rules {
    Rules {
        action: action(),
        run_timeout: TimeDelta::hours(1),
        connect_timeout: TimeDelta::seconds(30),
        lost_contact: TimeDelta::minutes(7),
        cancel_timeout: TimeDelta::seconds(30),
        resend_window: TimeDelta::hours(1),
        resend_to_pxp_agents: true,
        compile_hold: TimeDelta::seconds(30),
        status_timeout: TimeDelta::seconds(12),
        status_interval: TimeDelta::minutes(2),
        settled_at: DateTime::UNIX_EPOCH,
    }
}

fn begun(at: DateTime<Utc>) -> Facts {
    let link = Connection {
        node: node(),
        generation: 1,
        since: at,
        spool: Some("spool".to_owned()),
        agent: None,
        contended: false,
    };
    Facts {
        node: node(),
        started_at: at,
        deadline: at + TimeDelta::hours(1),
        spool: Some("spool".to_owned()),
        accepted: false,
        compiling: Some(None),
        stopping: false,
        restored: false,
        handed_over: 0,
        contact: Contact::new(Some(link), at),
    }
}

fn outcome() -> RunOutcome {
    RunOutcome::Puppet(Box::new(PuppetOutcome { status: "changed".to_owned(), ..PuppetOutcome::default() }))
}

#[divan::bench]
fn a_run_from_start_to_end(bencher: Bencher<'_, '_>) {
    let (rules, at) = (rules(), DateTime::UNIX_EPOCH);
    bencher
        .with_inputs(|| {
            let signals = [RunSignal::Sent, RunSignal::Accepted, RunSignal::CatalogReady, RunSignal::Ended(outcome())];
            (begun(at), signals)
        })
        .bench_values(|(facts, signals)| {
            let first = Node::start(facts).0;
            signals.into_iter().fold(first, |node, signal| node.step(NodeInput::Signal(signal), at, &rules).0)
        });
}

#[divan::bench]
fn the_judgment_of_an_answer(bencher: Bencher<'_, '_>) {
    let (node, action) = (node(), action());
    bencher
        .with_inputs(outcome)
        .bench_values(|outcome| judge(black_box(&node), &action, outcome, Cause::OutcomeUnknown));
}
