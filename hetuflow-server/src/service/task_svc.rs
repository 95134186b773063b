//! Tasks on demand: find, wait for, change, run again. Making them is `task_create`.

use std::sync::Arc;
use std::time::Duration;

use super::task_ref::resolve_task;
use super::{Actor, JobCache, Store, SubmitSvc, SvcError, SvcResult, near_name};
use crate::infra::bmc::hot;
use crate::infra::bmc::watch_names::Named;
use crate::infra::bmc::{PageArgs, job_bmc, task_bmc, task_instance_bmc};
use crate::infra::db::Conn;
use hetuflow_core::{
  ADHOC_JOB, FieldError, JobEntity, JobId, NamespaceId, PRIORITY_MAX, Page, Role, TaskEntity,
  TaskFilter, TaskForCreate, TaskForUpdate, TaskInstanceEntity, TaskInstanceFilter, TaskInstanceId,
  TaskStatus, TriggerSource,
};

/// How often a waiter looks for itself, for ends that another server stored.
const WAIT_POLL: Duration = Duration::from_millis(500);

/// Tasks on demand.
pub struct TaskSvc {
  pub(super) store: Store,
  pub(super) submit: Arc<SubmitSvc>,
  pub(super) jobs: Arc<JobCache>,
  /// How long a due task waits for an agent that it likes more while others have room.
  pub(super) prefer_hold: Duration,
}

impl TaskSvc {
  /// The service over a store.
  pub fn new(store: Store, submit: Arc<SubmitSvc>, jobs: Arc<JobCache>) -> Self {
    Self { store, submit, jobs, prefer_hold: Duration::ZERO }
  }

  /// Tells with it how long due tasks wait for an agent that they like more.
  #[must_use]
  pub fn with_prefer_hold(mut self, prefer_hold: Duration) -> Self {
    self.prefer_hold = prefer_hold;
    self
  }

  /// Finds a task by id, short id or `JOB@latest` and its relatives.
  ///
  /// # Errors
  /// 404, or 409 with the candidates when a short id is not unique.
  pub async fn get(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
  ) -> SvcResult<TaskEntity> {
    let mut conn = self.store.db.read().await?;
    let task = resolve_task(&mut conn, &actor.namespace(namespace), reference).await?;
    // Another namespace's task is told apart from none at all by nobody.
    if actor.namespace_id.as_ref().is_some_and(|own| *own != task.namespace_id) {
      return Err(SvcError::not_found("task", reference));
    }
    actor.require(Role::Viewer, &task.namespace_id)?;
    Ok(task)
  }

  /// As [`TaskSvc::get`], and waits until the task is final, or for as long as allowed.
  ///
  /// # Errors
  /// As [`TaskSvc::get`].
  pub async fn wait_final(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
    longest: Duration,
  ) -> SvcResult<TaskEntity> {
    let task = self.get(actor, namespace, reference).await?;
    let until = tokio::time::Instant::now() + longest;
    let waiting = self.store.bus.wait_for(task.id);
    loop {
      let woken = waiting.wake.notified();
      tokio::pin!(woken);
      woken.as_mut().enable();
      let mut conn = self.store.db.read().await?;
      let now = task_bmc::get(&mut conn, task.id).await?;
      drop(conn);
      let now = now.ok_or_else(|| SvcError::not_found("task", reference))?;
      let left = until.saturating_duration_since(tokio::time::Instant::now());
      if now.status.is_final() || left.is_zero() {
        return Ok(now);
      }
      let _woken_or_due = tokio::time::timeout(left.min(WAIT_POLL), woken).await;
    }
  }

  /// Reads a page of tasks, newest first.
  ///
  /// # Errors
  /// 404 for an unknown job, `filter.value` for an unknown state.
  pub async fn list(
    &self,
    actor: &Actor,
    filter: &TaskFilter,
    page: &PageArgs,
  ) -> SvcResult<Page<TaskEntity>> {
    let namespace = actor.namespace(filter.namespace_id.as_ref());
    actor.require(Role::Viewer, &namespace)?;
    let statuses = read_statuses(filter.status.as_deref())?;
    let filter = TaskFilter { namespace_id: Some(namespace.clone()), ..filter.clone() };
    let mut conn = self.store.db.read().await?;
    let job = match &filter.job {
      Some(name) => Some(find_job(&mut conn, &namespace, name).await?.id),
      None => None,
    };
    Ok(task_bmc::list(&mut conn, &filter, job, &statuses, page).await?)
  }

