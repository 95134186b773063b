//! `sched_job`, `sched_job_version`, `sched_selector_class`.

use hetuflow_core::{
  JobEntity, JobFilter, JobForUpdate, JobId, JobSpec, NamespaceId, Page, SelectorClass, Ts,
};
use sea_query::{Expr, ExprTrait, OnConflict, Order, Query, SelectStatement, Value};

use super::page::{PageArgs, by_id};
use super::{FieldMask, is, json, text, text_option, ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_job";
const COLUMNS: [&str; 14] = [
  "id",
  "namespace_id",
  "name",
  "description",
  "environment",
  "config",
  "status",
  "labels",
  "version",
  "owner",
  "created_by",
  "created_at",
  "updated_by",
  "updated_at",
];

/// Inserts a job.
///
/// # Errors
/// [`DbError::Unique`] when the name is taken.
pub async fn create(conn: &mut Conn, job: &JobEntity) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS).values_panic([
    uuid(job.id.0).into(),
    text(&job.namespace_id).into(),
    text(&job.name).into(),
    text(&job.description).into(),
    json(&job.environment).into(),
    json(&job.config).into(),
    text(job.status).into(),
    json(&job.labels).into(),
    job.version.into(),
    text(&job.owner).into(),
    text_option(job.created_by.as_deref()).into(),
    ts(job.created_at).into(),
    text_option(job.updated_by.as_deref()).into(),
    ts(job.updated_at).into(),
  ]);
  conn.execute(&insert).await.map(drop)
}

fn select_live() -> SelectStatement {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(Expr::col("logical_deletion").is_null());
  select
}

/// Reads one that is not deleted.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: JobId) -> Result<Option<JobEntity>, DbError> {
  let mut select = select_live();
  select.and_where(is("id", uuid(id.0)));
  conn.fetch_optional(&select).await
}

/// Reads those of these that are not deleted.
///
/// # Errors
/// Any [`DbError`].
pub async fn get_many(
  conn: &mut Conn,
  ids: impl IntoIterator<Item = JobId>,
) -> Result<Vec<JobEntity>, DbError> {
  let mut select = select_live();
  select.and_where(Expr::col("id").is_in(ids.into_iter().map(|id| uuid(id.0))));
  conn.fetch(&select).await
}

/// Reads one that is not deleted, by its name.
///
/// # Errors
/// Any [`DbError`].
pub async fn get_by_name(
  conn: &mut Conn,
  namespace: &NamespaceId,
  name: &str,
) -> Result<Option<JobEntity>, DbError> {
  let mut select = select_live();
  select.and_where(is("namespace_id", text(namespace))).and_where(is("name", text(name)));
  conn.fetch_optional(&select).await
}

/// Reads a page; the hidden jobs of commands are left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  filter: &JobFilter,
  page: &PageArgs,
) -> Result<Page<JobEntity>, DbError> {
  let mut select = select_live();
  select.and_where(Expr::col("name").ne(text(hetuflow_core::ADHOC_JOB)));
  if let Some(namespace) = &filter.namespace_id {
    select.and_where(is("namespace_id", text(namespace)));
  }
  if let Some(name) = &filter.name {
    select.and_where(is("name", text(name)));
  }
  if let Some(status) = filter.status {
    select.and_where(is("status", text(status)));
  }
  by_id(conn, &mut select, page, |row: &JobEntity| row.id.0).await
}

/// Changes what is given and counts the version up, if it is still `version`.
///
/// # Errors
/// [`DbError::Unique`] when the new name is taken.
pub async fn update_if_version(
  conn: &mut Conn,
  id: JobId,
  version: i64,
  change: &JobForUpdate,
  by: (Option<&str>, Ts),
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("version", version + 1)
    .value("updated_at", ts(by.1))
    .value("updated_by", text_option(by.0))
    .and_where(is("id", uuid(id.0)))
    .and_where(is("version", Value::BigInt(Some(version))))
    .and_where(Expr::col("logical_deletion").is_null());
  FieldMask::new(&mut update, change.update_mask.as_deref())
    .set("name", change.name.as_ref().map(text))
    .set("description", change.description.as_ref().map(text))
    .set("environment", change.environment.as_ref().map(json))
    .set("config", change.config.as_ref().map(json))
    .set("status", change.status.map(text))
    .set("labels", change.labels.as_ref().map(json))
    .set("owner", change.owner.as_ref().map(text));
  Ok(conn.execute(&update).await? == 1)
}

