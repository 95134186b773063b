//! What versions of jobs run: immutable once made, so kept in memory without expiry. And which
//! version is current, which may change: whoever uses that has the store check it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use hetuflow_core::{JobEntity, JobId, JobSpec, NamespaceId, SelectorClass};

use crate::infra::bmc::job_bmc;
use crate::infra::db::{Conn, DbError};

/// Versions kept at most; beyond that the cache starts anew.
const SPECS_MAX: usize = 10_000;

/// Current jobs kept at most; beyond that they start anew.
const CURRENT_MAX: usize = 1000;

type ByReference = HashMap<(NamespaceId, String), Arc<JobEntity>>;

/// Specs and selector classes by their keys.
#[derive(Debug, Default)]
pub struct JobCache {
  specs: RwLock<HashMap<(JobId, i64), Arc<JobSpec>>>,
  classes: RwLock<HashMap<i64, Arc<SelectorClass>>>,
  current: RwLock<ByReference>,
}

impl JobCache {
  /// A job as it was when it was last read, by what it was asked for. It may have changed: a task
  /// that is made from it must be written under a guard.
  pub fn remembered(&self, namespace: &NamespaceId, reference: &str) -> Option<Arc<JobEntity>> {
    let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
    current.get(&(namespace.clone(), reference.to_owned())).cloned()
  }

  /// Remembers a job that was just read.
  pub fn remember(&self, namespace: &NamespaceId, reference: &str, job: &Arc<JobEntity>) {
    let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
    if current.len() >= CURRENT_MAX {
      current.clear();
    }
    current.insert((namespace.clone(), reference.to_owned()), Arc::clone(job));
  }

  /// Forgets which jobs are current.
  pub fn forget_current(&self) {
    self.current.write().unwrap_or_else(PoisonError::into_inner).clear();
  }

  /// What a version of a job runs, where it is in memory.
  pub fn known(&self, job: JobId, version: i64) -> Option<Arc<JobSpec>> {
    self.specs.read().unwrap_or_else(PoisonError::into_inner).get(&(job, version)).cloned()
  }

  /// What a version of a job runs.
  ///
  /// # Errors
  /// [`DbError::Missing`] when there is no such version.
  pub async fn spec(
    &self,
    conn: &mut Conn,
    job: JobId,
    version: i64,
  ) -> Result<Arc<JobSpec>, DbError> {
    if let Some(spec) = self.known(job, version) {
      return Ok(spec);
    }
    let spec = job_bmc::get_version(conn, job, version).await?;
    let missing = || DbError::Missing { thing: format!("version {version} of job {job}") };
    let spec = Arc::new(spec.ok_or_else(missing)?);
    let mut specs = self.specs.write().unwrap_or_else(PoisonError::into_inner);
    if specs.len() >= SPECS_MAX {
      specs.clear();
    }
    specs.insert((job, version), Arc::clone(&spec));
    Ok(spec)
  }

  /// The demands behind a selector class, where they are in memory.
  pub fn known_class(&self, id: i64) -> Option<Arc<SelectorClass>> {
    self.classes.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
  }

  /// The demands behind a selector class.
  ///
  /// # Errors
  /// [`DbError::Missing`] when there is no such class.
  pub async fn class(&self, conn: &mut Conn, id: i64) -> Result<Arc<SelectorClass>, DbError> {
    if let Some(class) = self.known_class(id) {
      return Ok(class);
    }
    let rows = job_bmc::list_classes(conn, &[id]).await?;
    let row = rows.into_iter().next();
    let (_, class) = row.ok_or_else(|| DbError::Missing { thing: format!("class {id}") })?;
    let class = Arc::new(class);
    let mut classes = self.classes.write().unwrap_or_else(PoisonError::into_inner);
    classes.insert(id, Arc::clone(&class));
    Ok(class)
  }
}
