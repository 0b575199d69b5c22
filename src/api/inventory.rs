//! Connected nodes: `GET` and `POST /inventory` of the orchestrator API (§8.3), and our own listing.

use std::sync::Arc;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use bunraku_actors::model::CertName;
use bunraku_actors::ports::Connection;
use parking_lot::Mutex;

use super::auth::Viewer;
use super::document::render;
use super::known_nodes::KnownNodes;
use super::request::{Body, Query, node_list, read_body};
use super::state::State;
use super::types::{ConnectedNode, InventoryRecord, Items};
use super::{Answer, ApiError, JSON, ok};

/// The answer to [`list`] as it was last made, with what it shows. Dashboards ask for it all the time, and a fleet changes
/// seldom: the same list is not rendered twice.
#[derive(Debug, Default)]
pub(super) struct Listed(Mutex<Option<(Arc<[Connection]>, Bytes)>>);

/// All connected nodes.
pub(super) async fn list(state: web::Data<State>, _: Viewer) -> Answer {
    let connections = state.orchestrator.transport().connections();
    if let Some((listed, body)) = &*state.inventory.0.lock()
        && Arc::ptr_eq(listed, &connections)
    {
        return Ok(HttpResponse::Ok().content_type(JSON).body(body.clone()));
    }
    let record =
        |connection: &Connection| InventoryRecord::new(connection.node.as_str(), Some(connection), &state.broker_uri);
    let items = Items { items: connections.iter().map(record).collect::<Vec<_>>() };
    let body = Bytes::from(render(&items)?);
    *state.inventory.0.lock() = Some((connections, body.clone()));
    Ok(HttpResponse::Ok().content_type(JSON).body(body))
}

/// One node; one that is not known is not connected.
pub(super) async fn one(state: web::Data<State>, _: Viewer, name: web::Path<String>) -> Answer {
    let node = CertName::parse(&name).map_err(|error| ApiError::from(("node", error)))?;
    ok(&record(&state, &node))
}

/// One record for each entry of the body, in its order.
pub(super) async fn some(state: web::Data<State>, _: Viewer, body: Body) -> Answer {
    let body = read_body(body, &state.options).await?;
    let nodes = node_list(&body, "nodes")?.ok_or_else(|| ApiError::missing("nodes"))?;
    ok(&Items { items: nodes.iter().map(|node| record(&state, node)).collect::<Vec<_>>() })
}

fn record(state: &State, node: &CertName) -> InventoryRecord {
    let connection = state.orchestrator.transport().connection(node);
    InventoryRecord::new(node.as_str(), connection.as_ref(), &state.broker_uri)
}

/// `GET /bunraku/v1/nodes`: all connected nodes with their agents; with `known=true` also those that jobs had lately, and
/// how their last run ended.
pub(super) async fn connected(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    let connections = state.orchestrator.transport().connections();
    if Query::of(&req).choice("known", &[("true", true), ("false", false)])?.unwrap_or_default() {
        let known = KnownNodes::read(&state, &connections).await?;
        return ok(&Items { items: known.into_items() });
    }
    ok(&Items { items: connections.iter().map(ConnectedNode::from).collect::<Vec<_>>() })
}
