//! Windows of jobs as terminals list them, with their newest runs.

use hetuflow_core::{FilterField, JobEntity, JobId, NamespaceId, ScheduleEntity, TaskStatus, Ts};
use sea_query::{Expr, ExprTrait, Order, Query, Value};

use super::filter_sql::{self, Column, Columns, Reach};
use super::sql_text::SqlText;
use super::watch_tasks::{Selection, count};
use super::{schedule_bmc, text, ts, uuid};
use crate::infra::db::{Conn, DbError};

const COLUMNS: &str = "select j.id, j.namespace_id, j.name, j.description, j.environment, \
  j.config, j.status, j.labels, j.version, j.owner, j.created_by, j.created_at, j.updated_by, \
  j.updated_at";

/// Jobs that are not deleted; the hidden ones of commands are left out.
const TABLES: &str = " from sched_job j where j.logical_deletion is null and j.name <> 'adhoc'";

/// Jobs that one compound statement asks about; SQLite takes no more than 500.
const JOBS_PER_STATEMENT: usize = 100;

const FIELDS: Columns =
  Columns { of: column, texts: &["j.name", "j.description", "j.owner"], id: "j.id" };

fn column(field: &FilterField) -> Column {
  match field {
    FilterField::State => Column::Text("j.status"),
    FilterField::Name => Column::JobName("j.name", "j.id"),
    FilterField::Namespace => Column::Text("j.namespace_id"),
    FilterField::Owner => Column::Text("j.owner"),
    FilterField::By => Column::Text("coalesce(j.updated_by, j.created_by)"),
    FilterField::Version => Column::Number("j.version"),
    FilterField::Age => Column::AgeOf("j.updated_at"),
    FilterField::Since | FilterField::Until => Column::Instant("j.updated_at"),
    FilterField::Id => Column::Id("j.id"),
    FilterField::Label(_) => Column::Member("j.labels"),
    _ => Column::None,
  }
}

fn restrict(sql: &mut SqlText, namespace: Option<&NamespaceId>) {
  if let Some(namespace) = namespace {
    sql.push(" and j.namespace_id = ").bind(text(namespace));
  }
}

/// A window of jobs.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  selection: &Selection<'_>,
) -> Result<(Vec<JobEntity>, Reach), DbError> {
  let sqlite = conn.is_sqlite();
  let mut sql = SqlText::new(COLUMNS);
  sql.push(TABLES);
  restrict(&mut sql, selection.namespace);
  let reach = filter_sql::restrict(&mut sql, &FIELDS, &selection.narrow, sqlite);
  sql.push(" order by ");
  filter_sql::order(&mut sql, &FIELDS, &selection.narrow, sqlite);
  sql.push("j.name, j.id").window(selection.from, selection.len);
  Ok((sql.fetch(conn).await?, reach))
}

/// How many jobs a filter lets through; more where it reaches wider.
///
/// # Errors
/// Any [`DbError`].
pub async fn matched(conn: &mut Conn, selection: &Selection<'_>) -> Result<u64, DbError> {
  let mut sql = SqlText::new("select count(*)");
  sql.push(TABLES);
  restrict(&mut sql, selection.namespace);
  filter_sql::restrict(&mut sql, &FIELDS, &selection.narrow, conn.is_sqlite());
  count(sql, conn).await
}

/// Names of all jobs, deleted ones included, as far as they are looked at.
///
/// # Errors
/// Any [`DbError`].
pub async fn all_names(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  most: u64,
) -> Result<Vec<(JobId, String)>, DbError> {
  let mut sql = SqlText::new("select j.id, j.name from sched_job j where 1 = 1");
  restrict(&mut sql, namespace);
  sql.push(" order by j.id desc").window(0, most);
  sql.fetch(conn).await
}

/// How many jobs there are in a namespace, or in all.
///
/// # Errors
/// Any [`DbError`].
pub async fn total(conn: &mut Conn, namespace: Option<&NamespaceId>) -> Result<u64, DbError> {
  let mut sql = SqlText::new("select count(*)");
  sql.push(TABLES);
  restrict(&mut sql, namespace);
  count(sql, conn).await
}

/// Jobs by state.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_status(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
) -> Result<Vec<(String, i64)>, DbError> {
  let mut sql = SqlText::new("select j.status, count(*)");
  sql.push(TABLES);
  restrict(&mut sql, namespace);
  sql.push(" group by j.status");
  sql.fetch(conn).await
}

