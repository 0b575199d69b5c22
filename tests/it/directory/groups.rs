//! Node groups over real files: rules, facts, changes, and the files that the repository ships.

use std::fs;
use std::path::Path;

use bunraku::directory::{Options, Sources};
use bunraku_actors::model::{CertName, Pattern};
use bunraku_actors::ports::Directory as _;

use super::Lab;

const WEB: &str = "10000000-0000-4000-8000-000000000001";

fn node(name: &str) -> CertName {
    CertName::parse(name).unwrap()
}

async fn members(lab: &Lab, group: &str, others: &[&str]) -> Vec<String> {
    let group = lab.directory.group(group).await.unwrap().unwrap();
    let others = others.iter().map(|name| node(name)).collect();
    lab.directory.members(group.id, others).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn nodes_are_those_with_facts_of_environments_and_connected() {
    let lab = Lab::start().await;
    assert_eq!(lab.directory.groups().await.unwrap(), None, "without a directory there are no groups at all");
    lab.write("environments/production.yaml", "nodes: [web1, db1]\n");
    lab.write("groups/web.yaml", &format!("id: {WEB}\nname: Web\nrule: ['~', name, '^web']\n"));
    lab.write("facts/web2.json", r#"{"os": {"family": "RedHat"}}"#);
    lab.write("facts/web3.yaml", "--- !ruby/object:Puppet::Node::Facts\nname: web3\nvalues:\n  os: {family: Debian}\n");
    while lab.directory.environments().await.unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(members(&lab, "Web", &["web9", "db9"]).await, ["web1", "web2", "web3", "web9"]);
    assert_eq!(members(&lab, WEB, &[]).await, ["web1", "web2", "web3"]);
    let rule = "[and, ['~', name, '^web'], [=, [fact, os, family], RedHat]]";
    lab.write("groups/web.yaml", &format!("id: {WEB}\nname: Web\nrule: {rule}\n"));
    assert_eq!(members(&lab, "Web", &["web9"]).await, ["web2"], "a change counts at once; no facts, no fit");
    lab.write("facts/web2.json", r#"{"os": {"family": "SUSE"}}"#);
    assert_eq!(members(&lab, "Web", &[]).await, Vec::<String>::new());
    lab.write("facts/web2.json", r#"{"os": {"family": "RedHat"}}"#);
    let asked = [node("web2"), node("web3")].to_vec();
    let within = lab.directory.within_groups(&[Pattern::new("W*")], asked.clone()).await.unwrap();
    assert_eq!(within.into_iter().collect::<Vec<_>>(), [node("web2")]);
    assert!(lab.directory.within_groups(&[Pattern::new("other")], asked).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_broken_is_told_and_the_others_are_listed() {
    let lab = Lab::start().await;
    lab.write("groups/web.yaml", &format!("id: {WEB}\nname: Web\nrule: ['~', name, '^web']\n"));
    lab.write("groups/broken.yaml", "id: 1\n");
    lab.write("facts/web1.yaml", "a: [");
    assert_eq!(lab.directory.groups().await.unwrap().unwrap().len(), 1);
    assert_eq!(members(&lab, "Web", &["web1"]).await, ["web1"], "its name is known");
    let health = lab.directory.health();
    let trouble = |source: &str| health.iter().find(|health| health.source == source).unwrap().trouble.clone().unwrap();
    assert!(trouble("groups").contains("broken.yaml"));
    assert!(trouble("facts").contains("web1.yaml"));
}

#[tokio::test]
async fn the_shipped_example_is_a_group() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let root = tempfile::tempdir().unwrap();
    let options = Options {
        environments_dir: config.join("environments"),
        module_path: Vec::new(),
        file_store: root.path().join("files"),
        groups_dir: config.join("groups"),
        facts_dir: Some(root.path().to_owned()),
        puppetserver: None,
        puppetdb: None,
    };
    fs::write(root.path().join("web12.example.com.json"), r#"{"os": {"family": "RedHat"}}"#).unwrap();
    let directory = Sources::start(options).await.unwrap();
    let group = directory.group("Web servers").await.unwrap().unwrap();
    assert_eq!(directory.members(group.id, Vec::new()).await.unwrap(), [node("web12.example.com")]);
    assert!(directory.health().iter().all(|health| health.trouble.is_none()));
}
