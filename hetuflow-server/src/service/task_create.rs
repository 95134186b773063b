//! Making tasks on demand: checks, the job, the class, and the row.

use std::collections::HashMap;
use std::sync::Arc;

use hetuflow_core::{
  ADHOC_JOB, BULK_MAX, BulkResponse, BulkResult, Dedup, FieldError, Gate, GateSource, JobEntity,
  JobId, JobStatus, NamespaceId, Role, TaskConfig, TaskEntity, TaskForCreate, TaskId,
  TriggerSource, Ts,
};
use sha2::{Digest, Sha256};

use super::hidden_job::HiddenJob;
use super::semaphore_svc::check_semaphores;
use super::task_svc::{TaskSvc, find_job};
use super::{Actor, Store, SvcError, SvcResult};
use crate::infra::bmc::hot::{JobGuards, NewTask, StartGate};
use crate::infra::bmc::{job_bmc, task_bmc};
use crate::infra::db::{Conn, DbError};

/// What one request has looked up: a connection only where one was needed, jobs once each.
struct Lookup<'a> {
  store: &'a Store,
  conn: Option<Conn>,
  jobs: HashMap<(NamespaceId, String), Arc<JobEntity>>,
  /// Jobs may come from memory; they are noted in `guards`.
  from_memory: bool,
  guards: JobGuards,
}

impl<'a> Lookup<'a> {
  fn new(store: &'a Store, from_memory: bool) -> Self {
    Self { store, conn: None, jobs: HashMap::new(), from_memory, guards: Vec::new() }
  }

  async fn conn(&mut self) -> SvcResult<&mut Conn> {
    if self.conn.is_none() {
      self.conn = Some(self.store.db.read().await?);
    }
    Ok(self.conn.as_mut().expect("it was just put there"))
  }
}

