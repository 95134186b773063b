//! `sched_fire`: one row per due instant, whatever was decided.

use hetuflow_core::{FireEntity, Page, ScheduleId, Ts};
use sea_query::{Expr, ExprTrait, OnConflict, Query, Value};

use super::page::{PageArgs, by_id};
use super::{is, text, text_option, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_fire";
const COLUMNS: [&str; 10] = [
  "id",
  "schedule_id",
  "schedule_rev",
  "fire_at",
  "decision",
  "reason",
  "task_id",
  "count",
  "from_at",
  "to_at",
];

/// Inserts a fire; `false` when the instant was decided before, by whomever.
///
/// # Errors
/// Any [`DbError`].
pub async fn create_once(conn: &mut Conn, fire: &FireEntity) -> Result<bool, DbError> {
  let mut insert = Query::insert();
  insert
    .into_table(TABLE)
    .columns(COLUMNS)
    .values_panic([
      uuid(fire.id.0).into(),
      uuid(fire.schedule_id.0).into(),
      fire.schedule_rev.into(),
      ts(fire.fire_at).into(),
      text(fire.decision).into(),
      text_option(fire.reason.as_deref()).into(),
      Value::Uuid(fire.task_id.map(|id| id.0)).into(),
      fire.count.into(),
      ts_option(fire.from_at).into(),
      ts_option(fire.to_at).into(),
    ])
    .on_conflict(OnConflict::columns(["schedule_id", "fire_at"]).do_nothing().to_owned());
  Ok(conn.execute(&insert).await? == 1)
}

/// Reads a page of one schedule's fires.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  schedule: ScheduleId,
  page: &PageArgs,
) -> Result<Page<FireEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("schedule_id", uuid(schedule.0)));
  by_id(conn, &mut select, page, |row: &FireEntity| row.id.0).await
}

/// Takes back what was planned after `after` and not claimed yet: fires, tasks and live rows.
/// Returns how many tasks went.
///
/// # Errors
/// Any [`DbError`].
pub async fn revoke_planned(
  conn: &mut Conn,
  schedule: ScheduleId,
  after: Ts,
) -> Result<u64, DbError> {
  let mut delete = Query::delete();
  delete
    .from_table("sched_task_hot")
    .and_where(is("schedule_id", uuid(schedule.0)))
    .and_where(is("status", text("pending")))
    .and_where(Expr::col("scheduled_at").gt(ts(after)))
    .returning_col("task_id");
  let gone: Vec<Row1<uuid::Uuid>> = conn.fetch(&delete).await?;
  for row in &gone {
    let mut delete = Query::delete();
    delete.from_table("sched_task").and_where(is("id", uuid(row.0)));
    conn.execute(&delete).await?;
    let mut delete = Query::delete();
    delete.from_table(TABLE).and_where(is("task_id", uuid(row.0)));
    conn.execute(&delete).await?;
  }
  Ok(gone.len() as u64)
}

/// The first planned instant after `after` whose task nobody has claimed.
///
/// # Errors
/// Any [`DbError`].
pub async fn first_ahead(
  conn: &mut Conn,
  schedule: ScheduleId,
  after: Ts,
) -> Result<Option<Ts>, DbError> {
  let sql = "select min(f.fire_at) from sched_fire f join sched_task_hot h on h.task_id = f.task_id \
    where h.schedule_id = $1 and h.status = 'pending' and h.scheduled_at > $2";
  let rows: Vec<Row1<Option<Ts>>> = conn.fetch_sql(sql, vec![uuid(schedule.0), ts(after)]).await?;
  Ok(rows.into_iter().next().and_then(|row| row.0))
}
