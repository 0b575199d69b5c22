//! The description of the API (OpenAPI 3.1), made from the table of routes, the shapes of answers and the rules of requests;
//! and a page to browse it that loads nothing from elsewhere.
//!
//! Both are open to everybody: they say nothing about this installation.

mod operations;
mod requests;
mod schemas;

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::Config;

use self::operations::{Answer as Shape, OPERATIONS, Operation};
use super::routes::{Access, ENDPOINTS, Endpoint};
use super::{Answer, ApiError, JSON};

/// Where the description is.
const PATH: &str = "/orchestrator/v1/openapi.json";
/// Answers as the tests have recorded them, by endpoint and status.
const EXAMPLES: &str = include_str!("examples.json");
/// The page styles its elements itself; scripts are files of ours.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from(PATH)));

/// The description.
pub(super) async fn json_document() -> HttpResponse {
    HttpResponse::Ok().content_type(JSON).body(DOCUMENT.as_str())
}

/// The page: its parts by name, itself without one.
pub(super) async fn page(file: web::Path<String>) -> Answer {
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(&PAGE));
    let found = found.map_err(|error| ApiError::internal(format!("the page cannot be made: {error}")))?;
    let found = found.ok_or_else(|| ApiError::not_found("the page has no such part"))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, found.content_type)).insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY));
    Ok(response.body(found.bytes.into_owned()))
}

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let examples: Value = serde_json::from_str(EXAMPLES).expect("a test renders it");
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let Some(operation) = OPERATIONS.iter().find(|operation| operation.is_for(endpoint)) else { continue };
        let path = paths.entry(plain_path(endpoint.path)).or_insert_with(|| json!({}));
        path[endpoint.method.to_lowercase()] = operation_of(endpoint, operation, &examples[slug_of(endpoint)]);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "bunraku",
            "description": "The orchestrator API v1 of Puppet Enterprise, and what bunraku adds to it under /bunraku/v1.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::components(),
            "securitySchemes": {
                "token": { "type": "apiKey", "in": "header", "name": "X-Authentication" },
            },
        },
    })
}

/// A path without the patterns of its variable parts.
fn plain_path(path: &str) -> String {
    path.replace(":.*}", "}")
}

/// The name under which answers of an endpoint are recorded; `GET /path/{of}/the/table`.
#[must_use]
pub fn slug(route: &str) -> String {
    let words = route.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

fn slug_of(endpoint: &Endpoint) -> String {
    slug(&format!("{} {}", endpoint.method, endpoint.path))
}

/// Routes without an entry in the description, and entries without a route.
#[must_use]
pub fn undescribed() -> Vec<String> {
    let routes = ENDPOINTS.iter().filter(|endpoint| !OPERATIONS.iter().any(|operation| operation.is_for(endpoint)));
    let strays = OPERATIONS.iter().filter(|operation| !ENDPOINTS.iter().any(|endpoint| operation.is_for(endpoint)));
    routes.map(slug_of).chain(strays.map(|operation| operation.route.to_owned())).collect()
}

fn operation_of(endpoint: &Endpoint, operation: &Operation, examples: &Value) -> Value {
    let mut shown = json!({
        "operationId": slug_of(endpoint),
        "tags": [operation.tag()],
        "summary": operation.summary,
        "responses": responses(endpoint, operation, examples),
    });
    let parameters = parameters(endpoint, operation);
    if !parameters.is_empty() {
        shown["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = operation.body {
        let schema = body();
        // A forgotten body counts as an empty object.
        let required = schema["required"].as_array().is_some_and(|keys| !keys.is_empty());
        let content = json!({ "application/json": { "schema": schema } });
        shown["requestBody"] = json!({ "required": required, "content": content });
    }
    if matches!(endpoint.access, Access::Open | Access::Local | Access::Node) {
        shown["security"] = json!([]);
    }
    shown
}

fn parameters(endpoint: &Endpoint, operation: &Operation) -> Vec<Value> {
    let path = plain_path(endpoint.path);
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = named.map(
        |name| json!({ "name": name, "in": "path", "required": true, "schema": requests::path_part(&path, name) }),
    );
    let in_query = operation
        .query
        .iter()
        .map(|(name, schema)| json!({ "name": name, "in": "query", "required": false, "schema": schema() }));
    let mut parameters: Vec<Value> = in_path.chain(in_query).collect();
    if operation.is_command() {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" });
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "required": false, "schema": schema }));
    }
    parameters
}

fn responses(endpoint: &Endpoint, operation: &Operation, examples: &Value) -> Value {
    let mut responses = Map::new();
    let (status, shape) = &operation.ok;
    responses.insert(status.to_string(), success(*status, shape, &examples[status.to_string()]));
    for status in refusals(endpoint, operation) {
        let example = &examples[status.to_string()];
        let mut content = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
        if !example.is_null() {
            content["example"] = example.clone();
        }
        let shown = json!({ "description": reason(status), "content": { "application/json": content } });
        responses.insert(status.to_string(), shown);
    }
    for (status, shape) in operation.also {
        responses.insert(status.to_string(), success(*status, shape, &examples[status.to_string()]));
    }
    Value::Object(responses)
}

/// The statuses of errors that a route may answer with.
fn refusals(endpoint: &Endpoint, operation: &Operation) -> Vec<u16> {
    let mut statuses = vec![400, 414, 431, 500, 503];
    if !matches!(endpoint.access, Access::Open) {
        statuses.extend([401, 403]);
    }
    if endpoint.path.contains('{') {
        statuses.push(404);
    }
    if operation.body.is_some() {
        statuses.extend([408, 413]);
    }
    if operation.is_command() {
        statuses.extend([404, 409]);
    }
    statuses.extend(operation.errors);
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn success(status: u16, shape: &Shape, example: &Value) -> Value {
    let description = reason(status);
    let (media, schema) = match shape {
        Shape::Either(schema, media) => {
            let mut shown = success(status, &Shape::Of(*schema), example);
            shown["content"][*media] = json!({ "schema": { "type": "string" } });
            return shown;
        }
        Shape::Nothing => return json!({ "description": description }),
        Shape::Text(media) => (*media, json!({ "type": "string" })),
        Shape::Of(schema) => ("application/json", schema()),
    };
    let mut content = json!({ "schema": schema });
    if media == "application/json" && !example.is_null() {
        content["example"] = example.clone();
    }
    json!({ "description": description, "content": { media: content } })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "What was asked for",
        201 => "Made",
        202 => "Accepted, and committed to disk",
        204 => "Done",
        400 => "A key, a parameter or an id is missing or wrong, or refused",
        401 => "Nobody is known by this token",
        403 => "A permission is missing",
        404 => "There is no such thing",
        408 => "The body did not arrive",
        409 => "It was used for something else, or is taken",
        413 => "The body is too large",
        414 => "The target is too long",
        429 => "Too many attempts",
        431 => "The head is too large",
        503 => "Not now: try again after Retry-After",
        _ => "Something went wrong",
    }
}
