//! PuppetDB: nodes by query, facts for the rules of groups, resource events of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::CertName;
use bunraku_actors::ports::DirectoryError;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::facts::NodeFacts;
use super::groups::{FactPath, text_of};
use super::remote::{Answer, Question, Remote, RemoteOptions};
use crate::tls::TlsError;

/// How long facts are taken for the present ones: agents report every half hour, requests ask many times a second.
const FRESH: Duration = Duration::from_secs(15);
/// Reports of how many runs are asked for together.
const REPORTS_AT_ONCE: usize = 50;

/// Facts of all nodes, as far as rules look at them.
pub(super) type AllFacts = Arc<BTreeMap<CertName, Arc<NodeFacts>>>;

/// A PuppetDB.
#[derive(Debug)]
pub(super) struct PuppetDb {
    remote: Remote,
    /// Locked while they are read, so that many who need them at once ask once.
    facts: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    read: Instant,
    wanted: BTreeSet<FactPath>,
    facts: AllFacts,
}

#[derive(Debug, Deserialize)]
struct NodeRow {
    certname: String,
}

#[derive(Debug, Deserialize)]
struct FactRow {
    certname: String,
    path: Vec<Value>,
    value: Value,
}

#[derive(Debug, Deserialize)]
struct ReportRow {
    transaction_uuid: String,
    resource_events: Expanded,
}

/// How PuppetDB nests rows of another table.
#[derive(Debug, Deserialize)]
struct Expanded {
    #[serde(default)]
    data: Option<Vec<Value>>,
}

impl PuppetDb {
    pub(super) fn new(options: RemoteOptions) -> Result<Self, TlsError> {
        Ok(Self { remote: Remote::new("PuppetDB", options)?, facts: Mutex::default() })
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The certnames in the rows of a query: PQL text, or an AST array. In the order of the rows.
    ///
    /// # Errors
    /// [`DirectoryError::Query`] in PuppetDB's own words, also for rows without a certname.
    pub(super) async fn certnames(&self, query: &Value) -> Result<Vec<CertName>, DirectoryError> {
        let rows: Vec<Map<String, Value>> = self.rows("query", query.clone()).await?;
        let name = |row: &Map<String, Value>| match row.get("certname").and_then(Value::as_str) {
            Some(name) => CertName::parse(name).map_err(|error| DirectoryError::Query(error.to_string())),
            None => Err(DirectoryError::Query(format!(
                "the rows of the query must have a certname, as those of nodes[certname] {{ }} have; they have {}",
                row.keys().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")
            ))),
        };
        rows.iter().map(name).collect()
    }

    /// What rules look at, of every node that is neither deactivated nor expired.
    pub(super) async fn facts(&self, wanted: &BTreeSet<FactPath>) -> Result<AllFacts, DirectoryError> {
        let mut known = self.facts.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < FRESH && known.wanted == *wanted) {
            return Ok(Arc::clone(&known.facts));
        }
        let facts = Arc::new(self.read_facts(wanted).await?);
        *known = Some(Known { read: Instant::now(), wanted: wanted.clone(), facts: Arc::clone(&facts) });
        Ok(facts)
    }

    async fn read_facts(
        &self,
        wanted: &BTreeSet<FactPath>,
    ) -> Result<BTreeMap<CertName, Arc<NodeFacts>>, DirectoryError> {
        const ABOUT: &str = "facts";
        let nodes: Vec<NodeRow> = self.rows(ABOUT, json!(["from", "nodes", ["extract", ["certname"]]])).await?;
        let names = nodes.iter().filter_map(|row| CertName::parse(&row.certname).ok());
        let mut facts: BTreeMap<CertName, NodeFacts> = names.map(|name| (name, NodeFacts::new())).collect();
        if !wanted.is_empty() {
            let paths: Vec<(Vec<Value>, &FactPath)> = wanted.iter().map(|fact| (fact.in_puppetdb(), fact)).collect();
            let query =
                any_of("fact_contents", &["certname", "path", "value"], "path", paths.iter().map(|(path, _)| path));
            for row in self.rows::<FactRow>(ABOUT, query).await? {
                let fact = paths.iter().find(|(path, _)| *path == row.path).map(|(_, fact)| *fact);
                // A node that was deactivated between the two questions stays away.
                let node = CertName::parse(&row.certname).ok().and_then(|name| facts.get_mut(&name));
                if let (Some(fact), Some(text), Some(node)) = (fact, text_of(&row.value), node) {
                    node.insert(fact.clone(), text);
                }
            }
        }
        Ok(facts.into_iter().map(|(name, facts)| (name, Arc::new(facts))).collect())
    }

    /// The resource events in the reports of these runs, by the transaction uuid of the report. Those that are not there
    /// (yet) are left out.
    pub(super) async fn events(&self, transactions: &[String]) -> Result<BTreeMap<String, Vec<Value>>, DirectoryError> {
        let mut found = BTreeMap::new();
        for some in transactions.chunks(REPORTS_AT_ONCE) {
            let query = any_of("reports", &["transaction_uuid", "resource_events"], "transaction_uuid", some);
            let rows: Vec<ReportRow> = self.rows("reports", query).await?;
            found.extend(
                rows.into_iter().map(|row| (row.transaction_uuid, row.resource_events.data.unwrap_or_default())),
            );
        }
        Ok(found)
    }

    async fn rows<T: DeserializeOwned>(&self, about: &'static str, query: Value) -> Result<Vec<T>, DirectoryError> {
        let mut question = Question::get(about, "/pdb/query/v4", &[]);
        question.method = Method::POST;
        question.body = Some(json!({ "query": query }));
        let read = self.remote.read(question).await.map_err(DirectoryError::PuppetDb)?;
        read.map_err(|answer| {
            if answer.status == StatusCode::BAD_REQUEST {
                self.remote.well(about);
                return DirectoryError::Query(answer.text());
            }
            DirectoryError::PuppetDb(self.refused(about, &answer))
        })
    }

    fn refused(&self, about: &'static str, answer: &Answer) -> String {
        let problem = "does not let us ask: our certificate name must stand in its certificate-allowlist";
        match answer.status {
            StatusCode::FORBIDDEN => self.remote.broken(about, problem),
            // So it answers for unknown paths.
            StatusCode::FOUND => self.remote.broken(about, "is no PuppetDB: it knows no /pdb/query/v4"),
            _ => self.remote.unexpected(about, answer),
        }
    }
}

/// The rows of a table in which a column has any of some values.
fn any_of(table: &str, columns: &[&str], column: &str, values: impl IntoIterator<Item = impl Serialize>) -> Value {
    let one = |value| json!(["=", column, json!(value)]);
    let any: Vec<Value> = std::iter::once(json!("or")).chain(values.into_iter().map(one)).collect();
    json!(["from", table, ["extract", columns, any]])
}
