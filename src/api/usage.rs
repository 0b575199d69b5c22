//! `GET /usage`: how many nodes there were and what was done on them, day by day (API §8.4).

use actix_web::{HttpRequest, web};
use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::auth::Viewer;
use super::records::Usage;
use super::request::Query;
use super::state::State;
use super::{Answer, ApiError, ok};

/// The days between `start_date` and `end_date`, both within, newest first.
pub(super) async fn list(req: HttpRequest, state: web::Data<State>, _: Viewer) -> Answer {
    let query = Query::of(&req);
    let (start, end) = (date(&query, "start_date")?, date(&query, "end_date")?);
    let with_events = query.choice("events", &[("include", true), ("exclude", false)])?.unwrap_or(true);
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        return Err(ApiError::invalid("end_date", format!("end_date {end} must not be before start_date {start}")));
    }
    let days = state.records.usage(start, end).await?;
    let mut pagination = Map::new();
    for (key, day) in [("start_date", start), ("end_date", end)] {
        if let Some(day) = day {
            pagination.insert(key.to_owned(), json!(day.to_string()));
        }
    }
    let items: Vec<Value> = days.iter().map(|day| view(day, with_events)).collect();
    ok(&json!({ "items": items, "pagination": pagination }))
}

fn date(query: &Query, key: &str) -> Result<Option<NaiveDate>, ApiError> {
    let Some(text) = query.text(key) else { return Ok(None) };
    let shown: String = text.chars().take(80).collect();
    let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| day.to_string() == text);
    parsed
        .map(Some)
        .ok_or_else(|| ApiError::invalid(key, format!("{key} must be a date such as 2026-03-01, not '{shown}'")))
}

fn view(day: &Usage, with_events: bool) -> Value {
    let mut view = json!({
        "date": day.day,
        // Nodes without an agent cannot be reached from here, and are not known.
        "total_nodes": day.with_agent,
        "nodes_with_agent": day.with_agent,
        "nodes_without_agent": 0,
    });
    if with_events {
        view["corrective_agent_changes"] = json!(day.corrective);
        view["intentional_agent_changes"] = json!(day.intentional);
        view["nodes_affected_by_task_runs"] = json!(day.by_tasks);
        view["nodes_affected_by_plan_runs"] = json!(day.by_plans);
    }
    view
}
