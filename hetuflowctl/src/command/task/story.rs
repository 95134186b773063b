//! `task tree`, `task result`, `task timeline`: one task, told in three ways.

use hetuflow_core::{ScheduleEntity, TaskEntity, TaskInstanceEntity, TaskInstanceOutput, Ts};
use serde_json::{Value, json};

use super::exit_code;
use crate::cli::ExitStatus;
use crate::client::{Call, CtlError, path_of};
use crate::command::object::list::everything;
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, View, describe, show_duration, visible};

/// A task with its job, its schedule and its attempts.
///
/// # Errors
/// When it is not there.
pub async fn tree(session: &Session, target: &str) -> Result<Outcome, CtlError> {
  let task = get::task(session, target).await?;
  let attempts = get::attempts(session, &task).await?;
  let schedule: Option<ScheduleEntity> = match task.schedule_id {
    // The schedule may be gone; the task stays.
    Some(id) => get::one(session, Kind::Schedule, &id.to_string()).await.ok(),
    None => None,
  };
  let mut lines = vec![format!("job/{}  version {}", task.job_name, task.job_version)];
  let mut depth = 0;
  if let Some(schedule) = &schedule {
    lines.push(format!("└─ schedule/{}", schedule.name));
    depth = 1;
  }
  let indent = "   ".repeat(depth);
  let by = task.trigger_source;
  lines.push(format!("{indent}└─ task/{}  {}  by {by}", task.id.short(), task.status));
  for (at, attempt) in attempts.iter().enumerate() {
    let mark = if at + 1 == attempts.len() { "└─" } else { "├─" };
    lines.push(format!("{indent}   {mark} {}", attempt_line(attempt)));
  }
  let children = children(session, &task).await?;
  for (at, child) in children.iter().enumerate() {
    let mark = if at + 1 == children.len() { "└─" } else { "├─" };
    let agent = child.config.as_ref().and_then(|config| config.pin.as_ref());
    let agent = agent.map(|agent| format!("  on {agent}")).unwrap_or_default();
    lines.push(format!("{indent}   {mark} task/{}  {}{agent}", child.id.short(), child.status));
  }
  let text: String = lines.iter().map(|line| format!("{}\n", visible(line))).collect();
  let value = json!({
    "job": task.job_name, "schedule": schedule, "task": task, "attempts": attempts,
    "tasks": children,
  });
  Ok(View::text(text, value).into())
}

/// The tasks that a broadcast made; it has no attempt of its own.
async fn children(session: &Session, task: &TaskEntity) -> Result<Vec<TaskEntity>, CtlError> {
  if task.attempt > 0 {
    return Ok(Vec::new());
  }
  let call = Call::get("/tasks")
    .query_some("namespace_id", Some(&task.namespace_id))
    .query_some("parent_id", Some(task.id));
  everything(session.client()?, call).await
}

fn attempt_line(attempt: &TaskInstanceEntity) -> String {
  let agent = attempt.agent_id.as_ref().map(|agent| format!("  on {agent}")).unwrap_or_default();
  let how = match (attempt.signal, attempt.exit_code) {
    (Some(signal), _) => format!("  signal {signal}"),
    (None, Some(code)) => format!("  exit {code}"),
    (None, None) => String::new(),
  };
  let took = match (attempt.started_at, attempt.completed_at) {
    (Some(from), Some(to)) => format!("  {}", show_duration(to.since(from))),
    _ => String::new(),
  };
  format!("attempt {}  {}{agent}{how}{took}", attempt.attempt, attempt.status)
}

/// How a task ended.
///
/// # Errors
/// When it is not there.
pub async fn result(session: &Session, target: &str) -> Result<Outcome, CtlError> {
  let task = get::task(session, target).await?;
  let mut value = json!({
    "id": task.id,
    "job": task.job_name,
    "status": task.status,
    "final": task.status.is_final(),
    "attempt": task.attempt,
    "agent_id": task.agent_id,
    "exit_code": task.exit_code,
    "signal": task.signal,
    "reason": task.reason,
    "error_message": task.error_message,
    "started_at": task.started_at,
    "completed_at": task.completed_at,
    "progress": task.progress,
    "outputs": task.outputs,
  });
  if let (Some(from), Some(to)) = (task.started_at, task.completed_at) {
    value["run_secs"] = json!(to.since(from).as_secs_f64());
  }
  if task.status.is_final()
    && let Value::Object(facts) = exit_code(&task, ExitStatus::Task).facts()
    && let Some(fields) = value.as_object_mut()
  {
    fields.extend(facts);
  }
  Ok(View::text(describe(&value), value).into())
}

/// What an attempt has handed on: one `name=value` a line for people.
///
/// # Errors
/// When it is not there.
pub async fn attempt_result(session: &Session, target: &str) -> Result<Outcome, CtlError> {
  let attempt = get::attempt(session, target).await?;
  let call = Call::get(path_of(&["task-instances", &attempt.id.to_string(), "output"]));
  let left: TaskInstanceOutput = session.client()?.fetch(call).await?;
  let value = serde_json::to_value(&left).expect("our own types are JSON");
  let Some(Value::Object(outputs)) = left.outputs else {
    return Ok(Outcome::from(View::text("", value)).note("it has handed on nothing"));
  };
  let line = |(name, value): (&String, &Value)| match value {
    Value::String(text) => visible(&format!("{name}={text}")) + "\n",
    other => visible(&format!("{name}={other}")) + "\n",
  };
  Ok(View::text(outputs.iter().map(line).collect::<String>(), value).into())
}

/// What happened to a task, step by step.
///
/// # Errors
/// When it is not there.
pub async fn timeline(session: &Session, target: &str) -> Result<Outcome, CtlError> {
  let task = get::task(session, target).await?;
  let attempts = get::attempts(session, &task).await?;
  let steps = steps(&task, &attempts);
  let mut text = String::new();
  let mut before = None;
  for (at, what) in &steps {
    let after =
      before.map_or(String::new(), |before| format!("+{}", show_duration(at.since(before))));
    text.push_str(&format!("{at}  {after:>9}  {}\n", visible(what)));
    before = Some(*at);
  }
  let value: Vec<Value> =
    steps.iter().map(|(at, what)| json!({ "at": at, "what": what })).collect();
  Ok(View::text(text, json!({ "task": task.id, "steps": value })).into())
}

fn steps(task: &TaskEntity, attempts: &[TaskInstanceEntity]) -> Vec<(Ts, String)> {
  let by = task.created_by.as_ref().map(|who| format!(" by {who}")).unwrap_or_default();
  let mut steps = vec![(task.created_at, format!("made, {}{by}", task.trigger_source))];
  if task.scheduled_at > task.created_at {
    steps.push((task.scheduled_at, "due".to_owned()));
  }
  for attempt in attempts {
    let number = attempt.attempt;
    let agent = attempt.agent_id.as_ref().map(|id| format!(" to {id}")).unwrap_or_default();
    if let Some(at) = attempt.dispatched_at {
      steps.push((at, format!("attempt {number} handed{agent}")));
    }
    if let Some(at) = attempt.started_at {
      let pid = attempt.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
      steps.push((at, format!("attempt {number} started{pid}")));
    }
    if let Some(at) = attempt.completed_at {
      let why = attempt.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
      steps.push((at, format!("attempt {number} {}{why}", attempt.status)));
    }
  }
  if let Some(at) = task.completed_at {
    steps.push((at, format!("task {}", task.status)));
  }
  steps.sort_by_key(|(at, _)| *at);
  steps
}
