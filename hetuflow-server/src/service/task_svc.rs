//! Tasks on demand: make, find, wait for, stop, run again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{
  ADHOC_JOB, BULK_MAX, BulkResponse, BulkResult, FieldError, JobEntity, JobId, JobSpec, JobStatus,
  NamespaceId, PRIORITY_MAX, Page, Role, SelectorClass, TaskConfig, TaskEntity, TaskFilter,
  TaskForCreate, TaskForUpdate, TaskId, TaskInstanceEntity, TaskInstanceFilter, TaskInstanceId,
  TaskStatus, TriggerSource, Ts,
};
use sha2::{Digest, Sha256};

use super::task_ref::resolve_task;
use super::{Actor, JobCache, Store, SubmitSvc, SvcError, SvcResult, near_name};
use crate::infra::bmc::hot::{self, NewTask};
use crate::infra::bmc::watch_names::Named;
use crate::infra::bmc::{PageArgs, job_bmc, task_bmc, task_instance_bmc};
use crate::infra::db::{Conn, DbError};

/// How often a waiter looks for itself, for ends that another server stored.
const WAIT_POLL: Duration = Duration::from_millis(500);

/// Tasks on demand.
pub struct TaskSvc {
  pub(super) store: Store,
  pub(super) submit: Arc<SubmitSvc>,
  pub(super) jobs: Arc<JobCache>,
}

/// The job that a new task runs, found once per request.
struct JobChoice {
  job: JobEntity,
}

impl TaskSvc {
  /// The service over a store.
  pub fn new(store: Store, submit: Arc<SubmitSvc>, jobs: Arc<JobCache>) -> Self {
    Self { store, submit, jobs }
  }

  /// Makes a task; a repeated idempotency key answers with the earlier one and `true`.
  ///
  /// # Errors
  /// Broken rules, an unknown or disabled job, or a key that came with another request before.
  pub async fn create(&self, actor: &Actor, new: TaskForCreate) -> SvcResult<(TaskEntity, bool)> {
    self.create_with(actor, new, TriggerSource::Manual).await
  }

  pub(super) async fn create_with(
    &self,
    actor: &Actor,
    new: TaskForCreate,
    source: TriggerSource,
  ) -> SvcResult<(TaskEntity, bool)> {
    let mut conn = self.store.db.read().await?;
    let mut found = HashMap::new();
    let (row, job_name) = self.plan(actor, &mut conn, &mut found, new, source).await?;
    drop(conn);
    let entity = entity_of(&row, job_name);
    let inserted = self.submit.submit(vec![row.clone()]).await?;
    if inserted.contains(&row.id) {
      return Ok((entity, false));
    }
    let mut conn = self.store.db.read().await?;
    let earlier = self.earlier_task(&mut conn, &row).await?;
    let task = task_bmc::get(&mut conn, earlier).await?;
    Ok((task.ok_or_else(|| SvcError::not_found("task", &earlier.to_string()))?, true))
  }

