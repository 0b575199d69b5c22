//! The guides: every command on them says whether it is run, what can be run here is run, and what they name is there.
//! `tests/real` runs those that need a puppetserver.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bunraku::telemetry::catalog::METRICS;
use serde_json::Value;

use crate::pages::{Block, Mark, Shell, blocks, free_port};

/// The pages whose commands all have their mark.
const PAGES: [&str; 5] = ["README.md", "docs/tour.md", "docs/quickstart.md", "docs/r10k.md", "docs/operations.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

#[test]
fn every_command_says_whether_it_is_run() {
    for page in PAGES {
        let blocks = blocks(page).unwrap();
        let run = blocks.iter().filter(|block| !matches!(block.mark, Mark::NotRun { .. })).count();
        assert!(run > 0, "{page}: nothing of it is run");
        // A language that nobody looks at would be a way around the marks.
        for language in ["```bash", "```shell", "```console"] {
            assert!(!read(page).contains(language), "{page}: write ```sh");
        }
    }
}

#[test]
fn links_of_the_guides_lead_somewhere() {
    for page in PAGES {
        let folder = root().join(page).parent().unwrap().to_owned();
        let text = read(page);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { root().join(page) } else { folder.join(file) };
            assert!(path.exists(), "{page}: {target} leads nowhere");
            if !anchor.is_empty() {
                assert!(anchors(&path).contains(anchor), "{page}: {} has no heading for {target}", path.display());
            }
        }
    }
}

/// The headings of a page, as links name them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    headings
        .map(|text| text.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-"))
        .collect()
}

/// A terminal without Puppet; none, after saying so, where there is no curl, which the pages call.
fn terminal() -> Option<Shell> {
    let curl = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    if !curl {
        assert!(std::env::var_os("BUNRAKU_REQUIRE_ALL").is_none(), "curl is not installed");
        // Not eprintln: the test harness would keep the line to itself.
        std::io::stderr().write_all(b"skipped: curl is not installed, which the guides call\n").unwrap();
        return None;
    }
    let mut shell = Shell::new();
    let tools = shell.home().join("tools");
    fs::create_dir(&tools).unwrap();
    for folder in ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"] {
        let programs = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
        for program in programs.filter(|program| program.file_name() != "puppet") {
            // The first folder wins, as in a path.
            let _ = symlink(program.path(), tools.join(program.file_name()));
        }
    }
    shell.set("PATH", format!("{}:{}", shell.bin().display(), tools.display()));
    Some(shell)
}

/// Lets a site of this page live in the terminal's home, as `localhost`, on free ports.
fn settle(shell: &mut Shell) -> PathBuf {
    let etc = shell.home().join("etc/bunraku");
    let (api, broker) = (free_port(), free_port());
    let listen = format!("BUNRAKU_SERVER__LISTEN=127.0.0.1:{api} BUNRAKU_BROKER__LISTEN=127.0.0.1:{broker}");
    for (page, here) in [
        ("bunraku serve", format!("env {listen} bunraku serve")),
        ("/etc/bunraku", etc.display().to_string()),
        ("orch.example.com", "localhost".to_owned()),
        (":8142", format!(":{broker}")),
        (":8143", format!(":{api}")),
    ] {
        shell.replace(page, here);
    }
    etc
}

/// A node of the site in `etc`, as its page sets it up, whose Puppet is the demo's stand-in.
fn write_agent(shell: &Shell, etc: &Path) {
    let node = shell.home().join("node");
    fs::create_dir_all(node.join("desired")).unwrap();
    fs::write(node.join("desired/motd"), "hello\n").unwrap();
    fs::write(node.join("pace"), "0\n").unwrap();
    let converge = node.join("converge.sh");
    fs::copy(root().join("src/cli/demo/files/converge.sh"), &converge).unwrap();
    fs::set_permissions(&converge, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(node.join("confdir")).unwrap();
    let at = |part: &str| node.join(part).display().to_string();
    let sample = fs::read_to_string(root().join("config/agent.yaml")).unwrap();
    let text = shell.here(&sample.replace("//puppet:", "//orch.example.com:"));
    let text = text.replace("/var/lib/bunraku-agent", &at(""));
    let text =
        text.replace("mode: agent", "mode: apply").replace("command: null", &format!("command: {}", at("converge.sh")));
    let text = text.replace("vardir: null", &format!("vardir: {}", at("vardir")));
    let text = text.replace("confdir: null", &format!("confdir: {}", at("confdir")));
    let text = text.replace("manifest: null", &format!("manifest: {}", at("site.pp")));
    fs::write(node.join("site.pp"), "").unwrap();
    fs::write(etc.join("agent.yaml"), text).unwrap();
}

/// The module `service` with a task of its own name, and an application on the only node.
fn write_code(etc: &Path) {
    let tasks = etc.join("modules/service/tasks");
    fs::create_dir_all(&tasks).unwrap();
    fs::write(tasks.join("init.sh"), "#!/bin/sh\necho \"$PT_name: $PT_action\"\n").unwrap();
    fs::write(
        etc.join("environments/production.yaml"),
        "applications:\n- type: Shop\n  instances:\n  - title: eu\n    components:\n    - {type: Shop::Web, title: eu, node: web1.example.com}\n",
    )
    .unwrap();
}

/// Puts a node's certificate where the page sends it, and what it presupposes.
fn sent(shell: &Shell, block: &Block, etc: &Path) {
    let Some(command) = block.text.strip_prefix("scp -r ") else { return };
    let [from, to] = shell.here(command.trim()).split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    let to = to.split_once(':').unwrap().1.to_owned();
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, Path::new(&to).join(path.file_name().unwrap())).unwrap();
    }
    write_agent(shell, etc);
}

