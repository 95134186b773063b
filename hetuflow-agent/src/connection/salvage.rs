//! What can be read of an answer that is not readable as a whole: one broken task or job does not
//! spoil the others, and the server hears at once of each that is not started.

use hetuflow_core::{
  AcquireTaskResponse, JobSpec, MessageError, RawMessage, ScheduledTask, TaskInstanceStatus,
  TaskInstanceUpdate, Ts,
};
use serde_json::Value;

/// The readable tasks of an answer, and the reports on the others.
#[derive(Debug)]
pub(super) struct Salvage {
  /// What is readable.
  pub(super) answer: AcquireTaskResponse,
  /// `not_started` for each task that is not, as far as it can be named; without their times.
  pub(super) refused: Vec<TaskInstanceUpdate>,
}

impl Salvage {
  /// Reads task by task.
  ///
  /// # Errors
  /// For an answer that is no list of tasks at all.
  pub(super) fn from_message(message: &RawMessage<'_>) -> Result<Self, MessageError> {
    #[derive(serde::Deserialize)]
    struct Loose {
      specs: Vec<Value>,
      tasks: Vec<Value>,
    }
    let loose: Loose = message.read()?;
    let mut answer = AcquireTaskResponse::default();
    // Where each job has gone, or why it could not be read.
    let mut places: Vec<Result<usize, String>> = Vec::new();
    for spec in loose.specs {
      places.push(serde_json::from_value::<JobSpec>(spec).map_err(|e| e.to_string()).map(|spec| {
        answer.specs.push(spec);
        answer.specs.len() - 1
      }));
    }
    let mut refused = Vec::new();
    for value in loose.tasks {
      let task = serde_json::from_value::<ScheduledTask>(value.clone()).map_err(|e| e.to_string());
      let placed = task.and_then(|mut task| match places.get(task.task.spec) {
        Some(Err(why)) => Err(format!("its job: {why}")),
        Some(Ok(place)) => {
          task.task.spec = *place;
          Ok(task)
        }
        // Refused by whoever looks for the job.
        None => Ok(task),
      });
      match placed {
        Ok(task) => answer.tasks.push(task),
        Err(why) => refused.extend(refusal_of(&value, &why)),
      }
    }
    Ok(Self { answer, refused })
  }
}

/// The report on a task that is not readable; none for one that does not even say which it is.
fn refusal_of(task: &Value, why: &str) -> Option<TaskInstanceUpdate> {
  let instance = task["task_instance"]["id"].as_str()?.parse().ok()?;
  let id = task["task"]["id"].as_str()?.parse().ok()?;
  let (status, never) = (TaskInstanceStatus::NotStarted, Ts::from_micros(0));
  let mut update = TaskInstanceUpdate::new(instance, id, status, never);
  update.fence = task["fence"].as_i64()?;
  update.attempt = task["attempt"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
  update.reason = Some("not_started(unreadable)".to_owned());
  update.error_message = Some(why.chars().filter(|c| !c.is_control()).take(300).collect());
  Some(update)
}
