//! `sched_backfill` and `sched_backfill_task`: what is run for instants of the past.

use hetuflow_core::{
  BackfillEntity, BackfillFilter, BackfillId, Page, ScheduleEntity, ScheduleId, TaskId, TaskStatus,
  Ts,
};
use sea_query::{Expr, ExprTrait, Order, Query, Value};
use sqlx::types::Json;

use super::page::{PageArgs, by_id};
use super::{is, json, text, text_option, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_backfill";
const TASKS: &str = "sched_backfill_task";
const COLUMNS: [&str; 27] = [
  "id",
  "namespace_id",
  "schedule_id",
  "schedule_name",
  "job_id",
  "from_at",
  "to_at",
  "direction",
  "selection",
  "parallelism",
  "state",
  "reason",
  "with_excluded",
  "in_range",
  "excluded",
  "total",
  "first_at",
  "last_at",
  "made",
  "succeeded",
  "failed",
  "cursor_at",
  "rev",
  "created_by",
  "created_at",
  "updated_at",
  "ended_at",
];

/// Inserts a backfill with the schedule as it is now.
///
/// # Errors
/// Any [`DbError`].
pub async fn create(
  conn: &mut Conn,
  row: &BackfillEntity,
  rule: &ScheduleEntity,
) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS.into_iter().chain(["rule"])).values_panic([
    uuid(row.id.0).into(),
    text(&row.namespace_id).into(),
    uuid(row.schedule_id.0).into(),
    text(&row.schedule_name).into(),
    uuid(row.job_id.0).into(),
    ts(row.from_at).into(),
    ts(row.to_at).into(),
    text(row.order).into(),
    text(row.only).into(),
    row.parallelism.into(),
    text(row.state).into(),
    text_option(row.reason.as_deref()).into(),
    Value::Bool(Some(row.with_excluded)).into(),
    row.in_range.into(),
    row.excluded.into(),
    row.total.into(),
    ts(row.first_at).into(),
    ts(row.last_at).into(),
    row.made.into(),
    row.succeeded.into(),
    row.failed.into(),
    ts_option(row.cursor_at).into(),
    row.rev.into(),
    text_option(row.created_by.as_deref()).into(),
    ts(row.created_at).into(),
    ts(row.updated_at).into(),
    ts_option(row.ended_at).into(),
    json(rule).into(),
  ]);
  conn.execute(&insert).await.map(drop)
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: BackfillId) -> Result<Option<BackfillEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("id", uuid(id.0)));
  conn.fetch_optional(&select).await
}

/// The schedule as it was when the backfill was made.
///
/// # Errors
/// Any [`DbError`].
pub async fn rule_of(conn: &mut Conn, id: BackfillId) -> Result<Option<ScheduleEntity>, DbError> {
  let mut select = Query::select();
  select.column("rule").from(TABLE).and_where(is("id", uuid(id.0)));
  let row: Option<Row1<Json<ScheduleEntity>>> = conn.fetch_optional(&select).await?;
  Ok(row.map(|row| row.0.0))
}

/// Reads a page, newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  filter: &BackfillFilter,
  page: &PageArgs,
) -> Result<Page<BackfillEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  if let Some(namespace) = &filter.namespace_id {
    select.and_where(is("namespace_id", text(namespace)));
  }
  if let Some(schedule) = filter.schedule_id {
    select.and_where(is("schedule_id", uuid(schedule.0)));
  }
  if let Some(state) = filter.state {
    select.and_where(is("state", text(state)));
  }
  by_id(conn, &mut select, page, |row: &BackfillEntity| row.id.0).await
}

/// Backfills with something left to do or to wait for, oldest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_open(conn: &mut Conn, limit: u64) -> Result<Vec<BackfillEntity>, DbError> {
  let mut select = Query::select();
  select
    .columns(COLUMNS)
    .from(TABLE)
    .and_where(Expr::col("ended_at").is_null())
    .order_by("id", Order::Asc)
    .limit(limit);
  conn.fetch(&select).await
}

/// Writes how far it is, if nobody else has meanwhile.
///
/// # Errors
/// Any [`DbError`].
pub async fn update_if_rev(
  conn: &mut Conn,
  row: &BackfillEntity,
  rev: i64,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("state", text(row.state))
    .value("reason", text_option(row.reason.as_deref()))
    .value("made", row.made)
    .value("succeeded", row.succeeded)
    .value("failed", row.failed)
    .value("cursor_at", ts_option(row.cursor_at))
    .value("rev", rev + 1)
    .value("updated_at", ts(row.updated_at))
    .value("ended_at", ts_option(row.ended_at))
    .and_where(is("id", uuid(row.id.0)))
    .and_where(is("rev", Value::BigInt(Some(rev))));
  Ok(conn.execute(&update).await? == 1)
}

