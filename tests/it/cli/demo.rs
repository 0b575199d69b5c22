//! The demo as users see it: real service, real agents, a run in order, a task; and nothing left when it is over.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Ended, bunraku};

/// What the stand-in and the task need; with nothing else in the path there is no Puppet, and the runs are quick.
const TOOLS: [&str; 13] =
    ["sh", "date", "cat", "mkdir", "mktemp", "sleep", "cmp", "cp", "mv", "rm", "uname", "curl", "env"];

struct Demo {
    command: Command,
    /// The path, and room for the throw-away directory.
    place: TempDir,
}

fn demo(arguments: &[&str]) -> Demo {
    let place = tempfile::tempdir().unwrap();
    let (bin, temp) = (place.path().join("bin"), place.path().join("tmp"));
    fs::create_dir(&bin).unwrap();
    fs::create_dir(&temp).unwrap();
    for tool in TOOLS {
        let folders = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
        if let Some(found) = folders.into_iter().find(|path| path.exists()) {
            symlink(found, bin.join(tool)).unwrap();
        }
    }
    let mut command = bunraku();
    command.args(["demo", "--listen", "127.0.0.1:0", "--broker-listen", "127.0.0.1:0"]).args(arguments);
    command.env("PATH", &bin).env("TMPDIR", &temp);
    Demo { command, place }
}

