//! `sched_schedule`.

use hetuflow_core::{
  JobId, NamespaceId, Page, ScheduleEntity, ScheduleFilter, ScheduleForUpdate, ScheduleId,
  ScheduleStatus, Ts, calendar_items,
};
use sea_query::{Expr, ExprTrait, Order, Query, Value};

use super::page::{PageArgs, by_id};
use super::{FieldMask, is, json, json_option, text, text_option, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError};

pub(super) const TABLE: &str = "sched_schedule";
pub(super) const COLUMNS: [&str; 43] = [
  "id",
  "job_id",
  "namespace_id",
  "name",
  "description",
  "schedule_kind",
  "cron_expression",
  "interval_secs",
  "interval_from",
  "timezone",
  "dst_gap",
  "dst_overlap",
  "jitter_secs",
  "include",
  "exclude",
  "start_time",
  "end_time",
  "max_count",
  "status",
  "status_reason",
  "paused_by",
  "paused_reason",
  "paused_until",
  "skip_next",
  "skip_reason",
  "overlap_policy",
  "queue_max",
  "misfire_policy",
  "misfire_grace_secs",
  "catchup_max",
  "max_concurrent",
  "parameters",
  "environment",
  "priority",
  "anchor_at",
  "next_run_at",
  "last_run_at",
  "run_count",
  "rev",
  "created_by",
  "created_at",
  "updated_by",
  "updated_at",
];

/// Inserts a schedule.
///
/// # Errors
/// [`DbError::Unique`] when the name is taken.
pub async fn create(conn: &mut Conn, row: &ScheduleEntity) -> Result<(), DbError> {
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns(COLUMNS).values_panic([
    uuid(row.id.0).into(),
    uuid(row.job_id.0).into(),
    text(&row.namespace_id).into(),
    text(&row.name).into(),
    text(&row.description).into(),
    text(row.schedule_kind).into(),
    text_option(row.cron_expression.as_deref()).into(),
    Value::BigInt(row.interval_secs).into(),
    text(row.interval_from).into(),
    text(&row.timezone).into(),
    text(row.dst_gap).into(),
    text(row.dst_overlap).into(),
    row.jitter_secs.into(),
    json(&row.include).into(),
    json(&row.exclude).into(),
    ts_option(row.start_time).into(),
    ts_option(row.end_time).into(),
    Value::BigInt(row.max_count).into(),
    text(row.status).into(),
    text_option(row.status_reason.as_deref()).into(),
    text_option(row.paused_by.as_deref()).into(),
    text_option(row.paused_reason.as_deref()).into(),
    ts_option(row.paused_until).into(),
    row.skip_next.into(),
    text_option(row.skip_reason.as_deref()).into(),
    text(row.overlap_policy).into(),
    row.queue_max.into(),
    text(row.misfire_policy).into(),
    row.misfire_grace_secs.into(),
    row.catchup_max.into(),
    Value::BigInt(row.max_concurrent).into(),
    json_option(row.parameters.as_ref()).into(),
    json(&row.environment).into(),
    row.priority.into(),
    ts(row.anchor_at).into(),
    ts_option(row.next_run_at).into(),
    ts_option(row.last_run_at).into(),
    row.run_count.into(),
    row.rev.into(),
    text_option(row.created_by.as_deref()).into(),
    ts(row.created_at).into(),
    text_option(row.updated_by.as_deref()).into(),
    ts(row.updated_at).into(),
  ]);
  conn.execute(&insert).await.map(drop)
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: ScheduleId) -> Result<Option<ScheduleEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE).and_where(is("id", uuid(id.0)));
  conn.fetch_optional(&select).await
}

/// Reads one by its name.
///
/// # Errors
/// Any [`DbError`].
pub async fn get_by_name(
  conn: &mut Conn,
  namespace: &NamespaceId,
  name: &str,
) -> Result<Option<ScheduleEntity>, DbError> {
  let mut select = Query::select();
  select
    .columns(COLUMNS)
    .from(TABLE)
    .and_where(is("namespace_id", text(namespace)))
    .and_where(is("name", text(name)));
  conn.fetch_optional(&select).await
}

