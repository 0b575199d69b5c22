//! A service of others that the directory asks over HTTPS: puppetserver, PuppetDB.
//!
//! Every question is bounded in time and in size, and so is how many are asked at once. Nothing is tried again: that is for
//! whoever asked. What went wrong is kept for the health of the source until a question of the same kind is answered.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::https::{self, causes};
use crate::tls::{TlsError, TlsPaths};

/// The most questions at once; others wait, within their own time.
const AT_ONCE: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read: PuppetDB on 100,000 nodes with some facts each.
const MAX_ANSWER: u64 = 256 << 20;
/// A longer answer is read where waiting harms nobody.
const READ_AT_ONCE: usize = 64 << 10;
/// How much of an answer that is no good is told.
const TOLD: usize = 500;
/// What [`Remote::probe`] keeps its trouble under, and everybody who gets no answer.
const ALIVE: &str = "alive";
/// A question that is not asked again says nothing any more after so long.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Where a service is, and how we show ourselves to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// `https://host:port`.
    pub url: Url,
    /// Our certificate, and the bundle of CAs that it is checked by.
    pub tls: TlsPaths,
    /// The longest that one question may take.
    pub timeout: Duration,
}

/// One such service.
#[derive(Debug)]
pub(super) struct Remote {
    name: &'static str,
    options: RemoteOptions,
    client: ArcSwap<Client>,
    turns: Semaphore,
    troubles: Troubles,
}

