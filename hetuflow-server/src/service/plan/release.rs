//! Runs that wait for an earlier one start when it has ended.

use hetuflow_core::{Change, OverlapPolicy, ScheduleId, Subject, TaskStatus, Topic, Ts};
use serde_json::json;

use super::{PlanSvc, PlanTurn};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::plan_bmc::{self, Released};
use crate::infra::db::{Conn, DbError};

/// Schedules looked at in one turn.
const SCHEDULES_MAX: i64 = 1000;

impl PlanSvc {
  /// Lets the next run of each schedule go of which nothing is alive any more.
  pub(super) async fn release(&self, turn: &mut PlanTurn) -> Result<(), DbError> {
    let mut conn = self.store.db.read().await?;
    let schedules = plan_bmc::releasable(&mut conn, SCHEDULES_MAX).await?;
    drop(conn);
    if schedules.is_empty() {
      return Ok(());
    }
    let mut tx = self.store.db.begin().await?;
    let outcome = release_in(&mut tx, &schedules).await;
    let released = match tx.end::<_, DbError>(outcome).await {
      Err(error) if error.is_retry() => {
        turn.look_in = Some(std::time::Duration::ZERO);
        return Ok(());
      }
      outcome => outcome?,
    };
    turn.released += released.len();
    let marks = released.iter().map(|task| ((task.class_id, task.priority), task.eligible_at));
    self.store.bus.tasks_due(marks.collect::<Vec<_>>());
    // Limits may hold it still.
    self.store.bus.admit.notify_one();
    self.store.bus.events.notify_one();
    Ok(())
  }
}

async fn release_in(tx: &mut Conn, schedules: &[ScheduleId]) -> Result<Vec<Released>, DbError> {
  let now = tx.now().await?;
  let mut schedules = schedules.to_vec();
  // The order in which every writer locks them.
  schedules.sort_unstable();
  let mut released = Vec::new();
  let mut journal = Journal::default();
  for id in schedules {
    let schedule = plan_bmc::lock_one(tx, id).await?;
    let policy = schedule.map(|schedule| schedule.overlap_policy);
    let by_priority = policy == Some(OverlapPolicy::SerialPriority);
    if let Some(task) = plan_bmc::release_next(tx, id, (by_priority, now)).await? {
      journal.push(&task.namespace_id, told(&task, now));
      released.push(task);
    }
  }
  event_bmc::append(tx, &journal, now).await?;
  Ok(released)
}

fn told(task: &Released, now: Ts) -> Change {
  let subject = Subject { kind: Topic::Task, id: task.task_id.to_string() };
  let data = json!({ "status": TaskStatus::Pending });
  Change { at: now, subject, event_type: "task.unblocked".to_owned(), data }
}
