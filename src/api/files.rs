//! Files of tasks, for the nodes that have to run them: `GET /puppet/v3/file_content/…`.
//!
//! The caller is known by its client certificate alone, and gets exactly the files, by content, that its open runs name.

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use bunraku_actors::model::{Action, CertName};
use futures_util::stream;
use serde_json::json;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::connection::Peer;
use super::request::Query;
use super::state::State;
use super::{Answer, ApiError, observe};

/// What is read from the disk at a time.
const CHUNK: usize = 64 * 1024;
/// The mounts under which task files are named.
const MOUNTS: [&str; 4] = ["tasks", "modules", "plugins", "scripts"];

/// Sends the file whose content has the hash of the query.
pub(super) async fn content(
    req: HttpRequest,
    state: web::Data<State>,
    path: web::Path<(String, String, String)>,
) -> Answer {
    if !MOUNTS.contains(&path.0.as_str()) {
        return Err(ApiError::not_found("task files are under tasks, modules, plugins and scripts"));
    }
    let node = peer(&req)?;
    observe::note_node(&node);
    let sha256 = hash(&Query::of(&req))?;
    permit(&state, &node, &sha256).await?;
    let gone = || ApiError::not_found(format!("no file with the hash {sha256} is kept"));
    let kept = state.orchestrator.directory().pinned_file(&sha256).await?.ok_or_else(gone)?;
    let file = File::open(&kept).await.map_err(|error| {
        tracing::error!(%error, path = %kept.display(), "a kept task file cannot be read");
        gone()
    })?;
    let size = file.metadata().await.map_err(|_| gone())?.len();
    let body = stream::try_unfold(file, read_chunk);
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "application/octet-stream"));
    response.insert_header((CONTENT_LENGTH, size));
    Ok(response.no_chunking(size).streaming(body))
}

async fn read_chunk(mut file: File) -> std::io::Result<Option<(Bytes, File)>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let read = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
    Ok((read > 0).then(|| (Bytes::from(chunk), file)))
}

fn peer(req: &HttpRequest) -> Result<CertName, ApiError> {
    let peer = req.conn_data::<Peer>().and_then(|peer| peer.certname.clone());
    peer.ok_or_else(|| {
        ApiError::not_permitted("task files are for nodes, known by their client certificate", json!({}))
    })
}

fn hash(query: &Query) -> Result<String, ApiError> {
    let text = query.text("sha256").ok_or_else(|| ApiError::missing("sha256"))?;
    let hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { Ok(text.to_ascii_lowercase()) } else { Err(ApiError::invalid("sha256", "sha256 must be 64 hex digits")) }
}

async fn permit(state: &State, node: &CertName, sha256: &str) -> Result<(), ApiError> {
    let runs = state.orchestrator.store().open_runs(node).await?;
    let named = runs.iter().any(|spec| match &*spec.action {
        Action::Task(task) => task.files.iter().any(|file| file.sha256 == sha256),
        Action::Deploy(_) => false,
    });
    if named {
        return Ok(());
    }
    Err(ApiError::not_permitted(format!("no open run of {node} names this file"), json!({ "node": node })))
}
