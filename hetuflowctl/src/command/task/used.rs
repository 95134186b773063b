//! What an attempt used.

use hetuflow_core::{TaskInstanceEntity, TaskMetrics};
use serde_json::json;

use crate::client::{Call, CtlError};
use crate::command::agent::bytes;
use crate::command::names::expand;
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Format, Outcome, View};

/// Tasks whose figures are told beside the table.
const NOTES_MAX: usize = 5;

/// Shows what an attempt used: by its id, or as `TASK#N`; of a task its newest one.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, target: &str) -> Result<Outcome, CtlError> {
  let attempt = match get::attempt(session, target).await {
    Err(error) if error.is_not_found() => newest(session, target).await?,
    other => other?,
  };
  let path = format!("{}/metrics", Kind::Attempt.path_of(&attempt.id.to_string()));
  let used: TaskMetrics = session.client()?.fetch(Call::get(path)).await?;
  Ok(View::text(format!("{}\n", words(&used)), json!(used)).into())
}

/// Shows tasks, and on stderr what those used that have ended.
///
/// # Errors
/// When one is not there.
pub async fn get_tasks(session: &Session, names: &[String]) -> Result<Outcome, CtlError> {
  let mut tasks = Vec::new();
  for name in expand(names)? {
    tasks.push(get::task(session, &name).await?);
  }
  let mut outcome = Outcome::from(View::things(&tasks));
  let people = matches!(session.look.format, Format::Table | Format::Wide);
  if !people || tasks.len() > NOTES_MAX {
    return Ok(outcome);
  }
  for task in tasks.iter().filter(|task| task.started_at.is_some() && task.completed_at.is_some()) {
    let Some(attempt) = task.instance_id else { continue };
    let path = format!("{}/metrics", Kind::Attempt.path_of(&attempt.to_string()));
    // Figures are a gift: without them the task is shown all the same.
    if let Ok(used) = session.client()?.fetch::<TaskMetrics>(Call::get(path)).await {
      outcome = outcome.note(format!("{}  used {}", task.id.short(), words(&used)));
    }
  }
  Ok(outcome)
}

async fn newest(session: &Session, target: &str) -> Result<TaskInstanceEntity, CtlError> {
  let task = get::task(session, target).await?;
  let none = || CtlError::usage(format!("task {} has no attempt yet", task.id.short()));
  get::attempts(session, &task).await?.pop().ok_or_else(none)
}

/// In one line; what was not measured is left out.
pub fn words(used: &TaskMetrics) -> String {
  let mut parts = vec![format!("{:.2}s of processor time", used.cpu_time)];
  for (count, what) in [
    (used.memory_peak, "of memory at most"),
    (used.disk_read, "read from disk"),
    (used.disk_write, "written to disk"),
    (used.network_in, "received"),
    (used.network_out, "sent"),
  ] {
    if count > 0 {
      parts.push(format!("{} {what}", bytes(count)));
    }
  }
  parts.join(", ")
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_was_not_measured_is_left_out() {
    let used = TaskMetrics { cpu_time: 1.5, memory_peak: 3 << 20, ..TaskMetrics::default() };
    assert_eq!(words(&used), "1.50s of processor time, 3.0 MiB of memory at most");
  }
}
