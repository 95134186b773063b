//! `sched_artifact`: which files attempts have left or people have put there, and where each is.

use hetuflow_core::{
  ArtifactEntity, ArtifactFilter, ArtifactId, ArtifactState, ContentHash, JobId, NamespaceId, Page,
  TaskId, TaskInstanceId, Ts,
};
use sea_query::{Expr, ExprTrait, OnConflict, Order, Query, SelectStatement, Value};

use super::hot::FinishedAttempt;
use super::page::{PageArgs, by_id};
use super::{is, text, text_option, ts, ts_option, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_artifact";
const COLUMNS: [&str; 14] = [
  "id",
  "namespace_id",
  "job_id",
  "task_id",
  "instance_id",
  "agent_id",
  "created_by",
  "name",
  "size",
  "content_hash",
  "state",
  "reason",
  "created_at",
  "expires_at",
];

/// A row as it is stored: the time of its end only where its job has asked for one.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ArtifactRow {
  /// All but its end.
  #[sqlx(flatten)]
  pub file: Stored,
  /// When it is forgotten.
  pub expires_at: Option<Ts>,
}

/// What is stored of a file besides its end.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Stored {
  id: ArtifactId,
  namespace_id: NamespaceId,
  job_id: Option<JobId>,
  task_id: Option<TaskId>,
  instance_id: Option<TaskInstanceId>,
  agent_id: Option<hetuflow_core::AgentId>,
  created_by: Option<String>,
  name: String,
  size: i64,
  content_hash: Option<String>,
  state: ArtifactState,
  reason: Option<String>,
  created_at: Ts,
}

impl ArtifactRow {
  /// The file, with the time of its end: where none is stored, so long after it was made.
  pub fn into_entity(self, kept_for: std::time::Duration) -> ArtifactEntity {
    let file = self.file;
    ArtifactEntity {
      id: file.id,
      namespace_id: file.namespace_id,
      job_id: file.job_id,
      task_id: file.task_id,
      instance_id: file.instance_id,
      agent_id: file.agent_id,
      created_by: file.created_by,
      name: file.name,
      size: file.size,
      content_hash: file.content_hash,
      state: file.state,
      reason: file.reason,
      created_at: file.created_at,
      expires_at: self.expires_at.unwrap_or_else(|| file.created_at.plus(kept_for)),
    }
  }
}

/// Inserts the files that attempts have left; no statement where there are none.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_left(conn: &mut Conn, ends: &[FinishedAttempt]) -> Result<(), DbError> {
  for end in ends.iter().filter(|end| !end.left.artifacts.is_empty()) {
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(COLUMNS);
    for note in &end.left.artifacts {
      let taken = note.hash.is_some();
      let state = if taken { ArtifactState::Uploading } else { ArtifactState::Refused };
      insert.values_panic([
        uuid(ArtifactId::generate().0).into(),
        text(&end.namespace_id).into(),
        uuid(end.job_id.0).into(),
        uuid(end.task_id.0).into(),
        uuid(end.id.0).into(),
        text_option(end.agent_id.as_ref().map(|agent| agent.as_str())).into(),
        text_option(None).into(),
        text(&note.name).into(),
        Value::BigInt(i64::try_from(note.size).ok()).into(),
        text_option(note.hash.map(|hash| hash.to_string()).as_deref()).into(),
        text(state).into(),
        text_option(note.reason.as_deref()).into(),
        ts(end.completed_at).into(),
        ts_option(end.left.artifacts_kept_for.map(|time| end.completed_at.plus(time))).into(),
      ]);
    }
    insert.on_conflict(OnConflict::new().do_nothing().to_owned());
    conn.execute(&insert).await?;
  }
  Ok(())
}

/// Inserts a file that was put there by hand.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_put(
  conn: &mut Conn,
  file: &ArtifactEntity,
  expires_at: Option<Ts>,
) -> Result<(), DbError> {
  let sql = "insert into sched_artifact (id, namespace_id, created_by, name, size, content_hash, \
      state, created_at, expires_at) \
    values ($1, $2, $3, $4, $5, $6, 'stored', $7, $8)";
  let values = vec![
    uuid(file.id.0),
    text(&file.namespace_id),
    text_option(file.created_by.as_deref()),
    text(&file.name),
    Value::BigInt(Some(file.size)),
    text_option(file.content_hash.as_deref()),
    ts(file.created_at),
    ts_option(expires_at),
  ];
  conn.execute_sql(sql, values).await.map(drop)
}

/// By whom a file was left.
#[derive(Debug, Clone, Copy)]
pub enum LeftBy {
  /// This attempt.
  Attempt(TaskInstanceId),
  /// Any attempt of this task.
  Task(TaskId),
  /// A successful attempt of this job.
  Job(JobId),
  /// None: somebody has put it there by hand.
  Hand,
}