  /// Makes many tasks; each item has its own outcome.
  ///
  /// # Errors
  /// Only when the request as a whole is refused.
  pub async fn create_bulk(
    &self,
    actor: &Actor,
    items: Vec<TaskForCreate>,
  ) -> SvcResult<BulkResponse> {
    if items.is_empty() || items.len() > BULK_MAX {
      let message = format!("{} items, 1 to {BULK_MAX} are allowed", items.len());
      return Err(SvcError::invalid(vec![FieldError::new("bulk.size", "/items", message)]));
    }
    let mut conn = self.store.db.read().await?;
    let mut found = HashMap::new();
    let mut rows = Vec::with_capacity(items.len());
    let mut results = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
      let blank = BulkResult { index, id: None, duplicate: false, error: None };
      match self.plan(actor, &mut conn, &mut found, item, TriggerSource::Manual).await {
        Ok((row, _)) => {
          results.push(BulkResult { id: Some(row.id), ..blank });
          rows.push((index, row));
        }
        Err(error @ SvcError::Database(_)) => return Err(error),
        Err(error) => results.push(BulkResult { error: Some(error.response()), ..blank }),
      }
    }
    drop(conn);
    let inserted = if rows.is_empty() {
      Default::default()
    } else {
      self.submit.submit(rows.iter().map(|(_, row)| row.clone()).collect()).await?
    };
    if inserted.len() < rows.len() {
      let mut conn = self.store.db.read().await?;
      for (index, row) in rows.iter().filter(|(_, row)| !inserted.contains(&row.id)) {
        let result = &mut results[*index];
        match self.earlier_task(&mut conn, row).await {
          Ok(id) => (result.id, result.duplicate) = (Some(id), true),
          Err(error) => (result.id, result.error) = (None, Some(error.response())),
        }
      }
    }
    let failed = results.iter().filter(|result| result.error.is_some()).count();
    Ok(BulkResponse { created: inserted.len(), failed, results })
  }

  /// Turns a request into a row: checks, job, class, hash of the request.
  async fn plan(
    &self,
    actor: &Actor,
    conn: &mut Conn,
    found: &mut HashMap<(NamespaceId, String), Arc<JobChoice>>,
    new: TaskForCreate,
    source: TriggerSource,
  ) -> SvcResult<(NewTask, String)> {
    let mut errors = Vec::new();
    new.check(&mut errors);
    SvcError::check(errors)?;
    let namespace = actor.namespace(new.namespace_id.as_ref());
    let free_command = new.job.is_none() && new.job_id.is_none();
    // A command of one's own is remote code execution, as a new job is.
    let role = if new.config.is_some() { Role::Editor } else { Role::Operator };
    actor.require(role, &namespace)?;
    let key = (
      namespace.clone(),
      match (&new.job, new.job_id) {
        (Some(name), _) => name.clone(),
        (None, Some(id)) => id.to_string(),
        (None, None) => String::new(),
      },
    );
    let choice = match found.get(&key) {
      Some(choice) => Arc::clone(choice),
      None => {
        let job = if free_command {
          self.adhoc_job(conn, &namespace).await?
        } else {
          find_job(conn, &namespace, &key.1).await?
        };
        let choice = Arc::new(JobChoice { job });
        found.insert(key, Arc::clone(&choice));
        choice
      }
    };
    let job = &choice.job;
    if job.status != JobStatus::Enabled {
      let message = format!("job {} is {}", job.name, job.status);
      return Err(SvcError::conflict("job.disabled", "/job", message));
    }
    let mut config = new.config.clone();
    if let Some(config) = &mut config {
      normalise(config);
    }
    let effective = config.as_ref().unwrap_or(&job.config);
    let class_id = self.class_of(conn, &namespace, effective).await?;
    let scheduled_at = new.scheduled_at.unwrap_or_else(Ts::now);
    let hash = new.idempotency_key.is_some().then(|| request_hash(&new));
    let row = NewTask {
      id: TaskId::generate(),
      job_id: job.id,
      job_version: job.version,
      namespace_id: namespace,
      class_id,
      priority: new.priority.unwrap_or(0),
      schedule_id: None,
      scheduled_at,
      start_deadline_at: effective.start_deadline_secs.map(|secs| scheduled_at.plus(secs.0)),
      trigger_source: source,
      parameters: new.parameters,
      environment: new.environment,
      config,
      idempotency_key: new.idempotency_key,
      idempotency_hash: hash,
      created_by: Some(actor.name.clone()),
    };
    Ok((row, job.name.clone()))
  }

  /// The number of the class that a config falls into, made known to all servers.
  pub(super) async fn class_of(
    &self,
    conn: &mut Conn,
    namespace: &NamespaceId,
    config: &TaskConfig,
  ) -> SvcResult<i64> {
    let class = SelectorClass {
      namespace_id: namespace.clone(),
      selector: config.selector.clone(),
      task_type: config.task_type.clone(),
    };
    let id = class.class_id();
    match self.jobs.class(conn, id).await {
      Ok(_) => return Ok(id),
      Err(DbError::Missing { .. }) => {}
      Err(error) => return Err(error.into()),
    }
    // From the other pool: whoever waits for a second connection while it holds one must not
    // wait for its own kind.
    let mut tx = self.store.db.begin_hot().await?;
    let made = job_bmc::ensure_class(&mut tx, &class).await;
    tx.end(made).await?;
    Ok(id)
  }

  /// The hidden job of commands without a job, made when the first one comes.
  async fn adhoc_job(&self, conn: &mut Conn, namespace: &NamespaceId) -> SvcResult<JobEntity> {
    if let Some(job) = job_bmc::get_by_name(conn, namespace, ADHOC_JOB).await? {
      return Ok(job);
    }
    let now = Ts::now();
    let job = JobEntity {
      id: JobId::generate(),
      namespace_id: namespace.clone(),
      name: ADHOC_JOB.to_owned(),
      description: "commands without a job".to_owned(),
      environment: Default::default(),
      config: TaskConfig::default(),
      status: JobStatus::Enabled,
      labels: Default::default(),
      version: 1,
      owner: String::new(),
      created_by: None,
      created_at: now,
      updated_by: None,
      updated_at: now,
    };
    let spec = JobSpec {
      job_id: job.id,
      job_version: 1,
      job_name: job.name.clone(),
      namespace_id: namespace.clone(),
      config: TaskConfig::default(),
      environment: Default::default(),
    };
    let mut tx = self.store.db.begin_hot().await?;
    let made = async {
      job_bmc::create(&mut tx, &job).await?;
      job_bmc::create_version(&mut tx, &spec, None, now).await
    }
    .await;
    match tx.end(made).await {
      Ok(()) => Ok(job),
      // Somebody else made it in between, or the namespace does not exist.
      Err(DbError::Unique { .. }) => job_bmc::get_by_name(conn, namespace, ADHOC_JOB)
        .await?
        .ok_or_else(|| SvcError::not_found("job", ADHOC_JOB)),
      Err(DbError::Other(_)) => Err(SvcError::not_found("namespace", namespace.as_str())),
      Err(error) => Err(error.into()),
    }
  }

  async fn earlier_task(&self, conn: &mut Conn, row: &NewTask) -> SvcResult<TaskId> {
    let Some(key) = &row.idempotency_key else {
      return Err(SvcError::conflict("task.duplicate", "/", "this instant is planned already"));
    };
    let keys = std::slice::from_ref(key);
    let earlier = task_bmc::get_by_keys(conn, &row.namespace_id, keys).await?;
    match earlier.into_iter().next() {
      Some((id, _, hash)) if hash == row.idempotency_hash => Ok(id),
      Some(_) => Err(SvcError::conflict(
        "idempotency.mismatch",
        "/idempotency_key",
        "this key came with another request before",
      )),
      None => Err(SvcError::not_found("task", key)),
    }
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

/// `command: "…"` is `bash -c`; stored in that one form.
pub fn normalise(config: &mut TaskConfig) {
  if let Some(command) = config.command.take() {
    config.args = vec!["-c".to_owned(), command];
    config.cmd = Some(hetuflow_core::ExecuteCommand::Bash);
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

fn request_hash(new: &TaskForCreate) -> Vec<u8> {
  let text = serde_json::to_vec(new).expect("models are plain data");
  Sha256::digest(text).to_vec()
}

fn entity_of(row: &NewTask, job_name: String) -> TaskEntity {
  TaskEntity {
    id: row.id,
    job_id: row.job_id,
    job_name,
    job_version: row.job_version,
    namespace_id: row.namespace_id.clone(),
    status: TaskStatus::Pending,
    priority: row.priority,
    schedule_id: row.schedule_id,
    scheduled_at: row.scheduled_at,
    eligible_at: Some(row.scheduled_at),
    trigger_source: row.trigger_source,
    parameters: row.parameters.clone(),
    environment: row.environment.clone(),
    config: row.config.clone(),
    idempotency_key: row.idempotency_key.clone(),
    attempt: 0,
    instance_id: None,
    fence: None,
    agent_id: None,
    started_at: None,
    completed_at: None,
    exit_code: None,
    signal: None,
    reason: None,
    error_message: None,
    unreachable_since: None,
    created_by: row.created_by.clone(),
    created_at: Ts::now(),
  }
}
