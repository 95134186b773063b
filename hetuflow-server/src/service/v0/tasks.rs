//! Tasks by their type.

use std::collections::HashMap;

use hetuflow_core::{
  CancelRequest, Environment, FilterScope, Role, Stream, TaskEntity, TaskForCreate, TaskId,
  TaskStatus, TriggerSource, V0_NAME_VARIABLE, V0Priority, V0Task, V0TaskForCreate,
};
use serde_json::Value;

use super::V0Svc;
use crate::infra::bmc::{job_bmc, task_bmc};
use crate::infra::db::Conn;
use crate::service::filtered::{self, Window};
use crate::service::hidden_job::HiddenJob;
use crate::service::row_match::Wanted;
use crate::service::{Actor, LogRange, SvcError, SvcResult};

/// The end of the output in which the result is looked for.
const RESULT_BYTES_MAX: u64 = 64 << 10;

/// Which tasks of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct V0TaskWish {
  /// In these states, separated by commas.
  pub status: Option<String>,
  /// Of this type.
  pub task_type: Option<String>,
  /// First row.
  pub offset: u64,
  /// Rows.
  pub limit: u64,
}

impl V0Svc {
  /// Makes a task of the hidden job of its type.
  ///
  /// # Errors
  /// 403 below operator, the broken rules, 409 where the hidden job is switched off.
  pub async fn create_task(&self, actor: &Actor, new: V0TaskForCreate) -> SvcResult<V0Task> {
    let namespace = actor.namespace(None);
    actor.require(Role::Operator, &namespace)?;
    let mut errors = Vec::new();
    new.check(&mut errors);
    SvcError::check(errors)?;
    let mut conn = self.store.read().await?;
    let hidden = HiddenJob::of_type(&new.task_type);
    let job = hidden.find_or_make(&self.store, &mut conn, &namespace).await?;
    drop(conn);
    let task = TaskForCreate {
      config: new.config_over(&job.config),
      namespace_id: Some(namespace),
      job_id: Some(job.id),
      scheduled_at: new.scheduled_at,
      priority: Some(new.priority.0),
      parameters: (!new.payload.is_null()).then_some(new.payload),
      environment: Some(Environment::from([(V0_NAME_VARIABLE.to_owned(), new.name)])),
      ..TaskForCreate::default()
    };
    let (made, _) = self.tasks.create_with(actor, task, TriggerSource::Legacy).await?;
    Ok(shown(made, new.task_type))
  }

  /// Reads a window of all tasks, newest first, and how many there are.
  ///
  /// # Errors
  /// 422 for a state that is none; 403.
  pub async fn list_tasks(
    &self,
    actor: &Actor,
    wish: &V0TaskWish,
  ) -> SvcResult<(Vec<V0Task>, u64)> {
    let namespace = actor.namespace(None);
    actor.require(Role::Viewer, &namespace)?;
    let mut conn = self.store.read().await?;
    let mut filter = String::new();
    if let Some(status) = &wish.status {
      filter = format!("state={}", status.replace("doing", "locked,dispatched,running"));
    }
    if let Some(task_type) = &wish.task_type {
      let jobs = job_bmc::names_of_type(&mut conn, &namespace, task_type).await?;
      if jobs.is_empty() {
        return Ok((Vec::new(), 0));
      }
      filter = format!("{filter} job={}", jobs.join(",")).trim_start().to_owned();
    }
    let wanted = Wanted::read(&filter, "", FilterScope::Tasks)?;
    let now = conn.now().await?;
    let window = Window { namespace: Some(&namespace), from: wish.offset, len: wish.limit, now };
    let found = filtered::tasks(&mut conn, &window, &wanted).await?;
    let total = match found.matched {
      Some(matched) => matched,
      None => filtered::count_tasks(&mut conn, &window, &wanted).await?,
    };
    let ids: Vec<TaskId> = found.rows.iter().map(|row| row.id).collect();
    let tasks = task_bmc::get_many(&mut conn, &ids).await?;
    let mut tasks: HashMap<TaskId, TaskEntity> =
      tasks.into_iter().map(|task| (task.id, task)).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for task in ids.iter().filter_map(|id| tasks.remove(id)) {
      let task_type = self.type_of(&mut conn, &task).await?;
      rows.push(shown(task, task_type));
    }
    Ok((rows, total))
  }

