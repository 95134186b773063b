//! A start that somebody forces. What the task goes past is lifted for it alone: it takes its slots
//! of limits all the same, so everybody else is counted against them.

use hetuflow_core::{
  Delivery, ForceRequest, ForcedPast, NamespaceId, Role, TaskEntity, TaskStatus, Topic, Ts,
};
use serde_json::json;

use super::admission::take_regardless;
use super::store::Work;
use super::task_svc::TaskSvc;
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{hot, limit_bmc, plan_bmc, task_bmc};

impl TaskSvc {
  /// Starts a task now that waits for its instant, its next attempt, an earlier run of its schedule
  /// or a limit. Its planned instant stays what it is.
  ///
  /// # Errors
  /// 409 `force.not_held` for a task that waits for nothing but an agent, `force.on_agent`,
  /// `attempt.terminal`, and `force.exclusive` where an earlier run of an exclusive job is alive;
  /// 403 below operator.
  pub async fn force(
    &self,
    actor: &Actor,
    (namespace, reference): (Option<&NamespaceId>, &str),
    request: &ForceRequest,
  ) -> SvcResult<TaskEntity> {
    let mut errors = Vec::new();
    request.check(&mut errors);
    SvcError::check(errors)?;
    let task = self.get(actor, namespace, reference).await?;
    actor.require(Role::Operator, &task.namespace_id)?;
    // It may move between the reading and the writing: look again a few times.
    for _ in 0..5 {
      let mut work = self.store.work().await?;
      let outcome = self.open_way(&mut work, (actor, &task), request).await;
      if let Some((range, at)) = work.end(outcome).await? {
        self.store.bus.tasks_due([(range, at)]);
        return self.get(actor, None, &task.id.to_string()).await;
      }
    }
    Err(SvcError::unavailable("the task is being changed; try again"))
  }

  /// Where the dispatcher finds it, and since when; `None`: it has moved, look again.
  async fn open_way(
    &self,
    work: &mut Work,
    (actor, task): (&Actor, &TaskEntity),
    request: &ForceRequest,
  ) -> SvcResult<Option<((i64, i64), Ts)>> {
    // Whoever decides about runs of its schedule, and whoever lets tasks through, waits for us.
    if let Some(schedule) = task.schedule_id {
      plan_bmc::lock_one(&mut work.tx, schedule).await?;
    }
    limit_bmc::lock_admission(&mut work.tx).await?;
    let found = task_bmc::get(&mut work.tx, task.id).await?;
    let Some(task) = found else { return Err(SvcError::not_found("task", &task.id.to_string())) };
    let past = past_of(&task, work.now)?;
    let Some(row) = hot::waiting_row(&mut work.tx, task.id).await? else { return Ok(None) };
    if task.status == TaskStatus::Blocked {
      let spec = self.jobs.spec(&mut work.tx, task.job_id, task.job_version).await?;
      let config = task.config.as_ref().unwrap_or(&spec.config);
      if config.delivery() == Delivery::Exclusive {
        let message = "an earlier run is alive, and delivery is exclusive: cancel that one";
        return Err(SvcError::conflict("force.exclusive", "/", message));
      }
    }
    if !hot::force_if_held(&mut work.tx, task.id, work.now).await? {
      return Ok(None);
    }
    if let Some(gate) = &task.held_by {
      take_regardless(&mut work.tx, (task.id, gate), work.now).await?;
    }
    let status = if task.status == TaskStatus::Blocked { TaskStatus::Pending } else { task.status };
    let data = json!({
      "status": status, "past": past, "by": actor.name, "reason": request.reason,
      "held_by": task.held_by, "eligible_at": row.eligible_at.min(work.now),
      "eligible_before": task.eligible_at,
    });
    work.note(&task.namespace_id, (Topic::Task, task.id.to_string()), "task.forced", data);
    Ok(Some(((row.class_id, row.priority), row.eligible_at.min(work.now))))
  }
}

/// What keeps it from the agents.
fn past_of(task: &TaskEntity, now: Ts) -> SvcResult<Vec<ForcedPast>> {
  let status = task.status;
  if status.is_final() {
    let message = format!("task is {status} already; hetuflowctl retry runs it again");
    return Err(SvcError::conflict("attempt.terminal", "/", message));
  }
  if status.is_on_agent() {
    let message = format!("task is {status}: an agent has it in hand");
    return Err(SvcError::conflict("force.on_agent", "/", message));
  }
  let later = task.eligible_at.is_some_and(|at| at > now);
  let retry = status == TaskStatus::WaitingRetry;
  let all = [
    (later && !retry, ForcedPast::Time),
    (later && retry, ForcedPast::Retry),
    (status == TaskStatus::Blocked, ForcedPast::Overlap),
    (task.held_by.is_some(), ForcedPast::Limit),
  ];
  let past: Vec<ForcedPast> = all.into_iter().filter(|one| one.0).map(|one| one.1).collect();
  if past.is_empty() {
    let message = "it waits for an agent, which nobody can force; task why says for which";
    return Err(SvcError::conflict("force.not_held", "/", message));
  }
  Ok(past)
}
