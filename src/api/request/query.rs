//! The query part of a URL, with typed reads which name the parameter that is wrong.

use actix_web::{HttpRequest, web};
use bunraku_actors::model::EnvironmentName;
use chrono::{DateTime, Utc};

use super::path::MAX_ID;
use super::time;
use crate::api::error::ApiError;

/// The parameters of a request. Of a repeated one the last counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// `order_by`, `order`, `limit` and `offset` of a collection, each as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paging<O> {
    pub(crate) order_by: Option<O>,
    pub(crate) descending: Option<bool>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
}

impl Query {
    pub(crate) fn of(req: &HttpRequest) -> Self {
        Self::parse(req.query_string())
    }

    pub(crate) fn parse(text: &str) -> Self {
        // Only text comes out of this parser, and any text is legal: it has nothing to refuse.
        Self(web::Query::<Vec<(String, String)>>::from_query(text).map(web::Query::into_inner).unwrap_or_default())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// An integer of at least 0.
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(refused(key, "an integer of at least 0", text));
        }
        // What does not fit lies beyond every record, as the largest number does.
        Ok(Some(text.parse().unwrap_or(MAX_ID).min(MAX_ID)))
    }

    /// One of the listed words.
    pub(crate) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            refused(key, &format!("one of {}", words.join(", ")), text)
        })
    }

    /// A time in ISO 8601 with `Z` or an offset.
    pub(crate) fn time(&self, key: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let wrong =
            || refused(key, "an ISO 8601 time with offset, such as 2026-03-01T12:00:05Z (write + as %2B)", text);
        time::parse(text).map(Some).ok_or_else(wrong)
    }

    /// The `environment` parameter, by default `production`.
    pub(crate) fn environment(&self) -> Result<EnvironmentName, ApiError> {
        let name = self.text("environment").unwrap_or("production");
        EnvironmentName::parse(name).map_err(|error| ("environment", error).into())
    }

    /// The parameters of a collection that pages.
    pub(crate) fn paging<O: Copy>(&self, orders: &[(&str, O)]) -> Result<Paging<O>, ApiError> {
        Ok(Paging {
            order_by: self.choice("order_by", orders)?,
            descending: self.choice("order", &[("asc", false), ("desc", true)])?,
            limit: self.number("limit")?,
            offset: self.number("offset")?.unwrap_or(0),
        })
    }
}

fn refused(key: &str, expected: &str, text: &str) -> ApiError {
    let shown: String = text.chars().take(80).collect();
    ApiError::invalid(key, format!("{key} must be {expected}, not '{shown}'"))
}
