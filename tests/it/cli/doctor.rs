//! `bunraku doctor` on directories that are well, and on others.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::run;
use crate::support::ca::TestCa;
use crate::support::https::{Asked, FakeService, Reply};

/// A directory that `bunraku init` made.
struct Home {
    _root: TempDir,
    dir: PathBuf,
}

impl Home {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("bunraku");
        let made = run(&["init", "--name", "localhost", dir.to_str().unwrap()]);
        assert_eq!(made.code, 0, "{made:?}");
        let home = Self { _root: root, dir };
        // Whoever else serves on this machine is none of ours.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        home.configure(&[("server", &format!("  listen: {free}"))]);
        home
    }

    /// The names in the data directory.
    fn data(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("data")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.dir.join(path), content).unwrap();
    }

    fn configure(&self, add: &[(&str, &str)]) {
        let path = self.dir.join("bunraku.yaml");
        let mut configuration = fs::read_to_string(&path).unwrap();
        for (section, keys) in add {
            configuration = configuration.replace(&format!("\n{section}:\n"), &format!("\n{section}:\n{keys}\n"));
        }
        fs::write(path, configuration).unwrap();
    }

    /// Every finding, by what it is about, with the exit code. On a thread of its own: fakes answer on this one.
    async fn examine(&self) -> (Vec<(String, String)>, i32) {
        let config = self.dir.join("bunraku.yaml");
        let arguments = move || run(&["doctor", "--format", "json", "--config", config.to_str().unwrap()]);
        let answer = tokio::task::spawn_blocking(arguments).await.unwrap();
        let findings = answer.stdout.lines().map(|line| {
            let finding: Value = serde_json::from_str(line).unwrap();
            let of = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            (format!("{} {}", of("health"), of("about")), format!("{} / {}", of("text"), of("advice")))
        });
        (findings.collect(), answer.code)
    }
}

fn told(findings: &[(String, String)], about: &str) -> String {
    let all = findings.iter().filter(|(found, _)| found == about).map(|(_, text)| text.clone());
    all.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_fresh_directory_is_well_but_for_the_service_that_does_not_run() {
    let home = Home::new();
    let before = home.data();
    let (findings, code) = home.examine().await;
    assert_eq!(home.data(), before, "the doctor may be another user than the service, and leaves nothing behind");
    assert_eq!(code, 0, "{findings:#?}");
    assert!(findings.iter().all(|(health, _)| health.starts_with("ok ") || health == "look service"), "{findings:#?}");
    assert!(told(&findings, "ok certificates").contains("not revoked"));
    assert!(told(&findings, "look service").contains("systemctl start bunraku"));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_what_to_do() {
    let home = Home::new();
    home.write("environments/broken.yaml", "nodes: [a\n");
    home.write("data/secrets.key", &"0".repeat(64));
    let path = home.dir.join("bunraku.yaml");
    let configuration = fs::read_to_string(&path).unwrap();
    let names = configuration.lines().find(|line| line.starts_with("  names:")).unwrap();
    fs::write(&path, configuration.replace(names, "  names: [localhost, orch.example.com]")).unwrap();
    let (findings, code) = home.examine().await;
    assert_eq!(code, 1);
    assert!(told(&findings, "bad names").contains("orch.example.com does not stand in ssl.cert"), "{findings:#?}");
    assert!(told(&findings, "bad files").contains("broken.yaml"), "{findings:#?}");
    assert!(told(&findings, "bad data").contains("chmod 600"), "{findings:#?}");
    fs::remove_file(home.dir.join("ssl/crl.pem")).unwrap();
    let (findings, _) = home.examine().await;
    assert!(told(&findings, "bad certificates").contains("crl.pem"), "{findings:#?}");
    home.write("bunraku.yaml", "sever: {}\n");
    let (findings, code) = home.examine().await;
    assert_eq!((findings.len(), code), (1, 1));
    assert!(told(&findings, "bad configuration").contains("sever"), "{findings:#?}");
}

fn half_allowed(asked: &Asked) -> Reply {
    match asked.what.split('?').next().unwrap() {
        "GET /status/v1/simple" => Reply::text(200, "running"),
        "GET /puppet/v3/environments" => {
            Reply::json(&serde_json::json!({ "environments": { "production": { "settings": {} } } }))
        }
        "GET /puppet/v3/tasks" => Reply::json(&serde_json::json!([])),
        _ => Reply::text(403, "Forbidden request"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_do_not_let_us_in_get_their_rules() {
    let ca = TestCa::new();
    let server = FakeService::start(&ca.issue("puppet"), half_allowed).await;
    let home = Home::new();
    let ours = ca.issue("orch.example.com");
    let keys = |url: &str| {
        let (cert, key, ca) = (ours.cert.display(), ours.key.display(), ours.ca.display());
        format!("  url: {url}\n  cert: {cert}\n  key: {key}\n  ca: {ca}")
    };
    let keys = keys(server.url.as_str());
    home.configure(&[("puppetserver", &keys), ("puppetdb", &keys)]);
    let (findings, code) = home.examine().await;
    assert_eq!(code, 1, "without queries it does not do what it is configured for: {findings:#?}");
    let rules = told(&findings, "look puppetserver");
    assert!(rules.contains("allow: \"orch.example.com\"") && rules.contains("path: \"/puppet/v3/plans\""), "{rules}");
    assert!(rules.contains("method: delete"), "{rules}");
    assert!(told(&findings, "bad puppetdb").contains("orch.example.com stands in its certificate-allowlist"));
    assert!(told(&findings, "ok puppetserver").contains("environments: production"));
}

#[tokio::test]
async fn roles_with_which_the_service_does_not_start_and_a_key_that_anybody_reads_are_told() {
    let home = Home::new();
    assert!(told(&home.examine().await.0, "ok access").contains("access.yaml can be used"));
    home.write("access.yaml", "roles: 7\n");
    let key = home.dir.join("ssl/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let (findings, code) = home.examine().await;
    assert_eq!(code, 1);
    assert!(told(&findings, "bad access").contains("access.yaml"), "{findings:#?}");
    assert_eq!(told(&findings, "bad certificates"), "", "as Puppet keeps its keys");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(home.dir.join("access.yaml")).unwrap();
    let (findings, code) = home.examine().await;
    assert_eq!(code, 1);
    assert!(told(&findings, "bad certificates").contains("chmod o= "), "{findings:#?}");
    assert!(told(&findings, "ok access").contains("there is no "), "{findings:#?}");
}
