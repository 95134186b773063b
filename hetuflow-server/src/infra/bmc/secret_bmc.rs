//! `sched_secret`: values only as they were sealed.

use hetuflow_core::{NamespaceId, Page, SecretEntity};
use sea_query::{Expr, ExprTrait, OnConflict, Query, Value};

use super::page::{PageArgs, by_name};
use super::{is, text, text_option, ts};
use crate::infra::db::{Conn, DbError};

const TABLE: &str = "sched_secret";
const COLUMNS: [&str; 7] =
  ["namespace_id", "name", "version", "recipients", "updated_by", "created_at", "updated_at"];

/// A secret with its sealed value.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SealedSecret {
  /// Its name.
  pub name: String,
  /// Counts its values; the seal depends on it.
  pub version: i64,
  /// For which key it is sealed.
  pub recipients: String,
  /// The sealed value.
  pub sealed: Vec<u8>,
}

/// Reads one without its value.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(
  conn: &mut Conn,
  namespace: &NamespaceId,
  name: &str,
) -> Result<Option<SecretEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  select.and_where(is("namespace_id", text(namespace))).and_where(is("name", text(name)));
  conn.fetch_optional(&select).await
}

/// Reads a page of a namespace.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  namespace: &NamespaceId,
  page: &PageArgs,
) -> Result<Page<SecretEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("namespace_id", text(namespace)));
  by_name(conn, &mut select, page, "name", |row: &SecretEntity| row.name.clone()).await
}

/// Writes a value, of a new secret or in place of the last one.
///
/// # Errors
/// Any [`DbError`].
pub async fn put(conn: &mut Conn, secret: &SecretEntity, sealed: &[u8]) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS.into_iter().chain(["sealed"])).values_panic([
    text(&secret.namespace_id).into(),
    text(&secret.name).into(),
    Value::BigInt(Some(secret.version)).into(),
    text(&secret.recipients).into(),
    text_option(secret.updated_by.as_deref()).into(),
    ts(secret.created_at).into(),
    ts(secret.updated_at).into(),
    Value::Bytes(Some(sealed.to_vec())).into(),
  ]);
  let mut conflict = OnConflict::columns(["namespace_id", "name"]);
  conflict.update_columns(["version", "recipients", "updated_by", "updated_at", "sealed"]);
  insert.on_conflict(conflict);
  conn.execute(&insert).await.map(drop)
}

/// Deletes one; returns whether there was one.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(conn: &mut Conn, namespace: &NamespaceId, name: &str) -> Result<bool, DbError> {
  let mut delete = Query::delete();
  delete.from_table(TABLE);
  delete.and_where(is("namespace_id", text(namespace))).and_where(is("name", text(name)));
  Ok(conn.execute(&delete).await? == 1)
}

/// Reads the sealed values of these names, as far as they exist.
///
/// # Errors
/// Any [`DbError`].
pub async fn sealed(
  conn: &mut Conn,
  namespace: &NamespaceId,
  names: &[String],
) -> Result<Vec<SealedSecret>, DbError> {
  let mut select = Query::select();
  select.columns(["name", "version", "recipients", "sealed"]).from(TABLE);
  select.and_where(is("namespace_id", text(namespace)));
  select.and_where(Expr::col("name").is_in(names.iter().map(text)));
  conn.fetch(&select).await
}

/// Whether anything is sealed for another key than this one.
///
/// # Errors
/// Any [`DbError`].
pub async fn other_recipient(conn: &mut Conn, own: &str) -> Result<Option<String>, DbError> {
  let mut select = Query::select();
  select.columns(["name", "version", "recipients", "sealed"]).from(TABLE).limit(1);
  select.and_where(Expr::col("recipients").ne(text(own)));
  let found: Option<SealedSecret> = conn.fetch_optional(&select).await?;
  Ok(found.map(|secret| secret.recipients))
}
