//! Stops: stored as intents first, so that they reach the agent whichever server it is on, and
//! outlive a restart of this one.

use std::collections::HashMap;

use hetuflow_core::{
  CancelRequest, NamespaceId, Role, TaskControlKind, TaskEntity, TaskId, TaskStatus,
};
use serde_json::json;

use super::attempt_end::Ends;
use super::task_svc::TaskSvc;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::event_bmc;
use crate::infra::bmc::hot::{self, StopMark};
use crate::infra::db::DbError;

/// Tasks of one sweep of which it is said what held them.
const EXPLAINED_MAX: usize = 50;

/// What is said of tasks that end while they wait.
struct Told<'a> {
  /// Why.
  reason: &'a str,
  /// Who wanted it.
  by: Option<&'a str>,
  /// What held them.
  facts: HashMap<TaskId, String>,
}

/// The reason of a request, else who asks.
fn given_reason(actor: &Actor, request: &CancelRequest) -> String {
  let given = request.reason.as_ref().unwrap_or(&actor.name);
  given.chars().filter(|c| !c.is_control()).take(200).collect()
}

impl TaskSvc {
  /// Cancels a task: at once while it waits; through its agent once it is on one, and then the
  /// task is `cancelling` until nothing of it lives. Cancelling a cancelled task changes nothing.
  ///
  /// # Errors
  /// 409 `attempt.terminal` for a task that ended otherwise.
  pub async fn cancel(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
    request: &CancelRequest,
  ) -> SvcResult<TaskEntity> {
    let task = self.get(actor, namespace, reference).await?;
    let kind = if request.force { TaskControlKind::Kill } else { TaskControlKind::Stop };
    self.stop(actor, &task, kind, request).await
  }

  /// Asks for a stop of this kind, however far the task is.
  pub(super) async fn stop(
    &self,
    actor: &Actor,
    task: &TaskEntity,
    kind: TaskControlKind,
    request: &CancelRequest,
  ) -> SvcResult<TaskEntity> {
    actor.require(Role::Operator, &task.namespace_id)?;
    let id = task.id.to_string();
    // It may move between the reading and the writing: look again a few times.
    for _ in 0..5 {
      let now = self.get(actor, None, &id).await?;
      match now.status {
        TaskStatus::Cancelled => return Ok(now),
        status if status.is_final() => {
          let message = format!("task is {status} already");
          return Err(SvcError::conflict("attempt.terminal", "/", message));
        }
        status if status.is_on_agent() => {
          if self.request_stop(actor, &now, kind, request).await? {
            break;
          }
        }
        _ => {
          let to = match kind {
            TaskControlKind::Skip => TaskStatus::Skipped,
            _ => TaskStatus::Cancelled,
          };
          let reason = format!("{to}({})", given_reason(actor, request));
          let told = Told { reason: &reason, by: Some(&actor.name), facts: HashMap::new() };
          if self.end_waiting(&[task.id], to, &told).await? == 1 {
            break;
          }
        }
      }
    }
    self.get(actor, None, &id).await
  }

  async fn request_stop(
    &self,
    actor: &Actor,
    task: &TaskEntity,
    kind: TaskControlKind,
    request: &CancelRequest,
  ) -> SvcResult<bool> {
    let mark = StopMark {
      kind: kind.to_string(),
      reason: Some(given_reason(actor, request)),
      grace_ms: request.grace_secs.map(|secs| (secs.clamp(0.0, 86_400.0) * 1000.0) as i64),
    };
    let now = self.store.db.now();
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let stored = hot::request_stop(&mut tx, task.id, &mark, now).await?;
      if stored {
        let mut ends = Ends::default();
        let data = json!({"status": "cancelling", "by": actor.name, "reason": mark.reason});
        ends.note(&task.namespace_id, task.id, "task.cancelling", data, now);
        event_bmc::append(&mut tx, &ends.journal, now).await?;
      }
      Ok(stored)
    }
    .await;
    let stored = tx.end::<_, DbError>(outcome).await?;
    self.store.bus.control.notify_one();
    self.store.bus.remote.notify_one();
    self.store.bus.events.notify_one();
    Ok(stored)
  }

  /// Ends tasks that wait and are on no agent; returns how many still were.
  ///
  /// # Errors
  /// Any.
  pub async fn end_unstarted(
    &self,
    tasks: &[TaskId],
    to: TaskStatus,
    reason: &str,
  ) -> SvcResult<usize> {
    self.end_waiting(tasks, to, &Told { reason, by: None, facts: HashMap::new() }).await
  }

  /// Ends tasks whose start deadline has passed while they waited, and says what held them.
  ///
  /// # Errors
  /// Any.
  pub async fn expire(&self, tasks: &[TaskId]) -> SvcResult<usize> {
    let mut facts = HashMap::new();
    for task in tasks.iter().take(EXPLAINED_MAX) {
      // What it cannot say now is no reason to keep a task.
      if let Ok(why) = self.why(&Actor::system(), None, &task.to_string()).await
        && why.waiting
      {
        facts.insert(*task, why.text);
      }
    }
    let told = Told { reason: "start deadline passed", by: None, facts };
    self.end_waiting(tasks, TaskStatus::Expired, &told).await
  }

  async fn end_waiting(
    &self,
    tasks: &[TaskId],
    to: TaskStatus,
    told: &Told<'_>,
  ) -> SvcResult<usize> {
    let now = self.store.db.now();
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let mut ends = Ends::asked_by(told.by);
      let gone = hot::finish_unstarted(&mut tx, tasks).await?;
      for one in &gone {
        let why = (told.reason, told.facts.get(&one.row.task_id).map(String::as_str));
        ends.add_unstarted(&one.row, to, why, now);
      }
      ends.write(&mut tx, now).await?;
      event_bmc::append(&mut tx, &ends.journal, now).await?;
      Ok((gone.len(), ends))
    }
    .await;
    let (count, ends) = tx.end::<_, DbError>(outcome).await?;
    ends.wake(&self.store);
    Ok(count)
  }
}
