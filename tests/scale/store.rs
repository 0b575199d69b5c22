//! What the database holds of a job, read beside the service, and what holds for every job that is over.

use std::collections::BTreeMap;

use rusqlite::{Connection, OpenFlags};

use super::site::Site;

fn open(site: &Site) -> Connection {
    Connection::open_with_flags(site.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// The number of the last event of all jobs.
pub(crate) fn last_event(site: &Site) -> u64 {
    let last = open(site).query_row("SELECT value FROM counters WHERE name = 'event'", [], |row| row.get::<_, i64>(0));
    last.unwrap().unsigned_abs()
}

/// An event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) seq: u64,
    pub(crate) kind: String,
    node: Option<u32>,
}

/// A job that is over.
pub(crate) struct Ended {
    pub(crate) events: Vec<Event>,
    /// Nodes by state.
    pub(crate) states: BTreeMap<String, usize>,
    /// Nodes whose outcome has resource events, which is where the output of a Puppet run is.
    pub(crate) with_output: usize,
}

impl Ended {
    /// Reads a job and checks it: one end of every node, at most one start and that before the end, nothing after the
    /// job's own last event.
    pub(crate) fn read(site: &Site, job: u64, nodes: usize) -> Self {
        let store = open(site);
        let number = i64::try_from(job).unwrap();
        let mut statement = store.prepare("SELECT seq, kind, node FROM events WHERE job = ?1 ORDER BY seq").unwrap();
        let rows = statement.query_map([number], |row| {
            Ok(Event { seq: row.get::<_, i64>(0)?.unsigned_abs(), kind: row.get(1)?, node: row.get(2)? })
        });
        let events: Vec<Event> = rows.unwrap().map(Result::unwrap).collect();
        let sql = "SELECT state, count(*) FROM job_nodes WHERE job = ?1 GROUP BY state";
        let mut statement = store.prepare(sql).unwrap();
        let rows = statement.query_map([number], |row| Ok((row.get(0)?, row.get::<_, u32>(1)? as usize)));
        let states: BTreeMap<String, usize> = rows.unwrap().map(Result::unwrap).collect();
        let sql = "SELECT count(*) FROM results r JOIN events e ON e.seq = r.seq \
                   WHERE e.job = ?1 AND r.resource_events IS NOT NULL";
        let with_output = store.query_row(sql, [number], |row| row.get::<_, u32>(0)).unwrap() as usize;
        let ended = Self { events, states, with_output };
        ended.check(job, nodes);
        ended
    }

    fn check(&self, job: u64, nodes: usize) {
        assert_eq!(self.states.values().sum::<usize>(), nodes, "job {job}: {:?}", self.states);
        let mut starts = vec![0_u32; nodes];
        let mut ends = vec![0_u32; nodes];
        for event in &self.events {
            let Some(place) = event.node.map(|place| place as usize) else { continue };
            if event.kind == "node_running" {
                starts[place] += 1;
                assert_eq!(ends[place], 0, "job {job}: node {place} starts after its end");
            } else {
                ends[place] += 1;
            }
        }
        assert!(starts.iter().all(|count| *count <= 1), "job {job}: a node started twice");
        assert!(ends.iter().all(|count| *count == 1), "job {job}: a node has no end, or two");
        let last = self.events.last().unwrap();
        assert_eq!((last.node, last.kind.as_str()), (None, "job_finished"), "job {job}: its last event");
    }

    /// Nodes that finished.
    pub(crate) fn finished(&self) -> usize {
        self.states.get("finished").copied().unwrap_or_default()
    }

    /// Starts in all.
    pub(crate) fn starts(&self) -> usize {
        self.events.iter().filter(|event| event.kind == "node_running").count()
    }

    /// Starts after an event and before another.
    pub(crate) fn starts_between(&self, after: u64, before: u64) -> usize {
        let between = self.events.iter().filter(|event| event.seq > after && event.seq < before);
        between.filter(|event| event.kind == "node_running").count()
    }

    /// The number of the last start.
    pub(crate) fn last_start(&self) -> u64 {
        let starts = self.events.iter().filter(|event| event.kind == "node_running");
        starts.map(|event| event.seq).max().unwrap()
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.events.last().unwrap().seq
    }

    /// Nodes that were over before an event.
    pub(crate) fn over_before(&self, seq: u64) -> usize {
        let over = self.events.iter().filter(|event| event.seq < seq && event.node.is_some());
        over.filter(|event| event.kind != "node_running").count()
    }
}
