//! `docs/quickstart.md`, as it stands: its commands, in the lab instead of at a site.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::TURN;
use crate::lab::Lab;
use crate::pages::{Block, Mark, Shell, blocks};

const PAGE: &str = "docs/quickstart.md";
/// What the page promises.
const MOST: usize = 10;

/// How many commands a block has: lines, without those that go on, and parts between `&&`, `;` and `|`.
fn commands(block: &Block) -> usize {
    let joined = block.text.replace("\\\n", " ");
    joined
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split(['|', ';', '&']).filter(|part| !part.is_empty()).count())
        .sum()
}

#[test]
fn ten_commands_lead_to_the_first_job() {
    let all = blocks(PAGE).unwrap();
    let count: usize = all.iter().map(commands).sum();
    assert!(count <= MOST, "{count} commands");
    let left_out = all.iter().filter(|block| matches!(block.mark, Mark::NotRun { .. })).count();
    assert_eq!(left_out, 3, "three of them need systemd");
}

/// Puts a `puppet` into the path that is the one of this node.
pub(crate) fn be_node(shell: &Shell, lab: &Lab, certname: &str) {
    let puppet = shell.bin().join("puppet");
    let text = format!("#!/bin/sh\nexec /usr/bin/puppet \"$@\" --confdir {}\n", lab.confdir(certname).display());
    fs::write(&puppet, text).unwrap();
    fs::set_permissions(&puppet, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Lets `deploy/install` put its files below the home directory.
fn install(shell: &mut Shell, block: &Block, command: &str) {
    let (home, tree) = (shell.home().display().to_string(), env!("CARGO_MANIFEST_DIR"));
    let program = env!("CARGO_BIN_EXE_bunraku");
    shell.run(&block.place, &format!("PROGRAM={program} DESTDIR={home} {tree}/{command}"), 0);
}

/// What an installed unit starts.
fn start_of(home: &Path, unit: &str) -> String {
    let text = fs::read_to_string(home.join("etc/systemd/system").join(unit)).unwrap();
    let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    start.replace("/usr/local", &home.join("usr/local").display().to_string())
}

#[tokio::test]
async fn the_quickstart_leads_to_the_first_job() {
    let Some(lab) = Lab::find() else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let node = lab.node(1);
    fs::write(lab.managed(node, "motd"), "out of date\n").unwrap();
    let mut shell = Shell::new();
    be_node(&shell, &lab, node);
    let home = shell.home().to_owned();
    let (api, broker) = (crate::pages::free_port(), crate::pages::free_port());
    shell.set("BUNRAKU_SERVER__LISTEN", format!("127.0.0.1:{api}"));
    shell.set("BUNRAKU_BROKER__LISTEN", format!("127.0.0.1:{broker}"));
    shell.set("BUNRAKU_CONFIG", home.join("etc/bunraku/bunraku.yaml").display().to_string());
    for (page, here) in [
        ("./bunraku", "bunraku".to_owned()),
        ("/etc/bunraku", home.join("etc/bunraku").display().to_string()),
        ("/etc/puppetlabs/puppet/ssl", lab.orchestrator_ssl().display().to_string()),
        ("https://puppet.example.com:8140", std::env::var("PUPPET_LAB_URL").unwrap()),
        ("orch.example.com", "localhost".to_owned()),
        ("web1.example.com", node.to_owned()),
        (":8142", format!(":{broker}")),
        (":8143", format!(":{api}")),
        ("run service ", "run lab_tasks::inspect ".to_owned()),
        ("action=status name=puppet", "name=puppet".to_owned()),
    ] {
        shell.replace(page, here);
    }

    let mut stood_in = Vec::new();
    let said = shell.play(&blocks(PAGE).unwrap(), |shell, block| {
        stood_in.push(block.text.trim().to_owned());
        match block.text.trim() {
            // The lab's has the rules, and is running.
            "systemctl restart puppetserver" => {}
            command @ "deploy/install service" => {
                install(shell, block, command);
                shell.start(&block.place, &start_of(&home, "bunraku.service"), "ready");
            }
            command @ "deploy/install agent orch.example.com" => {
                install(shell, block, command);
                let file = home.join("etc/bunraku/agent.yaml");
                // Ports of this test, and directories that others on this machine do not use.
                let text = shell.here(&fs::read_to_string(&file).unwrap());
                let own = format!("spool_dir: {0}/spool\ntask_cache_dir: {0}/tasks\n", home.display());
                fs::write(&file, text + &own).unwrap();
                // The service's settings are no settings of an agent.
                let alone = "unset BUNRAKU_SERVER__LISTEN BUNRAKU_BROKER__LISTEN BUNRAKU_CONFIG";
                let start = start_of(&home, "bunraku-agent.service");
                shell.start(&block.place, &format!("{alone}\n{start}"), "connected");
            }
            other => panic!("{}: nothing stands in for {other}", block.place),
        }
    });
    shell.stop();
    assert_eq!(stood_in.len(), 3, "{stood_in:?}");
    assert!(said.contains(node), "the node is listed: {said}");
    assert_eq!(fs::read_to_string(lab.managed(node, "motd")).unwrap(), "hello from production\n", "{said}");
    assert!(said.contains("\"name\":\"puppet\""), "the task has got its parameter: {said}");
    assert!(said.matches("job ").count() >= 3, "three jobs: {said}");
}