  /// Changes a task that waits.
  ///
  /// # Errors
  /// 409 once it is on an agent or final.
  pub async fn update(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
    change: &TaskForUpdate,
  ) -> SvcResult<TaskEntity> {
    let task = self.get(actor, namespace, reference).await?;
    actor.require(Role::Operator, &task.namespace_id)?;
    if let Some(priority) = change.priority {
      if priority.abs() > PRIORITY_MAX {
        let message = format!("priority lies between -{PRIORITY_MAX} and {PRIORITY_MAX}");
        let error = FieldError::new("number.range", "/priority", message);
        return Err(SvcError::invalid(vec![error]));
      }
      let mut tx = self.store.db.begin().await?;
      let outcome = hot::reprioritise_if_waiting(&mut tx, task.id, priority).await;
      let Some(class) = tx.end(outcome).await? else {
        let message = format!("task is {}: its priority no longer matters", task.status);
        return Err(SvcError::conflict("task.started", "/priority", message));
      };
      self.store.bus.tasks_due([((class, priority), task.scheduled_at)]);
      self.store.bus.admit.notify_one();
    }
    self.get(actor, None, &task.id.to_string()).await
  }

  /// Makes a new task that repeats a final one.
  ///
  /// # Errors
  /// 409 while it is not final.
  pub async fn retry(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
  ) -> SvcResult<TaskEntity> {
    let task = self.get(actor, namespace, reference).await?;
    actor.require(Role::Operator, &task.namespace_id)?;
    if !task.status.is_final() {
      let message = format!("task is {}: only a final task can be run again", task.status);
      return Err(SvcError::conflict("task.not_final", "/", message));
    }
    let adhoc = task.job_name == ADHOC_JOB;
    let new = TaskForCreate {
      namespace_id: Some(task.namespace_id.clone()),
      job_id: (!adhoc).then_some(task.job_id),
      priority: Some(task.priority),
      parameters: task.parameters.clone(),
      environment: task.environment.clone(),
      config: task.config.clone(),
      ..TaskForCreate::default()
    };
    Ok(self.create_with(actor, new, TriggerSource::Retry).await?.0)
  }

  /// Reads a page of attempts, newest first.
  ///
  /// # Errors
  /// Any.
  pub async fn instances(
    &self,
    actor: &Actor,
    filter: &TaskInstanceFilter,
    page: &PageArgs,
  ) -> SvcResult<Page<TaskInstanceEntity>> {
    let mut filter = filter.clone();
    if filter.task_id.is_none() || actor.namespace_id.is_some() {
      filter.namespace_id = Some(actor.namespace(filter.namespace_id.as_ref()));
    }
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.db.read().await?;
    Ok(task_instance_bmc::list(&mut conn, &filter, page).await?)
  }

  /// Reads an attempt.
  ///
  /// # Errors
  /// 404.
  pub async fn instance(&self, actor: &Actor, id: TaskInstanceId) -> SvcResult<TaskInstanceEntity> {
    let mut conn = self.store.db.read().await?;
    let row = task_instance_bmc::get(&mut conn, id).await?;
    let row = row
      .filter(|row| actor.namespace_id.as_ref().is_none_or(|own| *own == row.namespace_id))
      .ok_or_else(|| SvcError::not_found("attempt", &id.to_string()))?;
    actor.require(Role::Viewer, &row.namespace_id)?;
    Ok(row)
  }
}

/// Finds a job by id or name.
pub(super) async fn find_job(
  conn: &mut Conn,
  namespace: &NamespaceId,
  reference: &str,
) -> SvcResult<JobEntity> {
  let by_id = match reference.parse::<JobId>() {
    Ok(id) => job_bmc::get(conn, id).await?.filter(|job| job.namespace_id == *namespace),
    Err(_) => None,
  };
  let job = match by_id {
    Some(job) => Some(job),
    None => job_bmc::get_by_name(conn, namespace, reference).await?,
  };
  match job {
    Some(job) => Ok(job),
    None => Err(near_name::missing(conn, (Named::Job, namespace), reference).await),
  }
}

fn read_statuses(text: Option<&str>) -> SvcResult<Vec<TaskStatus>> {
  let mut statuses = Vec::new();
  for word in text.unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
    if word == "doing" {
      statuses.extend([TaskStatus::Locked, TaskStatus::Dispatched, TaskStatus::Running]);
      continue;
    }
    let status = word.parse().map_err(|error: hetuflow_core::UnknownName| {
      SvcError::invalid(vec![FieldError::new("filter.value", "/status", error.to_string())])
    })?;
    statuses.push(status);
  }
  Ok(statuses)
}
