//! Creating jobs.

use bunraku_actors::model::{CauseCounts, JobId, NodeCounts, NodeIndex, NodeState};
use chrono::{DateTime, Utc};
use rusqlite::params;

use super::group::Group;
use super::live::LiveJob;
use crate::api::records::Made;
use crate::store::columns::Db;
use crate::store::decision::Body;
use crate::store::fault::Fault;
use crate::store::records::{once, plans};
use crate::store::request::{CREATE_AT_ONCE, PackedJob};
use crate::store::sealed;

impl Group<'_> {
    /// Gives the job its number and writes it; the rows of a large one follow in chunks.
    pub(super) fn create(&mut self, job: &PackedJob) -> Result<JobId, Fault> {
        check(job)?;
        once::check(self.connection, job.once.as_ref(), job.spec.created_at)?;
        let id = self.counters.next_job();
        let mut counts = NodeCounts::default();
        let states: Vec<_> = job.ready.iter().map(|ready| first_node_state(*ready)).collect();
        for state in &states {
            counts.add(*state, 1);
        }
        self.insert_job(id, job, counts)?;
        if let Some(plan) = job.spec.origin.plan {
            plans::note_job(self.connection, plan, id, job.spec.created_at)?;
        }
        if let Some(before) = job.spec.origin.retry_of {
            let link = "UPDATE jobs SET retries = json_insert(coalesce(retries, '[]'), '$[#]', ?2) WHERE id = ?1";
            self.connection.prepare_cached(link)?.execute(params![Db(before), Db(id)])?;
        }
        once::keep(self.connection, job.once.as_ref(), &Made::Job(id))?;
        let live = LiveJob {
            spec: job.spec.clone(),
            state: job.first_state,
            stop: None,
            counts,
            causes: CauseCounts::default(),
            nodes: states,
            spans: 1,
            counts_changed: false,
        };
        self.adopt(id, live);
        if job.ready.len() <= CREATE_AT_ONCE {
            self.insert_fresh_nodes(id, 0, &job.ready, job.spec.created_at)?;
        } else {
            self.decide(id, Body::Create { ready: job.ready.clone(), at: job.spec.created_at })?;
        }
        Ok(id)
    }

    /// Writes rows of nodes from `first` on, but for those that have one because they started early.
    pub(super) fn insert_fresh_nodes(
        &mut self,
        job: JobId,
        first: usize,
        ready: &[bool],
        at: DateTime<Utc>,
    ) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO job_nodes (job, node, state, changed_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?;
        for (place, ready) in (first..).zip(ready) {
            let node = NodeIndex(u32::try_from(place).map_err(|_| too_many(place))?);
            statement.execute(params![Db(job), Db(node), Db(first_node_state(*ready)), Db(at)])?;
        }
        Ok(())
    }

    fn insert_job(&mut self, id: JobId, job: &PackedJob, counts: NodeCounts) -> Result<(), Fault> {
        let header = job.spec.header();
        let environment = header.environment.as_ref().map_or("", |name| name.as_str());
        let task = header.task.as_ref().map(|name| name.as_str());
        self.connection
            .prepare_cached(
                "INSERT INTO jobs \
                 (id, kind, task, environment, owner, state, counts, causes, changed_at, plan_job, description) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '{}', ?8, ?9, ?10)",
            )?
            .execute(params![
                Db(id),
                Db(header.kind),
                task,
                environment,
                header.owner.login,
                Db(job.first_state),
                Db(counts),
                Db(header.created_at),
                header.origin.plan.map(Db),
                header.description
            ])?;
        self.connection
            .prepare_cached("INSERT INTO job_specs (job, header, spec) VALUES (?1, ?2, ?3)")?
            .execute(params![Db(id), job.header_bytes, job.spec_bytes])?;
        if let Some(sealed) = &job.sealed {
            sealed::keep(self.connection, id, sealed)?;
        }
        self.insert_span(id, 0, job.first_state, header.created_at)
    }
}

fn check(job: &PackedJob) -> Result<(), Fault> {
    if job.ready.len() != job.spec.nodes.len() {
        return Err(Fault::Refused(format!(
            "a job of {} nodes came with the first states of {}",
            job.spec.nodes.len(),
            job.ready.len()
        )));
    }
    if job.first_state.is_terminal() {
        return Err(Fault::Refused(format!("a job cannot begin as {}", job.first_state.name())));
    }
    Ok(())
}

fn first_node_state(ready: bool) -> NodeState {
    if ready { NodeState::Ready } else { NodeState::New }
}

fn too_many(nodes: usize) -> Fault {
    Fault::Refused(format!("a job cannot have {nodes} nodes"))
}
