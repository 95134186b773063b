//! `sched_namespace`.

use hetuflow_core::{
  NamespaceEntity, NamespaceForCreate, NamespaceForUpdate, NamespaceId, Page, Ts,
};
use sea_query::{Query, Value};

use super::page::{PageArgs, by_name};
use super::{FieldMask, is, text, ts};
use crate::infra::db::{Conn, DbError};

const TABLE: &str = "sched_namespace";
const COLUMNS: [&str; 5] = ["id", "description", "weight", "created_at", "updated_at"];

/// Inserts a namespace.
///
/// # Errors
/// [`DbError::Unique`] when the id is taken.
pub async fn create(conn: &mut Conn, new: &NamespaceForCreate, now: Ts) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(["id", "description", "created_at", "updated_at"]).values_panic(
    [text(&new.id).into(), text(&new.description).into(), ts(now).into(), ts(now).into()],
  );
  conn.execute(&insert).await.map(drop)
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: &NamespaceId) -> Result<Option<NamespaceEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("id", text(id)));
  conn.fetch_optional(&select).await
}

/// Reads a page.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(conn: &mut Conn, page: &PageArgs) -> Result<Page<NamespaceEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  by_name(conn, &mut select, page, "id", |row: &NamespaceEntity| row.id.to_string()).await
}

/// Changes what is given; returns whether the row exists.
///
/// # Errors
/// Any [`DbError`].
pub async fn update(
  conn: &mut Conn,
  id: &NamespaceId,
  change: &NamespaceForUpdate,
  now: Ts,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("updated_at", ts(now)).and_where(is("id", text(id)));
  FieldMask::new(&mut update, change.update_mask.as_deref())
    .set("description", change.description.as_ref().map(text))
    .set("weight", change.weight.map(|weight| Value::BigInt(Some(weight))));
  Ok(conn.execute(&update).await? == 1)
}

/// Deletes an empty namespace; returns whether there was one.
///
/// # Errors
/// Any [`DbError`]; a foreign key keeps a namespace that has jobs.
pub async fn delete(conn: &mut Conn, id: &NamespaceId) -> Result<bool, DbError> {
  let mut delete = Query::delete();
  delete.from_table(TABLE).and_where(is("id", text(id)));
  Ok(conn.execute(&delete).await? == 1)
}
