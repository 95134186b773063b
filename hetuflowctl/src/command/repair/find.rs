//! Looking for things that should not be.

use std::collections::BTreeSet;
use std::time::Duration;

use hetuflow_core::{
  AgentEntity, JobEntity, JobStatus, ScheduleEntity, ScheduleStatus, TaskEntity, TaskStatus, Ts,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::{Call, CtlError};
use crate::command::glance::is_online;
use crate::command::object::list::everything;
use crate::command::session::Session;
use crate::output::relative;

/// Sweeps and planners need no longer than this.
const PATIENCE: Duration = Duration::from_secs(60);
/// An agent that is offline for less may come back with its task.
const LOST: Duration = Duration::from_secs(3600);

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
  /// Its code.
  pub code: String,
  /// `task/ID` or `schedule/ID`.
  pub object: String,
  /// In words.
  pub detail: String,
  /// What the object looked like: a repair refuses when that changed.
  pub seen: Value,
}

/// Looks at the tasks and schedules of all namespaces that the token sees, or of one.
///
/// # Errors
/// What the server says.
pub async fn find(session: &Session) -> Result<Vec<Finding>, CtlError> {
  let client = session.client()?;
  let namespace = session.list_namespace()?;
  let call = |path: &str| Call::get(path).query_some("namespace_id", namespace.clone());
  let agents: Vec<AgentEntity> = everything(client, Call::get("/agents")).await?;
  let silent: BTreeSet<&str> = agents
    .iter()
    .filter(|one| !is_online(one))
    .filter(|one| one.last_heartbeat_at.is_none_or(|at| session.look.now.since(at) > LOST))
    .map(|one| one.id.as_str())
    .collect();
  let mut found = Vec::new();
  let states = "locked,dispatched,running,cancelling,waiting_retry";
  let tasks: Vec<TaskEntity> = everything(client, call("/tasks").query("status", states)).await?;
  found.extend(tasks.iter().filter_map(|task| of_task(session, task, &silent)));
  let jobs: Vec<JobEntity> = everything(client, call("/jobs")).await?;
  let off: BTreeSet<_> =
    jobs.iter().filter(|job| job.status != JobStatus::Enabled).map(|job| job.id).collect();
  let schedules: Vec<ScheduleEntity> = everything(client, call("/schedules")).await?;
  let planned = schedules.iter().filter(|one| !off.contains(&one.job_id));
  found.extend(planned.filter_map(|one| of_schedule(session, one)));
  Ok(found)
}

fn of_task(session: &Session, task: &TaskEntity, silent: &BTreeSet<&str>) -> Option<Finding> {
  let now = session.look.now;
  let agent = task.agent_id.as_ref().map(hetuflow_core::AgentId::as_str);
  let code = match task.status {
    TaskStatus::WaitingRetry if task.eligible_at? < now.minus(PATIENCE) => "R011",
    TaskStatus::WaitingRetry => return None,
    _ if agent.is_some_and(|agent| silent.contains(agent)) => "R004",
    TaskStatus::Locked if due(task) < now.minus(PATIENCE) => "R002",
    TaskStatus::Dispatched if due(task) < now.minus(PATIENCE) => "R003",
    _ => return None,
  };
  let since = relative(task.started_at.or(task.eligible_at).unwrap_or(task.scheduled_at), now);
  let on = agent.map(|agent| format!(" on {agent}")).unwrap_or_default();
  Some(Finding {
    code: code.to_owned(),
    object: format!("task/{}", task.id),
    detail: format!("{}/{} is {}{on}, {since}", task.job_name, task.id.short(), task.status),
    seen: seen_of_task(task),
  })
}

fn of_schedule(session: &Session, one: &ScheduleEntity) -> Option<Finding> {
  let next = one.next_run_at?;
  let late = next < session.look.now.minus(PATIENCE);
  (late && one.status == ScheduleStatus::Enabled).then(|| Finding {
    code: "R006".to_owned(),
    object: format!("schedule/{}", one.id),
    detail: format!("{} should have fired {}", one.name, relative(next, session.look.now)),
    seen: seen_of_schedule(one),
  })
}

/// Since when it could have been started.
fn due(task: &TaskEntity) -> Ts {
  task.eligible_at.unwrap_or(task.scheduled_at).max(task.created_at)
}

/// What must not have changed.
pub fn seen_of_task(task: &TaskEntity) -> Value {
  json!({ "status": task.status, "attempt": task.attempt, "instance_id": task.instance_id })
}

/// What must not have changed.
pub fn seen_of_schedule(schedule: &ScheduleEntity) -> Value {
  json!({ "status": schedule.status, "rev": schedule.rev, "next_run_at": schedule.next_run_at })
}
