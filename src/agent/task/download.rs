//! Fetching task files from the `primary_uris`, with the node's certificate, checked by size and SHA-256.
//!
//! Only faults that may pass are tried again: no connection, and answers from 500 on.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::cache;
use crate::agent::config::{AgentConfig, SslConfig};
use crate::agent::files::off_thread;
use crate::https::{self, causes};
use crate::wire::pxp::FileSpec;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(1800);
/// Pauses between the rounds through all addresses.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// The largest file that is fetched.
const MAX_BYTES: u64 = 256 << 20;
/// How much of an error's body is told.
const TOLD_BODY: usize = 500;

/// A file on this node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fetched {
    /// As the request names it.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// Fetches files, one at a time per agent: a task on many nodes is already many downloads for the server.
#[derive(Debug)]
pub(in crate::agent) struct Downloader {
    primary_uris: Vec<String>,
    ssl: SslConfig,
    cache: PathBuf,
    pauses: &'static [Duration],
    turn: Mutex<()>,
}

/// Why one attempt failed.
struct Failure {
    message: String,
    may_pass: bool,
}

impl Failure {
    fn passing(message: String) -> Self {
        Self { message, may_pass: true }
    }

    fn lasting(message: String) -> Self {
        Self { message, may_pass: false }
    }
}

impl Downloader {
    /// Nothing is fetched, and no certificate read, until a task asks.
    pub(in crate::agent) fn new(config: &AgentConfig) -> Self {
        Self {
            primary_uris: config.primary_uris.clone(),
            ssl: config.ssl.clone(),
            cache: config.task_cache_dir.clone(),
            pauses: &PAUSES,
            turn: Mutex::new(()),
        }
    }

    /// Brings all files to this node, in their order; the error is what pxp-agent would say.
    pub(super) async fn fetch(&self, files: Vec<FileSpec>) -> Result<Vec<Fetched>, String> {
        let mut fetched = Vec::with_capacity(files.len());
        let mut client = None;
        for file in files {
            let path = self.fetch_one(&file, &mut client).await?;
            fetched.push(Fetched { name: file.filename, path });
        }
        Ok(fetched)
    }

    async fn fetch_one(&self, file: &FileSpec, client: &mut Option<Client>) -> Result<PathBuf, String> {
        let _turn = self.turn.lock().await;
        if let Some(path) = self.look_up(file).await? {
            return Ok(path);
        }
        if self.primary_uris.is_empty() {
            return Err("Cannot download file. No master-uris were provided".to_owned());
        }
        let client = match client {
            Some(client) => client,
            None => client.insert(new_client(&self.ssl)?),
        };
        let content =
            self.download(client, file).await.map_err(|reason| format!("Failed to download file with: {reason}"))?;
        let (cache, file) = (self.cache.clone(), file.clone());
        let stored = off_thread(move || cache::store(&cache, &file, &content)).await;
        stored.map_err(|error| format!("cannot store a task file: {error}"))
    }

    async fn look_up(&self, file: &FileSpec) -> Result<Option<PathBuf>, String> {
        let (cache, file) = (self.cache.clone(), file.clone());
        let found = off_thread(move || cache::look_up(&cache, &file)).await;
        found.map_err(|error| format!("cannot read the task cache: {error}"))
    }

    /// Goes through the addresses until one has the file; again while a fault may pass.
    async fn download(&self, client: &Client, file: &FileSpec) -> Result<Vec<u8>, String> {
        let mut pauses = self.pauses.iter();
        loop {
            let (mut last, mut may_pass) = (String::new(), false);
            for primary in &self.primary_uris {
                match attempt(client, primary, file).await {
                    Ok(content) => return checked(file, content),
                    Err(failure) => {
                        tracing::warn!(file = file.filename, reason = failure.message, "download failed");
                        last = failure.message;
                        may_pass |= failure.may_pass;
                    }
                }
            }
            match pauses.next() {
                Some(pause) if may_pass => sleep(*pause).await,
                _ => {
                    return Err(format!(
                        "Downloading file \"{}\" failed after trying all the available master-uris. \
                         Most recent error message: {last}",
                        file.filename
                    ));
                }
            }
        }
    }
}

fn checked(file: &FileSpec, content: Vec<u8>) -> Result<Vec<u8>, String> {
    let name = &file.filename;
    if let Some(expected) = file.size_bytes.filter(|size| *size != content.len() as u64) {
        return Err(format!("The downloaded file \"{name}\" has {} bytes instead of {expected}", content.len()));
    }
    if cache::digest(&content) != file.sha256 {
        return Err(format!("The downloaded file \"{name}\" has a SHA that differs from the provided SHA"));
    }
    Ok(content)
}

async fn attempt(client: &Client, primary: &str, file: &FileSpec) -> Result<Vec<u8>, Failure> {
    let url = address(primary, file).map_err(Failure::lasting)?;
    // The URL goes into the message once: reqwest would add it again.
    let failed = |error: reqwest::Error| Failure::passing(format!("{url}: {}", causes(&error.without_url())));
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    let status = response.status();
    let limit = if status.is_success() { file.size_bytes.map_or(MAX_BYTES, |size| size.min(MAX_BYTES)) } else { 4096 };
    let mut content = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        content.extend_from_slice(&chunk);
        if content.len() as u64 > limit {
            break;
        }
    }
    if status.is_success() {
        if content.len() as u64 > limit {
            return Err(Failure::lasting(format!("{url} returned more than the expected {limit} bytes")));
        }
        return Ok(content);
    }
    let body: String = String::from_utf8_lossy(&content).chars().take(TOLD_BODY).collect();
    let message = format!("{url} returned a response with HTTP status {}. Response body: {body}", status.as_u16());
    let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    Err(if may_pass { Failure::passing(message) } else { Failure::lasting(message) })
}

/// The address below a primary URI. The path stays as it is; the parameters are escaped.
fn address(primary: &str, file: &FileSpec) -> Result<Url, String> {
    let base = primary.trim_end_matches('/');
    let mut url = Url::parse(&format!("{base}{}", file.uri.path)).map_err(|error| format!("{base}: {error}"))?;
    if !file.uri.params.is_empty() {
        let mut query = url.query_pairs_mut();
        for (key, value) in &file.uri.params {
            query.append_pair(key, value.as_str().unwrap_or_default());
        }
    }
    Ok(url)
}

/// A client with the node's certificate of now.
fn new_client(ssl: &SslConfig) -> Result<Client, String> {
    https::client(&ssl.paths())
        .map_err(|error| error.to_string())?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| format!("cannot prepare downloads: {error}"))
}
