//! Windows of tasks as terminals list them, and counts of what is alive.

use hetuflow_core::filter::{FilterValue, Meaning, Term, Test};
use hetuflow_core::{
  AgentId, Filter, FilterField, Gate, JobId, NamespaceId, TaskId, TaskInstanceId, TaskStatus,
  TriggerSource, Ts,
};
use serde_json::Value as Json;

use super::filter_sql::{self, Column, Columns, Narrow, Reach};
use super::sql_text::SqlText;
use super::{text, ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

/// Which rows of a list.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
  /// One namespace, or all.
  pub namespace: Option<&'a NamespaceId>,
  /// First row.
  pub from: u64,
  /// Rows.
  pub len: u64,
  /// The filter and the order.
  pub narrow: Narrow<'a>,
}

/// A task as a list shows it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ListedTask {
  /// Its id.
  pub id: TaskId,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its job.
  pub job_id: JobId,
  /// The job's name.
  pub job_name: String,
  /// The job's version.
  pub job_version: i64,
  /// Where it stands.
  pub status: TaskStatus,
  /// The newest attempt's number.
  pub attempt: i64,
  /// The newest attempt.
  pub instance_id: Option<TaskInstanceId>,
  /// Its agent.
  pub agent_id: Option<AgentId>,
  /// What made it.
  pub trigger_source: TriggerSource,
  /// Higher goes first.
  pub priority: i64,
  /// The instant it is planned for.
  pub scheduled_at: Ts,
  /// The instant it may start, while it waits.
  pub eligible_at: Option<Ts>,
  /// The limits that it has not passed yet, while it waits.
  #[sqlx(json(nullable))]
  pub held_by: Option<Gate>,
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
  /// The agent's words about it.
  pub error_message: Option<String>,
  /// How far it says it is, 0 to 1.
  pub progress: Option<f64>,
  /// Its words for that.
  pub progress_note: Option<String>,
  /// Since when its agent is silent.
  pub unreachable_since: Option<Ts>,
  /// The job's labels.
  #[sqlx(json)]
  pub labels: hetuflow_core::Labels,
  /// Its settings, its own or the job's.
  #[sqlx(json)]
  pub config: Json,
}

const COLUMNS: &str = "select t.id, t.namespace_id, t.job_id, j.name as job_name, t.job_version, \
  coalesce(h.status, i.task_status, 'lost') as status, coalesce(h.attempt, i.attempt, 0) as attempt, \
  coalesce(h.instance_id, i.id) as instance_id, coalesce(h.agent_id, i.agent_id) as agent_id, \
  t.trigger_source, coalesce(h.priority, t.priority) as priority, t.scheduled_at, h.eligible_at, \
  case when h.gate > 0 then h.limits end as held_by, \
  coalesce(h.started_at, i.started_at) as started_at, i.completed_at, i.exit_code, i.signal, \
  coalesce(i.reason, h.stop_reason) as reason, i.error_message, h.progress, \
  h.progress_note, h.unreachable_since, j.labels, \
  coalesce(t.config, j.config) as config";

const TABLES: &str = " from sched_task t join sched_job j on j.id = t.job_id \
  left join sched_task_hot h on h.task_id = t.id \
  left join sched_task_instance i on i.task_id = t.id and i.task_status is not null";

/// The same where only living tasks are wanted: the few rows of the live table lead.
const LIVE_TABLES: &str = " from sched_task_hot h join sched_task t on t.id = h.task_id \
  join sched_job j on j.id = t.job_id \
  left join sched_task_instance i on i.task_id = t.id and i.task_status is not null";

const STATUS: &str = "coalesce(h.status, i.task_status, 'lost')";
const AGENT: &str = "coalesce(h.agent_id, i.agent_id)";
const REASON: &str = "coalesce(i.reason, h.stop_reason)";
const STARTED: &str = "coalesce(h.started_at, i.started_at)";

