//! The service as a process: started, killed, measured from outside.

use std::process::{Child, Stdio};

use super::client::Client;
use super::site::Site;
use super::until;

/// More than any job here has nodes.
const NO_LIMIT: usize = 1_000_000;

/// The service, running or not.
pub(crate) struct Server {
    site: Site,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn new(site: &Site) -> Self {
        Self { site: site.clone(), process: None }
    }

    /// Starts it with the limits off.
    pub(crate) fn start(&mut self) {
        self.start_with(NO_LIMIT);
    }

    /// Starts it with so many Puppet runs at once; the other limits are off. It ends with its standard input, so that it
    /// outlives the test in no case.
    pub(crate) fn start_with(&mut self, concurrent_runs: usize) {
        let mut command = self.site.bunraku();
        command.args(["serve", "--end-with-stdin", "--config"]).arg(self.site.server().join("bunraku.yaml"));
        let listen = |port: u16| format!("{}:{port}", self.site.host);
        command.env("BUNRAKU_SERVER__LISTEN", listen(Site::API)).env("BUNRAKU_BROKER__LISTEN", listen(Site::BROKER));
        command.env("BUNRAKU_BROKER__MAX_CONNECTIONS", NO_LIMIT.to_string());
        command.env("BUNRAKU_LIMITS__CONCURRENT_RUNS", concurrent_runs.to_string());
        for limit in ["TASKS", "COMPILES"] {
            command.env(format!("BUNRAKU_LIMITS__CONCURRENT_{limit}"), NO_LIMIT.to_string());
        }
        let log = self.site.log("serve.log");
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An error says that it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Waits until the API's port is open.
    pub(crate) async fn open(&mut self) {
        let address = format!("{}:{}", self.site.host, Site::API);
        until("the port of the API is open", async || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "the service ended by itself; see serve.log");
            tokio::net::TcpStream::connect(&address).await.ok()
        })
        .await;
    }

    /// Waits until commands are taken.
    pub(crate) async fn ready(&mut self, client: &Client) {
        self.open().await;
        until("the service is ready", async || client.try_get("/readyz").await.ok()).await;
    }

    fn proc(&self, name: &str) -> String {
        let process = self.process.as_ref().unwrap().id();
        format!("/proc/{process}/{name}")
    }

    /// Resident memory.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident memory since [`Server::forget_peak`].
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        std::fs::write(self.proc("clear_refs"), "5").unwrap();
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
