//! Key-set paging: a page ends with the key that the next one starts after.

use hetuflow_core::{Page, PageInfo};
use sea_query::{Expr, ExprTrait, Order, SelectStatement, Value};

use crate::infra::db::{AnyRow, Conn, DbError};

/// The key after which a page starts.
#[derive(Debug, Clone, PartialEq)]
pub enum Cursor {
  /// Newest first.
  Id(uuid::Uuid),
  /// In the order of the alphabet.
  Name(String),
  /// In the order of a number.
  Number(i64),
}

/// Which page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageArgs {
  /// Most rows.
  pub limit: i64,
  /// After this key.
  pub after: Option<Cursor>,
  /// Stands before the key in `next_cursor`, so that a cursor tells which list it is of.
  pub mark: String,
}

impl PageArgs {
  /// The first page.
  pub fn first(limit: i64) -> Self {
    Self { limit, ..Self::default() }
  }
}

/// Reads one page of a select, by its id, newest first.
pub(super) async fn by_id<T: AnyRow>(
  conn: &mut Conn,
  select: &mut SelectStatement,
  page: &PageArgs,
  id: impl Fn(&T) -> uuid::Uuid,
) -> Result<Page<T>, DbError> {
  if let Some(Cursor::Id(after)) = &page.after {
    select.and_where(Expr::col("id").lt(Value::Uuid(Some(*after))));
  }
  select.order_by("id", Order::Desc);
  cut(conn, select, page, |row| id(row).to_string()).await
}

/// Reads one page of a select, by a name, in the order of the alphabet.
pub(super) async fn by_name<T: AnyRow>(
  conn: &mut Conn,
  select: &mut SelectStatement,
  page: &PageArgs,
  column: &'static str,
  name: impl Fn(&T) -> String,
) -> Result<Page<T>, DbError> {
  if let Some(Cursor::Name(after)) = &page.after {
    select.and_where(Expr::col(column).gt(Value::String(Some(after.clone()))));
  }
  select.order_by(column, Order::Asc);
  cut(conn, select, page, name).await
}

async fn cut<T: AnyRow>(
  conn: &mut Conn,
  select: &mut SelectStatement,
  page: &PageArgs,
  key: impl Fn(&T) -> String,
) -> Result<Page<T>, DbError> {
  let limit = usize::try_from(page.limit).unwrap_or(1).max(1);
  select.limit(limit as u64 + 1);
  let mut data: Vec<T> = conn.fetch(select).await?;
  let more = data.len() > limit;
  data.truncate(limit);
  let next = data.last().filter(|_| more).map(key);
  let next_cursor = next.map(|key| format!("{}{key}", page.mark));
  Ok(Page { data, page: PageInfo { page_size: page.limit, next_cursor } })
}