/// Marks a job as deleted; its history stays readable.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(conn: &mut Conn, id: JobId, now: Ts) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("logical_deletion", ts(now))
    .and_where(is("id", uuid(id.0)))
    .and_where(Expr::col("logical_deletion").is_null());
  Ok(conn.execute(&update).await? == 1)
}

/// Keeps what a version of a job runs.
///
/// # Errors
/// Any [`DbError`].
pub async fn create_version(
  conn: &mut Conn,
  spec: &JobSpec,
  by: Option<&str>,
  now: Ts,
) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert
    .into_table("sched_job_version")
    .columns(["job_id", "version", "spec", "created_by", "created_at"])
    .values_panic([
      uuid(spec.job_id.0).into(),
      spec.job_version.into(),
      json(spec).into(),
      text_option(by).into(),
      ts(now).into(),
    ]);
  conn.execute(&insert).await.map(drop)
}

/// What a version of a job runs.
///
/// # Errors
/// [`DbError::BadData`] when the stored text cannot be read.
pub async fn get_version(
  conn: &mut Conn,
  id: JobId,
  version: i64,
) -> Result<Option<JobSpec>, DbError> {
  let mut select = Query::select();
  select
    .column("spec")
    .from("sched_job_version")
    .and_where(is("job_id", uuid(id.0)))
    .and_where(is("version", Value::BigInt(Some(version))));
  let row: Option<Row1<sqlx::types::Json<JobSpec>>> = conn.fetch_optional(&select).await?;
  Ok(row.map(|row| row.0.0))
}

/// All versions of a job, newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_versions(conn: &mut Conn, id: JobId) -> Result<Vec<JobSpec>, DbError> {
  let mut select = Query::select();
  select
    .column("spec")
    .from("sched_job_version")
    .and_where(is("job_id", uuid(id.0)))
    .order_by("version", Order::Desc)
    .limit(1000);
  let rows: Vec<Row1<sqlx::types::Json<JobSpec>>> = conn.fetch(&select).await?;
  Ok(rows.into_iter().map(|row| row.0.0).collect())
}

/// Makes a selector class known; a known one stays.
///
/// # Errors
/// Any [`DbError`].
pub async fn ensure_class(conn: &mut Conn, class: &SelectorClass) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert
    .into_table("sched_selector_class")
    .columns(["id", "spec"])
    .values_panic([class.class_id().into(), json(class).into()])
    .on_conflict(OnConflict::column("id").do_nothing().to_owned());
  conn.execute(&insert).await.map(drop)
}

/// Reads selector classes by their numbers.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_classes(
  conn: &mut Conn,
  ids: &[i64],
) -> Result<Vec<(i64, SelectorClass)>, DbError> {
  let mut select = Query::select();
  select
    .columns(["id", "spec"])
    .from("sched_selector_class")
    .and_where(Expr::col("id").is_in(ids.iter().copied()));
  let rows: Vec<(i64, sqlx::types::Json<SelectorClass>)> = conn.fetch(&select).await?;
  Ok(rows.into_iter().map(|(id, class)| (id, class.0)).collect())
}

/// Names of the jobs of a namespace whose tasks are of a type, at most 200.
///
/// # Errors
/// Any [`DbError`].
pub async fn names_of_type(
  conn: &mut Conn,
  namespace: &NamespaceId,
  task_type: &str,
) -> Result<Vec<String>, DbError> {
  let sql = "select name from sched_job where namespace_id = $1 \
    and config ->> 'task_type' = $2 and logical_deletion is null order by name limit 200";
  let rows: Vec<Row1<String>> = conn.fetch_sql(sql, vec![text(namespace), text(task_type)]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}