/// A task that was alive when somebody looked last.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct OpenTask {
  /// Its instant.
  pub scheduled_at: Ts,
  /// The task.
  pub task_id: TaskId,
  /// How it has ended, where it has.
  pub status: Option<TaskStatus>,
}

/// The tasks of a backfill that are not known to have ended, and how they have by now.
///
/// # Errors
/// Any [`DbError`].
pub async fn open_tasks(conn: &mut Conn, id: BackfillId) -> Result<Vec<OpenTask>, DbError> {
  let sql = "select b.scheduled_at, b.task_id, \
      case when h.task_id is null then coalesce(i.task_status, 'lost') end as status \
    from sched_backfill_task b left join sched_task_hot h on h.task_id = b.task_id \
    left join sched_task_instance i on i.task_id = b.task_id and i.task_status is not null \
    where b.backfill_id = $1 and b.status is null order by b.scheduled_at";
  conn.fetch_sql(sql, vec![uuid(id.0)]).await
}

/// Notes how tasks have ended.
///
/// # Errors
/// Any [`DbError`].
pub async fn settle(conn: &mut Conn, id: BackfillId, ended: &[OpenTask]) -> Result<(), DbError> {
  for task in ended {
    let Some(status) = task.status else { continue };
    let mut update = Query::update();
    update
      .table(TASKS)
      .value("status", text(status))
      .and_where(is("backfill_id", uuid(id.0)))
      .and_where(is("scheduled_at", ts(task.scheduled_at)));
    conn.execute(&update).await?;
  }
  Ok(())
}

/// Notes which tasks were made for which instants.
///
/// # Errors
/// [`DbError::Unique`] where the backfill has run one of the instants before.
pub async fn insert_tasks(
  conn: &mut Conn,
  (id, schedule): (BackfillId, ScheduleId),
  tasks: &[(Ts, TaskId)],
) -> Result<(), DbError> {
  if tasks.is_empty() {
    return Ok(());
  }
  let mut insert = Query::insert();
  insert.into_table(TASKS).columns(["backfill_id", "scheduled_at", "schedule_id", "task_id"]);
  for (at, task) in tasks {
    insert.values_panic([
      uuid(id.0).into(),
      ts(*at).into(),
      uuid(schedule.0).into(),
      uuid(task.0).into(),
    ]);
  }
  conn.execute(&insert).await.map(drop)
}

/// A task that ran for an instant of a schedule.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct RanTask {
  /// The instant.
  pub scheduled_at: Ts,
  /// The task.
  pub id: TaskId,
  /// Where it stands.
  pub status: TaskStatus,
}

const PLANNED: &str = "select t.scheduled_at, t.id, \
    coalesce(h.status, i.task_status, 'lost') as status \
  from sched_task t left join sched_task_hot h on h.task_id = t.id \
  left join sched_task_instance i on i.task_id = t.id and i.task_status is not null \
  where t.schedule_id = $1 and t.trigger_source in ('schedule', 'catchup') \
    and t.scheduled_at >= $2 and t.scheduled_at <= $3";

const BACKFILLED: &str = "select b.scheduled_at, b.task_id as id, \
    coalesce(h.status, i.task_status, 'lost') as status \
  from sched_backfill_task b left join sched_task_hot h on h.task_id = b.task_id \
  left join sched_task_instance i on i.task_id = b.task_id and i.task_status is not null \
  where b.schedule_id = $1 and b.scheduled_at >= $2 and b.scheduled_at <= $3";

/// All tasks of a schedule for the instants from one to another, both included.
///
/// # Errors
/// Any [`DbError`].
pub async fn ran_between(
  conn: &mut Conn,
  schedule: ScheduleId,
  (first, last): (Ts, Ts),
) -> Result<Vec<RanTask>, DbError> {
  let values = || vec![uuid(schedule.0), ts(first), ts(last)];
  let mut ran: Vec<RanTask> = conn.fetch_sql(PLANNED, values()).await?;
  ran.extend(conn.fetch_sql::<RanTask>(BACKFILLED, values()).await?);
  Ok(ran)
}

/// The instants from one to another, both included, that the planner has fired.
///
/// # Errors
/// Any [`DbError`].
pub async fn fired_between(
  conn: &mut Conn,
  schedule: ScheduleId,
  (first, last): (Ts, Ts),
) -> Result<Vec<Ts>, DbError> {
  let sql = "select fire_at from sched_fire where schedule_id = $1 and decision = 'fired' \
    and fire_at >= $2 and fire_at <= $3";
  let rows: Vec<Row1<Ts>> =
    conn.fetch_sql(sql, vec![uuid(schedule.0), ts(first), ts(last)]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}
