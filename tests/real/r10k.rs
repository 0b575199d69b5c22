//! `docs/r10k.md`, as it stands, and `deploy/r10k/after-deploy`: a control repository, r10k, the lab's puppetserver, canaries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::TURN;
use crate::api::Api;
use crate::lab::Lab;
use crate::pages::{Shell, blocks};
use crate::service::Service;

/// The environment of this test, and the branch that it is made of.
const ENVIRONMENT: &str = "r10k_canary";
/// What the page lets a webhook do.
const DEPLOY: &str = "r10k deploy environment production --modules";
const AFTER_DEPLOY: &str = "/usr/local/sbin/after-deploy production";

/// A control repository with one branch, and r10k's configuration for it.
struct Control {
    place: TempDir,
    link: PathBuf,
}

impl Control {
    /// Makes it, and lets puppetserver find what r10k will deploy. r10k gets a directory of its own: it removes what it does not
    /// know, and the lab's environments belong to others.
    fn new(lab: &Lab) -> Self {
        let place = tempfile::tempdir().unwrap();
        let link = lab.code().join(ENVIRONMENT);
        // A killed test has left it.
        let _ = fs::remove_file(&link);
        symlink(place.path().join("environments").join(ENVIRONMENT), &link).unwrap();
        let control = Self { place, link };
        let root = control.place.path().display().to_string();
        fs::create_dir_all(control.place.path().join("work/manifests")).unwrap();
        fs::create_dir_all(control.place.path().join("work/scripts")).unwrap();
        fs::write(
            control.place.path().join("r10k.yaml"),
            format!(
                "cachedir: {root}/cache\nsources:\n  site: {{remote: '{root}/control.git', basedir: {root}/environments}}\n"
            ),
        )
        .unwrap();
        control.git(&format!("init -q --bare {root}/control.git"));
        control.git(&format!("init -q -b {ENVIRONMENT} ."));
        control.git(&format!("remote add origin {root}/control.git"));
        // Kept in memory for good: only a flush lets new code in.
        control.write("environment.conf", "environment_timeout = unlimited\nconfig_version = scripts/version.sh\n");
        control.write(
            "scripts/version.sh",
            "#!/bin/sh\nsed -n 's/.*\"signature\": \"\\(.*\\)\",/\\1/p' \"$(dirname \"$0\")/../.r10k-deploy.json\"\n",
        );
        let script = control.place.path().join("work/scripts/version.sh");
        let mut mode = fs::metadata(&script).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs::set_permissions(&script, mode).unwrap();
        control
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.place.path().join("work").join(path), text).unwrap();
    }

    /// Pushes this manifest, and returns the commit.
    fn push(&self, manifest: &str) -> String {
        self.write("manifests/site.pp", manifest);
        self.git("add -A");
        self.git("-c user.name=test -c user.email=test@example.com commit -q -m change");
        self.git(&format!("push -q origin {ENVIRONMENT}"));
        self.git("rev-parse HEAD").trim().to_owned()
    }

    fn git(&self, arguments: &str) -> String {
        let mut command = Command::new("git");
        command.args(arguments.split(' ')).current_dir(self.place.path().join("work"));
        let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(output.status.success(), "git {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Other tests list the lab's environments.
        let _ = fs::remove_file(&self.link);
    }
}

/// A manifest that puts this text into a file of each node.
fn manifest(lab: &Lab, text: &str) -> String {
    let file = lab.managed("${trusted['certname']}", "r10k.txt").display().to_string();
    format!("node default {{ file {{ \"{file}\": content => \"{text}\\n\" }} }}\n")
}

