//! A swarm as a process of its own, and what it reports.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::client::Client;
use super::site::Site;
use super::{PATIENCE, until};

/// A running swarm.
pub(crate) struct Swarm {
    prefix: String,
    pub(crate) nodes: usize,
    process: Child,
    reports: UnboundedReceiver<Value>,
}

/// What the agents had seen at a moment; see the report's `agents`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) connected: u64,
    pub(crate) lost: u64,
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) repeated: u64,
    /// Since the report before.
    pub(crate) most: u64,
}

impl Swarm {
    /// Starts a swarm. `lasting` bounds its life, so that it outlives no test for long.
    pub(crate) fn start(site: &Site, prefix: &str, nodes: usize, options: &[&str]) -> Self {
        let mut command = site.bunraku();
        command.args(["swarm", "--format", "json", "--for", "3h", "--prefix", prefix, "--dir"]).arg(site.server());
        command.args(["--broker", &format!("{}:{}", site.host, Site::BROKER), "--nodes", &nodes.to_string()]);
        command.args(options).stdout(Stdio::piped()).stderr(site.log("swarm.log"));
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, reports) = unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { prefix: prefix.to_owned(), nodes, process, reports }
    }

    /// Waits until the service has a session of every agent.
    pub(crate) async fn connected(&mut self, client: &Client) {
        let wanted = self.nodes as f64;
        until("every agent is connected", async || {
            (client.metric("bunraku_sessions").await == Some(wanted)).then_some(())
        })
        .await;
    }

    /// The certnames.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.nodes).map(|number| format!("{}{number:05}.swarm", self.prefix)).collect()
    }

    /// The report so far. Not before the first agent is connected.
    pub(crate) async fn report(&mut self) -> Value {
        kill_process(Pid::from_child(&self.process), Signal::USR1).unwrap();
        self.next().await
    }

    /// What the agents have seen so far.
    pub(crate) async fn seen(&mut self) -> Seen {
        let report = self.report().await;
        let count = |key: &str| report["agents"][key].as_u64().unwrap();
        Seen {
            connected: count("connected"),
            lost: count("sessions_lost"),
            started: count("runs_started"),
            ended: count("runs_ended"),
            repeated: count("requests_repeated"),
            most: count("most_runs_at_once"),
        }
    }

    /// Ends the swarm; its last report.
    pub(crate) async fn end(mut self) -> Value {
        kill_process(Pid::from_child(&self.process), Signal::INT).unwrap();
        let report = self.next().await;
        let status = until("the swarm ends", async || self.process.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
        report
    }

    async fn next(&mut self) -> Value {
        timeout(PATIENCE, self.reports.recv()).await.expect("the swarm never reports").expect("the swarm has ended")
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Figures of a spread in a report.
pub(crate) fn spread(times: &Value) -> String {
    let time = |key: &str| times[key].as_f64().unwrap();
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({})",
        time("p50_ms"),
        time("p99_ms"),
        time("max_ms"),
        times["count"]
    )
}

/// A figure of seconds in a report.
pub(crate) fn time(seconds: &Value) -> Duration {
    Duration::from_secs_f64(seconds.as_f64().unwrap())
}
