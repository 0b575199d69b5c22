//! PuppetDB: nodes by query, facts for the rules of groups, resource events of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bunraku_actors::model::CertName;
use bunraku_actors::ports::DirectoryError;
use reqwest::{Method, StatusCode};
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::facts::NodeFacts;
use super::groups::{FactPath, text_of};
use super::remote::{Answer, Question, Remote, RemoteOptions};
use crate::tls::TlsError;

/// How long facts are taken for the present ones: agents report every half hour, requests ask many times a second.
const FRESH: Duration = Duration::from_secs(15);
/// The most rows of a query that are read; a job has fewer nodes than that.
const MOST_ROWS: usize = 1_000_000;
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
    /// When nobody answered last, and why: who waited for that answer does not ask again.
    unanswered: parking_lot::Mutex<Option<(Instant, DirectoryError)>>,
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

/// The certnames of the rows of an answer, read one by one: rows may be many, and have anything else in them.
struct CertNames(Result<Vec<CertName>, String>);

impl<'de> Deserialize<'de> for CertNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Rows)
    }
}

struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = CertNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<CertNames, A::Error> {
        let mut names = Vec::new();
        while let Some(row) = rows.next_element::<Map<String, Value>>()? {
            match name_of(&row) {
                Ok(_) if names.len() == MOST_ROWS => {
                    while rows.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(CertNames(Err(format!("the query finds more than {MOST_ROWS} rows"))));
                }
                Ok(name) => names.push(name),
                // The rest decides nothing.
                Err(problem) => {
                    while rows.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(CertNames(Err(problem)));
                }
            }
        }
        Ok(CertNames(Ok(names)))
    }
}

fn name_of(row: &Map<String, Value>) -> Result<CertName, String> {
    match row.get("certname").and_then(Value::as_str) {
        Some(name) => CertName::parse(name).map_err(|error| error.to_string()),
        None => Err(format!(
            "the rows of the query must have a certname, as those of nodes[certname] {{ }} have; they have {}",
            row.keys().take(10).map(String::as_str).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// How PuppetDB nests rows of another table.
#[derive(Debug, Deserialize)]
struct Expanded {
    #[serde(default)]
    data: Option<Vec<Value>>,
}

impl PuppetDb {
    pub(super) fn new(options: RemoteOptions) -> Result<Self, TlsError> {
        Ok(Self {
            remote: Remote::new("PuppetDB", options)?,
            facts: Mutex::default(),
            unanswered: parking_lot::Mutex::default(),
        })
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The certnames in the rows of a query: PQL text, or an AST array. In the order of the rows.
    ///
    /// # Errors
    /// [`DirectoryError::Query`] in PuppetDB's own words, also for rows without a certname.
    pub(super) async fn certnames(&self, query: &Value) -> Result<Vec<CertName>, DirectoryError> {
        let found: CertNames = self.answer("query", query.clone()).await?;
        found.0.map_err(DirectoryError::Query)
    }

    /// What rules look at, of every node that is neither deactivated nor expired.
    pub(super) async fn facts(&self, wanted: &BTreeSet<FactPath>) -> Result<AllFacts, DirectoryError> {
        let asked = Instant::now();
        let mut known = self.facts.lock().await;
        if let Some((_, error)) = self.unanswered.lock().as_ref().filter(|(at, _)| *at > asked) {
            return Err(error.clone());
        }
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < FRESH && known.wanted == *wanted) {
            return Ok(Arc::clone(&known.facts));
        }
        let read = self.read_facts(wanted).await.inspect_err(|error| {
            *self.unanswered.lock() = Some((Instant::now(), error.clone()));
        });
        let facts = Arc::new(read?);
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
            let places = |fact| FactPath::in_puppetdb(fact).into_iter().map(move |path| (path, fact));
            let paths: Vec<(Vec<Value>, &FactPath)> = wanted.iter().flat_map(places).collect();
            let query =
                any_of("fact_contents", &["certname", "path", "value"], "path", paths.iter().map(|(path, _)| path));
            for row in self.rows::<FactRow>(ABOUT, query).await? {
                // A node that was deactivated between the two questions stays away.
                let node = CertName::parse(&row.certname).ok().and_then(|name| facts.get_mut(&name));
                let (Some(text), Some(node)) = (text_of(&row.value), node) else { continue };
                // Rules may name one place in several ways.
                for (_, fact) in paths.iter().filter(|(path, _)| *path == row.path) {
                    node.insert((*fact).clone(), text.clone());
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

    async fn rows<T: DeserializeOwned + Send + 'static>(
        &self,
        about: &'static str,
        query: Value,
    ) -> Result<Vec<T>, DirectoryError> {
        self.answer(about, query).await
    }

    async fn answer<T: DeserializeOwned + Send + 'static>(
        &self,
        about: &'static str,
        query: Value,
    ) -> Result<T, DirectoryError> {
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
