//! From a frame to an answer: what kind of request it is, whether the module exists, is enabled and takes these
//! parameters. Frames are processed one at a time in the order of their arrival, across connections: so a status query
//! is answered only when everything that came before it, on whatever connection, has taken effect.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::config::Module;
use super::files::off_thread;
use super::puppet::PuppetParams;
use super::spool::parse_transaction;
use super::start::{self, Request, Work};
use super::state::Agent;
use super::task::TaskParams;
use super::{PUPPET_MODULE, TASK_MODULE, answer, cancel, status};
use crate::wire::pcp::{Message, MessageType, Uri};
use crate::wire::pxp::{BUNRAKU_MODULE, BlockingRequest, CANCEL_ACTION, LEDGER_ACTION, NonBlockingRequest};

/// Processes frames until all connections are gone for good.
pub(super) async fn process(agent: Arc<Agent>, mut frames: mpsc::Receiver<String>) {
    while let Some(frame) = frames.recv().await {
        handle(&agent, &frame).await;
    }
}

async fn handle(agent: &Arc<Agent>, frame: &str) {
    let message = match Message::decode(frame) {
        Ok(message) => message,
        Err(error) => return tracing::warn!(%error, "dropped a frame"),
    };
    let Some(from) = message.sender.clone() else {
        return tracing::warn!(id = %message.id, "dropped a message without sender");
    };
    let Some(incoming) = Incoming::read(agent, &message, &from) else { return };
    tracing::debug!(transaction = incoming.transaction, module = incoming.module, action = incoming.action, "request");
    if let Err(description) = incoming.handle(agent).await {
        tracing::info!(transaction = incoming.transaction, description, "refused a request");
        agent.answer(&answer::rpc_error(agent, &from, &incoming.transaction, message.id, description));
    }
}

/// A request whose shape is right.
struct Incoming {
    from: Uri,
    id: Uuid,
    transaction: String,
    module: String,
    action: String,
    params: Map<String, Value>,
    blocking: bool,
    notify_outcome: bool,
}

impl Incoming {
    /// `None` when there is nothing to do; then what had to be answered was.
    fn read(agent: &Agent, message: &Message, from: &Uri) -> Option<Self> {
        let blocking = match &message.message_type {
            MessageType::BlockingRequest => true,
            MessageType::NonBlockingRequest => false,
            MessageType::ErrorMessage => {
                tracing::warn!(id = %message.id, data = message.data.as_ref().map(|data| data.get()), "PCP error");
                return None;
            }
            other => {
                tracing::debug!(id = %message.id, kind = ?other, "ignored a message");
                return None;
            }
        };
        let refuse = |text: &str| {
            agent.answer(&answer::pcp_error(agent, from, message.id, text));
            None
        };
        if message.data.is_none() {
            return refuse("no data");
        }
        let read = if blocking { read_blocking(message) } else { read_non_blocking(message) };
        match read {
            Some((request, notify_outcome)) => Some(Self {
                from: from.clone(),
                id: message.id,
                transaction: request.transaction_id,
                module: request.module,
                action: request.action,
                params: request.params,
                blocking,
                notify_outcome,
            }),
            None => refuse("invalid data"),
        }
    }

