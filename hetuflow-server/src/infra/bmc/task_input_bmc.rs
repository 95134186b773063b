//! `sched_task_input`: the files that tasks find when they start, each once it is known what it is.

use hetuflow_core::{AgentId, FileDownload, NamespaceId, TaskId, TaskInputEntity};
use sea_query::{OnConflict, Order, Query, Value};

use super::{is, text, ts, uuid};
use crate::infra::db::{Conn, DbError, Row1};

const TABLE: &str = "sched_task_input";

/// Reads what is known of a task's files.
///
/// # Errors
/// Any [`DbError`].
pub async fn of_task(conn: &mut Conn, task: TaskId) -> Result<Vec<TaskInputEntity>, DbError> {
  let mut select = Query::select();
  select.columns(["task_id", "target", "content_hash", "size", "artifact_id", "created_at"]);
  select.from(TABLE).and_where(is("task_id", uuid(task.0)));
  select.order_by("target", Order::Asc);
  conn.fetch(&select).await
}

/// Writes down what a task's files are; what is written already stays.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert(
  conn: &mut Conn,
  namespace: &NamespaceId,
  inputs: &[TaskInputEntity],
) -> Result<(), DbError> {
  if inputs.is_empty() {
    return Ok(());
  }
  let mut insert = Query::insert();
  insert.into_table(TABLE).columns([
    "task_id",
    "target",
    "namespace_id",
    "content_hash",
    "size",
    "artifact_id",
    "created_at",
  ]);
  for input in inputs {
    insert.values_panic([
      uuid(input.task_id.0).into(),
      text(&input.target).into(),
      text(namespace).into(),
      text(&input.content_hash).into(),
      Value::BigInt(Some(input.size)).into(),
      Value::Uuid(input.artifact_id.map(|id| id.0)).into(),
      ts(input.created_at).into(),
    ]);
  }
  insert.on_conflict(OnConflict::new().do_nothing().to_owned());
  conn.execute(&insert).await.map(drop)
}

/// The namespace whose content an agent may have: where one of its own attempts is to find it.
///
/// # Errors
/// Any [`DbError`].
pub async fn namespace_for(
  conn: &mut Conn,
  agent: &AgentId,
  wanted: &FileDownload,
) -> Result<Option<NamespaceId>, DbError> {
  let sql = "select i.namespace_id from sched_task_input i \
    join sched_task_hot h on h.task_id = i.task_id \
    where i.task_id = $1 and i.content_hash = $2 and h.instance_id = $3 and h.fence = $4 \
      and h.agent_id = $5 limit 1";
  let values = vec![
    uuid(wanted.task_id.0),
    text(wanted.content_hash),
    uuid(wanted.instance_id.0),
    Value::BigInt(Some(wanted.fence)),
    text(agent),
  ];
  let rows: Vec<Row1<NamespaceId>> = conn.fetch_sql(sql, values).await?;
  Ok(rows.into_iter().next().map(|row| row.0))
}
