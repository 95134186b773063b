//! Jobs: made, changed, switched and removed; every change makes a version.

use hetuflow_core::{
  ADHOC_JOB, FieldError, JobEntity, JobFilter, JobForCreate, JobForUpdate, JobSpec, JobStatus,
  NamespaceId, Page, Role,
};
use serde_json::json;

use super::job_change::{find_job, insert_job, refuse_adhoc, stale, subject, update_job};
use super::namespace_svc::require_namespace;
use super::schedule_change::{Naming, delete_schedule, insert_schedule};
use super::schedule_cursor::restart_all;
use super::store::{PageArgs, Store, Work, check_mask, under};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{job_bmc, schedule_bmc};

const FIELDS: [&str; 7] =
  ["name", "description", "environment", "config", "status", "labels", "owner"];

/// Use cases of jobs.
#[derive(Clone)]
pub struct JobSvc {
  store: Store,
}

impl JobSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// The same use cases; with `true` changes are tried, answered and undone.
  #[must_use]
  pub fn dry(&self, dry: bool) -> Self {
    Self { store: self.store.dry(dry) }
  }

  /// Makes a job with its schedules, all or nothing.
  ///
  /// # Errors
  /// 403 below editor, 404 for the namespace, 409 for a name in use, or every broken rule.
  pub async fn create(&self, actor: &Actor, mut new: JobForCreate) -> SvcResult<JobEntity> {
    let namespace = actor.namespace(new.namespace_id.as_ref());
    actor.require(Role::Editor, &namespace)?;
    let mut errors = Vec::new();
    new.check(&mut errors);
    SvcError::check(errors)?;
    let mut work = self.store.work().await?;
    let outcome = create_all(&mut work, actor, &namespace, &new).await;
    work.end(outcome).await
  }

  /// Reads one, by id or name.
  ///
  /// # Errors
  /// 404 when there is none that the asker may see.
  pub async fn get(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
  ) -> SvcResult<JobEntity> {
    actor.require_role(Role::Viewer)?;
    let mut conn = self.store.read().await?;
    find_job(&mut conn, actor, namespace, reference).await
  }

  /// Reads a page.
  ///
  /// # Errors
  /// 403 for a token that reads nothing.
  pub async fn list(
    &self,
    actor: &Actor,
    filter: &JobFilter,
    page: &PageArgs,
  ) -> SvcResult<Page<JobEntity>> {
    actor.require_role(Role::Viewer)?;
    let mut filter = filter.clone();
    if let Some(own) = &actor.namespace_id {
      actor.require(Role::Viewer, filter.namespace_id.as_ref().unwrap_or(own))?;
      filter.namespace_id = Some(own.clone());
    }
    let mut conn = self.store.read().await?;
    Ok(job_bmc::list(&mut conn, &filter, page).await?)
  }

  /// Changes one; `version` is the one that the asker saw, where it says so.
  ///
  /// # Errors
  /// 412 `revision.conflict` when it changed meanwhile; 404, 403, 409, or the broken rules.
  pub async fn update(
    &self,
    actor: &Actor,
    (namespace, reference): (Option<&NamespaceId>, &str),
    mut change: JobForUpdate,
    version: Option<i64>,
  ) -> SvcResult<JobEntity> {
    let mut work = self.store.work().await?;
    let target = (namespace, reference);
    let outcome = update_one(&mut work, actor, target, (&mut change, version)).await;
    work.end(outcome).await
  }

  /// Removes a job and its schedules; its history stays readable.
  ///
  /// # Errors
  /// 404, 403, 409 for the hidden job; 412 when it is not at the version that was seen.
  pub async fn delete(
    &self,
    actor: &Actor,
    which: (Option<&NamespaceId>, &str),
    version: Option<i64>,
  ) -> SvcResult<()> {
    let mut work = self.store.work().await?;
    let outcome = delete_one(&mut work, actor, which, version).await;
    work.end(outcome).await
  }

  /// Switches a job on or off; its schedules plan from now.
  ///
  /// # Errors
  /// As [`JobSvc::update`].
  pub async fn set_status(
    &self,
    actor: &Actor,
    which: (Option<&NamespaceId>, &str),
    (status, version): (JobStatus, Option<i64>),
  ) -> SvcResult<JobEntity> {
    let change = JobForUpdate { status: Some(status), ..JobForUpdate::default() };
    self.update(actor, which, change, version).await
  }

  /// All versions, newest first.
  ///
  /// # Errors
  /// 404 when there is no such job.
  pub async fn versions(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    reference: &str,
  ) -> SvcResult<Vec<JobSpec>> {
    let job = self.get(actor, namespace, reference).await?;
    let mut conn = self.store.read().await?;
    Ok(job_bmc::list_versions(&mut conn, job.id).await?)
  }
}

