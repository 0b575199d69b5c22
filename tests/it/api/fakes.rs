//! The ports that these tests play themselves: a clock that stands still, an inventory, a directory, all of them fixed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bunraku_actors::model::{CertName, EnvironmentName, JobKind, Pattern, TaskFile, TaskName, TransactionId};
use bunraku_actors::ports::{
    ApplicationType, Clock, Component, Connection, Directory, DirectoryError, Environment, EnvironmentSettings,
    Instance, NodeGroup, PlanSummary, RunRequest, SignalOutlet, SourceHealth, TaskDetail, TaskSummary, Transport,
};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::json;
use uuid::Uuid;

use super::seed::at;

/// The SHA-256 of `#!/bin/sh\necho hello\n`, the one file that the directory keeps.
pub(crate) const KEPT: &str = "bfdeaeb08cffb6a36438bcd12dda25417e3cdd36f1e7e482a2849d539225288b";
/// Its content.
pub(crate) const CONTENT: &str = "#!/bin/sh\necho hello\n";

pub(crate) fn node(name: &str) -> CertName {
    CertName::parse(name).unwrap()
}

/// Stands still, one minute after the first job's creation, until it is set.
pub(crate) struct StoppedClock(Mutex<DateTime<Utc>>);

impl Default for StoppedClock {
    fn default() -> Self {
        Self(Mutex::new(at(60)))
    }
}

impl StoppedClock {
    pub(crate) fn set(&self, now: DateTime<Utc>) {
        *self.0.lock() = now;
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock()
    }
}

/// Two connected nodes on which nothing ever happens.
pub(crate) struct Fleet;

impl Transport for Fleet {
    fn expect(&self, _: &CertName, _: TransactionId, _: JobKind, _: SignalOutlet) {}
    fn forget(&self, _: TransactionId) {}
    fn send(&self, _: RunRequest) {}
    fn query_status(&self, _: &CertName, _: TransactionId) {}
    fn cancel(&self, _: &CertName, _: TransactionId) {}

    fn watch(&self, node: &CertName, _: u64, _: SignalOutlet) -> Option<Connection> {
        self.connection(node)
    }

    fn unwatch(&self, _: &CertName, _: u64) {}

    fn connection(&self, node: &CertName) -> Option<Connection> {
        self.connections().iter().find(|connection| connection.node == *node).cloned()
    }

    fn left_at(&self, name: &CertName) -> Option<DateTime<Utc>> {
        (name.as_str() == "away.example.com").then(|| at(-90))
    }

    fn connections(&self) -> Arc<[Connection]> {
        let native = Connection {
            node: node("a.example.com"),
            generation: 1,
            since: at(-5),
            spool: Some("spool".into()),
            agent: Some("bunraku 0.1.0".into()),
            contended: false,
        };
        let foreign = Connection { node: node("b.example.com"), spool: None, agent: None, ..native.clone() };
        [native, foreign].into()
    }
}

/// One environment with an application, an empty one, and three tasks of which one is broken.
pub(crate) struct Shelf {
    pub(crate) kept: PathBuf,
}

impl Shelf {
    fn environment(name: &str) -> Environment {
        Environment {
            name: EnvironmentName::parse(name).unwrap(),
            settings: EnvironmentSettings {
                modulepath: vec!["/etc/code/modules".into()],
                manifest: "/etc/code/manifests".into(),
                environment_timeout: 0,
                config_version: String::new(),
            },
            applications: Vec::new(),
            instances: Vec::new(),
            nodes: Vec::new(),
            order: Vec::new(),
        }
    }

    fn production() -> Environment {
        let component = |title: &str, on: &str, produces: &[&str], consumes: &[&str]| Component {
            kind: format!("Shop::{title}"),
            title: "eu".into(),
            node: Some(node(on)),
            produces: produces.iter().map(|name| (*name).to_owned()).collect(),
            consumes: consumes.iter().map(|name| (*name).to_owned()).collect(),
        };
        let application = ApplicationType {
            name: "Shop".into(),
            file: "/etc/code/applications.yaml".into(),
            line: 3,
            parameters: [("size".to_owned(), json!("small")), ("domain".to_owned(), json!(null))].into_iter().collect(),
        };
        let instance = Instance {
            kind: "Shop".into(),
            title: "eu".into(),
            components: vec![
                component("Db", "a.example.com", &["Sql[shop-eu]"], &[]),
                component("Web", "b.example.com", &[], &["Sql[shop-eu]"]),
            ],
        };
        Environment { applications: vec![application], instances: vec![instance], ..Self::environment("production") }
    }

    /// Two components on two nodes that wait for each other.
    fn knot() -> Environment {
        let component = |title: &str, on: &str, produces: &str, consumes: &str| Component {
            kind: "Knot::Part".into(),
            title: title.into(),
            node: Some(node(on)),
            produces: vec![produces.into()],
            consumes: vec![consumes.into()],
        };
        let components =
            vec![component("x", "a.example.com", "R[x]", "R[y]"), component("y", "b.example.com", "R[y]", "R[x]")];
        let instance = Instance { kind: "Knot".into(), title: "k".into(), components };
        Environment { instances: vec![instance], ..Self::environment("knot") }
    }
}

/// The id of the group that all others descend from.
const ROOT: u128 = 0x4000_8000_0000_0000_0000;

#[async_trait]
impl Directory for Shelf {
    async fn environments(&self) -> Result<Vec<Arc<Environment>>, DirectoryError> {
        Ok([Self::environment("empty"), Self::knot(), Self::production()].map(Arc::new).to_vec())
    }

