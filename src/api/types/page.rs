//! Links, lists and pages: what collections share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A link to another resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Its absolute URL.
    pub id: String,
}

impl Link {
    /// A link to this URL.
    #[must_use]
    pub fn new(id: String) -> Self {
        Self { id }
    }
}

/// A link with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamedLink {
    pub name: String,
    pub id: String,
}

/// A list that does not page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Items<T> {
    pub items: Vec<T>,
}

/// Which part of a collection an answer holds (API §1.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pagination {
    /// Null when none was asked for.
    pub limit: Option<u64>,
    pub offset: u64,
    /// All records that match the filters.
    pub total: u64,
    pub order_by: String,
    /// `asc` or `desc`.
    pub order: String,
    /// The filter on the type, `""` when there is none.
    #[serde(rename = "type")]
    pub kind: String,
}