const FIELDS: Columns =
  Columns { of: column, texts: &["j.name", AGENT, REASON, "i.error_message", STATUS], id: "t.id" };

fn column(field: &FilterField) -> Column {
  match field {
    FilterField::State => Column::Text(STATUS),
    FilterField::Job => Column::JobName("j.name", "t.job_id"),
    FilterField::Agent => Column::Text(AGENT),
    FilterField::Namespace => Column::Text("t.namespace_id"),
    FilterField::Priority => Column::Number("coalesce(h.priority, t.priority)"),
    FilterField::Age => Column::AgeOf("t.scheduled_at"),
    FilterField::Run => Column::Between(STARTED, "i.completed_at"),
    FilterField::Wait => {
      Column::Between("t.scheduled_at", "coalesce(h.started_at, i.started_at, i.completed_at)")
    }
    FilterField::Exit => Column::Number("i.exit_code"),
    FilterField::Signal => Column::Number("i.signal"),
    FilterField::Reason => Column::Text(REASON),
    FilterField::Attempt => Column::Number("coalesce(h.attempt, i.attempt, 0)"),
    FilterField::Trigger => Column::Text("t.trigger_source"),
    FilterField::Id => Column::Id("t.id"),
    FilterField::Since | FilterField::Until => {
      Column::Instant("coalesce(i.completed_at, h.started_at, i.started_at, t.scheduled_at)")
    }
    FilterField::Label(_) => Column::Member("j.labels"),
    _ => Column::None,
  }
}

/// Whether every row that the filter lets through is alive.
fn lives(filter: &Filter) -> bool {
  let alive = |value: &FilterValue| match &value.meaning {
    Meaning::Words(words) => {
      words.iter().all(|word| word.parse::<TaskStatus>().is_ok_and(|status| !status.is_final()))
    }
    _ => false,
  };
  let term = |term: &Term| match &term.test {
    Test::Field { field: FilterField::State, values, .. } => {
      !term.negated && values.iter().all(alive)
    }
    _ => false,
  };
  !filter.is_empty() && filter.groups.iter().all(|group| group.iter().any(term))
}

fn restrict(sql: &mut SqlText, selection: &Selection<'_>, sqlite: bool) -> Reach {
  sql.push(if lives(selection.narrow.filter) { LIVE_TABLES } else { TABLES });
  sql.push(" where 1 = 1");
  if let Some(namespace) = selection.namespace {
    sql.push(" and t.namespace_id = ").bind(text(namespace));
  }
  filter_sql::restrict(sql, &FIELDS, &selection.narrow, sqlite)
}

/// A window of tasks.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  selection: &Selection<'_>,
) -> Result<(Vec<ListedTask>, Reach), DbError> {
  let sqlite = conn.is_sqlite();
  let mut sql = SqlText::new(COLUMNS);
  let reach = restrict(&mut sql, selection, sqlite);
  sql.push(" order by ");
  filter_sql::order(&mut sql, &FIELDS, &selection.narrow, sqlite);
  sql.push("t.id desc").window(selection.from, selection.len);
  Ok((sql.fetch(conn).await?, reach))
}

/// How many tasks a filter lets through; more where it reaches wider.
///
/// # Errors
/// Any [`DbError`].
pub async fn matched(conn: &mut Conn, selection: &Selection<'_>) -> Result<u64, DbError> {
  let mut sql = SqlText::new("select count(*)");
  restrict(&mut sql, selection, conn.is_sqlite());
  count(sql, conn).await
}

/// How many tasks there are in a namespace, or in all.
///
/// # Errors
/// Any [`DbError`].
pub async fn total(conn: &mut Conn, namespace: Option<&NamespaceId>) -> Result<u64, DbError> {
  let mut sql = SqlText::new("select count(*) from sched_task t");
  if let Some(namespace) = namespace {
    sql.push(" where t.namespace_id = ").bind(text(namespace));
  }
  count(sql, conn).await
}

