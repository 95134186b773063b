//! How a job's rows change together: the job, its version, its selector class, its schedules.

use hetuflow_core::{
  ADHOC_JOB, JobEntity, JobForCreate, JobForUpdate, JobId, JobSpec, JobStatus, NamespaceId, Topic,
  check_name,
};
use serde_json::{Value, json};

use super::semaphore_svc::check_semaphores;
use super::store::Work;
use super::{Actor, SvcError, SvcResult, near_name};
use crate::infra::bmc::job_bmc;
use crate::infra::bmc::watch_names::Named;
use crate::infra::db::{Conn, DbError};

/// A job by id or name, as far as the asker may see it.
///
/// # Errors
/// 404 with the same words whether it does not exist or lies elsewhere.
pub(super) async fn find_job(
  conn: &mut Conn,
  actor: &Actor,
  named: Option<&NamespaceId>,
  reference: &str,
) -> SvcResult<JobEntity> {
  let missing = || SvcError::not_found("job", reference);
  let mut found = None;
  if let Ok(id) = reference.parse::<JobId>() {
    found = job_bmc::get(conn, id).await?;
  }
  if found.is_none() {
    let name = check_name(reference, "").map_err(|_| missing())?;
    found = job_bmc::get_by_name(conn, &actor.namespace(named), &name).await?;
  }
  let own = actor.namespace_id.as_ref();
  let found = found
    .filter(|job| named.or(own).is_none_or(|wanted| *wanted == job.namespace_id))
    .filter(|job| own.is_none_or(|own| *own == job.namespace_id));
  match found {
    Some(job) => Ok(job),
    None => {
      let kind = (Named::Job, &actor.namespace(named));
      Err(near_name::missing(conn, kind, reference).await)
    }
  }
}

/// What a version of the job runs.
pub(super) fn spec_of(job: &JobEntity) -> JobSpec {
  JobSpec {
    job_id: job.id,
    job_version: job.version,
    job_name: job.name.clone(),
    namespace_id: job.namespace_id.clone(),
    config: job.config.clone(),
    environment: job.environment.clone(),
  }
}

/// Inserts the job of a checked request, without its schedules.
///
/// # Errors
/// 409 when the name is taken.
pub(super) async fn insert_job(
  work: &mut Work,
  actor: &Actor,
  namespace: &NamespaceId,
  new: &JobForCreate,
) -> SvcResult<JobEntity> {
  let job = JobEntity {
    id: JobId::generate(),
    namespace_id: namespace.clone(),
    name: new.name.clone(),
    description: new.description.clone(),
    environment: new.environment.clone(),
    config: new.config.clone(),
    status: new.status.unwrap_or(JobStatus::Enabled),
    labels: new.labels.clone(),
    version: 1,
    owner: new.owner.clone(),
    created_by: Some(actor.name.clone()),
    created_at: work.now,
    updated_by: None,
    updated_at: work.now,
  };
  check_semaphores(&mut work.tx, namespace, (&job.config, "/config")).await?;
  job_bmc::create(&mut work.tx, &job).await.map_err(|error| name_taken(error, &job.name))?;
  keep_version(work, actor, &job).await?;
  let data = json!({ "name": job.name, "version": job.version, "status": job.status });
  work.note(namespace, subject(&job), "job.created", data);
  Ok(job)
}

/// Changes a job that is still at `version`, and keeps what it runs now.
///
/// # Errors
/// 412 `revision.conflict` when somebody was faster; 409 when the new name is taken.
pub(super) async fn update_job(
  work: &mut Work,
  actor: &Actor,
  job: &JobEntity,
  change: &JobForUpdate,
) -> SvcResult<JobEntity> {
  if let Some(config) = &change.config {
    check_semaphores(&mut work.tx, &job.namespace_id, (config, "/config")).await?;
    work.readmit();
  }
  let by = (Some(actor.name.as_str()), work.now);
  let name = change.name.as_deref().unwrap_or(&job.name);
  let changed = job_bmc::update_if_version(&mut work.tx, job.id, job.version, change, by)
    .await
    .map_err(|error| name_taken(error, name))?;
  let current = job_bmc::get(&mut work.tx, job.id).await?;
  let after = current.ok_or_else(|| SvcError::not_found("job", &job.name))?;
  if !changed {
    return Err(stale(after.version));
  }
  keep_version(work, actor, &after).await?;
  work.note(&after.namespace_id, subject(&after), "job.updated", changes(job, &after));
  Ok(after)
}

async fn keep_version(work: &mut Work, actor: &Actor, job: &JobEntity) -> SvcResult<()> {
  let by = Some(actor.name.as_str());
  job_bmc::create_version(&mut work.tx, &spec_of(job), by, work.now).await?;
  let class = job.config.class(&job.namespace_id, job.id);
  job_bmc::ensure_class(&mut work.tx, &class).await?;
  Ok(())
}

/// What an event says of a job.
pub(super) fn subject(job: &JobEntity) -> (Topic, String) {
  (Topic::Job, job.id.to_string())
}

/// The fields that differ, with their new values; values of an environment stay out of events.
fn changes(before: &JobEntity, after: &JobEntity) -> Value {
  let (before, after) = (json!(before), json!(after));
  let (Value::Object(before), Value::Object(mut after)) = (before, after) else {
    return Value::Null;
  };
  after.retain(|key, value| before.get(key) != Some(value));
  for hidden in ["environment", "config"] {
    if let Some(value) = after.get_mut(hidden) {
      *value = Value::Bool(true);
    }
  }
  Value::Object(after)
}

/// The hidden job of commands is not for people to change.
pub(super) fn refuse_adhoc(job: &JobEntity) -> SvcResult<()> {
  if job.name != ADHOC_JOB {
    return Ok(());
  }
  Err(SvcError::conflict(
    "job.reserved",
    "/name",
    "the job of commands without a job stays as it is",
  ))
}

/// The thing is not at the version that the asker saw.
pub(super) fn stale(current: i64) -> SvcError {
  let message = format!("it changed meanwhile; its version is {current} now");
  let mut error = SvcError::conflict("revision.conflict", "/version", message);
  if let SvcError::Refused(response) = &mut error {
    response.details = Some(json!({ "current_version": current }));
    response.hint = Some("read it again and repeat the change".to_owned());
  }
  error
}

fn name_taken(error: DbError, name: &str) -> SvcError {
  match error {
    DbError::Unique { .. } => {
      SvcError::conflict("name.taken", "/name", format!("a job named \"{name}\" exists"))
    }
    error => error.into(),
  }
}