/// Reads a page.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  filter: &ScheduleFilter,
  page: &PageArgs,
) -> Result<Page<ScheduleEntity>, DbError> {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  if let Some(namespace) = &filter.namespace_id {
    select.and_where(is("namespace_id", text(namespace)));
  }
  if let Some(job) = filter.job_id {
    select.and_where(is("job_id", uuid(job.0)));
  }
  if let Some(name) = &filter.name {
    select.and_where(is("name", text(name)));
  }
  if let Some(status) = filter.status {
    select.and_where(is("status", text(status)));
  }
  by_id(conn, &mut select, page, |row: &ScheduleEntity| row.id.0).await
}

/// All schedules of a job, in the order they were made.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_of_job(conn: &mut Conn, job: JobId) -> Result<Vec<ScheduleEntity>, DbError> {
  let mut select = Query::select();
  select
    .columns(COLUMNS)
    .from(TABLE)
    .and_where(is("job_id", uuid(job.0)))
    .order_by("id", Order::Asc);
  conn.fetch(&select).await
}

/// Changes what is given and counts the revision up.
///
/// # Errors
/// [`DbError::Unique`] when the new name is taken.
pub async fn update(
  conn: &mut Conn,
  id: ScheduleId,
  change: &ScheduleForUpdate,
  by: (Option<&str>, Ts),
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("rev", Expr::col("rev").add(1))
    .value("updated_at", ts(by.1))
    .value("updated_by", text_option(by.0))
    .and_where(is("id", uuid(id.0)));
  let interval = change.interval_secs.map(|secs| secs.0.as_secs() as i64);
  let grace = change.misfire_grace_secs.map(|secs| secs.0.as_secs() as i64);
  let jitter = change.jitter_secs.map(|secs| secs.0.as_secs() as i64);
  FieldMask::new(&mut update, change.update_mask.as_deref())
    .set("name", change.name.as_ref().map(text))
    .set("description", change.description.as_ref().map(text))
    .set("cron_expression", change.cron_expression.as_ref().map(text))
    .set("interval_secs", interval.map(|secs| Value::BigInt(Some(secs))))
    .set("interval_from", change.interval_from.map(text))
    .set("timezone", change.timezone.as_ref().map(text))
    .set("dst_gap", change.dst_gap.map(text))
    .set("dst_overlap", change.dst_overlap.map(text))
    .set("jitter_secs", jitter.map(|secs| Value::BigInt(Some(secs))))
    .set("include", change.include.as_deref().map(|texts| json(&calendar_items(texts))))
    .set("exclude", change.exclude.as_deref().map(|texts| json(&calendar_items(texts))))
    .set("end_time", change.end_time.map(ts))
    .set("max_count", change.max_count.map(|count| Value::BigInt(Some(count))))
    .set("status", change.status.map(text))
    .set("overlap_policy", change.overlap_policy.map(text))
    .set("queue_max", change.queue_max.map(|count| Value::BigInt(Some(count))))
    .set("misfire_policy", change.misfire_policy.map(text))
    .set("misfire_grace_secs", grace.map(|secs| Value::BigInt(Some(secs))))
    .set("catchup_max", change.catchup_max.map(|count| Value::BigInt(Some(count))))
    .set("max_concurrent", change.max_concurrent.map(|n| Value::BigInt(Some(n).filter(|n| *n > 0))))
    .set("parameters", change.parameters.as_ref().map(json))
    .set("environment", change.environment.as_ref().map(json))
    .set("priority", change.priority.map(|priority| Value::BigInt(Some(priority))));
  Ok(conn.execute(&update).await? == 1)
}

/// Where a schedule's planning stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleCursor {
  /// The state.
  pub status: ScheduleStatus,
  /// Why it does not fire.
  pub status_reason: Option<String>,
  /// The next instant that is not planned.
  pub next_run_at: Option<Ts>,
  /// The newest that is.
  pub last_run_at: Option<Ts>,
  /// Tasks made so far.
  pub run_count: i64,
  /// Instants that are still to be left out by wish.
  pub skip_next: i64,
}

