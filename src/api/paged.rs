//! Collections with `limit`, `offset` and an order (API §1.7): what was asked for, and the answer, read page by page.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bunraku_actors::ports::{self, StoreError};

use super::document::{Document, Page, Pages, render};
use super::request::Query;
use super::types::Pagination;
use super::{Answer, ApiError};

/// What was asked for of a collection.
pub(super) struct Listing<O> {
    pub(super) order: O,
    pub(super) descending: bool,
    /// `total` is not known yet.
    pub(super) pagination: Pagination,
}

impl<O: Copy + PartialEq> Listing<O> {
    /// Reads the parameters. Without any the collection is sorted by `default`, and where `newest_first` descending; an
    /// order that is named without a direction ascends.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(super) fn of(
        query: &Query,
        orders: &[(&'static str, O)],
        default: O,
        newest_first: bool,
    ) -> Result<Self, ApiError> {
        let paging = query.paging(orders)?;
        let descending = paging.descending.unwrap_or(newest_first && paging.order_by.is_none());
        let usual = orders.iter().find(|(_, order)| *order == default).map_or("", |(word, _)| *word);
        let pagination = Pagination {
            limit: paging.limit,
            offset: paging.offset,
            total: 0,
            order_by: query.text("order_by").unwrap_or(usual).to_owned(),
            order: if descending { "desc" } else { "asc" }.to_owned(),
            kind: query.text("type").unwrap_or_default().to_owned(),
        };
        Ok(Self { order: paging.order_by.unwrap_or(default), descending, pagination })
    }
}

/// A collection that its store reads by offset.
#[async_trait(?Send)]
pub(super) trait Collection: 'static {
    /// What it consists of.
    type Item;
    /// Items that are held at once, at most.
    const AT_ONCE: u64;

    /// Items from `offset` on, at most `limit`; fewer where they are large, but none only at the end.
    async fn read(&self, offset: u64, limit: u64) -> Result<ports::Page<Self::Item>, StoreError>;

    /// What tells an item from all others.
    fn number(item: &Self::Item) -> u64;

    /// Writes an item as the answer shows it.
    fn show(&self, item: &Self::Item, json: &mut Vec<u8>) -> serde_json::Result<()>;
}

/// The answer: `items` and `pagination`.
pub(super) async fn respond(collection: impl Collection, mut pagination: Pagination) -> Answer {
    let (offset, left) = (pagination.offset, pagination.limit);
    let mut reading = Reading { collection, offset, left, total: 0, seen: BTreeSet::new() };
    let first = reading.next().await?;
    pagination.total = reading.total;
    let tail = format!("],\"pagination\":{}}}", render(&pagination)?);
    Document::default().text("{\"items\":[").list(first, reading).text(tail).respond()
}

/// Items that arrive or move meanwhile shift those behind them: what was shown is not shown again.
struct Reading<C> {
    collection: C,
    offset: u64,
    left: Option<u64>,
    total: u64,
    seen: BTreeSet<u64>,
}

#[async_trait(?Send)]
impl<C: Collection> Pages for Reading<C> {
    async fn next(&mut self) -> Result<Page, StoreError> {
        let wanted = self.left.map_or(C::AT_ONCE, |left| left.min(C::AT_ONCE));
        let page = self.collection.read(self.offset, wanted).await?;
        let got = page.items.len() as u64;
        self.total = page.total;
        self.offset = self.offset.saturating_add(got);
        self.left = self.left.map(|left| left.saturating_sub(got));
        let last = got == 0 || self.left == Some(0) || self.offset >= page.total;
        let mut json = Vec::new();
        for item in page.items.iter().filter(|item| self.seen.insert(C::number(item))) {
            if !json.is_empty() {
                json.push(b',');
            }
            let shown = self.collection.show(item, &mut json);
            shown.map_err(|error| StoreError::Failed(format!("a record cannot be rendered: {error}")))?;
        }
        Ok(Page { json, last })
    }
}
