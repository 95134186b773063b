//! What a run waits for that came while an earlier one of its schedule was alive.

use hetuflow_core::{TaskEntity, TaskStatus, TaskWhy, WhyChange, WhyStep};

use super::SvcResult;
use crate::infra::bmc::{plan_bmc, task_bmc};
use crate::infra::db::Conn;

/// Names the run that is alive and those that come first.
///
/// # Errors
/// When the database fails.
pub(super) async fn tell_blocked(
  conn: &mut Conn,
  why: &mut TaskWhy,
  task: &TaskEntity,
) -> SvcResult<()> {
  // Nobody knows when a run ends.
  why.earliest_at = None;
  let Some(schedule) = task.schedule_id else { return Ok(()) };
  let ids = plan_bmc::live_tasks(conn, schedule).await?;
  let others: Vec<_> = ids.into_iter().filter(|id| *id != task.id).collect();
  let others = task_bmc::get_many(conn, &others).await?;
  let first = |other: &&TaskEntity| {
    other.status == TaskStatus::Blocked
      && (other.scheduled_at, other.id) < (task.scheduled_at, task.id)
  };
  why.ahead = i64::try_from(others.iter().filter(first).count()).unwrap_or(i64::MAX);
  let Some(alive) = others.iter().find(|other| other.status != TaskStatus::Blocked) else {
    why.text = "the earlier run of its schedule is over: it is about to be let go".to_owned();
    return Ok(());
  };
  let place = alive.agent_id.as_ref().map_or_else(String::new, |agent| format!(" on {agent}"));
  let id = alive.id.short();
  let behind = match why.ahead {
    0 => String::new(),
    1 => "; 1 run comes first".to_owned(),
    n => format!("; {n} runs come first"),
  };
  why.text =
    format!("it waits for an earlier run of its schedule: {id} is {}{place}{behind}", alive.status);
  if why.ahead == 0 && alive.status != TaskStatus::Cancelling {
    let command = Some(format!("hetuflowctl task cancel {id}"));
    let step = WhyStep { text: format!("the end of {id}"), command };
    why.changes = vec![WhyChange { agent_id: None, steps: vec![step] }];
  }
  Ok(())
}