#[test]
fn the_readme_sets_a_site_up() {
    let Some(mut shell) = terminal() else { return };
    let etc = settle(&mut shell);
    let said = shell.play(&blocks("README.md").unwrap(), |shell, block| {
        write_code_once(&etc);
        sent(shell, block, &etc);
    });
    assert!(said.contains("web1.example.com"), "{said}");
    assert!(said.contains("nginx: status"), "the task has run: {said}");
    assert!(said.contains("\"job\""), "curl has started a job: {said}");
}

fn write_code_once(etc: &Path) {
    // Not before `init` has made its own.
    if etc.join("environments").is_dir() && !etc.join("modules/service").exists() {
        write_code(etc);
    }
}

#[test]
fn the_tour_leads_to_the_first_schedule() {
    let Some(mut shell) = terminal() else { return };
    let (api, broker) = (free_port(), free_port());
    shell.replace("bunraku demo", format!("bunraku demo --listen 127.0.0.1:{api} --broker-listen 127.0.0.1:{broker}"));
    shell.replace(":8142", format!(":{broker}"));
    shell.replace(":8143", format!(":{api}"));
    let said = shell.play(&blocks("docs/tour.md").unwrap(), |_, block| panic!("{}: it is run", block.place));
    assert!(said.contains("first.example.com: Linux"), "the task of one's own has run: {said}");
    assert!(said.contains("Europe/Berlin"), "{said}");
    assert_eq!(said.matches("is disabled").count(), 2, "{said}");
}

#[test]
fn operations_of_years_are_done_in_an_hour() {
    let Some(mut shell) = terminal() else { return };
    let etc = settle(&mut shell);
    for (name, port) in [("SERVER", ":8143"), ("BROKER", ":8142")] {
        shell.set(&format!("BUNRAKU_{name}__LISTEN"), shell.here(&format!("127.0.0.1{port}")));
    }
    let home = shell.home().display().to_string();
    fs::create_dir(shell.home().join("backups")).unwrap();
    for (page, here) in [("/var/backups", "/backups"), ("-C /etc", "/etc")] {
        let prefix = if page.starts_with('-') { "-C " } else { "" };
        shell.replace(page, format!("{prefix}{home}{here}"));
    }
    shell.set("BUNRAKU_CONFIG", etc.join("bunraku.yaml").display().to_string());
    let serve = "echo $$ > pid; exec bunraku serve --config /etc/bunraku/bunraku.yaml";
    let mut done = Vec::new();
    let said = shell.play(&blocks("docs/operations.md").unwrap(), |shell, block| {
        let text = block.text.trim();
        done.push(text.to_owned());
        match text {
            "deploy/install service" => shell.start(&block.place, serve, "ready"),
            "bunraku drain --wait --timeout 10m; deploy/install service" => {
                shell.run(&block.place, "bunraku drain --wait --timeout 10m", 0);
                shell.run(&block.place, "bunraku token create kept", 0);
                shell.stop();
                shell.start(&block.place, serve, "ready");
            }
            "systemctl disable --now bunraku" => {
                shell.stop();
                // The other host has nothing.
                fs::remove_dir_all(&etc).unwrap();
            }
            text if text.ends_with("systemctl reload bunraku") => {
                shell.run(&block.place, "kill -HUP \"$(cat pid)\"", 0);
            }
            text if text.contains("docker compose") => {
                assert_eq!(block.mark, Mark::NotRun { reason: "image registry".to_owned() });
            }
            other => panic!("{}: nothing stands in for {other}", block.place),
        }
    });
    let tokens = shell.run("the other host", "bunraku token list", 0);
    assert!(tokens.contains("kept"), "what the copy had is there: {tokens}");
    shell.stop();
    assert_eq!(done.len(), 7, "{done:#?}");
    for sign in ["1 certificate is revoked", "bunraku_live_jobs", "backups/bunraku.db"] {
        assert!(said.contains(sign), "{sign}: {said}");
    }
    assert_eq!(said.matches("it is running").count(), 2, "the doctor looked at each host: {said}");
    assert!(!said.lines().any(|line| line.starts_with("bad")), "the doctor is content: {said}");
}

/// Every name of ours in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|word| word.starts_with("bunraku_")).map(str::to_owned).collect()
}

#[test]
fn alerts_are_about_metrics_that_there_are() {
    let text = read("deploy/prometheus/alerts.yaml");
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let mut names = BTreeSet::new();
    for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        let used = metrics_in(rule["expr"].as_str().unwrap());
        assert!(!used.is_empty() || name == "BunrakuAway", "{name} looks at nothing of ours");
        for metric in used {
            // The parts of a histogram have its name and an ending.
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| metric.strip_suffix(ending));
            assert!(
                known.contains(metric.as_str()) || base.is_some_and(|base| known.contains(base)),
                "{name}: {metric}"
            );
        }
        for part in ["/labels/severity", "/annotations/summary", "/annotations/what_to_do"] {
            assert!(rule.pointer(part).is_some_and(Value::is_string), "{name} has no {part}");
        }
        assert!(read("docs/operations.md").contains(&format!("`{name}`")), "docs/operations.md does not list {name}");
    }
}