#[tokio::test]
async fn a_deploy_of_code_runs_once_on_the_canaries() {
    let Some(lab) = Lab::with("r10k") else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let canaries = [lab.node(1), lab.node(2)];
    let control = Control::new(&lab);
    let first = control.push(&manifest(&lab, "one"));
    let mut service = Service::start_with(&lab, None, &Lab::sources());
    service.connect(&lab, &canaries).await;
    let api = service.api();

    let mut shell = terminal(&lab, &control, &service);
    let said = shell.play(&blocks("docs/r10k.md").unwrap(), |_, block| panic!("{}: it is run", block.place));
    for canary in canaries {
        assert!(said.contains(canary), "the group has both: {said}");
        assert_eq!(
            fs::read_to_string(lab.managed(canary, "r10k.txt")).unwrap(),
            "one\n",
            "the fleet's job was for good"
        );
    }
    let four = jobs(&api).await;
    let of = |job: &Value| (job["options"]["noop"] == true, job["state"].as_str().unwrap().to_owned());
    let expected = [true, true, false, false].map(|noop| (noop, "finished".to_owned()));
    assert_eq!(four.iter().map(of).collect::<Vec<_>>(), expected, "script, curl, canaries, fleet: {four:#?}");
    assert_eq!(versions(&api, &four[0], &canaries).await, [first.as_str(); 2]);

    // The webhook fires again for the same commit.
    let again = shell.run("again", AFTER_DEPLOY, 0);
    assert!(again.contains(&first), "{again}");
    assert_eq!(jobs(&api).await.len(), 4, "no job of its own: {again}");

    // A new commit, and a webhook that fires twice at once.
    let second = control.push(&manifest(&lab, "two"));
    shell.run("deploy", DEPLOY, 0);
    shell.run("twice", &format!("{AFTER_DEPLOY} & {AFTER_DEPLOY}\nwait $!"), 0);
    let five = jobs(&api).await;
    assert_eq!(five.len(), 5, "one job: {five:#?}");
    assert_eq!(versions(&api, &five[4], &canaries).await, [second.as_str(); 2], "its catalog is of the new commit");
    for canary in canaries {
        assert_eq!(fs::read_to_string(lab.managed(canary, "r10k.txt")).unwrap(), "one\n", "nothing was changed");
    }
    // It is asked for once more.
    shell.run("once more", &format!("ATTEMPT=2 {AFTER_DEPLOY}"), 0);
    assert_eq!(jobs(&api).await.len(), 6);

    // One that does not compile, and one that r10k cannot deploy as a whole.
    control.push("node default { fail('not like this') }\n");
    shell.run("deploy", DEPLOY, 0);
    shell.run("broken", AFTER_DEPLOY, 1);
    assert_eq!(jobs(&api).await.len(), 7);
    control.write("Puppetfile", "mod 'gone', git: '/nonexistent/gone.git', ref: 'main'\n");
    control.push(&manifest(&lab, "three"));
    shell.run("half a deploy", DEPLOY, 1);
    let refused = shell.run("half a deploy", AFTER_DEPLOY, 64);
    assert!(refused.contains("as a whole"), "{refused}");
    assert_eq!(jobs(&api).await.len(), 7, "nothing is run");
    for canary in canaries {
        fs::remove_file(lab.managed(canary, "r10k.txt")).unwrap();
    }
}

/// A terminal with the settings of an admin, where the page's machines are the lab's.
fn terminal(lab: &Lab, control: &Control, service: &Service) -> Shell {
    let mut shell = Shell::new();
    let home = shell.home().display().to_string();
    let code = control.place.path().join("environments").display().to_string();
    let directory = service.directory().display().to_string();
    let url = format!("https://localhost:{}", service.port());
    let (web, db) = (lab.node(1), lab.node(2));
    for (page, here) in [
        ("nodes[certname] { deactivated is null }", format!("nodes[certname] {{ certname in [\"{web}\", \"{db}\"] }}")),
        ("r10k deploy environment", format!("r10k deploy environment -c {}/r10k.yaml", control.place.path().display())),
        ("/etc/bunraku", directory.clone()),
        ("/etc/puppetlabs/code/environments", code.clone()),
        ("/usr/local/sbin/after-deploy production", format!("CODE={code} {home}/after-deploy production")),
        ("/usr/local/sbin", home),
        (" deploy/r10k", format!(" {}/deploy/r10k", env!("CARGO_MANIFEST_DIR"))),
        ("https://orch.example.com:8143", url.clone()),
        ("web1.example.com", web.to_owned()),
        ("db1.example.com", db.to_owned()),
        ("production", ENVIRONMENT.to_owned()),
    ] {
        shell.replace(page, here);
    }
    let admin = "export BUNRAKU_CA=/etc/bunraku/ssl/ca.pem BUNRAKU_TOKEN=\"$(cat /etc/bunraku/token)\"";
    shell.run("an admin", &format!("{admin} BUNRAKU_URL={url}"), 0);
    shell
}

/// All jobs, the oldest first.
async fn jobs(api: &Api) -> Vec<Value> {
    let jobs = api.get("/orchestrator/v1/jobs?order_by=timestamp&order=asc").await;
    jobs["items"].as_array().unwrap().clone()
}

/// The version of the catalog that each of these nodes had in a job.
async fn versions(api: &Api, job: &Value, nodes: &[&str]) -> Vec<String> {
    let job = api.finished(job["name"].as_str().unwrap()).await;
    let version = |node: &&str| job.node(node)["result"]["configuration_version"].as_str().unwrap().to_owned();
    nodes.iter().map(version).collect()
}
