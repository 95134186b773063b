//! `sched_calendar`: calendars by name.

use std::collections::BTreeSet;

use hetuflow_core::{CalendarEntity, NamespaceId, Page, ScheduleId, Ts};
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

/// Which calendar there is, and how new it is.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct CalendarHead {
  /// Its namespace.
  pub namespace_id: String,
  /// Its name.
  pub name: String,
  /// Nothing of the namespace fires while it covers.
  pub blackout: bool,
  /// Grows with each change.
  pub version: i64,
  /// When it was set.
  pub updated_at: Ts,
}

/// The blackouts of these namespaces, and their calendars of these names.
///
/// # Errors
/// Any [`DbError`].
pub async fn heads(
  conn: &mut Conn,
  (namespaces, names): (&BTreeSet<&str>, &BTreeSet<&str>),
) -> Result<Vec<CalendarHead>, DbError> {
  let mut sql =
    SqlText::new("select namespace_id, name, blackout, version, updated_at from sched_calendar");
  sql.push(" where namespace_id in ").bind_list(namespaces.iter().map(text));
  if names.is_empty() {
    sql.push(" and blackout");
  } else {
    sql.push(" and (blackout or name in ").bind_list(names.iter().map(text)).push(")");
  }
  sql.push(" order by namespace_id, name");
  sql.fetch(conn).await
}

/// The zone and the text of the rules, which is not read here, so that no row can stop the planner.
///
/// # Errors
/// Any [`DbError`].
pub async fn rules(
  conn: &mut Conn,
  (namespace, name): (&str, &str),
) -> Result<Option<(String, String)>, DbError> {
  let sql = if conn.is_sqlite() {
    "select timezone, rules from sched_calendar where namespace_id = $1 and name = $2"
  } else {
    "select timezone, rules::text from sched_calendar where namespace_id = $1 and name = $2"
  };
  let rows: Vec<(String, String)> = conn.fetch_sql(sql, vec![text(namespace), text(name)]).await?;
  Ok(rows.into_iter().next())
}

/// Those of these names that there are, which nobody deletes before this transaction ends.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold(
  conn: &mut Conn,
  namespace: &NamespaceId,
  names: &BTreeSet<&str>,
) -> Result<Vec<String>, DbError> {
  let mut sql = SqlText::new("select name from sched_calendar where namespace_id = ");
  sql.bind(text(namespace)).push(" and name in ").bind_list(names.iter().map(text));
  if !conn.is_sqlite() {
    sql.push(" for share");
  }
  let rows: Vec<Row1<String>> = sql.fetch(conn).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The schedules of a namespace that name a calendar, by name.
///
/// # Errors
/// Any [`DbError`].
pub async fn users(
  conn: &mut Conn,
  (namespace, name): (&NamespaceId, &str),
  limit: i64,
) -> Result<Vec<(ScheduleId, String)>, DbError> {
  let sql = if conn.is_sqlite() {
    "select s.id, s.name from sched_schedule s where s.namespace_id = $1 \
      and (s.include <> '[]' or s.exclude <> '[]') \
      and (exists (select 1 from json_each(s.include) i where i.value = $2) \
        or exists (select 1 from json_each(s.exclude) e where e.value = $2)) \
    order by s.name limit $3"
  } else {
    "select id, name from sched_schedule where namespace_id = $1 \
      and (include @> to_jsonb($2::text) or exclude @> to_jsonb($2::text)) \
    order by name limit $3"
  };
  let values = vec![text(namespace), text(name), Value::BigInt(Some(limit))];
  conn.fetch_sql(sql, values).await
}
