//! The scope of an apply: which jobs it looks after, and which of them go because no file names
//! them any more.

use std::collections::BTreeSet;

use hetuflow_core::{
  ADHOC_JOB, ApplyChange, ApplyRequest, FieldError, JobEntity, JobFilter, JobForCreate, Labels,
  MANAGED_BY, MANAGED_BY_APPLY, NamespaceId, PAGE_LIMIT_MAX, check_labels,
};

use super::job_svc::remove_job;
use super::store::{PageArgs, Work};
use super::{Actor, SvcError, SvcResult};
use crate::infra::bmc::{Cursor, job_bmc};

/// Checks the scope itself.
pub(super) fn check_scope(request: &ApplyRequest, errors: &mut Vec<FieldError>) {
  check_labels(&request.scope, "/scope", errors);
  if request.scope.contains_key(MANAGED_BY) {
    let message = format!("\"{MANAGED_BY}\" is the mark, no scope");
    errors.push(FieldError::new("apply.scope", "/scope", message));
  }
  if request.prune && request.scope.is_empty() {
    let error = FieldError::new("apply.scope", "/scope", "prune needs a scope");
    errors.push(error.with_hint("give the label that all these jobs carry"));
  }
}

/// Gives a job the labels of the scope and the mark.
pub(super) fn put_in_scope(job: &mut JobForCreate, scope: &Labels, errors: &mut Vec<FieldError>) {
  for (key, value) in scope {
    let known = job.labels.entry(key.clone()).or_insert_with(|| value.clone());
    if known != value {
      let message = format!("label {key} is \"{known}\", the scope says \"{value}\"");
      errors.push(FieldError::new("apply.scope", format!("/labels/{key}"), message));
    }
  }
  if !scope.is_empty() {
    job.labels.insert(MANAGED_BY.to_owned(), MANAGED_BY_APPLY.to_owned());
  }
}

/// An apply without a scope leaves the mark of an earlier one alone.
pub(super) fn keep_mark(wanted: &JobForCreate, job: &JobEntity) -> JobForCreate {
  let mut wanted = wanted.clone();
  if is_marked(job) {
    wanted.labels.entry(MANAGED_BY.to_owned()).or_insert_with(|| MANAGED_BY_APPLY.to_owned());
  }
  wanted
}

fn is_marked(job: &JobEntity) -> bool {
  job.labels.get(MANAGED_BY).is_some_and(|mark| mark == MANAGED_BY_APPLY)
}

/// Deletes what carries the scope and the mark and is not in the request.
///
/// # Errors
/// When the database fails.
pub(super) async fn prune(
  work: &mut Work,
  actor: &Actor,
  request: &ApplyRequest,
) -> SvcResult<Vec<ApplyChange>> {
  let namespaces: BTreeSet<NamespaceId> =
    request.jobs.iter().map(|job| actor.namespace(job.namespace_id.as_ref())).collect();
  let mut gone = Vec::new();
  for namespace in &namespaces {
    let kept: BTreeSet<&str> = request
      .jobs
      .iter()
      .filter(|job| actor.namespace(job.namespace_id.as_ref()) == *namespace)
      .map(|job| job.name.as_str())
      .collect();
    let jobs = all_of(work, namespace).await?;
    gone.extend(jobs.into_iter().filter(|job| {
      is_marked(job)
        && job.name != ADHOC_JOB
        && !kept.contains(job.name.as_str())
        && request.scope.iter().all(|(key, value)| job.labels.get(key) == Some(value))
    }));
  }
  let mut changes = Vec::with_capacity(gone.len());
  for (place, job) in gone.into_iter().enumerate() {
    remove_job(work, &job).await?;
    changes.push(ApplyChange {
      index: request.jobs.len() + place,
      action: "delete".to_owned(),
      namespace_id: job.namespace_id,
      name: job.name,
      fields: Vec::new(),
      differences: Vec::new(),
      version: job.version,
    });
  }
  Ok(changes)
}

async fn all_of(work: &mut Work, namespace: &NamespaceId) -> SvcResult<Vec<JobEntity>> {
  let filter = JobFilter { namespace_id: Some(namespace.clone()), ..JobFilter::default() };
  let mut all: Vec<JobEntity> = Vec::new();
  loop {
    let after = all.last().map(|job| Cursor::Id(job.id.0));
    let args = PageArgs { after, ..PageArgs::first(PAGE_LIMIT_MAX) };
    let page = job_bmc::list(&mut work.tx, &filter, &args).await.map_err(SvcError::from)?;
    let more = page.page.next_cursor.is_some();
    all.extend(page.data);
    if !more {
      return Ok(all);
    }
  }
}
