//! Declarative changes: all jobs of a request in one transaction, all of them or none.

use std::collections::BTreeSet;

use hetuflow_core::{
  ApplyChange, ApplyDifference, ApplyRequest, ApplyResponse, ErrorCode, FieldError, JobEntity,
  JobForCreate, JobForUpdate, NamespaceId, Role,
};

use super::apply_plan::{apply_schedules, job_differences};
use super::apply_scope::{check_scope, keep_mark, prune, put_in_scope};
use super::job_change::{insert_job, update_job};
use super::schedule_cursor::restart_all;
use super::store::{Store, Work, under};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{job_bmc, namespace_bmc};

/// Most jobs of one request.
const JOBS_MAX: usize = 1000;

/// The use case of manifests.
#[derive(Clone)]
pub struct ApplySvc {
  store: Store,
}

impl ApplySvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Makes the jobs as they are described, or says what it would change.
  ///
  /// # Errors
  /// 403 below editor in one of the namespaces; every broken rule of every job, under `/jobs/N`.
  pub async fn apply(&self, actor: &Actor, request: ApplyRequest) -> SvcResult<ApplyResponse> {
    let dry_run = request.dry_run;
    let (work, changes) = tried(&self.store, actor, request).await?;
    if dry_run {
      work.roll_back().await;
      return Ok(ApplyResponse { applied: false, changes });
    }
    let changes = work.end(Ok(changes)).await?;
    Ok(ApplyResponse { applied: true, changes })
  }

  /// The store that it works on.
  pub(super) fn store(&self) -> &Store {
    &self.store
  }
}

/// Everything in one transaction that is still open; rolled back where anything is wrong.
///
/// # Errors
/// 403 below editor in one of the namespaces; every broken rule of every job.
pub(super) async fn tried(
  store: &Store,
  actor: &Actor,
  mut request: ApplyRequest,
) -> SvcResult<(Work, Vec<ApplyChange>)> {
  actor.require_role(Role::Editor)?;
  let mut errors = Vec::new();
  check(&mut request, actor, &mut errors)?;
  let mut work = store.work().await?;
  match plan(&mut work, actor, (&request, errors)).await {
    Ok(changes) => Ok((work, changes)),
    Err(error) => {
      work.roll_back().await;
      Err(error)
    }
  }
}

/// Checks what can be checked without the store.
fn check(request: &mut ApplyRequest, actor: &Actor, errors: &mut Vec<FieldError>) -> SvcResult<()> {
  if request.jobs.len() > JOBS_MAX {
    let message = format!("{} jobs, at most {JOBS_MAX} are allowed", request.jobs.len());
    return Err(SvcError::invalid(vec![FieldError::new("apply.too_large", "/jobs", message)]));
  }
  check_scope(request, errors);
  let scope = request.scope.clone();
  let mut seen: BTreeSet<(NamespaceId, String)> = BTreeSet::new();
  for (index, job) in request.jobs.iter_mut().enumerate() {
    let prefix = format!("/jobs/{index}");
    let namespace = actor.namespace(job.namespace_id.as_ref());
    actor.require(Role::Editor, &namespace)?;
    let mut inner = Vec::new();
    put_in_scope(job, &scope, &mut inner);
    job.check(&mut inner);
    check_schedule_names(job, &mut inner);
    if !seen.insert((namespace, job.name.clone())) {
      let message = format!("job \"{}\" is described twice", job.name);
      inner.push(FieldError::new("apply.duplicate", "/name", message));
    }
    errors.extend(inner.into_iter().map(|error| error.under(&prefix)));
  }
  Ok(())
}

fn check_schedule_names(job: &JobForCreate, errors: &mut Vec<FieldError>) {
  let mut names = BTreeSet::new();
  for (index, schedule) in job.schedules.iter().enumerate() {
    let Some(name) = &schedule.name else { continue };
    if !names.insert(name) {
      let field = format!("/schedules/{index}/name");
      let message = format!("schedule \"{name}\" is described twice");
      errors.push(FieldError::new("apply.duplicate", field, message));
    }
  }
}