/// The schedules of jobs, in the order they were made.
///
/// # Errors
/// Any [`DbError`].
pub async fn schedules(conn: &mut Conn, jobs: &[JobId]) -> Result<Vec<ScheduleEntity>, DbError> {
  let mut select = Query::select();
  select
    .columns(schedule_bmc::COLUMNS)
    .from(schedule_bmc::TABLE)
    .and_where(Expr::col("job_id").is_in(jobs.iter().map(|id| Value::Uuid(Some(id.0)))))
    .order_by("id", Order::Asc);
  conn.fetch(&select).await
}

/// Tasks of jobs that are not final.
///
/// # Errors
/// Any [`DbError`].
pub async fn live(conn: &mut Conn, jobs: &[JobId]) -> Result<Vec<(JobId, i64)>, DbError> {
  let mut sql = SqlText::new("select job_id, count(*) from sched_task_hot where job_id in ");
  sql.bind_list(jobs.iter().map(|id| uuid(id.0))).push(" group by job_id");
  sql.fetch(conn).await
}

/// One of the newest runs of a job.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct RecentRun {
  /// The job.
  pub job_id: JobId,
  /// The instant it was planned for.
  pub scheduled_at: Ts,
  /// Where it stands.
  pub status: TaskStatus,
  /// When it started.
  pub started_at: Option<Ts>,
  /// When it ended.
  pub completed_at: Option<Ts>,
  /// Exit code.
  pub exit_code: Option<i64>,
  /// Signal that ended it.
  pub signal: Option<i64>,
  /// Why it ended as it did.
  pub reason: Option<String>,
  /// How a person says that it counts.
  pub marked: Option<String>,
}

const RUN: &str = "select * from (select t.job_id, t.scheduled_at, \
  coalesce(h.status, i.task_status, 'lost') as status, \
  coalesce(h.started_at, i.started_at) as started_at, i.completed_at, i.exit_code, i.signal, \
  i.reason, m.mark ->> 'status' as marked \
  from sched_task t left join sched_task_hot h on h.task_id = t.id \
  left join sched_task_instance i on i.task_id = t.id and i.task_status is not null \
  left join sched_task_mark m on m.task_id = t.id \
  where t.job_id = ";

/// The newest runs of each of these jobs that were due, newest first within a job.
///
/// # Errors
/// Any [`DbError`].
pub async fn recent(
  conn: &mut Conn,
  jobs: &[JobId],
  (now, most): (Ts, u64),
) -> Result<Vec<RecentRun>, DbError> {
  let mut runs: Vec<RecentRun> = Vec::new();
  for jobs in jobs.chunks(JOBS_PER_STATEMENT) {
    let mut sql = SqlText::default();
    for (index, job) in jobs.iter().enumerate() {
      sql.push(if index > 0 { " union all " } else { "" }).push(RUN).bind(uuid(job.0));
      sql.push(" and t.scheduled_at <= ").bind(ts(now));
      sql.push(" order by t.scheduled_at desc").window(0, most).push(") r");
    }
    runs.extend(sql.fetch::<RecentRun>(conn).await?);
  }
  runs.sort_by_key(|run| std::cmp::Reverse(run.scheduled_at));
  Ok(runs)
}

/// Ends of a job's tasks by day since 1970: day, ends, failures.
///
/// # Errors
/// Any [`DbError`].
pub async fn days(conn: &mut Conn, job: JobId, since: Ts) -> Result<Vec<(i64, i64, i64)>, DbError> {
  let day = if conn.is_sqlite() {
    "i.completed_at / 86400000000"
  } else {
    "cast(floor(extract(epoch from i.completed_at) / 86400) as bigint)"
  };
  let mut sql = SqlText::new("select ");
  sql.push(day).push(
    " as day, count(*), cast(coalesce(sum(case when i.task_status in ('failed', 'lost') then 1 \
     else 0 end), 0) as bigint) from sched_task t join sched_task_instance i on i.task_id = t.id \
     and i.task_status is not null where t.job_id = ",
  );
  sql.bind(uuid(job.0)).push(" and t.scheduled_at >= ").bind(ts(since));
  sql.push(" and i.completed_at >= ").bind(ts(since)).push(" group by 1 order by 1");
  sql.fetch(conn).await
}
