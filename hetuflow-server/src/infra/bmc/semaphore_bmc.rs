//! `sched_semaphore`: named limits.

use hetuflow_core::{NamespaceId, Page, SemaphoreEntity};
use sea_query::{OnConflict, Query, Value};

use super::page::{PageArgs, by_name};
use super::sql_text::SqlText;
use super::{is, text, text_option, ts};
use crate::infra::db::{Conn, DbError};

const TABLE: &str = "sched_semaphore";
const COLUMNS: [&str; 9] = [
  "namespace_id",
  "name",
  "description",
  "slots",
  "rate",
  "per_secs",
  "updated_by",
  "created_at",
  "updated_at",
];
/// Semaphores that one statement names.
const NAMES_MAX: usize = 250;

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(
  conn: &mut Conn,
  namespace: &NamespaceId,
  name: &str,
) -> Result<Option<SemaphoreEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  select.and_where(is("namespace_id", text(namespace))).and_where(is("name", text(name)));
  conn.fetch_optional(&select).await
}

/// Reads those of these that exist, by namespace and name.
///
/// # Errors
/// Any [`DbError`].
pub async fn get_all(
  conn: &mut Conn,
  names: &[(&str, &str)],
) -> Result<Vec<SemaphoreEntity>, DbError> {
  let mut all = Vec::new();
  for part in names.chunks(NAMES_MAX) {
    let mut sql = SqlText::new(
      "select namespace_id, name, description, slots, rate, per_secs, updated_by, created_at, \
       updated_at from sched_semaphore where ",
    );
    for (index, (namespace, name)) in part.iter().enumerate() {
      sql.push(if index == 0 { "(namespace_id = " } else { " or (namespace_id = " });
      sql.bind(text(namespace)).push(" and name = ").bind(text(name)).push(")");
    }
    all.extend(sql.fetch::<SemaphoreEntity>(conn).await?);
  }
  Ok(all)
}

/// Reads a page of a namespace.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  namespace: &NamespaceId,
  page: &PageArgs,
) -> Result<Page<SemaphoreEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("namespace_id", text(namespace)));
  by_name(conn, &mut select, page, "name", |row: &SemaphoreEntity| row.name.clone()).await
}

/// Makes one, or sets what it is.
///
/// # Errors
/// Any [`DbError`].
pub async fn put(conn: &mut Conn, semaphore: &SemaphoreEntity) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS).values_panic([
    text(&semaphore.namespace_id).into(),
    text(&semaphore.name).into(),
    text(&semaphore.description).into(),
    Value::BigInt(semaphore.slots).into(),
    Value::BigInt(semaphore.rate).into(),
    Value::Double(semaphore.per_secs).into(),
    text_option(semaphore.updated_by.as_deref()).into(),
    ts(semaphore.created_at).into(),
    ts(semaphore.updated_at).into(),
  ]);
  let mut conflict = OnConflict::columns(["namespace_id", "name"]);
  conflict.update_columns(["description", "slots", "rate", "per_secs", "updated_by", "updated_at"]);
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

/// Names of jobs that need a semaphore by their settings, at most `most`.
///
/// # Errors
/// Any [`DbError`].
pub async fn jobs_that_need(
  conn: &mut Conn,
  (namespace, name): (&NamespaceId, &str),
  most: i64,
) -> Result<Vec<String>, DbError> {
  let sql = if conn.is_sqlite() {
    "select distinct j.name from sched_job j, json_each(j.config, '$.semaphores') s \
      where j.namespace_id = $1 and j.logical_deletion is null and s.value ->> 'name' = $2 \
      order by j.name limit $3"
  } else {
    "select distinct j.name from sched_job j, \
        jsonb_array_elements(j.config -> 'semaphores') s \
      where j.namespace_id = $1 and j.logical_deletion is null and s.value ->> 'name' = $2 \
      order by j.name limit $3"
  };
  let values = vec![text(namespace), text(name), Value::BigInt(Some(most))];
  let rows: Vec<crate::infra::db::Row1<String>> = conn.fetch_sql(sql, values).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}