    /// Does what is asked, or says why not.
    async fn handle(&self, agent: &Arc<Agent>) -> Result<(), String> {
        match (self.module.as_str(), self.action.as_str()) {
            ("ping", "ping") => self.answer_at_once(agent, ping(&self.params)),
            ("echo", "echo") => self.answer_at_once(agent, echo(&self.params)),
            ("status", "query") => {
                self.blocking_only()?;
                let about = self.asked_transaction()?;
                let results = status::query(agent, about).await;
                self.answer_at_once(agent, serde_json::to_value(results).ok())
            }
            (BUNRAKU_MODULE, CANCEL_ACTION) => {
                self.blocking_only()?;
                let about = self.asked_transaction()?;
                let id = parse_transaction(about).ok_or_else(|| self.invalid_input())?;
                let canceled = cancel::cancel(agent, id).await?;
                self.answer_at_once(agent, Some(json!({"transaction_id": about, "canceled": canceled})))
            }
            (BUNRAKU_MODULE, LEDGER_ACTION) => {
                self.blocking_only()?;
                let from = match self.params.get("from").and_then(Value::as_u64) {
                    Some(from) if self.params.len() == 1 => from,
                    _ => return Err(self.invalid_input()),
                };
                let owner = Arc::clone(agent);
                let page = off_thread(move || owner.ledger.page(from)).await;
                let page = page.map_err(|error| format!("the ledger cannot be read: {error}"))?;
                self.answer_at_once(agent, serde_json::to_value(page).ok())
            }
            (PUPPET_MODULE, "run") => {
                self.check_policy(agent, Module::Puppet)?;
                let params = PuppetParams::read(&self.params).map_err(|_| self.invalid_input())?;
                self.start(agent, Work::Puppet(params)).await
            }
            (TASK_MODULE, "run") => {
                self.check_policy(agent, Module::Task)?;
                let params = TaskParams::read(&self.params).map_err(|error| {
                    tracing::info!(transaction = self.transaction, error, "invalid input for a task");
                    self.invalid_input()
                })?;
                self.start(agent, Work::Task(Box::new(params))).await
            }
            ("ping" | "echo" | "status" | BUNRAKU_MODULE | PUPPET_MODULE | TASK_MODULE, _) => {
                Err(format!("unknown action '{}' for module '{}'", self.action, self.module))
            }
            _ => Err(format!("unknown module: {}", self.module)),
        }
    }

    fn blocking_only(&self) -> Result<(), String> {
        if self.blocking {
            Ok(())
        } else {
            Err(format!("the module '{}' supports only blocking PXP requests", self.module))
        }
    }

    fn invalid_input(&self) -> String {
        let kind = if self.blocking { "blocking" } else { "non blocking" };
        format!("invalid input for {kind} '{} {}' request (transaction {})", self.module, self.action, self.transaction)
    }

    fn check_policy(&self, agent: &Agent, module: Module) -> Result<(), String> {
        if agent.config.modules.contains(&module) {
            return Ok(());
        }
        Err(format!("refused by the policy of this node: module '{}' is not enabled", self.module))
    }

    /// The only parameter of `status query` and `bunraku cancel`.
    fn asked_transaction(&self) -> Result<&str, String> {
        match self.params.get("transaction_id").and_then(Value::as_str) {
            Some(about) if self.params.len() == 1 => Ok(about),
            _ => Err(self.invalid_input()),
        }
    }

    /// Answers a blocking request; no results means that the parameters are wrong.
    fn answer_at_once(&self, agent: &Agent, results: Option<Value>) -> Result<(), String> {
        self.blocking_only()?;
        let results = results.ok_or_else(|| self.invalid_input())?;
        agent.answer(&answer::blocking(agent, &self.from, &self.transaction, results));
        Ok(())
    }

    async fn start(&self, agent: &Arc<Agent>, work: Work) -> Result<(), String> {
        let transaction = parse_transaction(&self.transaction)
            .ok_or_else(|| format!("invalid transaction id '{}': it is not a UUID", clipped(&self.transaction)))?;
        let request = Request {
            transaction,
            from: self.from.clone(),
            id: self.id,
            module: self.module.clone(),
            action: self.action.clone(),
            blocking: self.blocking,
            notify_outcome: self.notify_outcome,
        };
        start::accept(agent, request, work).await
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(80).collect()
}

fn read_blocking(message: &Message) -> Option<(BlockingRequest, bool)> {
    message.data_as::<BlockingRequest>().ok().map(|request| (request, true))
}

fn read_non_blocking(message: &Message) -> Option<(BlockingRequest, bool)> {
    let request = message.data_as::<NonBlockingRequest>().ok()?;
    let NonBlockingRequest { transaction_id, module, action, params, notify_outcome } = request;
    Some((BlockingRequest { transaction_id, module, action, params }, notify_outcome))
}

fn ping(params: &Map<String, Value>) -> Option<Value> {
    let known = params.iter().all(|(key, value)| key == "sender_timestamp" && value.is_string());
    known.then(|| json!({"request_hops": []}))
}

fn echo(params: &Map<String, Value>) -> Option<Value> {
    let argument = params.get("argument").filter(|argument| argument.is_string() && params.len() == 1)?;
    Some(json!({"outcome": argument}))
}
