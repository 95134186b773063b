//! What people do to a task that runs: hold it, let it go on, start it anew, send it a signal. Each
//! is stored first and carried to the agent by the stop router.

use hetuflow_core::{
  CancelRequest, FieldError, NamespaceId, Role, TaskControlKind, TaskEntity, TaskInstanceEntity,
  TaskInstanceId, TaskStatus, signal_number,
};
use serde_json::json;

use super::attempt_end::Ends;
use super::task_svc::TaskSvc;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::event_bmc;
use crate::infra::bmc::hot;
use crate::infra::db::DbError;

/// What is asked of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlOrder {
  /// What.
  pub kind: TaskControlKind,
  /// Why, and how where it is a stop.
  pub request: CancelRequest,
  /// Which signal, for `signal`.
  pub signal: Option<String>,
}

impl TaskSvc {
  /// Does something with an attempt that is alive.
  ///
  /// # Errors
  /// 409 for an attempt that is over, and as [`TaskSvc::control_task`].
  pub async fn control(
    &self,
    actor: &Actor,
    id: TaskInstanceId,
    order: &ControlOrder,
  ) -> SvcResult<TaskInstanceEntity> {
    let attempt = self.instance(actor, id).await?;
    if attempt.status.is_final() {
      let message = format!("attempt is {}", attempt.status);
      return Err(SvcError::conflict("attempt.terminal", "/", message));
    }
    self.control_task(actor, None, (&attempt.task_id.to_string(), order)).await?;
    self.instance(actor, id).await
  }

  /// Does something with a task. What only a process can feel is asked of its agent and seen in the
  /// task's state soon after.
  ///
  /// # Errors
  /// 409 `control.not_running` without a process, `control.pending` while an earlier order is on its
  /// way, `attempt.terminal` for a task that is over; 422 for an unknown signal.
  pub async fn control_task(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    (reference, order): (&str, &ControlOrder),
  ) -> SvcResult<TaskEntity> {
    let task = self.get(actor, namespace, reference).await?;
    actor.require(Role::Operator, &task.namespace_id)?;
    match order.kind {
      TaskControlKind::Stop | TaskControlKind::Kill | TaskControlKind::Skip => {
        return self.stop(actor, &task, order.kind, &order.request).await;
      }
      TaskControlKind::Restart if task.status.is_on_agent() => {
        return self.stop(actor, &task, order.kind, &order.request).await;
      }
      TaskControlKind::Signal => check_signal(order.signal.as_deref())?,
      _ => {}
    }
    for _ in 0..3 {
      let now = self.get(actor, None, &task.id.to_string()).await?;
      require_process(&now)?;
      if self.store_order(actor, &now, order).await? {
        return self.get(actor, None, &task.id.to_string()).await;
      }
    }
    let message = "an earlier order is still on its way to the agent; try again";
    Err(SvcError::conflict("control.pending", "/", message))
  }

  /// Stores it where the task still has a process and nothing else is on its way.
  async fn store_order(
    &self,
    actor: &Actor,
    task: &TaskEntity,
    order: &ControlOrder,
  ) -> SvcResult<bool> {
    let given = order.request.reason.clone().unwrap_or_else(|| actor.name.clone());
    let reason: String = given.chars().filter(|c| !c.is_control()).take(200).collect();
    let now = self.store.db.now();
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let stored = match (order.kind, &order.signal) {
        (TaskControlKind::Signal, Some(signal)) => {
          let name = signal.trim_start_matches("SIG");
          hot::request_signal(&mut tx, task.id, name, now).await?
        }
        (kind, _) => {
          let hold = kind == TaskControlKind::Pause;
          let reason = Some(reason.as_str()).filter(|_| hold);
          hot::request_hold(&mut tx, task.id, (hold, reason), now).await?
        }
      };
      if stored {
        let mut ends = Ends::default();
        let data = json!({
          "control": order.kind, "by": actor.name, "reason": reason, "signal": order.signal,
        });
        ends.note(&task.namespace_id, task.id, "task.control", data, now);
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
}

/// Only a process can be held or signalled.
fn require_process(task: &TaskEntity) -> SvcResult<()> {
  let status = task.status;
  if status.is_final() {
    let message = format!("task is {status} already");
    return Err(SvcError::conflict("attempt.terminal", "/", message));
  }
  if !matches!(status, TaskStatus::Running | TaskStatus::Paused) {
    let message = format!("task is {status}: it has no process");
    return Err(SvcError::conflict("control.not_running", "/", message));
  }
  Ok(())
}

fn check_signal(name: Option<&str>) -> SvcResult<()> {
  let name = name.unwrap_or_default();
  if signal_number(name).is_some() {
    return Ok(());
  }
  let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
  let rule = FieldError::new("signal.unknown", "/signal", format!("\"{shown}\" is not a signal"));
  let known = "TERM, INT, QUIT, HUP, USR1, USR2, CONT, STOP, WINCH or KILL";
  Err(SvcError::invalid(vec![rule.with_hint(known)]))
}