/// These tasks, in no order.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_ids(conn: &mut Conn, ids: &[TaskId]) -> Result<Vec<ListedTask>, DbError> {
  let mut sql = SqlText::new(COLUMNS);
  sql.push(TABLES).push(" where t.id in ").bind_list(ids.iter().map(|id| uuid(id.0)));
  sql.fetch(conn).await
}

/// The newest tasks of a job that were due.
///
/// # Errors
/// Any [`DbError`].
pub async fn of_job(
  conn: &mut Conn,
  job: JobId,
  (now, most): (Ts, u64),
) -> Result<Vec<ListedTask>, DbError> {
  let mut sql = SqlText::new(COLUMNS);
  sql.push(TABLES).push(" where t.job_id = ").bind(uuid(job.0));
  sql.push(" and t.scheduled_at <= ").bind(ts(now));
  sql.push(" order by t.scheduled_at desc, t.id desc").window(0, most);
  sql.fetch(conn).await
}

/// Living tasks by state.
///
/// # Errors
/// Any [`DbError`].
pub async fn live_counts(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
) -> Result<Vec<(TaskStatus, i64)>, DbError> {
  let mut sql = SqlText::new("select status, count(*) from sched_task_hot");
  if let Some(namespace) = namespace {
    sql.push(" where namespace_id = ").bind(text(namespace));
  }
  sql.push(" group by status");
  sql.fetch(conn).await
}

/// Since when the oldest due task waits.
///
/// # Errors
/// Any [`DbError`].
pub async fn oldest_due(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  now: Ts,
) -> Result<Option<Ts>, DbError> {
  let mut sql = SqlText::new(
    "select min(eligible_at) from sched_task_hot \
     where status in ('pending', 'waiting_retry') and eligible_at <= ",
  );
  sql.bind(ts(now));
  if let Some(namespace) = namespace {
    sql.push(" and namespace_id = ").bind(text(namespace));
  }
  let rows: Vec<Row1<Option<Ts>>> = sql.fetch(conn).await?;
  Ok(rows.into_iter().next().and_then(|row| row.0))
}

/// What waits of one selector class although it is due.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct DueClass {
  /// The class.
  pub class_id: i64,
  /// The namespace.
  pub namespace_id: NamespaceId,
  /// How many tasks.
  pub tasks: i64,
  /// Since when the first of them is due.
  pub oldest: Ts,
}

/// What is due and waits, by selector class, the oldest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn due_classes(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  before: Ts,
) -> Result<Vec<DueClass>, DbError> {
  let mut sql = SqlText::new(
    "select class_id, namespace_id, count(*) as tasks, min(eligible_at) as oldest \
     from sched_task_hot where status in ('pending', 'waiting_retry') and gate <= 0 \
     and eligible_at <= ",
  );
  sql.bind(ts(before));
  if let Some(namespace) = namespace {
    sql.push(" and namespace_id = ").bind(text(namespace));
  }
  sql.push(" group by class_id, namespace_id order by min(eligible_at)").window(0, 100);
  sql.fetch(conn).await
}

/// The tasks that run longest.
///
/// # Errors
/// Any [`DbError`].
pub async fn longest_running(
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  most: u64,
) -> Result<Vec<TaskId>, DbError> {
  let mut sql = SqlText::new(
    "select task_id from sched_task_hot where status = 'running' and started_at is not null",
  );
  if let Some(namespace) = namespace {
    sql.push(" and namespace_id = ").bind(text(namespace));
  }
  sql.push(" order by started_at").window(0, most);
  let rows: Vec<Row1<TaskId>> = sql.fetch(conn).await?;
  Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The one number of a count.
pub(super) async fn count(sql: SqlText, conn: &mut Conn) -> Result<u64, DbError> {
  let rows: Vec<Row1<i64>> = sql.fetch(conn).await?;
  Ok(rows.first().map_or(0, |row| row.0.unsigned_abs()))
}