  /// Reads a task with what it gave.
  ///
  /// # Errors
  /// 404.
  pub async fn get_task(&self, actor: &Actor, reference: &str) -> SvcResult<V0Task> {
    let task = self.tasks.get(actor, None, reference).await?;
    let mut conn = self.store.read().await?;
    let task_type = self.type_of(&mut conn, &task).await?;
    drop(conn);
    let instance = task.instance_id.filter(|_| task.status == TaskStatus::Succeeded);
    let result = match instance {
      Some(instance) => self.result_of(actor, instance).await?,
      None => None,
    };
    Ok(V0Task { result, ..shown(task, task_type) })
  }

  /// Cancels a task; it may live on for a while.
  ///
  /// # Errors
  /// 404; 409 for a task that is over.
  pub async fn cancel_task(&self, actor: &Actor, reference: &str) -> SvcResult<TaskEntity> {
    let task = self.tasks.get(actor, None, reference).await?;
    if task.status.is_final() {
      let message = format!("task is {} already", task.status);
      return Err(SvcError::conflict("attempt.terminal", "/", message));
    }
    self.tasks.cancel(actor, None, &task.id.to_string(), &CancelRequest::default()).await
  }

  async fn type_of(&self, conn: &mut Conn, task: &TaskEntity) -> SvcResult<String> {
    let own = task.config.as_ref().and_then(|config| config.task_type.clone());
    if let Some(own) = own {
      return Ok(own);
    }
    let spec = self.tasks.jobs.spec(conn, task.job_id, task.job_version).await?;
    // What runs a command has no type; its job says best what it is.
    Ok(spec.config.task_type.clone().unwrap_or_else(|| task.job_name.clone()))
  }

  /// The last line of the standard output, as JSON where it is JSON.
  async fn result_of(
    &self,
    actor: &Actor,
    instance: hetuflow_core::TaskInstanceId,
  ) -> SvcResult<Option<Value>> {
    let range = LogRange {
      stream: Some(Stream::Stdout),
      tail_bytes: Some(RESULT_BYTES_MAX),
      ..LogRange::default()
    };
    let mut reader = self.logs.open(actor, instance, range).await?;
    let mut bytes = Vec::new();
    while let Some(frame) = reader.next().await? {
      bytes.extend(frame.unpack().unwrap_or_default());
    }
    Ok(last_line(&bytes))
  }
}

fn last_line(bytes: &[u8]) -> Option<Value> {
  let text = String::from_utf8_lossy(bytes);
  let line = text.lines().rev().find(|line| !line.trim().is_empty())?.trim();
  Some(serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned())))
}

fn shown(task: TaskEntity, task_type: String) -> V0Task {
  let name = task.environment.as_ref().and_then(|set| set.get(V0_NAME_VARIABLE).cloned());
  let bad = task.status.is_final() && task.status != TaskStatus::Succeeded;
  V0Task {
    id: task.id,
    task_id: task.id,
    name: name.unwrap_or(task.job_name),
    task_type,
    priority: V0Priority(task.priority),
    payload: task.parameters.unwrap_or_default(),
    status: task.status,
    created_at: task.created_at,
    scheduled_at: task.scheduled_at,
    agent_id: task.agent_id,
    started_at: task.started_at,
    completed_at: task.completed_at,
    result: None,
    error: task.error_message.or(task.reason).filter(|_| bad),
  }
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  #[test]
  fn the_result_is_the_last_line() {
    assert_eq!(last_line(b"working\n{\"sent\": 3}\n\n"), Some(json!({"sent": 3})));
    assert_eq!(last_line(b"done\xff"), Some(json!("done\u{fffd}")));
    assert_eq!(last_line(b" \n"), None);
  }
}
