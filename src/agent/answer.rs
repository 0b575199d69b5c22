//! Answers as PCP messages, and what the record of a run says as its final answer or to a status query.

use serde_json::{Value, json};
use uuid::Uuid;

use super::files::off_thread;
use super::spool::{Metadata, Outcome};
use super::state::Agent;
use crate::wire::pcp::{Message, MessageType, Uri};
use crate::wire::pxp::{
    CANCELED_KEY, CATALOG_READY_KEY, ProvisionalResponse, Response, RpcError, Status, StatusResults,
};

/// A provisional response.
pub(super) fn provisional(agent: &Agent, to: &Uri, transaction: &str) -> Message {
    let data = ProvisionalResponse { transaction_id: transaction.to_owned() };
    Message::new(MessageType::ProvisionalResponse, Some(agent.uri.clone()), Some(to.clone()), Some(&data))
}

/// The notice that the catalog is there.
pub(super) fn catalog_ready(agent: &Agent, to: &Uri, transaction: Uuid) -> Message {
    let data = json!({"transaction_id": transaction, CATALOG_READY_KEY: true});
    Message::new(MessageType::ProvisionalResponse, Some(agent.uri.clone()), Some(to.clone()), Some(&data))
}

/// A response to a blocking request.
pub(super) fn blocking(agent: &Agent, to: &Uri, transaction: &str, results: Value) -> Message {
    let data = Response { transaction_id: transaction.to_owned(), results };
    limited(agent, MessageType::BlockingResponse, to, transaction, Uuid::nil(), &data)
}

/// A PXP error.
pub(super) fn rpc_error(agent: &Agent, to: &Uri, transaction: &str, request: Uuid, description: String) -> Message {
    let data = RpcError { transaction_id: transaction.to_owned(), id: request, description };
    Message::new(MessageType::RpcErrorMessage, Some(agent.uri.clone()), Some(to.clone()), Some(&data))
}

/// A PCP error, for requests whose transaction id could not be read.
pub(super) fn pcp_error(agent: &Agent, to: &Uri, request: Uuid, text: &str) -> Message {
    let sender = Some(agent.uri.clone());
    let mut message = Message::new(MessageType::ErrorMessage, sender, Some(to.clone()), Some(&text));
    message.in_reply_to = Some(request);
    message
}

/// A response, or the error that it is too large.
fn limited(agent: &Agent, kind: MessageType, to: &Uri, transaction: &str, request: Uuid, data: &Response) -> Message {
    let message = Message::new(kind, Some(agent.uri.clone()), Some(to.clone()), Some(data));
    let size = message.data.as_ref().map_or(0, |data| data.get().len());
    let limit = agent.config.max_message_size;
    if size <= limit {
        return message;
    }
    let description = format!("Message size: {size} exceeded max-message-size {limit}");
    rpc_error(agent, to, transaction, request, description)
}

/// The frame of a final answer as the spool has it; `None` when nobody waits for one.
pub(super) async fn final_frame(agent: &Agent, transaction: Uuid) -> Option<String> {
    let spool = agent.spool.clone();
    let read = off_thread(move || Ok((spool.metadata(transaction)?, spool.outcome(transaction)?))).await;
    let (metadata, outcome) = match read {
        Ok((metadata, Some(outcome))) if metadata.owes_answer() => (metadata, outcome),
        Ok(_) => return None,
        Err(error) => {
            tracing::error!(%transaction, %error, "cannot read the outcome of a run");
            return None;
        }
    };
    final_message(agent, &metadata, outcome).map(|message| message.encode())
}

/// Records that a final answer was written, so that a restarted agent does not send it again.
pub(super) async fn mark_notified(agent: &Agent, transaction: Uuid) {
    let spool = agent.spool.clone();
    if let Err(error) = off_thread(move || spool.mark_notified(transaction)).await {
        tracing::warn!(%transaction, %error, "cannot record that the final answer was sent");
    }
}

fn final_message(agent: &Agent, metadata: &Metadata, outcome: Outcome) -> Option<Message> {
    let to = metadata.requester.as_ref()?;
    let transaction = metadata.transaction_id.to_string();
    match outcome {
        Outcome::Results { results, .. } => {
            let kind = if metadata.blocking { MessageType::BlockingResponse } else { MessageType::NonBlockingResponse };
            let data = Response { transaction_id: transaction.clone(), results };
            Some(limited(agent, kind, to, &transaction, metadata.request_id, &data))
        }
        Outcome::Error { message } | Outcome::Undetermined { message } => {
            let description = format!(
                "Failed to execute the task for the {} '{} {}' request (transaction {transaction}). Error: {message}",
                metadata.kind(),
                metadata.module,
                metadata.action
            );
            Some(rpc_error(agent, to, &transaction, metadata.request_id, description))
        }
    }
}

/// Results of a status query about a run that is over.
pub(super) fn status_of(transaction: &str, metadata: &Metadata, outcome: Outcome) -> StatusResults {
    match outcome {
        Outcome::Undetermined { message } => status_error(transaction, Status::Unknown, None, &message),
        Outcome::Error { message } => {
            // The exit code only says that there is one to read: nothing ran to its end.
            status_error(transaction, Status::Failure, Some(-1), &message)
        }
        Outcome::Results { results, exitcode } => {
            let canceled = results.get(CANCELED_KEY) == Some(&Value::Bool(true));
            let raw = metadata.module != super::TASK_MODULE;
            let text = |key: &str| results.get(key).and_then(Value::as_str).map(str::to_owned);
            StatusResults {
                transaction_id: transaction.to_owned(),
                status: if exitcode == 0 { Status::Success } else { Status::Failure },
                exitcode: Some(exitcode),
                stdout: if raw { Some(results.to_string()) } else { text("stdout") },
                stderr: if raw { None } else { text("stderr") },
                canceled,
                catalog_ready: false,
            }
        }
    }
}

/// Results of a status query that tell of a fault of the agent.
pub(super) fn status_error(transaction: &str, status: Status, exitcode: Option<i64>, message: &str) -> StatusResults {
    let error = json!({"_error": {"kind": "puppetlabs.pxp-agent/execution-error", "details": {}, "msg": message}});
    StatusResults {
        transaction_id: transaction.to_owned(),
        status,
        exitcode,
        stdout: Some(error.to_string()),
        stderr: None,
        canceled: false,
        catalog_ready: false,
    }
}

/// Results of a status query about a run that goes on.
pub(super) fn status_running(transaction: &str, catalog_ready: bool) -> StatusResults {
    StatusResults {
        transaction_id: transaction.to_owned(),
        status: Status::Running,
        exitcode: None,
        stdout: None,
        stderr: None,
        canceled: false,
        catalog_ready,
    }
}
