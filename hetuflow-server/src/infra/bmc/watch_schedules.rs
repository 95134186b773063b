//! Schedules that will fire, for lists of what comes.

use hetuflow_core::{NamespaceId, ScheduleEntity, Ts};

use super::schedule_bmc;
use super::sql_text::SqlText;
use super::{text, ts};
use crate::infra::db::{Conn, DbError};

/// Schedules that one list looks at.
const SCHEDULES_MAX: u64 = 5000;

fn columns() -> String {
  let columns: Vec<String> =
    schedule_bmc::COLUMNS.iter().map(|column| format!("s.{column}")).collect();
  columns.join(", ")
}

/// Schedules that may fire after `now`, those that fire soonest first, each with its job's name. A
/// schedule that is planned ahead counts by what is planned.
///
/// # Errors
/// Any [`DbError`].
pub async fn firing(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  now: Ts,
) -> Result<Vec<FiringSchedule>, DbError> {
  let mut sql = SqlText::new("select ");
  sql.push(&columns()).push(", j.name as job_name from sched_schedule s ");
  sql.push("join sched_job j on j.id = s.job_id and j.logical_deletion is null ");
  sql.push("and j.status = 'enabled' where s.status = 'enabled' ");
  if let Some(namespace) = namespace {
    sql.push("and s.namespace_id = ").bind(text(namespace));
  }
  sql.push(" and (s.next_run_at is not null or s.last_run_at > ").bind(ts(now));
  sql.push(") order by case when s.last_run_at > ").bind(ts(now));
  sql.push(" then s.last_run_at else s.next_run_at end").window(0, SCHEDULES_MAX);
  sql.fetch(conn).await
}

/// Schedules that should fire and cannot, with their jobs' names.
///
/// # Errors
/// Any [`DbError`].
pub async fn broken(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
) -> Result<Vec<FiringSchedule>, DbError> {
  let mut sql = SqlText::new("select ");
  sql.push(&columns()).push(", j.name as job_name from sched_schedule s ");
  sql.push("join sched_job j on j.id = s.job_id and j.logical_deletion is null ");
  sql.push("and j.status = 'enabled' where (s.status_reason like 'invalid:%' ");
  sql.push("or (s.status = 'enabled' and s.next_run_at is null and s.schedule_kind = 'cron'))");
  if let Some(namespace) = namespace {
    sql.push(" and s.namespace_id = ").bind(text(namespace));
  }
  sql.push(" order by s.id").window(0, 100);
  sql.fetch(conn).await
}

/// A schedule with its job's name.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct FiringSchedule {
  /// The schedule.
  #[sqlx(flatten)]
  pub schedule: ScheduleEntity,
  /// The job's name.
  pub job_name: String,
}
