//! What an agent says of its node, seen by the rules of groups while it is connected.

use std::fs;

use bunraku::agent::{self, AgentConfig};
use serde_json::{Value, json};

use crate::support::process::Served;
use crate::support::service::{Site, names};

const GROUP: &str = "id: 10000000-0000-4000-8000-000000000001\nname: Databases\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_group_knows_nodes_by_the_facts_of_their_agents() {
    let site = Site::new();
    let (groups, facts) = (site.dir().join("groups"), site.dir().join("facts.d"));
    fs::create_dir(&groups).unwrap();
    fs::create_dir(&facts).unwrap();
    fs::write(facts.join("site.yaml"), "role: db\ntrusted: {extensions: {pp_role: admin}}\n").unwrap();
    let keys = [("groups_dir", groups.to_str().unwrap())];
    let mut served = Served::prepare(&site, &keys).await;
    served.start();
    served.ready().await;
    let name = names(1).remove(0);
    let paths = site.ca.issue(&name);
    let mut config = AgentConfig {
        broker_uris: vec![format!("wss://localhost:{}/pcp2/", served.broker)],
        spool_dir: site.dir().join("spool"),
        task_cache_dir: site.dir().join("cache"),
        facts_dirs: vec![facts],
        ..AgentConfig::default()
    };
    (config.ssl.cert, config.ssl.key, config.ssl.ca, config.ssl.crl) = (paths.cert, paths.key, paths.ca, paths.crl);
    let running = tokio::spawn(agent::serve(config));
    let path = format!("/orchestrator/v1/inventory/{name}");
    served.client.until(&path, |node| node["connected"] == true).await;

    let members = async |rule: &str| -> Value {
        fs::write(groups.join("db.yaml"), format!("{GROUP}rule: {rule}\n")).unwrap();
        served.client.get("/bunraku/v1/groups/Databases/nodes").await.unwrap()["nodes"].clone()
    };
    assert_eq!(members("[and, [=, [fact, role], db], [=, [fact, kernel], Linux]]").await, json!([name]));
    assert_eq!(members("[=, [fact, role], web]").await, json!([]));
    assert_eq!(members("[=, [trusted, extensions, pp_role], admin]").await, json!([]), "nobody says so of himself");
    running.abort();
    served.client.until(&path, |node| node["connected"] == false).await;
    assert_eq!(members("[=, [fact, role], db]").await, json!([]), "who is not there says nothing");
}
