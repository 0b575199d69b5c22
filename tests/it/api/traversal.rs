//! Names that try to be paths: none of them leads anywhere, in no part of a request, with a real directory behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bunraku::directory::{Options, Sources};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tempfile::TempDir;

use super::client::Answer;
use super::raw::Raw;
use super::world::World;

/// Stands in files that nobody may get.
const SECRET: &str = "TOP-SECRET";

/// A directory with one environment and one task, secrets around them, and links that lead to those.
async fn shelf() -> (TempDir, World) {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("secret.txt", SECRET);
    write("secret.json", &format!(r#"{{"description": "{SECRET}"}}"#));
    write("secret.yaml", &format!("applications: {{{SECRET}: {{}}}}\n"));
    write("environments/production.yaml", "nodes: [a.example.com]\n");
    write("modules/m/tasks/t.sh", "echo\n");
    write("modules/m/tasks/t.json", r#"{"description": "plain"}"#);
    links(root.path());
    let options = Options {
        environments_dir: root.path().join("environments"),
        module_path: vec![root.path().join("modules")],
        file_store: root.path().join("data/files"),
        groups_dir: root.path().join("groups"),
        facts_dir: None,
        puppetserver: None,
        puppetdb: None,
    };
    let directory = Sources::start(options).await.unwrap();
    let world = World::over(directory, |_| {}).await;
    (root, world)
}

fn links(root: &Path) {
    let tasks = root.join("modules/m/tasks");
    symlink(root.join("secret.txt"), tasks.join("leak.sh")).unwrap();
    symlink("../../../secret.json", tasks.join("meta.json")).unwrap();
    fs::write(tasks.join("meta.sh"), "").unwrap();
    fs::create_dir(root.join("modules/m/files")).unwrap();
    symlink(root, root.join("modules/m/files/up")).unwrap();
    for (task, file) in
        [("near", "m/files/up/secret.txt"), ("far", "m/files/up/"), ("dots", "m/files/../../../secret.txt")]
    {
        fs::write(tasks.join(format!("{task}.sh")), "").unwrap();
        fs::write(tasks.join(format!("{task}.json")), json!({ "files": [file] }).to_string()).unwrap();
    }
    fs::create_dir_all(root.join("modules/outer")).unwrap();
    symlink(root.join("secrets"), root.join("modules/outer/tasks")).unwrap();
    fs::create_dir(root.join("secrets")).unwrap();
    fs::write(root.join("secrets/init.sh"), SECRET).unwrap();
}

/// What such names are made of, as it stands in a request's target.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "..",
        ".",
        "/",
        "//",
        "\\",
        "%2e%2e",
        "%2E.",
        "%2f",
        "%2F",
        "%5c",
        "%00",
        "%252e%252e",
        "%c0%ae",
        "%ff",
        "%0a",
        "%E2%80%A5",
        "%EF%BC%8E%EF%BC%8E",
        "%EF%BC%8F",
        "~",
        "*",
        "m",
        "t",
        "production",
        "secret",
        "secret.yaml",
        "modules",
        "environments",
        "/etc/passwd",
        "C:",
        "file:",
        "::",
        "init",
        ";",
        "%20",
    ]);
    prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat())
}

fn decoded(text: &str) -> String {
    let decoded = url(text);
    String::from_utf8_lossy(&decoded).into_owned()
}

fn url(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let code = |bytes: &mut std::str::Bytes<'_>| Some([bytes.next()?, bytes.next()?]);
        match (byte, byte == b'%') {
            (_, true) => out.extend(code(&mut bytes).and_then(|hex| hex::decode(hex).ok()).unwrap_or_default()),
            (byte, false) => out.push(byte),
        }
    }
    out
}

/// Asks on a connection that is made anew when the other side is tired of it.
struct Tireless<'a> {
    world: &'a World,
    client: Option<Raw>,
}

impl Tireless<'_> {
    async fn ask(&mut self, request: String) -> Answer {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Raw::connect(self.world).await,
        };
        let answer = client.ask(request).await;
        self.client = Some(client).filter(|_| answer.header("connection") != "close");
        answer
    }
}

