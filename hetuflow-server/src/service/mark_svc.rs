//! Marks: what a person says about a task, beside what happened. A final state stays what it is.

use hetuflow_core::{
  Change, MarkRequest, MarkedAs, NamespaceId, Role, Subject, TaskEntity, TaskMark, TaskStatus,
  Topic,
};
use serde_json::json;

use super::task_svc::TaskSvc;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::task_mark_bmc;
use crate::infra::db::DbError;

impl TaskSvc {
  /// Marks a task. One that waits is ended first, by a move that the table of states knows: as
  /// skipped where it is to count as succeeded, as cancelled where it is to count as failed.
  ///
  /// # Errors
  /// 409 `mark.running` while it is on an agent; 422 without a reason; 403 below operator.
  pub async fn mark(
    &self,
    actor: &Actor,
    (namespace, reference): (Option<&NamespaceId>, &str),
    request: &MarkRequest,
  ) -> SvcResult<TaskEntity> {
    let mut errors = Vec::new();
    request.check(&mut errors);
    SvcError::check(errors)?;
    let task = self.get(actor, namespace, reference).await?;
    actor.require(Role::Operator, &task.namespace_id)?;
    let id = task.id.to_string();
    let to = match request.status {
      MarkedAs::Succeeded => TaskStatus::Skipped,
      MarkedAs::Failed => TaskStatus::Cancelled,
    };
    // It may move between the reading and the writing: look again a few times.
    for _ in 0..5 {
      let now = self.get(actor, None, &id).await?;
      if now.status.is_final() {
        return self.keep_mark(actor, &now, request).await;
      }
      if now.status.is_on_agent() {
        break;
      }
      let reason = format!("marked({}, {})", request.status, actor.name);
      self.end_unstarted(&[task.id], to, &reason).await?;
    }
    let message = "it is on an agent; cancel or skip it, and mark it when it is over";
    Err(SvcError::conflict("mark.running", "/", message))
  }

  async fn keep_mark(
    &self,
    actor: &Actor,
    task: &TaskEntity,
    request: &MarkRequest,
  ) -> SvcResult<TaskEntity> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      let reason: String = request.reason.chars().filter(|c| !c.is_control()).collect();
      let mark = TaskMark { status: request.status, reason, by: actor.name.clone(), at: now };
      task_mark_bmc::put(&mut tx, task.id, &mark).await?;
      let data = json!({
        "status": task.status, "marked": mark.status, "by": mark.by, "reason": mark.reason,
        "before": task.mark,
      });
      let subject = Subject { kind: Topic::Task, id: task.id.to_string() };
      let mut journal = Journal::default();
      let event_type = "task.marked".to_owned();
      journal.push(&task.namespace_id, Change { at: now, subject, event_type, data });
      event_bmc::append(&mut tx, &journal, now).await
    }
    .await;
    tx.end::<_, DbError>(outcome).await?;
    self.store.bus.events.notify_one();
    self.get(actor, None, &task.id.to_string()).await
  }
}