/// Inserts a checked job with its schedules.
///
/// # Errors
/// 404 for the namespace, 409 for a name in use.
pub(super) async fn create_all(
  work: &mut Work,
  actor: &Actor,
  namespace: &NamespaceId,
  new: &JobForCreate,
) -> SvcResult<JobEntity> {
  require_namespace(work, namespace).await?;
  let job = insert_job(work, actor, namespace, new).await?;
  let mut naming = Naming::of(&job, &new.schedules);
  for (index, schedule) in new.schedules.iter().enumerate() {
    let name = naming.next(work, schedule).await?;
    insert_schedule(work, actor, &job, (schedule, name))
      .await
      .map_err(|error| under(error, &format!("/schedules/{index}")))?;
  }
  Ok(job)
}

/// Changes a job; `version` is the one that the asker saw, where it says so.
///
/// # Errors
/// As [`JobSvc::update`].
pub(super) async fn update_one(
  work: &mut Work,
  actor: &Actor,
  (namespace, reference): (Option<&NamespaceId>, &str),
  (change, version): (&mut JobForUpdate, Option<i64>),
) -> SvcResult<JobEntity> {
  actor.require_role(Role::Viewer)?;
  let job = find_job(&mut work.tx, actor, namespace, reference).await?;
  actor.require(Role::Editor, &job.namespace_id)?;
  refuse_adhoc(&job)?;
  let mut errors = Vec::new();
  change.check(&mut errors);
  check_mask(change.update_mask.as_deref(), &FIELDS, &mut errors);
  if change.name.as_deref() == Some(ADHOC_JOB) {
    let message = "\"adhoc\" is the job of commands without a job";
    errors.push(FieldError::new("name.reserved", "/name", message));
  }
  SvcError::check(errors)?;
  if version.is_some_and(|version| version != job.version) {
    return Err(stale(job.version));
  }
  let after = update_job(work, actor, &job, change).await?;
  if after.status != job.status {
    restart_all(work, &after).await?;
  }
  Ok(after)
}

async fn delete_one(
  work: &mut Work,
  actor: &Actor,
  (namespace, reference): (Option<&NamespaceId>, &str),
  version: Option<i64>,
) -> SvcResult<()> {
  actor.require_role(Role::Viewer)?;
  let job = find_job(&mut work.tx, actor, namespace, reference).await?;
  actor.require(Role::Editor, &job.namespace_id)?;
  refuse_adhoc(&job)?;
  if version.is_some_and(|version| version != job.version) {
    return Err(stale(job.version));
  }
  remove_job(work, &job).await
}

/// Removes a job with its schedules.
///
/// # Errors
/// 404 when somebody was faster.
pub(super) async fn remove_job(work: &mut Work, job: &JobEntity) -> SvcResult<()> {
  for schedule in schedule_bmc::list_of_job(&mut work.tx, job.id).await? {
    delete_schedule(work, &schedule).await?;
  }
  if !job_bmc::delete(&mut work.tx, job.id, work.now).await? {
    return Err(SvcError::not_found("job", &job.name));
  }
  work.note(&job.namespace_id, subject(job), "job.deleted", json!({ "name": job.name }));
  Ok(())
}
