//! A client of the API, as any other: what it was told is what it may rely on.

use std::time::Duration;

use bunraku::tls;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::site::Site;

/// One that hangs for longer is given up; the service may be dead.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// Why there is no answer of the wanted kind.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Whether the request took effect is not known.
    #[error("the connection broke: {0}")]
    Broken(#[from] reqwest::Error),
    #[error("status {0}: {1}")]
    Refused(StatusCode, String),
}

impl Client {
    pub(crate) fn new(site: &Site) -> Self {
        let tls = tls::anonymous_client_config(&site.ca()).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        Self { http, base: site.url(), token: site.token.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, NoAnswer> {
        let request = self.http.get(format!("{}{path}", self.base)).header("X-Authentication", &self.token);
        Ok(checked(request.timeout(TIMEOUT).send().await?).await?.json().await?)
    }

    /// `on_accepted` is called as soon as the head of a good answer is read.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        on_accepted: impl FnOnce() + Send,
    ) -> Result<Value, NoAnswer> {
        let request = self.http.post(format!("{}{path}", self.base)).header("X-Authentication", &self.token);
        let response = checked(request.json(body).timeout(TIMEOUT).send().await?).await?;
        on_accepted();
        Ok(response.json().await?)
    }

    /// Opens a job's event stream after an event; `None` when there is nothing left to read.
    pub(crate) async fn stream(&self, job: u64, after: Option<&str>) -> Result<Option<Response>, NoAnswer> {
        let url = format!("{}/orchestrator/v1/jobs/{job}/events", self.base);
        let mut request = self.http.get(url).header("X-Authentication", &self.token);
        request = request.header("Accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        let response = checked(request.send().await?).await?;
        Ok((response.status() != StatusCode::NO_CONTENT).then_some(response))
    }

    /// All events of a job, by pages.
    pub(crate) async fn events(&self, job: u64) -> Result<Vec<Value>, NoAnswer> {
        let (mut all, mut start) = (Vec::new(), "0".to_owned());
        loop {
            let mut page = self.get(&format!("/orchestrator/v1/jobs/{job}/events?start={start}")).await?;
            let items = page["items"].take();
            let Value::Array(items) = items else { return Ok(all) };
            if items.is_empty() {
                return Ok(all);
            }
            all.extend(items);
            start = page["next-events"]["event"].as_str().unwrap_or_default().to_owned();
        }
    }

    /// Names of the connected nodes.
    pub(crate) async fn connected(&self) -> Result<Vec<String>, NoAnswer> {
        let answer = self.get("/orchestrator/v1/inventory").await?;
        let names = answer["items"].as_array().into_iter().flatten();
        Ok(names.filter_map(|node| node["name"].as_str().map(str::to_owned)).collect())
    }
}

async fn checked(response: Response) -> Result<Response, NoAnswer> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(NoAnswer::Refused(status, response.text().await.unwrap_or_else(|error| json!(error.to_string()).to_string())))
}