impl TaskSvc {
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
    match self.create_once(actor, new.clone(), source, true).await {
      Err(SvcError::Database(DbError::Outdated { .. })) => {
        self.create_once(actor, new, source, false).await
      }
      outcome => outcome,
    }
  }

  async fn create_once(
    &self,
    actor: &Actor,
    new: TaskForCreate,
    source: TriggerSource,
    from_memory: bool,
  ) -> SvcResult<(TaskEntity, bool)> {
    let mut lookup = Lookup::new(&self.store, from_memory);
    let (row, job_name, dedup) = self.plan(actor, &mut lookup, new, source).await?;
    let guards = std::mem::take(&mut lookup.guards);
    drop(lookup);
    if let Some(dedup) = dedup {
      let (id, joined) = self.submit_as_one(&row, (&dedup, &guards)).await?;
      let mut conn = self.store.db.read().await?;
      let task = task_bmc::get(&mut conn, id).await?;
      return Ok((task.ok_or_else(|| SvcError::not_found("task", &id.to_string()))?, joined));
    }
    let entity = entity_of(&row, job_name);
    let inserted = self.submit.submit(vec![row.clone()], guards).await?;
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
    let mut lookup = Lookup::new(&self.store, false);
    let mut rows = Vec::with_capacity(items.len());
    let mut results = Vec::with_capacity(items.len());
    let mut made = 0;
    for (index, item) in items.into_iter().enumerate() {
      let blank = BulkResult { index, id: None, duplicate: false, error: None };
      match self.plan(actor, &mut lookup, item, TriggerSource::Manual).await {
        Ok((row, _, Some(dedup))) => {
          let (id, duplicate) = self.submit_as_one(&row, (&dedup, &JobGuards::new())).await?;
          made += usize::from(!duplicate);
          results.push(BulkResult { id: Some(id), duplicate, ..blank });
        }
        Ok((row, _, None)) => {
          results.push(BulkResult { id: Some(row.id), ..blank });
          rows.push((index, row));
        }
        Err(error @ SvcError::Database(_)) => return Err(error),
        Err(error) => results.push(BulkResult { error: Some(error.response()), ..blank }),
      }
    }
    drop(lookup);
    let inserted = if rows.is_empty() {
      Default::default()
    } else {
      self.submit.submit(rows.iter().map(|(_, row)| row.clone()).collect(), Vec::new()).await?
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
    Ok(BulkResponse { created: inserted.len() + made, failed, results })
  }

  /// Turns a request into a row: checks, job, class, hash of the request; and which requests it is
  /// to become one with.
  async fn plan(
    &self,
    actor: &Actor,
    lookup: &mut Lookup<'_>,
    new: TaskForCreate,
    source: TriggerSource,
  ) -> SvcResult<(NewTask, String, Option<Dedup>)> {
    let mut errors = Vec::new();
    new.check(&mut errors);
    let legacy = source == TriggerSource::Legacy;
    if legacy {
      // Any JSON is a payload, and the variable with the name is the server's own.
      errors.retain(|error| !matches!(error.code.as_str(), "json.type" | "env.reserved"));
    }
    SvcError::check(errors)?;
    let namespace = actor.namespace(new.namespace_id.as_ref());
    // A command of one's own is remote code execution, as a new job is; a type runs only what
    // the agents' own settings say.
    let role = if new.config.is_some() && !legacy { Role::Editor } else { Role::Operator };
    actor.require(role, &namespace)?;
    let reference = match (&new.job, new.job_id) {
      (Some(name), _) => name.clone(),
      (None, Some(id)) => id.to_string(),
      (None, None) => ADHOC_JOB.to_owned(),
    };
    let named = new.job.is_some() || new.job_id.is_some();
    let job = self.job_of(lookup, &namespace, reference, named).await?;
    if job.status != JobStatus::Enabled {
      let message = format!("job {} is {}", job.name, job.status);
      return Err(SvcError::conflict("job.disabled", "/job", message));
    }
    let mut config = new.config.clone();
    if let Some(config) = &mut config {
      normalise(config);
    }
    let effective = config.as_ref().unwrap_or(&job.config);
    let class_id = self.class_of(lookup, (&namespace, job.id), effective).await?;
    let gate =
      gate_of(&new, &job, config.as_ref()).map_err(|rule| SvcError::invalid(vec![rule]))?;
    if let Some(config) = config.as_ref().filter(|config| !config.semaphores.is_empty()) {
      check_semaphores(lookup.conn().await?, &namespace, (config, "/config")).await?;
    }
    let scheduled_at = new.scheduled_at.unwrap_or_else(|| self.store.db.now());
    let dedup = new.dedup.clone().or_else(|| effective.dedup.clone());
    let dedup = dedup.filter(|_| source != TriggerSource::Retry);
    let hash = new.idempotency_key.is_some().then(|| request_hash(&new));
    let row = NewTask {
      id: TaskId::generate(),
      job_id: job.id,
      job_version: job.version,
      namespace_id: namespace,
      class_id,
      priority: new.priority.unwrap_or(0),
      gate,
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
      start: StartGate::Open,
    };
    Ok((row, job.name.clone(), dedup))
  }

  /// The job that a task is made from: from this request, from memory, or from the store.
  async fn job_of(
    &self,
    lookup: &mut Lookup<'_>,
    namespace: &NamespaceId,
    reference: String,
    named: bool,
  ) -> SvcResult<Arc<JobEntity>> {
    let key = (namespace.clone(), reference);
    if let Some(job) = lookup.jobs.get(&key) {
      return Ok(Arc::clone(job));
    }
    let remembered = lookup.from_memory.then(|| self.jobs.remembered(namespace, &key.1)).flatten();
    let job = match remembered {
      // The guard asks only of what is written; a job that was off may be on or gone by now.
      Some(job) if job.status == JobStatus::Enabled => {
        lookup.guards.push((job.id, job.version));
        job
      }
      _ => {
        let conn = lookup.conn().await?;
        let job = if named {
          find_job(conn, namespace, &key.1).await?
        } else {
          HiddenJob::adhoc().find_or_make(&self.store, conn, namespace).await?
        };
        let job = Arc::new(job);
        self.jobs.remember(namespace, &key.1, &job);
        job
      }
    };
    lookup.jobs.insert(key, Arc::clone(&job));
    Ok(job)
  }

  /// The number of the class that a config falls into, made known to all servers.
  async fn class_of(
    &self,
    lookup: &mut Lookup<'_>,
    (namespace, job): (&NamespaceId, JobId),
    config: &TaskConfig,
  ) -> SvcResult<i64> {
    let class = config.class(namespace, job);
    let id = class.class_id();
    if self.jobs.known_class(id).is_some() {
      return Ok(id);
    }
    match self.jobs.class(lookup.conn().await?, id).await {
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

  async fn earlier_task(&self, conn: &mut Conn, row: &NewTask) -> SvcResult<TaskId> {
    let Some(key) = &row.idempotency_key else {
      return Err(SvcError::conflict("task.duplicate", "/", "this instant is planned already"));
    };
    let earlier = self.task_of_key(conn, row).await?;
    earlier.ok_or_else(|| SvcError::not_found("task", key))
  }

  /// The task that an earlier request with the same key has made.
  ///
  /// # Errors
  /// 409 where that was another request.
  pub(super) async fn task_of_key(
    &self,
    conn: &mut Conn,
    row: &NewTask,
  ) -> SvcResult<Option<TaskId>> {
    let Some(key) = &row.idempotency_key else { return Ok(None) };
    let keys = std::slice::from_ref(key);
    let earlier = task_bmc::get_by_keys(conn, &row.namespace_id, keys).await?;
    match earlier.into_iter().next() {
      Some((id, _, hash)) if hash == row.idempotency_hash => Ok(Some(id)),
      Some(_) => Err(SvcError::conflict(
        "idempotency.mismatch",
        "/idempotency_key",
        "this key came with another request before",
      )),
      None => Ok(None),
    }
  }
}

/// `command: "…"` is `bash -c`; stored in that one form.
pub fn normalise(config: &mut TaskConfig) {
  if let Some(command) = config.command.take() {
    config.args = vec!["-c".to_owned(), command];
    config.cmd = Some(hetuflow_core::ExecuteCommand::Bash);
  }
}

/// What limits a new task.
fn gate_of(
  new: &TaskForCreate,
  job: &JobEntity,
  own: Option<&TaskConfig>,
) -> Result<Option<Gate>, FieldError> {
  Gate::of(&GateSource {
    config: own.unwrap_or(&job.config),
    own: own.is_some(),
    job: job.id,
    schedule: None,
    namespace: &job.namespace_id,
    parameters: new.parameters.as_ref(),
  })
}

pub(super) fn request_hash(new: &TaskForCreate) -> Vec<u8> {
  let text = serde_json::to_vec(new).expect("models are plain data");
  Sha256::digest(text).to_vec()
}

pub(super) fn entity_of(row: &NewTask, job_name: String) -> TaskEntity {
  TaskEntity {
    id: row.id,
    job_id: row.job_id,
    job_name,
    job_version: row.job_version,
    namespace_id: row.namespace_id.clone(),
    status: row.status(),
    priority: row.priority,
    schedule_id: row.schedule_id,
    scheduled_at: row.scheduled_at,
    eligible_at: Some(row.eligible_at()),
    held_by: row.gate.clone(),
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
    progress: None,
    progress_note: None,
    outputs: None,
    mark: None,
    unreachable_since: None,
    parent_id: None,
    created_by: row.created_by.clone(),
    created_at: Ts::now(),
  }
}
