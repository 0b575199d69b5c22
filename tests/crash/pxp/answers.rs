//! The frames that the scripted agent sends, key by key as in `docs/pcp.md`, appendix A.

use serde_json::{Value, json};
use uuid::Uuid;

use super::spool::{Known, Spool};

/// A message to whoever sent this request. pxp-agent names the request in no answer but a PCP error.
pub(super) fn message(own: &str, request: &Value, kind: &str, data: &Value) -> String {
    json!({
        "id": Uuid::new_v4(), "message_type": format!("http://puppetlabs.com/{kind}"), "target": request["sender"],
        "sender": own, "data": data,
    })
    .to_string()
}

pub(super) fn provisional(own: &str, request: &Value) -> String {
    let data = json!({ "transaction_id": request["data"]["transaction_id"] });
    message(own, request, "rpc_provisional_response", &data)
}

pub(super) fn error(own: &str, request: &Value, description: &str) -> String {
    let data = json!({ "transaction_id": request["data"]["transaction_id"], "id": request["id"],
                       "description": description });
    message(own, request, "rpc_error_message", &data)
}

/// The final answer of a run that is complete.
pub(super) fn outcome(own: &str, request: &Value, spool: &Spool, transaction: &str, exitcode: i64) -> String {
    let (stdout, stderr) = (spool.output(transaction, "stdout"), spool.output(transaction, "stderr"));
    let results = if request["data"]["module"] == "pxp-module-puppet" {
        serde_json::from_str(&stdout).unwrap_or(Value::Null)
    } else {
        let mut results = json!({ "exitcode": exitcode });
        for (name, text) in [("stdout", stdout), ("stderr", stderr)] {
            if !text.is_empty() {
                results[name] = json!(text);
            }
        }
        results
    };
    if results.is_null() {
        let text = "The task executed for the non blocking request returned invalid JSON on stdout - stderr: (empty)";
        return error(own, request, text);
    }
    let data = json!({ "transaction_id": transaction, "results": results });
    message(own, request, "rpc_non_blocking_response", &data)
}

/// The answer to a blocking request.
pub(super) fn blocking(own: &str, request: &Value, results: &Value) -> String {
    let data = json!({ "transaction_id": request["data"]["transaction_id"], "results": results });
    message(own, request, "rpc_blocking_response", &data)
}

/// What a status query is answered.
pub(super) fn status(spool: &Spool, transaction: &str, known: &Known) -> Value {
    let unknown = |words: &str| {
        let error =
            json!({ "_error": { "kind": "puppetlabs.pxp-agent/execution-error", "details": {}, "msg": words } });
        json!({ "transaction_id": transaction, "status": "unknown", "stdout": error.to_string() })
    };
    match known {
        Known::Nothing => unknown(bunraku::wire::pxp::NO_RESULTS_DIRECTORY),
        Known::Unknown(words) => unknown(words),
        Known::Running => json!({ "transaction_id": transaction, "status": "running" }),
        Known::Over { exitcode } => {
            let status = if *exitcode == 0 { "success" } else { "failure" };
            let mut results = json!({ "transaction_id": transaction, "exitcode": exitcode, "status": status });
            for name in ["stdout", "stderr"] {
                let text = spool.output(transaction, name);
                if !text.is_empty() {
                    results[name] = json!(text);
                }
            }
            results
        }
    }
}
