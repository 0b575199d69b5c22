//! No core dump of a process that secrets pass through: it would hold them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Resource, Rlimit, Signal, geteuid, kill_process, prlimit};

use crate::support::process::Served;
use crate::support::service::Site;

/// Lifts the limit that keeps processes from leaving a core.
fn let_dump(process: Pid) {
    prlimit(Some(process), Resource::Core, Rlimit { current: None, maximum: None }).unwrap();
}

/// Whether this machine writes core dumps into the directories of processes at all.
fn dumps(dir: &Path) -> bool {
    let mut child = Command::new("sleep").arg("600").current_dir(dir).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let possible = prlimit(Some(pid), Resource::Core, Rlimit { current: None, maximum: None }).is_ok();
    kill_process(pid, Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    possible && status.core_dumped()
}

fn cores(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("core")).collect()
}

/// The kernel gives the memory of a process that must not be dumped to root, so that others of its user cannot look.
fn memory_is_out_of_reach(process: u32) {
    let owner = fs::metadata(format!("/proc/{process}/mem")).unwrap().uid();
    assert_eq!(owner, 0);
    if !geteuid().is_root() {
        fs::File::open(format!("/proc/{process}/mem")).unwrap_err();
    }
}

/// An agent that finds nobody to connect to.
fn agent(site: &Site, dir: &Path) -> Child {
    let ssl = site.ca.issue("node1.example.com");
    let text = format!(
        "broker_uris: ['wss://localhost:1/pcp2/']\nprimary_uris: ['https://localhost:1']\n\
         ssl:\n  cert: {}\n  key: {}\n  ca: {}\nspool_dir: {dir}/spool\ntask_cache_dir: {dir}/tasks\n",
        ssl.cert.display(),
        ssl.key.display(),
        ssl.ca.display(),
        dir = dir.display(),
    );
    fs::write(dir.join("agent.yaml"), text).unwrap();
    let log = fs::File::create(dir.join("agent.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
    command.args(["agent", "--config"]).arg(dir.join("agent.yaml")).current_dir(dir).stdin(Stdio::null());
    command.stderr(log).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_service_nor_agent_leave_a_core() {
    let site = Site::new();
    let control = site.dir().join("control");
    fs::create_dir(&control).unwrap();
    if !dumps(&control) {
        assert!(std::env::var_os("BUNRAKU_REQUIRE_ALL").is_none(), "this machine writes no core dumps");
        return;
    }
    let own = site.dir().join("own");
    fs::create_dir(&own).unwrap();
    let mut served = Served::prepare(&site, &[]).await;
    served.start_with(|command| {
        command.current_dir(&own);
    });
    served.ready().await;
    memory_is_out_of_reach(served.id());
    let_dump(Pid::from_raw(served.id().try_into().unwrap()).unwrap());
    served.signal(Signal::ABORT);
    let status = served.ended().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));

    let mut agent = agent(&site, &own);
    // Its spool is there: it has begun, and memory is the first thing that it sees to.
    let begun = async {
        while !own.join("spool").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), begun).await.unwrap();
    memory_is_out_of_reach(agent.id());
    let_dump(Pid::from_child(&agent));
    kill_process(Pid::from_child(&agent), Signal::ABORT).unwrap();
    let status = agent.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
    assert_eq!(cores(&own), Vec::<String>::new());
}