/// Does it all inside the transaction, and collects what is wrong with any of it.
async fn plan(
  work: &mut Work,
  actor: &Actor,
  (request, mut errors): (&ApplyRequest, Vec<FieldError>),
) -> SvcResult<Vec<ApplyChange>> {
  // First what goes, so that names of schedules become free.
  let deleted = if request.prune && errors.is_empty() {
    prune(work, actor, request).await?
  } else {
    Vec::new()
  };
  let mut changes = Vec::with_capacity(request.jobs.len());
  let mut known: BTreeSet<NamespaceId> = BTreeSet::new();
  for (index, job) in request.jobs.iter().enumerate() {
    let prefix = format!("/jobs/{index}");
    let namespace = actor.namespace(job.namespace_id.as_ref());
    if !known.contains(&namespace) {
      if namespace_bmc::get(&mut work.tx, &namespace).await?.is_none() {
        let message = format!("no namespace \"{namespace}\"");
        let field = format!("{prefix}/namespace_id");
        errors.push(FieldError::new("namespace.unknown", field, message));
        continue;
      }
      known.insert(namespace.clone());
    }
    let broken = errors.iter().any(|error| is_under(error, &prefix));
    if broken {
      continue;
    }
    match apply_one(work, actor, &namespace, job).await.map_err(|error| under(error, &prefix)) {
      Ok(change) => changes.push(ApplyChange { index, ..change }),
      Err(SvcError::Refused(response)) if !response.errors.is_empty() => {
        errors.extend(response.errors);
        if response.code == ErrorCode::Conflict {
          // A refused statement may have ended the transaction: nothing more can be asked.
          break;
        }
      }
      Err(error) => return Err(error),
    }
  }
  SvcError::check(errors)?;
  changes.extend(deleted);
  Ok(changes)
}

fn is_under(error: &FieldError, prefix: &str) -> bool {
  error.field.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn apply_one(
  work: &mut Work,
  actor: &Actor,
  namespace: &NamespaceId,
  wanted: &JobForCreate,
) -> SvcResult<ApplyChange> {
  let existing = job_bmc::get_by_name(&mut work.tx, namespace, &wanted.name).await?;
  let (action, job, differences) = match existing {
    None => {
      let job = insert_job(work, actor, namespace, wanted).await?;
      apply_schedules(work, actor, (&job, wanted)).await?;
      ("create", job, Vec::new())
    }
    Some(job) => {
      let wanted = &keep_mark(wanted, &job);
      let (job, mut found) = bring_to(work, actor, job, wanted).await?;
      found.extend(apply_schedules(work, actor, (&job, wanted)).await?);
      let action = if found.is_empty() { "unchanged" } else { "update" };
      (action, job, found)
    }
  };
  Ok(ApplyChange {
    index: 0,
    action: action.to_owned(),
    namespace_id: job.namespace_id,
    name: job.name,
    fields: differences.iter().map(|one| one.field.clone()).collect(),
    differences,
    version: job.version,
  })
}

/// Changes the job itself where it differs.
async fn bring_to(
  work: &mut Work,
  actor: &Actor,
  job: JobEntity,
  wanted: &JobForCreate,
) -> SvcResult<(JobEntity, Vec<ApplyDifference>)> {
  let fields = job_differences(&job, wanted);
  if fields.is_empty() {
    return Ok((job, fields));
  }
  let change = JobForUpdate {
    name: None,
    description: Some(wanted.description.clone()),
    environment: Some(wanted.environment.clone()),
    config: Some(wanted.config.clone()),
    status: wanted.status,
    labels: Some(wanted.labels.clone()),
    owner: Some(wanted.owner.clone()),
    update_mask: None,
  };
  let after = update_job(work, actor, &job, &change).await?;
  if after.status != job.status {
    restart_all(work, &after).await?;
  }
  Ok((after, fields))
}