/// What went wrong, by what was asked about, and when.
#[derive(Debug, Default)]
struct Troubles(Mutex<BTreeMap<&'static str, (Instant, String)>>);

impl Troubles {
    /// Keeps a sentence; whether it is news.
    fn note(&self, about: &'static str, sentence: &str) -> bool {
        let before = self.0.lock().insert(about, (Instant::now(), sentence.to_owned()));
        before.is_none_or(|(_, before)| before != sentence)
    }

    /// Forgets it after an answer, and that nobody answers; whether there was something about it.
    fn clear(&self, about: &'static str) -> bool {
        let mut all = self.0.lock();
        let known = all.remove(about).is_some();
        all.remove(ALIVE);
        known
    }

    /// All of it that is not too old.
    fn shown(&self) -> Option<String> {
        let all = self.0.lock();
        let recent = all.values().filter(|(since, _)| since.elapsed() < REMEMBERED);
        let sentences: Vec<&str> = recent.map(|(_, sentence)| sentence.as_str()).collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// What it is about, in one word; its trouble is kept under that.
    pub(super) about: &'static str,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) params: Vec<(&'a str, &'a str)>,
    pub(super) body: Option<Value>,
}

impl<'a> Question<'a> {
    /// A `GET`.
    pub(super) fn get(about: &'static str, path: &'a str, params: &[(&'a str, &'a str)]) -> Self {
        Self { about, method: Method::GET, path, params: params.to_vec(), body: None }
    }
}

/// What came back, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    content_type: String,
    /// When it was written, by the clock of the service.
    time: Option<DateTime<Utc>>,
    body: Vec<u8>,
}

impl Answer {
    /// The body as JSON. The error is for a sentence that begins with the name of the service.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        if !self.content_type.contains("json") {
            let found = if self.content_type.is_empty() { "nothing" } else { &self.content_type };
            return Err(format!("calls its answer {found}, and JSON was expected: {}", self.text()));
        }
        serde_json::from_slice(&self.body).map_err(|error| format!("answered what cannot be used: {error}"))
    }

    /// The body for people: one line, cut. Pages of HTML say nothing to them.
    pub(super) fn text(&self) -> String {
        if self.content_type.contains("html") {
            return "a page of HTML".to_owned();
        }
        let text: String = String::from_utf8_lossy(&self.body).chars().take(TOLD).collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Remote {
    /// Reads certificates; asks nothing.
    ///
    /// # Errors
    /// When a file is unusable.
    pub(super) fn new(name: &'static str, options: RemoteOptions) -> Result<Self, TlsError> {
        let client = ArcSwap::from_pointee(client(&options)?);
        Ok(Self { name, options, client, turns: Semaphore::new(AT_ONCE), troubles: Troubles::default() })
    }

    /// Reads the certificates again.
    ///
    /// # Errors
    /// When a file is unusable; the old ones stay.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        self.client.store(client(&self.options)?.into());
        Ok(())
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// When nobody answers in time, or too much: a sentence that names the service.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Answer, String> {
        let answered = self.in_time(async {
            let mut response = self.send(question).await?;
            let status = response.status();
            let content_type = content_type(&response);
            let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
            let time = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                body.extend_from_slice(&chunk);
                if body.len() as u64 > MAX_ANSWER {
                    return Err(format!("answers with more than {MAX_ANSWER} bytes"));
                }
            }
            Ok(Answer { status, content_type, time, body })
        });
        answered.await.map_err(|problem| self.broken(ALIVE, problem))
    }

    /// Asks, and reads the answer as JSON. An answer that is no success is for the caller to judge.
    ///
    /// # Errors
    /// As [`Remote::ask`], and for what is not the JSON that is wanted.
    pub(super) async fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        question: Question<'_>,
    ) -> Result<Result<T, Answer>, String> {
        let about = question.about;
        let answer = self.ask(question).await?;
        if answer.status != StatusCode::OK {
            return Ok(Err(answer));
        }
        let found = if answer.body.len() > READ_AT_ONCE {
            let read = spawn_blocking(move || answer.json()).await;
            read.unwrap_or_else(|error| Err(format!("answered what could not be read: {error}")))
        } else {
            answer.json()
        };
        let found = found.map_err(|problem| self.broken(about, problem))?;
        self.well(about);
        Ok(Ok(found))
    }

    /// Writes the body of an answer to a file.
    ///
    /// # Errors
    /// When it does not come in time or is no success. Of one with more than `limit` bytes the rest is not read.
    pub(super) async fn download(&self, question: Question<'_>, into: File, limit: u64) -> Result<(), String> {
        let about = question.about;
        let written = self.in_time(async {
            let mut response = self.send(question).await?;
            if !response.status().is_success() {
                return Err(format!("answered {} when asked for {}", response.status(), response.url().path()));
            }
            let mut into = tokio::fs::File::from_std(into);
            let mut written = 0;
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                into.write_all(&chunk).await.map_err(|error| format!("cannot be copied: {error}"))?;
                written += chunk.len() as u64;
                if written > limit {
                    break;
                }
            }
            into.flush().await.map_err(|error| format!("cannot be copied: {error}"))
        });
        let written = written.await.map_err(|problem| self.broken(about, problem));
        written.inspect(|()| self.well(about))
    }

    async fn send(&self, question: Question<'_>) -> Result<Response, String> {
        let mut url = self.options.url.clone();
        url.set_path(&format!("{}{}", self.options.url.path().trim_end_matches('/'), question.path));
        if !question.params.is_empty() {
            url.query_pairs_mut().extend_pairs(question.params);
        }
        let client = self.client.load_full();
        let mut request = client.request(question.method, url).header(ACCEPT, "application/json, */*");
        if let Some(body) = &question.body {
            request = request.json(body);
        }
        request.send().await.map_err(failed)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let limit = self.options.timeout;
        let turn = async {
            let _turn = self.turns.acquire().await.map_err(|_| "is not asked any more")?;
            work.await
        };
        timeout(limit, turn).await.unwrap_or_else(|_| Err(format!("did not answer within {limit:?}")))
    }

    /// The sentence for an answer that was not expected, which is kept as trouble.
    pub(super) fn unexpected(&self, about: &'static str, answer: &Answer) -> String {
        self.broken(about, format!("answered {}: {}", answer.status, answer.text()))
    }

    /// The sentence for a problem, which is kept as trouble until [`Remote::well`].
    pub(super) fn broken(&self, about: &'static str, problem: impl std::fmt::Display) -> String {
        let sentence = format!("{} at {} {problem}", self.name, self.address());
        if self.troubles.note(about, &sentence) {
            tracing::warn!(source = self.name, about, problem = sentence, "a source of the directory is in trouble");
        }
        sentence
    }

    /// Questions of this kind are answered again.
    pub(super) fn well(&self, about: &'static str) {
        if self.troubles.clear(about) {
            tracing::info!(source = self.name, about, "a source of the directory answers again");
        }
    }

    /// Asks whether it is running.
    pub(super) async fn probe(&self) {
        // What it says of itself is on record when it is no good.
        let Ok(answer) = self.ask(Question::get(ALIVE, "/status/v1/simple", &[])).await else { return };
        if answer.status.is_success() && answer.text() == "running" {
            self.well(ALIVE);
        } else {
            self.unexpected(ALIVE, &answer);
        }
    }

    /// What time it is there.
    pub(super) async fn time(&self) -> Option<DateTime<Utc>> {
        self.ask(Question::get(ALIVE, "/status/v1/simple", &[])).await.ok()?.time
    }

    /// All that is wrong, or `None`.
    pub(super) fn trouble(&self) -> Option<String> {
        self.troubles.shown()
    }

    /// Where it is, for people.
    fn address(&self) -> &str {
        self.options.url.as_str().trim_end_matches('/')
    }
}

fn client(options: &RemoteOptions) -> Result<Client, TlsError> {
    let unusable = |error: reqwest::Error| TlsError::Unusable { what: "HTTPS client", reason: error.to_string() };
    let builder = https::client(&options.tls)?;
    builder.connect_timeout(CONNECT_TIMEOUT).build().map_err(unusable)
}

fn content_type(response: &Response) -> String {
    let header = response.headers().get(CONTENT_TYPE);
    header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
}

/// Without the URL, which may hold a query.
fn failed(error: reqwest::Error) -> String {
    format!("cannot be asked: {}", causes(&error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_until_somebody_is_answered_and_not_for_ever() {
        let troubles = Troubles::default();
        assert!(troubles.note(ALIVE, "nobody is there"));
        assert!(!troubles.note(ALIVE, "nobody is there"), "it is no news");
        assert!(troubles.note("plans", "we may not"));
        assert_eq!(troubles.shown().as_deref(), Some("nobody is there; we may not"));
        assert!(!troubles.clear("tasks"));
        assert_eq!(troubles.shown().as_deref(), Some("we may not"), "whoever answers is there");
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(troubles.shown(), None, "a question of long ago says nothing of now");
        assert!(troubles.note("plans", "we may not any more"));
        assert!(troubles.clear("plans"));
        assert_eq!(troubles.shown(), None);
    }
}