#[actix_web::test]
async fn no_name_in_a_target_is_a_path() {
    let (_root, world) = shelf().await;
    let mut client = Tireless { world: &world, client: None };
    let mut runner = TestRunner::new(Config::with_cases(0));
    let zeros = "0".repeat(64);
    for _ in 0..150 {
        let name = (pieces(), pieces()).new_tree(&mut runner).unwrap().current();
        let (one, other) = name;
        for target in [
            format!("/orchestrator/v1/environments/{one}"),
            format!("/orchestrator/v1/environments/{one}/applications"),
            format!("/orchestrator/v1/tasks/{one}/{other}"),
            format!("/orchestrator/v1/tasks?environment={one}"),
            format!("/orchestrator/v1/tasks/m/t?environment={one}"),
            format!("/orchestrator/v1/inventory/{one}"),
            format!("/puppet/v3/file_content/{one}/{other}?sha256={other}"),
            format!("/puppet/v3/file_content/tasks/{one}/{other}?sha256={zeros}"),
            format!("/{one}"),
        ] {
            let head = "HTTP/1.1\r\nHost: localhost\r\nX-Authentication: operator\r\n\r\n";
            let answer = client.ask(format!("GET {target} {head}")).await;
            assert!([200, 400, 403, 404, 500].contains(&answer.status), "{target}: {}", answer.status);
            assert!(!answer.text.contains(SECRET), "{target}: {}", answer.text);
            if answer.status == 200 && target.contains(&format!("environment={one}")) {
                assert_eq!(decoded(&one), "production", "{target}: {}", answer.text);
            }
            if answer.status == 200 && target.starts_with("/orchestrator/v1/environments/") {
                // Slashes are joined, and no segment is taken for a step up.
                assert!(
                    ["production", ""].contains(&decoded(&one).replace('/', "").as_str()),
                    "{target}: {}",
                    answer.text
                );
            }
        }
    }
}

#[actix_web::test]
async fn no_name_in_a_body_is_a_path() {
    let (_root, world) = shelf().await;
    let operator = world.operator();
    let mut runner = TestRunner::new(Config::with_cases(0));
    for _ in 0..150 {
        let (one, other) = (pieces(), pieces()).new_tree(&mut runner).unwrap().current();
        let (one, other) = (decoded(&one), decoded(&other));
        let scope = json!({ "nodes": ["a.example.com"] });
        for (environment, task) in [(one.as_str(), "m::t"), ("production", one.as_str()), (&one, &other)] {
            let body = json!({ "environment": environment, "task": task, "params": {}, "scope": scope });
            let answer = operator.post("/orchestrator/v1/command/task", body).await;
            let legal = environment == "production" && ["m", "m::t", "m::init"].contains(&task);
            let expected: &[u16] = if legal { &[202, 404] } else { &[400, 404, 500] };
            assert!(expected.contains(&answer.status), "{environment:?} {task:?}: {} {}", answer.status, answer.text);
            assert!(!answer.text.contains(SECRET), "{environment:?} {task:?}: {}", answer.text);
        }
    }
}

#[actix_web::test]
async fn links_out_of_a_module_lead_nowhere() {
    let (root, world) = shelf().await;
    let operator = world.operator();
    let plain = operator.get("/orchestrator/v1/tasks/m/t").await;
    assert_eq!((plain.status, &plain.json()["metadata"]["description"]), (200, &json!("plain")));
    for (module, task) in [("m", "leak"), ("m", "meta"), ("m", "near"), ("m", "far"), ("m", "dots"), ("outer", "init")]
    {
        let shown = operator.get(&format!("/orchestrator/v1/tasks/{module}/{task}")).await;
        let body = json!({ "environment": "production", "task": format!("{module}::{task}"), "params": {},
            "scope": { "nodes": ["a.example.com"] } });
        let run = operator.post("/orchestrator/v1/command/task", body).await;
        assert!(!shown.text.contains(SECRET) && !run.text.contains(SECRET), "{module}::{task}: {}", shown.text);
        assert_eq!((shown.status, run.status), (500, 500), "{module}::{task}: {} {}", shown.text, run.text);
    }
    let list = operator.get("/orchestrator/v1/tasks").await;
    assert!(!list.text.contains(SECRET), "{}", list.text);
    let kept = fs::read_dir(root.path().join("data/files")).unwrap();
    for file in kept {
        let content = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!content.contains(SECRET), "nothing of it is kept for nodes");
    }
}
