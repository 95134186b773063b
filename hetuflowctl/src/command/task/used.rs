//! What an attempt used.

use hetuflow_core::{TaskInstanceEntity, TaskMetrics};
use serde_json::json;

use crate::client::{Call, CtlError};
use crate::command::agent::bytes;
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, View};

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
