//! `sched_fire`: one row per due instant, whatever was decided.

use hetuflow_core::{FireEntity, Page, ScheduleId};
use sea_query::{OnConflict, Query, Value};

use super::page::{PageArgs, by_id};
use super::{is, text, text_option, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError};

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
