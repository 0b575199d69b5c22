//! A client of the HTTP API, as small as the suite needs it.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// How often is asked whether a job is over.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest that a job may take; Puppet runs are slow on a machine under load.
const PATIENCE: Duration = Duration::from_secs(600);

/// A client with a token.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    pub(crate) fn new(base: &str, token: &str, ca: &Path) -> Self {
        bunraku::tls::install_provider();
        let tls = bunraku::tls::anonymous_client_config(ca).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        Self { http, base: base.to_owned(), token: token.to_owned() }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.header("X-Authentication", &self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    /// Sends a command and returns the job's number.
    pub(crate) async fn command(&self, command: &str, body: &Value) -> String {
        let (status, answer) =
            self.call(Method::POST, &format!("/orchestrator/v1/command/{command}"), Some(body)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{command} {body}: {answer}");
        answer["job"]["name"].as_str().unwrap().to_owned()
    }

    /// Sends a command under an idempotency key and returns the job's number.
    pub(crate) async fn once(&self, command: &str, body: &Value, key: &str) -> String {
        let request = self.http.post(format!("{}/orchestrator/v1/command/{command}", self.base)).json(body);
        let request = request.header("X-Authentication", &self.token).header("Idempotency-Key", key);
        let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        answer["job"]["name"].as_str().unwrap().to_owned()
    }

    /// Opens a stream of events, after the one with this id.
    pub(crate) async fn stream(&self, path: &str, after: Option<&str>) -> Stream {
        let mut request = self.http.get(format!("{}{path}", self.base)).header("Accept", "text/event-stream");
        request = request.header("X-Authentication", &self.token);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        Stream { answer: request.send().await.unwrap().error_for_status().unwrap(), text: String::new() }
    }

    /// Runs Puppet on these nodes in the environment `production`.
    pub(crate) async fn deploy(&self, nodes: &[&str]) -> String {
        self.command("deploy", &json!({"environment": "production", "scope": {"nodes": nodes}})).await
    }

    /// Waits until these nodes are connected.
    pub(crate) async fn connected(&self, certnames: &[&str]) {
        let wait = async {
            for certname in certnames {
                let path = format!("/orchestrator/v1/inventory/{certname}");
                while self.get(&path).await["connected"] != true {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "not all of {certnames:?} connected");
    }

    /// Waits until a job is over.
    pub(crate) async fn finished(&self, job: &str) -> Job {
        let path = format!("/orchestrator/v1/jobs/{job}");
        let wait = async {
            loop {
                let answer = self.get(&path).await;
                if ["finished", "failed", "stopped"].iter().any(|state| answer["state"] == *state) {
                    return answer;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let Ok(answer) = tokio::time::timeout(PATIENCE, wait).await else {
            panic!("job {job} did not end: {:#}", self.get(&format!("{path}/nodes")).await);
        };
        let nodes = self.get(&format!("{path}/nodes")).await;
        Job { state: answer["state"].as_str().unwrap().to_owned(), nodes: nodes["items"].as_array().unwrap().clone() }
    }
}

/// An open stream of events.
pub(crate) struct Stream {
    answer: reqwest::Response,
    text: String,
}

impl Stream {
    /// The next event, as soon as it comes.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            while let Some((message, rest)) = self.text.split_once("\n\n") {
                let data = message.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return serde_json::from_str(&data).unwrap();
                }
            }
            let chunk = self.answer.chunk().await.unwrap().expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

/// A job that is over.
pub(crate) struct Job {
    pub(crate) state: String,
    nodes: Vec<Value>,
}

impl Job {
    /// What is told of one node.
    pub(crate) fn node(&self, certname: &str) -> &Value {
        let found = self.nodes.iter().find(|node| node["name"] == certname);
        found.unwrap_or_else(|| panic!("{certname} is not in the job: {:?}", self.nodes))
    }

    /// The nodes of the job.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.nodes.iter().map(|node| node["name"].as_str().unwrap()).collect()
    }

    pub(crate) fn node_state(&self, certname: &str) -> &str {
        self.node(certname)["state"].as_str().unwrap()
    }

    /// The sentence about a node.
    pub(crate) fn message(&self, certname: &str) -> &str {
        self.node(certname)["details"]["message"].as_str().unwrap()
    }

    /// A counter of the node's report.
    pub(crate) fn metric(&self, certname: &str, name: &str) -> i64 {
        let metrics = &self.node(certname)["result"]["metrics"];
        metrics[name].as_i64().unwrap_or_else(|| panic!("{certname} has no counter {name}: {metrics}"))
    }

    pub(crate) fn started(&self, certname: &str) -> DateTime<FixedOffset> {
        time(&self.node(certname)["start_timestamp"])
    }

    pub(crate) fn ended(&self, certname: &str) -> DateTime<FixedOffset> {
        time(&self.node(certname)["finish_timestamp"])
    }
}

fn time(value: &Value) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap()
}