impl Demo {
    fn throw_away(&self) -> Vec<PathBuf> {
        fs::read_dir(self.place.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn position(events: &[Value], kind: &str, node: &str) -> usize {
    let found = events.iter().position(|event| event["type"] == kind && event["details"]["node"] == node);
    found.unwrap_or_else(|| panic!("{kind} of {node} in {events:?}"))
}

#[test]
fn once_runs_in_order_ends_with_the_outcome_and_leaves_nothing() {
    let mut demo = demo(&["--once", "--nodes", "3", "--format", "json"]);
    let ended = Ended::of(&mut demo.command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (site, events) = lines.split_first().unwrap();
    assert_eq!(site["nodes"], serde_json::json!(["db1.demo", "web1.demo", "web2.demo"]));
    assert_eq!(site["environment"], "production");
    for key in ["url", "broker_url", "token", "ca", "dir"] {
        assert!(site[key].is_string(), "{key}: {site}");
    }
    let database = position(events, "node_finished", "db1.demo");
    for web in ["web1.demo", "web2.demo"] {
        assert!(database < position(events, "node_running", web), "{web} waits for the database: {events:?}");
    }
    let outcomes: Vec<_> = events.iter().filter(|event| event["type"] == "job_finished").collect();
    assert!(
        outcomes.len() == 2 && outcomes.iter().all(|event| event["details"]["state"] == "finished"),
        "{outcomes:?}"
    );
    assert_eq!(demo.throw_away(), Vec::<PathBuf>::new());
}

/// Reads lines until one holds the text.
fn wait_for_line(output: &mut impl BufRead, text: &str) -> String {
    let mut seen = Vec::new();
    for line in output.lines() {
        let line = line.unwrap();
        if line.contains(text) {
            return line;
        }
        seen.push(line);
    }
    panic!("'{text}' was never printed: {seen:?}")
}

#[test]
fn a_stay_serves_its_curl_commands_until_ctrl_c() {
    let mut demo = demo(&["--nodes", "2"]);
    let printed = demo.place.path().join("printed");
    demo.command.stdout(fs::File::create(&printed).unwrap()).stderr(Stdio::piped());
    let mut child = demo.command.spawn().unwrap();
    let mut remarks = BufReader::new(child.stderr.take().unwrap());
    wait_for_line(&mut remarks, "stays up until Ctrl-C");
    let printed = fs::read_to_string(printed).unwrap();
    let commands: Vec<_> = printed.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(commands.len(), 3, "{printed}");
    if Command::new("curl").arg("--version").output().is_ok() {
        for command in commands {
            let pasted =
                Ended::of(Command::new("sh").args(["-c", &format!("{command} --silent --fail --noproxy '*'")]));
            assert_eq!(pasted.code, 0, "{command}: {pasted:?}");
            serde_json::from_str::<Value>(&pasted.stdout).unwrap();
        }
    }
    assert!(printed.contains("web1.demo: Hello from "), "{printed}");

    let agent = children_of(child.id()).into_iter().find(|pid| command_line(*pid).contains("web1.demo")).unwrap();
    kill_process(Pid::from_raw(agent.cast_signed()).unwrap(), Signal::KILL).unwrap();
    wait_for_line(&mut remarks, "web1.demo ended");
    assert!(child.try_wait().unwrap().is_none(), "the demo goes on without it");

    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(demo.throw_away(), Vec::<PathBuf>::new());
}

/// The child processes of a process.
fn children_of(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}

/// Gone, or only waiting to be noticed by whoever inherited it.
fn is_over(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn children_end_with_a_demo_that_is_killed() {
    let mut demo = demo(&["--nodes", "2", "--format", "json"]);
    demo.command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = demo.command.spawn().unwrap();
    wait_for_line(&mut BufReader::new(child.stdout.take().unwrap()), "broker_url");
    let children = children_of(child.id());
    assert_eq!(children.len(), 3, "a service and two agents");
    child.kill().unwrap();
    child.wait().unwrap();
    let all_over = async {
        while !children.iter().all(|pid| is_over(*pid)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_over).await.expect("no child outlives the demo");
}

#[test]
fn ctrl_c_in_the_middle_of_a_run_leaves_neither_processes_nor_files() {
    let mut demo = demo(&["--nodes", "2", "--format", "json"]);
    // This Puppet never ends by itself.
    let slow = demo.place.path().join("bin/puppet");
    fs::write(&slow, "#!/bin/sh\nwhile :; do sleep 0.1; date > \"$PWD/x\" 2>/dev/null; done\n").unwrap();
    fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    demo.command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = demo.command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    wait_for_line(&mut lines, "node_running");
    let agents = children_of(child.id());
    let works: Vec<u32> = loop {
        let found: Vec<u32> = agents.iter().flat_map(|pid| descendants_of(*pid)).collect();
        if found.iter().any(|pid| command_line(*pid).contains("puppet")) {
            break found;
        }
    };
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child.wait().unwrap();
    assert!(works.iter().all(|pid| is_over(*pid)), "nothing that was started goes on");
    assert_eq!(demo.throw_away(), Vec::<PathBuf>::new());
}

/// All processes below one.
fn descendants_of(pid: u32) -> Vec<u32> {
    if is_over(pid) {
        return Vec::new();
    }
    let children = children_of(pid);
    children.iter().copied().chain(children.iter().flat_map(|child| descendants_of(*child))).collect()
}

#[test]
fn what_a_killed_demo_left_is_removed_by_the_next() {
    let mut first = demo(&["--nodes", "1", "--format", "json"]);
    first.command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = first.command.spawn().unwrap();
    wait_for_line(&mut BufReader::new(child.stdout.take().unwrap()), "broker_url");
    let children = children_of(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    while !children.iter().all(|pid| is_over(*pid)) {
        std::thread::yield_now();
    }
    assert_eq!(first.throw_away().len(), 1);
    let mut second = demo(&["--once", "--nodes", "1", "--format", "json"]);
    second.command.env("TMPDIR", first.place.path().join("tmp"));
    assert_eq!(Ended::of(&mut second.command).code, 0);
    assert_eq!(first.throw_away(), Vec::<PathBuf>::new());
}

#[test]
fn a_directory_in_use_is_refused() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("bunraku.yaml"), "").unwrap();
    let mut demo = demo(&["--once", "--dir", place.path().to_str().unwrap()]);
    let ended = Ended::of(&mut demo.command);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("initialized already"), "{ended:?}");
}

#[test]
fn the_tour_has_a_middle_with_the_fewest_nodes_too() {
    let mut demo = demo(&["--tour", "--nodes", "3", "--format", "json"]);
    let ended = Ended::of(&mut demo.command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&report["agree"], &report["lost"], &report["twice"]), (&3.into(), &0.into(), &0.into()), "{report:#}");
}

#[test]
fn the_tour_kills_the_service_and_shows_that_nothing_is_lost() {
    let mut demo = demo(&["--tour", "--format", "json"]);
    let ended = Ended::of(&mut demo.command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<_> = lines.iter().filter_map(|line| line["tour"].as_str()).collect();
    assert_eq!(steps, ["deployed", "killed", "started"]);
    let report = lines.last().unwrap();
    let counts = ["runs", "ledgers", "agree", "lost", "twice", "unknown"].map(|key| report[key].as_u64().unwrap());
    assert_eq!(counts, [12, 12, 12, 0, 0, 0], "{report:#}");
    let killed = lines.iter().position(|line| line["tour"] == "killed").unwrap();
    let began_later = lines[killed..].iter().filter(|line| line["type"] == "node_running").count();
    assert!(began_later > 0, "some nodes began only after the service was back");
    assert_eq!(demo.throw_away(), Vec::<PathBuf>::new());
}