/// Moves the cursor, if the schedule is still at this revision and this instant.
///
/// # Errors
/// Any [`DbError`].
pub async fn advance_if_at(
  conn: &mut Conn,
  schedule: &ScheduleEntity,
  cursor: &ScheduleCursor,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("status", text(cursor.status))
    .value("status_reason", text_option(cursor.status_reason.as_deref()))
    .value("next_run_at", ts_option(cursor.next_run_at))
    .value("last_run_at", ts_option(cursor.last_run_at))
    .value("run_count", cursor.run_count)
    .value("skip_next", cursor.skip_next)
    .and_where(is("id", uuid(schedule.id.0)))
    .and_where(is("rev", Value::BigInt(Some(schedule.rev))));
  match schedule.next_run_at {
    Some(at) => update.and_where(is("next_run_at", ts(at))),
    None => update.and_where(Expr::col("next_run_at").is_null()),
  };
  Ok(conn.execute(&update).await? == 1)
}

/// Sets the cursor after a change by a person.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_next(
  conn: &mut Conn,
  id: ScheduleId,
  next_run_at: Option<Ts>,
) -> Result<(), DbError> {
  let mut update = Query::update();
  update.table(TABLE).value("next_run_at", ts_option(next_run_at)).and_where(is("id", uuid(id.0)));
  conn.execute(&update).await.map(drop)
}

/// The state of a schedule, and who holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
  /// The state.
  pub status: ScheduleStatus,
  /// Why it does not fire.
  pub status_reason: Option<String>,
  /// Who holds it.
  pub paused_by: Option<String>,
  /// Why.
  pub paused_reason: Option<String>,
  /// Until then.
  pub paused_until: Option<Ts>,
}

/// Sets the state of a schedule and who holds it.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_hold(conn: &mut Conn, id: ScheduleId, hold: &Hold) -> Result<(), DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("status", text(hold.status))
    .value("status_reason", text_option(hold.status_reason.as_deref()))
    .value("paused_by", text_option(hold.paused_by.as_deref()))
    .value("paused_reason", text_option(hold.paused_reason.as_deref()))
    .value("paused_until", ts_option(hold.paused_until))
    .and_where(is("id", uuid(id.0)));
  conn.execute(&update).await.map(drop)
}

/// Leaves so many of the next instants out.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_skip_next(
  conn: &mut Conn,
  id: ScheduleId,
  (count, reason): (i64, Option<&str>),
) -> Result<(), DbError> {
  let sql = "update sched_schedule set skip_next = $1, skip_reason = $2 where id = $3";
  let values = vec![Value::BigInt(Some(count)), text_option(reason), uuid(id.0)];
  conn.execute_sql(sql, values).await.map(drop)
}

/// Counts the revision up, for a change by a person.
///
/// # Errors
/// Any [`DbError`].
pub async fn touch(conn: &mut Conn, id: ScheduleId, by: &str, now: Ts) -> Result<(), DbError> {
  let sql =
    "update sched_schedule set rev = rev + 1, updated_by = $1, updated_at = $2 where id = $3";
  conn.execute_sql(sql, vec![text(by), ts(now), uuid(id.0)]).await.map(drop)
}

/// Deletes a schedule; its fires stay readable.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(conn: &mut Conn, id: ScheduleId) -> Result<bool, DbError> {
  let mut delete = Query::delete();
  delete.from_table(TABLE).and_where(is("id", uuid(id.0)));
  Ok(conn.execute(&delete).await? == 1)
}

/// Pauses a schedule that fires; its revision moves, so that no planning in progress undoes it.
/// Returns whether it fired until now.
///
/// # Errors
/// Any [`DbError`].
pub async fn pause_if_enabled(
  conn: &mut Conn,
  id: ScheduleId,
  (reason, by): (&str, &str),
  now: Ts,
) -> Result<bool, DbError> {
  let mut update = Query::update();
  update
    .table(TABLE)
    .value("status", text(ScheduleStatus::Paused))
    .value("status_reason", text(reason))
    .value("paused_by", text(by))
    .value("paused_reason", text(reason))
    .value("rev", Expr::col("rev").add(1))
    .value("updated_at", ts(now))
    .value("updated_by", text(by))
    .and_where(is("id", uuid(id.0)))
    .and_where(is("status", text(ScheduleStatus::Enabled)));
  Ok(conn.execute(&update).await? == 1)
}
