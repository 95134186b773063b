//! Schedules that will fire, for lists of what comes.

use hetuflow_core::{FilterField, NamespaceId, ScheduleEntity, Ts};

use super::filter_sql::{self, Column, Columns, Reach};
use super::schedule_bmc;
use super::sql_text::SqlText;
use super::watch_tasks::Selection;
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

const FIELDS: Columns = Columns {
  of: column,
  texts: &["s.name", "s.description", "j.name", "s.status_reason"],
  id: "s.id",
};

fn column(field: &FilterField) -> Column {
  match field {
    FilterField::State => Column::Text("s.status"),
    FilterField::Name => Column::Text("s.name"),
    FilterField::Job => Column::JobName("j.name", "s.job_id"),
    FilterField::Namespace => Column::Text("s.namespace_id"),
    FilterField::Kind => Column::Text("s.schedule_kind"),
    FilterField::Timezone => Column::Text("s.timezone"),
    FilterField::Priority => Column::Number("s.priority"),
    FilterField::By => Column::Text("coalesce(s.updated_by, s.created_by)"),
    FilterField::Reason => Column::Text("s.status_reason"),
    FilterField::Age => Column::AgeOf("s.updated_at"),
    FilterField::Since | FilterField::Until => Column::Instant("s.updated_at"),
    FilterField::Next => Column::Instant("s.next_run_at"),
    FilterField::Id => Column::Id("s.id"),
    _ => Column::None,
  }
}

/// A window of schedules, newest first where no order is given.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  selection: &Selection<'_>,
) -> Result<(Vec<FiringSchedule>, Reach), DbError> {
  let sqlite = conn.is_sqlite();
  let mut sql = SqlText::new("select ");
  sql.push(&columns()).push(", j.name as job_name from sched_schedule s ");
  sql.push("join sched_job j on j.id = s.job_id where 1 = 1");
  if let Some(namespace) = selection.namespace {
    sql.push(" and s.namespace_id = ").bind(text(namespace));
  }
  let reach = filter_sql::restrict(&mut sql, &FIELDS, &selection.narrow, sqlite);
  sql.push(" order by ");
  filter_sql::order(&mut sql, &FIELDS, &selection.narrow, sqlite);
  sql.push("s.id desc").window(selection.from, selection.len);
  Ok((sql.fetch(conn).await?, reach))
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