/// Finds the newest file of a namespace with a name.
///
/// # Errors
/// Any [`DbError`].
pub async fn newest(
  conn: &mut Conn,
  (namespace, name): (&NamespaceId, &str),
  by: LeftBy,
) -> Result<Option<ArtifactRow>, DbError> {
  let mut select = select();
  select.and_where(is("namespace_id", text(namespace))).and_where(is("name", text(name)));
  match by {
    LeftBy::Attempt(id) => select.and_where(is("instance_id", uuid(id.0))),
    LeftBy::Task(id) => select.and_where(is("task_id", uuid(id.0))),
    LeftBy::Hand => select.and_where(Expr::col("instance_id").is_null()),
    LeftBy::Job(id) => {
      let mut good = Query::select();
      good.expr(Expr::val(1)).from("sched_task_instance");
      good.and_where(
        Expr::col(("sched_task_instance", "id")).equals(("sched_artifact", "instance_id")),
      );
      good.and_where(Expr::col(("sched_task_instance", "status")).eq("succeeded"));
      select.and_where(is("job_id", uuid(id.0))).and_where(Expr::exists(good))
    }
  };
  select.order_by("id", Order::Desc).limit(1);
  conn.fetch_optional(&select).await
}

/// Finds a file with a content that is here or on its way.
///
/// # Errors
/// Any [`DbError`].
pub async fn coming(
  conn: &mut Conn,
  namespace: &NamespaceId,
  hash: &str,
) -> Result<Option<ArtifactRow>, DbError> {
  let mut select = select();
  select.and_where(is("namespace_id", text(namespace))).and_where(is("content_hash", text(hash)));
  select.and_where(Expr::col("state").is_in(["stored", "uploading"])).limit(1);
  conn.fetch_optional(&select).await
}

fn select() -> SelectStatement {
  let mut select = Query::select();
  select.columns(COLUMNS).from(TABLE);
  select
}

/// Reads one.
///
/// # Errors
/// Any [`DbError`].
pub async fn get(conn: &mut Conn, id: ArtifactId) -> Result<Option<ArtifactRow>, DbError> {
  let mut select = select();
  select.and_where(is("id", uuid(id.0)));
  conn.fetch_optional(&select).await
}

/// Reads a page, newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
  conn: &mut Conn,
  filter: &ArtifactFilter,
  page: &PageArgs,
) -> Result<Page<ArtifactRow>, DbError> {
  let mut select = select();
  let wanted = [
    ("namespace_id", filter.namespace_id.as_ref().map(text)),
    ("job_id", filter.job_id.map(|id| uuid(id.0))),
    ("task_id", filter.task_id.map(|id| uuid(id.0))),
    ("instance_id", filter.instance_id.map(|id| uuid(id.0))),
    ("state", filter.state.map(text)),
  ];
  for (column, value) in wanted {
    if let Some(value) = value {
      select.and_where(is(column, value));
    }
  }
  by_id(conn, &mut select, page, |row: &ArtifactRow| row.file.id.0).await
}

/// Reads one of the files of an attempt that have this content.
///
/// # Errors
/// Any [`DbError`].
pub async fn with_content(
  conn: &mut Conn,
  instance: TaskInstanceId,
  hash: ContentHash,
) -> Result<Option<ArtifactRow>, DbError> {
  let mut select = select();
  select.and_where(is("instance_id", uuid(instance.0)));
  select.and_where(is("content_hash", text(hash))).limit(1);
  conn.fetch_optional(&select).await
}

/// A file that is stored from now on.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct NowStored {
  /// Its id.
  pub id: ArtifactId,
  /// The task that has left it.
  pub task_id: Option<TaskId>,
  /// The attempt.
  pub instance_id: Option<TaskInstanceId>,
  /// Its name.
  pub name: String,
  /// Its bytes.
  pub size: i64,
}

/// A content is stored: so are all files of its namespace that wait for it, which are returned.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_stored(
  conn: &mut Conn,
  namespace: &NamespaceId,
  hash: ContentHash,
) -> Result<Vec<NowStored>, DbError> {
  let sql = "update sched_artifact set state = 'stored' \
    where namespace_id = $1 and content_hash = $2 and state in ('uploading', 'lost') \
    returning id, task_id, instance_id, name, size";
  conn.fetch_sql(sql, vec![text(namespace), text(hash)]).await
}

/// A content does not come.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_gone(
  conn: &mut Conn,
  (instance, hash): (TaskInstanceId, ContentHash),
  (state, reason): (ArtifactState, &str),
) -> Result<(), DbError> {
  let sql = "update sched_artifact set state = $1, reason = $2 \
    where instance_id = $3 and content_hash = $4 and state = 'uploading'";
  let values = vec![text(state), text(reason), uuid(instance.0), text(hash)];
  conn.execute_sql(sql, values).await.map(drop)
}

/// Deletes one; returns whether there was one.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(conn: &mut Conn, id: ArtifactId) -> Result<bool, DbError> {
  let mut delete = Query::delete();
  delete.from_table(TABLE).and_where(is("id", uuid(id.0)));
  Ok(conn.execute(&delete).await? == 1)
}

/// Deletes some that are over: by their own time, or made before `before` without one.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_expired(
  conn: &mut Conn,
  (now, before): (Ts, Ts),
  limit: i64,
) -> Result<usize, DbError> {
  let sql = "delete from sched_artifact where id in (select id from sched_artifact \
      where expires_at <= $1 or (expires_at is null and created_at <= $2) limit $3) \
    returning id";
  let values = vec![ts(now), ts(before), Value::BigInt(Some(limit))];
  Ok(conn.fetch_sql::<Row1<uuid::Uuid>>(sql, values).await?.len())
}
