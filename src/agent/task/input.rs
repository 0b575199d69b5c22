//! The parameters as the task gets them. What is made here is wiped when it is dropped, as far as it is ours.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::params::TaskParams;
use super::select::InputMethod;

/// The parameters, ready to be handed over.
#[derive(Debug)]
pub(super) struct Given {
    /// Variables `PT_<name>`.
    pub(super) environment: BTreeMap<String, String>,
    /// One JSON object.
    pub(super) stdin: Option<Zeroizing<Vec<u8>>>,
}

/// Makes the input of a task.
pub(super) fn give(params: &TaskParams, method: InputMethod, install_directory: Option<&Path>) -> io::Result<Given> {
    let mut input: Map<String, Value> = params.input.clone();
    input.insert("_task".to_owned(), params.task.clone().into());
    if let Some(directory) = install_directory {
        input.insert("_installdir".to_owned(), directory.to_string_lossy().into());
    }
    let environment = if method.uses_environment() { variables(&input)? } else { BTreeMap::new() };
    let stdin = if method.uses_stdin() { Some(Zeroizing::new(serde_json::to_vec(&input)?)) } else { None };
    Ok(Given { environment, stdin })
}

fn variables(input: &Map<String, Value>) -> io::Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (name, value) in input {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // The value is not named: it may be secret.
        if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
            let reason = format!("the parameter '{name}' cannot be handed over as an environment variable");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        variables.insert(format!("PT_{name}"), text);
    }
    Ok(variables)
}
