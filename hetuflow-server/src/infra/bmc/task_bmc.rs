//! `sched_task_view`: tasks as people see them.

use hetuflow_core::{
  JobId, NamespaceId, Page, ScheduleId, TaskEntity, TaskFilter, TaskId, TaskStatus, Ts,
};
use sea_query::{Expr, ExprTrait, Order, Query, SelectStatement, Value};

use super::page::{PageArgs, by_id};
use super::{is, text, ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const VIEW: &str = "sched_task_view";
const COLUMNS: [&str; 34] = [
  "id",
  "job_id",
  "job_name",
  "job_version",
  "namespace_id",
  "status",
  "priority",
  "schedule_id",
  "scheduled_at",
  "eligible_at",
  "held_by",
  "trigger_source",
  "parameters",
  "environment",
  "config",
  "idempotency_key",
  "attempt",
  "instance_id",
  "fence",
  "agent_id",
  "started_at",
  "completed_at",
  "exit_code",
  "signal",
  "reason",
  "error_message",
  "progress",
  "progress_note",
  "outputs",
  "mark",
  "unreachable_since",
  "parent_id",
  "created_by",
  "created_at",
];

fn select() -> SelectStatement {
  let mut select = Query::select();
  select.columns(COLUMNS).from(VIEW);
  select
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: TaskId) -> Result<Option<TaskEntity>, DbError> {
  let mut select = select();
  select.and_where(is("id", uuid(id.0)));
  conn.fetch_optional(&select).await
}

/// Reads those with these ids, in no order.
///
/// # Errors
/// Any [`DbError`].
pub async fn get_many(conn: &mut Conn, ids: &[TaskId]) -> Result<Vec<TaskEntity>, DbError> {
  let mut select = select();
  select.and_where(Expr::col("id").is_in(ids.iter().map(|id| Value::Uuid(Some(id.0)))));
  conn.fetch(&select).await
}

/// Reads a page.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  filter: &TaskFilter,
  job: Option<JobId>,
  statuses: &[TaskStatus],
  page: &PageArgs,
) -> Result<Page<TaskEntity>, DbError> {
  let mut select = select();
  if let Some(namespace) = &filter.namespace_id {
    select.and_where(is("namespace_id", text(namespace)));
  }
  if let Some(job) = job.or(filter.job_id) {
    select.and_where(is("job_id", uuid(job.0)));
  }
  if let Some(schedule) = filter.schedule_id {
    select.and_where(is("schedule_id", uuid(schedule.0)));
  }
  if let Some(agent) = &filter.agent_id {
    select.and_where(is("agent_id", text(agent)));
  }
  if let Some(parent) = filter.parent_id {
    let mut children = Query::select();
    children.column("task_id").from("sched_task_child").and_where(is("parent_id", uuid(parent.0)));
    select.and_where(Expr::col("id").in_subquery(children));
  }
  if !statuses.is_empty() {
    select.and_where(Expr::col("status").is_in(statuses.iter().map(text)));
  }
  by_id(conn, &mut select, page, |row: &TaskEntity| row.id.0).await
}

/// The newest task of a job in one of these states (any where none is given), after skipping some.
///
/// # Errors
/// Any [`DbError`].
pub async fn latest_of_job(
  conn: &mut Conn,
  job: JobId,
  statuses: &[TaskStatus],
  skip: u64,
) -> Result<Option<TaskEntity>, DbError> {
  let mut select = select();
  select.and_where(is("job_id", uuid(job.0)));
  if !statuses.is_empty() {
    select.and_where(Expr::col("status").is_in(statuses.iter().map(text)));
  }
  select.and_where(Expr::cust(if conn.is_sqlite() {
    "scheduled_at <= cast(unixepoch('subsec') * 1000000 as integer)"
  } else {
    "scheduled_at <= clock_timestamp()"
  }));
  select.order_by("scheduled_at", Order::Desc).order_by("id", Order::Desc).offset(skip).limit(1);
  conn.fetch_optional(&select).await
}

/// Ids of a namespace that end with these characters of their hex form.
///
/// # Errors
/// Any [`DbError`].
pub async fn ids_with_tail(
  conn: &mut Conn,
  namespace: &NamespaceId,
  tail_bits: u64,
) -> Result<Vec<TaskId>, DbError> {
  // The short id is the last 40 bits: ten hex digits.
  let tail = format!("{tail_bits:010x}");
  let sql = if conn.is_sqlite() {
    "select id from sched_task where namespace_id = $1 and lower(hex(id)) like '%' || $2 \
      order by id desc limit 10"
  } else {
    "select id from sched_task where namespace_id = $1 and id::text like '%' || $2 \
      order by id desc limit 10"
  };
  let rows: Vec<Row1<TaskId>> = conn.fetch_sql(sql, vec![text(namespace), text(tail)]).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The tasks that hold these idempotency keys: id, key and hash of the request.
///
/// # Errors
/// Any [`DbError`].
pub async fn get_by_keys(
  conn: &mut Conn,
  namespace: &NamespaceId,
  keys: &[String],
) -> Result<Vec<(TaskId, String, Option<Vec<u8>>)>, DbError> {
  let mut select = Query::select();
  select
    .columns(["id", "idempotency_key", "idempotency_hash"])
    .from("sched_task")
    .and_where(is("namespace_id", text(namespace)))
    .and_where(Expr::col("idempotency_key").is_in(keys.iter().map(text)));
  conn.fetch(&select).await
}

/// The planned instant of a job's last task before `before` that has succeeded; only so many are
/// looked at, so that a job that never succeeds costs no more than another.
///
/// # Errors
/// Any [`DbError`].
pub async fn last_success(conn: &mut Conn, job: JobId, before: Ts) -> Result<Option<Ts>, DbError> {
  let sql = "select t.scheduled_at from (select id, scheduled_at from sched_task \
      where job_id = $1 and scheduled_at < $2 order by scheduled_at desc limit 200) t \
    where exists (select 1 from sched_task_instance i \
      where i.task_id = t.id and i.status = 'succeeded') \
    order by t.scheduled_at desc limit 1";
  let rows: Vec<Row1<Ts>> = conn.fetch_sql(sql, vec![uuid(job.0), ts(before)]).await?;
  Ok(rows.first().map(|row| row.0))
}

/// How many of the newest tasks of a schedule have failed one after another, at most `most`: of those
/// made since the schedule's last change, without one that is just ending.
///
/// # Errors
/// Any [`DbError`].
pub async fn failed_in_a_row(
  conn: &mut Conn,
  schedule: ScheduleId,
  (without, most): (TaskId, i64),
) -> Result<i64, DbError> {
  if most <= 0 {
    return Ok(0);
  }
  let sql = "select coalesce(m.mark ->> 'status', i.task_status) from sched_task t \
      join sched_task_instance i on i.task_id = t.id and i.task_status is not null \
      left join sched_task_mark m on m.task_id = t.id \
      join sched_schedule s on s.id = t.schedule_id \
    where t.schedule_id = $1 and t.trigger_source in ('schedule', 'catchup') and t.id <> $2 \
      and t.created_at >= s.updated_at \
      and i.task_status in ('succeeded', 'failed', 'lost', 'expired') \
    order by t.scheduled_at desc limit $3";
  let values = vec![uuid(schedule.0), uuid(without.0), Value::BigInt(Some(most))];
  let ends: Vec<Row1<TaskStatus>> = conn.fetch_sql(sql, values).await?;
  let failed = ends.iter().take_while(|end| end.0 != TaskStatus::Succeeded).count();
  Ok(i64::try_from(failed).unwrap_or(i64::MAX))
}
