//! `sched_calendar`: calendars by name.

use std::collections::BTreeSet;

use hetuflow_core::{CalendarEntity, NamespaceId, Page};
use sea_query::{OnConflict, Query, Value};

use super::page::{PageArgs, by_name};
use super::sql_text::SqlText;
use super::{is, json, text, text_option, ts};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_calendar";
const COLUMNS: [&str; 10] = [
  "namespace_id",
  "name",
  "description",
  "timezone",
  "rules",
  "blackout",
  "version",
  "updated_by",
  "created_at",
  "updated_at",
];

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(
  conn: &mut Conn,
  namespace: &NamespaceId,
  name: &str,
) -> Result<Option<CalendarEntity>, DbError> {
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
) -> Result<Page<CalendarEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("namespace_id", text(namespace)));
  by_name(conn, &mut select, page, "name", |row: &CalendarEntity| row.name.clone()).await
}

/// How many a namespace has.
///
/// # Errors
/// Any [`DbError`].
pub async fn count(conn: &mut Conn, namespace: &NamespaceId) -> Result<i64, DbError> {
  let sql = "select count(*) from sched_calendar where namespace_id = $1";
  let rows: Vec<Row1<i64>> = conn.fetch_sql(sql, vec![text(namespace)]).await?;
  Ok(rows.first().map_or(0, |row| row.0))
}

/// Makes one, or sets what it is.
///
/// # Errors
/// Any [`DbError`].
pub async fn put(conn: &mut Conn, calendar: &CalendarEntity) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS).values_panic([
    text(&calendar.namespace_id).into(),
    text(&calendar.name).into(),
    text(&calendar.description).into(),
    text(&calendar.timezone).into(),
    json(&calendar.rules).into(),
    Value::Bool(Some(calendar.blackout)).into(),
    Value::BigInt(Some(calendar.version)).into(),
    text_option(calendar.updated_by.as_deref()).into(),
    ts(calendar.created_at).into(),
    ts(calendar.updated_at).into(),
  ]);
  let mut conflict = OnConflict::columns(["namespace_id", "name"]);
  conflict.update_columns(COLUMNS[2..].iter().copied().filter(|column| *column != "created_at"));
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

/// The blackouts of these namespaces: namespace, name, zone and the text of the rules, which is not
/// read here, so that no row can stop the planner.
///
/// # Errors
/// Any [`DbError`].
pub async fn blackouts(
  conn: &mut Conn,
  namespaces: &BTreeSet<&str>,
) -> Result<Vec<(String, String, String, String)>, DbError> {
  let mut sql = SqlText::new(if conn.is_sqlite() {
    "select namespace_id, name, timezone, rules from sched_calendar"
  } else {
    "select namespace_id, name, timezone, rules::text from sched_calendar"
  });
  sql.push(" where blackout and namespace_id in ").bind_list(namespaces.iter().map(text));
  sql.push(" order by namespace_id, name");
  sql.fetch(conn).await
}
