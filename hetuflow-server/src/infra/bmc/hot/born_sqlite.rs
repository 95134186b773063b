//! A task that is claimed by its insert, on SQLite: the whole transaction as one text. Each text
//! that goes to the engine's thread costs two changes of threads, more than the work in it.

use hetuflow_core::Ts;
use sqlx::AssertSqlSafe;

use super::enqueue::{as_json, outdated};
use super::{Birth, JobGuards, NewTask, wrong_engine};
use crate::infra::bmc::event_bmc::Journal;
use crate::infra::db::{Conn, DbError};

/// Nothing goes in unless the job that the submitter takes for current ($13 of them, none or one)
/// still is; all that follows looks whether the task is there.
const TEXT: &str = "begin immediate; \
  insert into sched_task (id, job_id, job_version, namespace_id, priority, scheduled_at, \
    trigger_source, parameters, environment, config, created_by, created_at) \
  select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 \
    where $13 = 0 or exists (select 1 from sched_job j where j.id = $2 and j.version = $3 \
      and j.status = 'enabled' and j.logical_deletion is null); \
  update sched_sequence set value = value + 1 where name = 'sched_fence' \
    and exists (select 1 from sched_task where id = $1); \
  insert into sched_task_hot (task_id, job_id, job_version, namespace_id, class_id, priority, \
    scheduled_at, eligible_at, start_deadline_at, status, attempt, fence, instance_id, agent_id, \
    agent_epoch, server_id, locked_at, updated_at) \
  select $1, $2, $3, $4, $14, $5, $6, $6, $15, 'locked', 1, \
      (select value from sched_sequence where name = 'sched_fence'), $16, $17, $18, $19, $12, $12 \
    where exists (select 1 from sched_task where id = $1); \
  insert into sched_event_batch (seq, n, namespace_id, at, data) \
  select (select coalesce(max(seq), 0) + 1 from sched_event_batch), $20, $21, $12, $22 \
    where exists (select 1 from sched_task where id = $1); \
  select fence from sched_task_hot where task_id = $1; \
  commit";

/// Inserts a task that cannot collide, with its journal, on a connection that is in no transaction;
/// returns its fence. After an error the connection is not used again.
///
/// # Errors
/// [`DbError::Outdated`] when its job has changed: nothing was written.
pub async fn enqueue_born(
  conn: &mut Conn,
  (task, birth): (&NewTask, &Birth),
  journal: &Journal,
  (now, guards): (Ts, &JobGuards),
) -> Result<i64, DbError> {
  let text = |value: Option<serde_json::Value>| value.map(|value| value.to_string());
  let events = journal.packed()?;
  let [(event_namespace, count, data)] = events.as_slice() else {
    return Err(DbError::BadData("a new task has one event".to_owned()));
  };
  let sqlite = conn.sqlite().ok_or_else(wrong_engine)?;
  let fence: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(TEXT))
    .bind(task.id.0)
    .bind(task.job_id.0)
    .bind(task.job_version)
    .bind(task.namespace_id.as_str())
    .bind(task.priority)
    .bind(task.scheduled_at)
    .bind(task.trigger_source.as_str())
    .bind(text(task.parameters.clone()))
    .bind(text(as_json(task.environment.as_ref())))
    .bind(text(as_json(task.config.as_ref())))
    .bind(task.created_by.as_deref())
    .bind(now)
    .bind(i64::try_from(guards.len()).unwrap_or(i64::MAX))
    .bind(task.class_id)
    .bind(task.start_deadline_at)
    .bind(birth.slot.instance_id.0)
    .bind(birth.slot.agent_id.as_str())
    .bind(birth.slot.agent_epoch)
    .bind(birth.server.as_str())
    .bind(*count)
    .bind(event_namespace.as_str())
    .bind(data.as_slice())
    .fetch_all(&mut *sqlite)
    .await?
    .pop();
  conn.done();
  fence.map(|(fence,)| fence).ok_or_else(outdated)
}
