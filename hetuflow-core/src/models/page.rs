//! Lists: which part of it, and the part.

use serde::{Deserialize, Serialize};

/// Rows of a page where no limit is named.
pub const PAGE_LIMIT_DEFAULT: i64 = 50;
/// Most rows of a page.
pub const PAGE_LIMIT_MAX: i64 = 1000;

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::IntoParams))]
pub struct PageQuery {
  /// At most so many rows, 1 to 1,000.
  pub limit: Option<i64>,
  /// Go on after the page that gave this text.
  pub cursor: Option<String>,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
  /// The rows.
  pub data: Vec<T>,
  /// Where it stands in the list.
  pub page: PageInfo,
}

/// Where a page stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct PageInfo {
  /// Most rows of the page.
  pub page_size: i64,
  /// Text that asks for the next page; absent on the last.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub next_cursor: Option<String>,
}
