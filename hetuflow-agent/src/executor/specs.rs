//! Jobs on the way to the executor: each goes there once and has a number from then on. Most
//! starts are of a job that was started a moment ago, and a job is longer than the rest of a start.

use std::collections::HashMap;
use std::sync::Arc;

use hetuflow_core::{JobId, JobSpec};

/// Jobs that are remembered at both ends; then all are forgotten, at both ends.
const SPECS_MAX: usize = 256;

/// What the executor was told.
#[derive(Debug, Default)]
pub(super) struct ToldSpecs {
  by_job: HashMap<(JobId, i64), (u64, Arc<JobSpec>)>,
  last_number: u64,
}

/// A job that the executor has to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewSpec {
  /// All told before are forgotten.
  pub(super) first: bool,
}

impl ToldSpecs {
  /// The number of a job, and whether it has to be told first.
  pub(super) fn number(&mut self, spec: &Arc<JobSpec>) -> (u64, Option<NewSpec>) {
    let key = (spec.job_id, spec.job_version);
    // A name and a number do not prove that it is the same: the texts do.
    if let Some((number, known)) = self.by_job.get(&key)
      && (Arc::ptr_eq(known, spec) || known == spec)
    {
      return (*number, None);
    }
    let first = self.by_job.len() >= SPECS_MAX || self.by_job.is_empty();
    if first {
      self.by_job.clear();
    }
    self.last_number += 1;
    self.by_job.insert(key, (self.last_number, Arc::clone(spec)));
    (self.last_number, Some(NewSpec { first }))
  }
}

/// What an executor was told.
#[derive(Debug, Default)]
pub(super) struct HeardSpecs(HashMap<u64, Arc<JobSpec>>);

impl HeardSpecs {
  /// Takes note of a job.
  pub(super) fn note(&mut self, number: u64, first: bool, spec: Arc<JobSpec>) {
    if first {
      self.0.clear();
    }
    self.0.insert(number, spec);
  }

  /// The job of a number.
  pub(super) fn of(&self, number: u64) -> Option<Arc<JobSpec>> {
    self.0.get(&number).map(Arc::clone)
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{NamespaceId, TaskConfig};

  use super::*;

  fn spec(command: &str) -> Arc<JobSpec> {
    Arc::new(JobSpec {
      job_id: JobId::generate(),
      job_version: 1,
      job_name: "j".to_owned(),
      namespace_id: NamespaceId::default(),
      config: TaskConfig { command: Some(command.to_owned()), ..TaskConfig::default() },
      environment: std::collections::BTreeMap::new(),
    })
  }

  /// Tells what has to be told, and looks up the rest.
  fn pass(told: &mut ToldSpecs, heard: &mut HeardSpecs, spec: &Arc<JobSpec>) -> (bool, String) {
    let (number, new) = told.number(spec);
    if let Some(NewSpec { first }) = new {
      heard.note(number, first, Arc::clone(spec));
    }
    let command = heard.of(number).and_then(|spec| spec.config.command.clone());
    (new.is_some(), command.expect("known"))
  }

  #[test]
  fn a_job_is_told_once_and_another_of_its_name_again() {
    let (mut told, mut heard) = (ToldSpecs::default(), HeardSpecs::default());
    let one = spec("one");
    assert_eq!(pass(&mut told, &mut heard, &one), (true, "one".to_owned()));
    let again = Arc::new(one.as_ref().clone());
    assert_eq!(pass(&mut told, &mut heard, &again), (false, "one".to_owned()));
    let mut other = one.as_ref().clone();
    other.config.command = Some("other".to_owned());
    assert_eq!(pass(&mut told, &mut heard, &Arc::new(other)), (true, "other".to_owned()));
  }

  #[test]
  fn many_jobs_are_forgotten_at_both_ends() {
    let (mut told, mut heard) = (ToldSpecs::default(), HeardSpecs::default());
    let specs: Vec<_> = (0..SPECS_MAX * 2 + 1).map(|n| spec(&n.to_string())).collect();
    for _ in 0..2 {
      for (n, spec) in specs.iter().enumerate() {
        assert_eq!(pass(&mut told, &mut heard, spec).1, n.to_string());
      }
    }
    assert!(told.by_job.len() <= SPECS_MAX && heard.0.len() <= SPECS_MAX);
  }
}
