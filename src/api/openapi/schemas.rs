//! The shapes of answers, by name, from the types that are sent; and the schemas that several operations share.

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, schema::Schema};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::api::types;
use crate::api::types::ledger::LedgerReport;

macro_rules! components {
    ($($kind:ty),* $(,)?) => {{
        let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
        $(
            <$kind>::schemas(&mut found);
            found.push((<$kind>::name().into_owned(), <$kind>::schema()));
        )*
        found
    }};
}

/// Every shape that has a name.
pub(super) fn components() -> Value {
    let found = components![
        types::ApplicationList,
        types::ConnectedNode,
        types::CreatedToken,
        types::EnvironmentItem,
        types::EnvironmentRef,
        types::Event,
        types::InstanceItem,
        types::InventoryRecord,
        types::Job,
        types::LiveView,
        types::NamedLink,
        types::NextEvents,
        types::Node,
        types::OlderSchedule,
        types::Pagination,
        types::PlanEventView,
        types::PlanItem,
        types::PlanJob,
        types::PlanView,
        types::ReportItem,
        types::ScheduledJob,
        types::Started,
        types::Stopped,
        types::TaskItem,
        types::TaskView,
        types::TokenView,
        types::UserView,
        types::WhoAmI,
        LedgerReport,
    ];
    let mut shown: Map<String, Value> = Map::new();
    for (name, schema) in found {
        shown.insert(name, serde_json::to_value(schema).expect("schemas are JSON"));
    }
    shown.insert("Error".to_owned(), error());
    Value::Object(shown)
}

fn error() -> Value {
    json!({
        "type": "object",
        "required": ["kind", "msg", "details"],
        "properties": {
            "kind": { "type": "string", "description": "Stable, for programs" },
            "msg": { "type": "string", "description": "For people" },
            "details": { "type": "object" },
        },
    })
}

/// A shape by its name.
pub(super) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// `items` of a shape, with the keys beside it.
pub(super) fn items(name: &str, beside: &[&str]) -> Value {
    let mut properties = json!({ "items": { "type": "array", "items": named(name) } });
    let mut required = vec!["items"];
    for key in beside {
        properties[*key] = match *key {
            "pagination" => named("Pagination"),
            "next-events" => named("NextEvents"),
            "environment" => named("EnvironmentRef"),
            _ => json!({ "type": "array", "items": named(name) }),
        };
        required.push(key);
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

/// An object with these keys, all of which are there.
pub(super) fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flatten().map(|(key, _)| key).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}