    async fn environment(&self, name: &EnvironmentName) -> Result<Option<Arc<Environment>>, DirectoryError> {
        if name.as_str() == "unreachable" {
            return Err(DirectoryError::Unavailable("environments cannot be read".into()));
        }
        Ok(self.environments().await?.into_iter().find(|environment| environment.name == *name))
    }

    async fn tasks(&self, environment: &EnvironmentName) -> Result<Vec<TaskSummary>, DirectoryError> {
        let task = |name: &str, private: bool| TaskSummary {
            name: TaskName::parse(name).unwrap(),
            description: "says hello".into(),
            private,
        };
        let known = environment.as_str() == "production";
        Ok(if known { vec![task("greet", false), task("greet::quietly", true)] } else { Vec::new() })
    }

    async fn task(&self, environment: &EnvironmentName, name: &TaskName) -> Result<Option<TaskDetail>, DirectoryError> {
        if name.as_str() == "broken" {
            let reason = "its metadata is no JSON".to_owned();
            return Err(DirectoryError::BrokenTask { task: name.to_string(), reason });
        }
        let known = environment.as_str() == "production" && name.as_str() == "greet";
        Ok(known.then(|| TaskDetail {
            name: name.clone(),
            metadata: json!({ "description": "says hello", "parameters": { "to": { "type": "Optional[String]" } } }),
            files: vec![kept_file()],
        }))
    }

    async fn pin_task(
        &self,
        environment: &EnvironmentName,
        name: &TaskName,
    ) -> Result<Option<TaskDetail>, DirectoryError> {
        self.task(environment, name).await
    }

    async fn plans(&self, environment: &EnvironmentName) -> Result<Vec<PlanSummary>, DirectoryError> {
        if environment.as_str() != "production" {
            return Ok(Vec::new());
        }
        let parameters =
            json!({ "nodes": { "type": "TargetSpec" }, "batch": { "type": "Integer", "default_value": 5 } });
        let told = [("description".to_owned(), json!("Rolls the shop")), ("parameters".to_owned(), parameters)];
        let roll = PlanSummary { name: "shop::roll".into(), metadata: told.into_iter().collect() };
        Ok(vec![PlanSummary::named("shop".into()), PlanSummary::named("shop::eu::deploy".into()), roll])
    }

    async fn query(&self, query: &serde_json::Value) -> Result<Option<Vec<CertName>>, DirectoryError> {
        match query.as_str() {
            Some("nodes[certname] { }") => Ok(Some(vec![node("b.example.com"), node("a.example.com")])),
            Some("nodes[certname] { certname = 'z' }") => Ok(Some(Vec::new())),
            Some("nodes!") => Err(DirectoryError::Query("PQL parse error at line 1, column 6".into())),
            Some("down") => Err(DirectoryError::PuppetDb("PuppetDB at https://p:8081 cannot be asked: refused".into())),
            _ => Ok(None),
        }
    }

    async fn report_events(&self, ids: &[String]) -> Result<BTreeMap<String, Vec<serde_json::Value>>, DirectoryError> {
        let lost = |id: &&String| id.starts_with("00000000");
        if ids.iter().any(|id| lost(&id)) {
            return Err(DirectoryError::PuppetDb("PuppetDB at https://p:8081 cannot be asked: refused".into()));
        }
        let event = json!({ "resource_type": "File", "resource_title": "motd", "status": "success" });
        Ok(ids.iter().map(|id| (id.clone(), vec![event.clone()])).collect())
    }

    async fn flush(&self, environment: &EnvironmentName) -> Result<bool, DirectoryError> {
        Ok(environment.as_str() == "production")
    }

    async fn groups(&self) -> Result<Option<Vec<Arc<NodeGroup>>>, DirectoryError> {
        let group = |n: u128, name: &str, parent: u128, rule: Option<serde_json::Value>| {
            let (id, parent) = (Uuid::from_u128(ROOT + n), Uuid::from_u128(ROOT + parent));
            Arc::new(NodeGroup { id, name: name.into(), description: format!("{name} there are"), parent, rule })
        };
        Ok(Some(vec![
            group(1, "Folder", 0, None),
            group(3, "Nobody", 1, Some(json!(["=", "name", "nobody"]))),
            group(
                2,
                "Web servers",
                1,
                Some(json!(["or", ["=", "name", "a.example.com"], ["=", "name", "c.example.com"]])),
            ),
        ]))
    }

    async fn members(&self, group: Uuid, _: Vec<CertName>) -> Result<Vec<CertName>, DirectoryError> {
        let web = group == Uuid::from_u128(ROOT + 2);
        Ok(if web { ["a.example.com", "c.example.com"].map(node).to_vec() } else { Vec::new() })
    }

    async fn within_groups(
        &self,
        groups: &[Pattern],
        nodes: Vec<CertName>,
    ) -> Result<BTreeSet<CertName>, DirectoryError> {
        let id = Uuid::from_u128(ROOT + 2).to_string();
        let web = groups.iter().any(|group| group.matches("Web servers") || group.matches(&id));
        let members = self.members(Uuid::from_u128(ROOT + 2), Vec::new()).await?;
        Ok(nodes.into_iter().filter(|node| web && members.contains(node)).collect())
    }

    async fn pinned_file(&self, sha256: &str) -> Result<Option<PathBuf>, DirectoryError> {
        Ok((sha256 == KEPT).then(|| self.kept.clone()))
    }

    fn health(&self) -> Vec<SourceHealth> {
        vec![SourceHealth { source: "files".into(), trouble: None }]
    }
}

/// The file of the task `greet`.
pub(crate) fn kept_file() -> TaskFile {
    TaskFile {
        filename: "init.sh".into(),
        sha256: KEPT.into(),
        size_bytes: CONTENT.len() as u64,
        path: "/puppet/v3/file_content/tasks/greet/init.sh".into(),
    }
}
