//! Long JSON answers, written page by page: no list is ever built whole.
//!
//! The first page is fetched before the answer begins, so that trouble of the store becomes an ordinary error. Trouble
//! later breaks the answer off, which clients see as an incomplete body; it never looks complete. Between pages nothing
//! is held but a cursor. What does not fit the socket is not produced, and the socket itself is cut when its client
//! reads nothing for too long (`connection`).

use std::collections::VecDeque;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use async_trait::async_trait;
use bunraku_actors::ports::StoreError;
use futures_util::stream;
use serde::Serialize;

use super::{Answer, ApiError, JSON};

/// Records per page at most, as the store allows.
pub(crate) const PAGE: u32 = 1_000;

/// A part of a list, rendered: values joined by commas, without brackets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) json: Vec<u8>,
    pub(crate) last: bool,
}

impl Page {
    /// The end of a list.
    pub(crate) fn end() -> Self {
        Self { json: Vec::new(), last: true }
    }

    /// Renders these values.
    pub(crate) fn of<T: Serialize>(values: impl Iterator<Item = T>, last: bool) -> Result<Self, StoreError> {
        let mut json = Vec::new();
        for value in values {
            if !json.is_empty() {
                json.push(b',');
            }
            serde_json::to_writer(&mut json, &value)
                .map_err(|error| StoreError::Failed(format!("a record cannot be rendered: {error}")))?;
        }
        Ok(Self { json, last })
    }
}

/// A list that is read page by page.
#[async_trait(?Send)]
pub(crate) trait Pages: 'static {
    /// The next page. Not called again after the last one.
    async fn next(&mut self) -> Result<Page, StoreError>;
}

enum Part {
    Text(Vec<u8>),
    /// More pages, and whether anything was written before them.
    Pages(Box<dyn Pages>, bool),
}

/// An answer made of texts and lists.
#[derive(Default)]
pub(crate) struct Document {
    parts: VecDeque<Part>,
}

impl Document {
    /// Appends text as it is.
    pub(crate) fn text(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.parts.push_back(Part::Text(text.into()));
        self
    }

    /// Appends a list of which the first page is there already.
    pub(crate) fn list(mut self, first: Page, rest: impl Pages) -> Self {
        let begun = !first.json.is_empty();
        let last = first.last;
        self.parts.push_back(Part::Text(first.json));
        if !last {
            self.parts.push_back(Part::Pages(Box::new(rest), begun));
        }
        self
    }

    /// Appends a list that is read when its turn comes.
    pub(crate) fn later(mut self, pages: impl Pages) -> Self {
        self.parts.push_back(Part::Pages(Box::new(pages), false));
        self
    }

    /// The answer: in one piece when everything is there already, else streamed.
    pub(crate) fn respond(self) -> Answer {
        let mut response = HttpResponse::Ok();
        response.content_type(JSON);
        let mut whole = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => whole.extend_from_slice(text),
                Part::Pages(..) => return Ok(response.streaming(stream::try_unfold(self, Self::step))),
            }
        }
        Ok(response.body(whole))
    }

    async fn step(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Text(text)) if text.is_empty() => {}
                Some(Part::Text(text)) => return Ok(Some((Bytes::from(text), self))),
                Some(Part::Pages(mut pages, begun)) => {
                    let page = pages.next().await.inspect_err(|error| {
                        tracing::warn!(%error, "an answer is broken off");
                    })?;
                    let chunk = separated(page.json, begun);
                    if !page.last {
                        self.parts.push_front(Part::Pages(pages, begun || !chunk.is_empty()));
                    }
                    if !chunk.is_empty() {
                        return Ok(Some((Bytes::from(chunk), self)));
                    }
                }
            }
        }
    }
}

fn separated(mut json: Vec<u8>, begun: bool) -> Vec<u8> {
    if begun && !json.is_empty() {
        json.insert(0, b',');
    }
    json
}

/// Renders a value into a [`Document`].
pub(crate) fn render(value: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(value).map_err(|error| ApiError::internal(format!("cannot render: {error}")))
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    struct Numbers(Vec<Vec<u32>>);

    #[async_trait(?Send)]
    impl Pages for Numbers {
        async fn next(&mut self) -> Result<Page, StoreError> {
            let page = self.0.remove(0);
            Page::of(page.into_iter(), self.0.is_empty())
        }
    }

    async fn shown(pages: Vec<Vec<u32>>) -> String {
        let mut rest = Numbers(pages.clone());
        let first = rest.next().await.unwrap();
        let document = Document::default().text("{\"a\":[").list(first, rest).text("],\"b\":[");
        let response = document.later(Numbers(pages)).text("]}").respond().unwrap();
        String::from_utf8(to_bytes(response.into_body()).await.unwrap().to_vec()).unwrap()
    }

    #[actix_web::test]
    async fn pages_join_to_one_list() {
        assert_eq!(shown(vec![vec![]]).await, r#"{"a":[],"b":[]}"#);
        assert_eq!(shown(vec![vec![1, 2]]).await, r#"{"a":[1,2],"b":[1,2]}"#);
        assert_eq!(shown(vec![vec![1], vec![], vec![2, 3], vec![]]).await, r#"{"a":[1,2,3],"b":[1,2,3]}"#);
        assert_eq!(shown(vec![vec![], vec![1], vec![2]]).await, r#"{"a":[1,2],"b":[1,2]}"#);
    }
}
