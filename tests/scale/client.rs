//! A client of the API, as any other.

use std::time::Duration;

use bunraku::tls;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::site::{Site, TASK};
use super::until;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    pub(crate) fn new(site: &Site) -> Self {
        let tls = tls::anonymous_client_config(&site.ca()).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        Self { http, base: format!("https://{}:{}", site.host, Site::API), token: site.token.clone() }
    }

    /// A request with the token.
    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base)).header("X-Authentication", &self.token)
    }

    /// The answer's text, if it is a good one.
    pub(crate) async fn try_get(&self, path: &str) -> Result<String, reqwest::Error> {
        self.request(path).send().await?.error_for_status()?.text().await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let text = self.try_get(path).await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A good answer of which nothing is read yet.
    pub(crate) async fn open(&self, path: &str) -> Response {
        self.request(path).send().await.unwrap().error_for_status().unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.base)).header("X-Authentication", &self.token);
        let answer = request.json(body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Runs Puppet on these nodes; the job's number.
    pub(crate) async fn deploy(&self, nodes: &[String], concurrency: Option<usize>) -> u64 {
        let body = json!({ "environment": "", "scope": { "nodes": nodes }, "concurrency": concurrency });
        number(&self.post("/orchestrator/v1/command/deploy", &body).await)
    }

    /// Runs a task on these nodes; the job's number.
    pub(crate) async fn task(&self, nodes: &[String]) -> u64 {
        let body = json!({ "task": TASK, "scope": { "nodes": nodes } });
        number(&self.post("/orchestrator/v1/command/task", &body).await)
    }

    pub(crate) async fn job(&self, job: u64) -> Value {
        self.get(&format!("/orchestrator/v1/jobs/{job}")).await
    }

    /// Waits until so many nodes of a job have finished.
    pub(crate) async fn finished(&self, job: u64, wanted: usize) {
        until("nodes finish", async || {
            let shown = self.job(job).await;
            (shown["node_states"]["finished"].as_u64() >= Some(wanted as u64)).then_some(())
        })
        .await;
    }

    /// Waits for the end of a job.
    pub(crate) async fn over(&self, job: u64) -> Value {
        until("a job ends", async || {
            let shown = self.job(job).await;
            shown["finished_timestamp"].is_string().then_some(shown)
        })
        .await
    }

    /// The sum of a metric over its labels; `None` while the service is away, or has not counted it yet.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.try_get("/metrics").await.ok()?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            (rest.starts_with(['{', ' '])).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        });
        values.reduce(|sum, value| sum + value)
    }

    /// The rest of a job's events as a stream, after an event, to its end; their numbers.
    pub(crate) async fn events_after(&self, job: u64, last: Option<u64>) -> Response {
        let mut request = self.request(&format!("/orchestrator/v1/jobs/{job}/events"));
        request = request.header("Accept", "text/event-stream").timeout(Duration::from_secs(600));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        request.send().await.unwrap().error_for_status().unwrap()
    }
}

fn number(answer: &Value) -> u64 {
    answer["job"]["name"].as_str().unwrap().parse().unwrap()
}
