//! PXP: the `data` of the rpc messages (`docs/pcp.md`). The same shapes serve the server and the agent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Data of `rpc_blocking_request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockingRequest {
    pub transaction_id: String,
    pub module: String,
    pub action: String,
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// Data of `rpc_non_blocking_request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonBlockingRequest {
    pub transaction_id: String,
    pub module: String,
    pub action: String,
    #[serde(default)]
    pub params: Map<String, Value>,
    pub notify_outcome: bool,
}

/// Data of `rpc_provisional_response`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvisionalResponse {
    pub transaction_id: String,
}

/// Data of `rpc_blocking_response` and `rpc_non_blocking_response`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub transaction_id: String,
    pub results: Value,
}

/// Data of `rpc_error_message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    pub transaction_id: String,
    /// The id of the request message.
    pub id: Uuid,
    pub description: String,
}

/// What `status query` answers about a transaction (§10.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Unknown,
    Running,
    Success,
    Failure,
}

/// Results of `status query`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusResults {
    pub transaction_id: String,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exitcode: Option<i64>,
    /// The raw text of the action's standard output, or an `_error` object as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Set by our own agent: the run was ended by a cancel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceled: bool,
    /// Set by our own agent: the run goes on and has its catalog.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub catalog_ready: bool,
}

/// Results of `task run`, `command run`, `script run`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessResults {
    pub exitcode: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
}

/// Results of `bunraku cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelResults {
    pub transaction_id: String,
    pub canceled: bool,
}

/// A line of an agent's ledger: a run that it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// RFC 3339, UTC.
    pub time: String,
    pub transaction_id: Uuid,
    pub module: String,
    /// The number of the job, where the request named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// Results of `bunraku ledger`: a part of the agent's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LedgerResults {
    pub lines: Vec<LedgerLine>,
    /// Lines that cannot be read: a power cut can leave the last one of its time half written.
    #[serde(default)]
    pub unreadable: u64,
    /// Where the next part begins; `null` after the last one.
    #[serde(default)]
    pub next: Option<u64>,
}

/// One file of a task as a request names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileSpec {
    pub filename: String,
    /// Lower-case hex.
    pub sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    pub uri: FileUri,
}

/// Where a file is fetched: path and query below one of the agent's `primary-uris`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileUri {
    pub path: String,
    pub params: Map<String, Value>,
}

/// The module of Puppet runs.
pub const PUPPET_MODULE: &str = "pxp-module-puppet";
/// The module of tasks.
pub const TASK_MODULE: &str = "task";
/// The action of both.
pub const RUN_ACTION: &str = "run";
/// The module of status queries.
pub const STATUS_MODULE: &str = "status";
/// Its action.
pub const STATUS_ACTION: &str = "query";
/// The `kind` of the `_error` object by which an agent tells a fault of its own (§10.5).
pub const EXECUTION_ERROR_KIND: &str = "puppetlabs.pxp-agent/execution-error";
/// The text that tells that a request never arrived (§10.5).
pub const NO_RESULTS_DIRECTORY: &str = "found no results directory";
/// What an agent says of a run whose process is gone without an exit code (§10.5).
pub const LOST_PROCESS: &str = "task process is not running, but no output is available";
/// The module of our own extensions.
pub const BUNRAKU_MODULE: &str = "bunraku";
/// `bunraku cancel`: blocking request, params `{"transaction_id": T}`, results `{"transaction_id": T, "canceled": bool}`;
/// `true` when the run is being ended (its final answer follows) or left a tombstone, `false` when it was over already.
pub const CANCEL_ACTION: &str = "cancel";
/// `bunraku ledger`: blocking request, params `{"from": N}` (0 at first), results [`LedgerResults`].
pub const LEDGER_ACTION: &str = "ledger";
/// `bunraku catalog_ready`: sent by the agent as an `rpc_provisional_response` whose data carries
/// `"catalog_ready": true` beside the transaction id; also beside `status` in the answer to a status query while the run
/// goes on, for the notice may have met no connection.
pub const CATALOG_READY_KEY: &str = "catalog_ready";
/// Set to `true` in the results of a run that our agent ended because of a cancel, and beside `status` in the answer to a
/// status query.
pub const CANCELED_KEY: &str = "canceled";
/// Header of our agent's upgrade request that names its spool.
pub const SPOOL_HEADER: &str = "x-bunraku-spool";
/// The header of an upgrade request in which our own agent tells facts of its node: a JSON object in base64.
pub const FACTS_HEADER: &str = "x-bunraku-facts";
