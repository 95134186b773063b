//! Jobs: what to run. Every change makes a new version; tasks name the version they run.

use serde::{Deserialize, Serialize};

use super::schedule::ScheduleForCreate;
use super::task_config::{
  Environment, TaskConfig, check_environment, read_environment, read_environment_option,
};
use crate::types::{
  FieldError, JobId, JobStatus, Labels, NamespaceId, Ts, check_labels, check_name,
};

/// Longest free text of a thing, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 16 << 10;
/// The hidden job of each namespace that runs commands without a job.
pub const ADHOC_JOB: &str = "adhoc";

/// A job as it is stored, in `sched_job`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct JobEntity {
  /// Its id.
  pub id: JobId,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its name, unique in the namespace.
  pub name: String,
  /// What it is for.
  #[serde(default)]
  pub description: String,
  /// Environment of its tasks.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  #[serde(default, deserialize_with = "read_environment")]
  pub environment: Environment,
  /// What to run and how.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  pub config: TaskConfig,
  /// Whether it may run.
  pub status: JobStatus,
  /// Labels.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  #[serde(default)]
  pub labels: Labels,
  /// Grows with every change.
  pub version: i64,
  /// Who looks after it.
  #[serde(default)]
  pub owner: String,
  /// Who made it.
  pub created_by: Option<String>,
  /// When.
  pub created_at: Ts,
  /// Who changed it last.
  pub updated_by: Option<String>,
  /// When.
  pub updated_at: Ts,
}

/// The short name of [`JobEntity`].
pub type Job = JobEntity;
/// The name of the table's row in the first design.
pub type SchedJob = JobEntity;

/// A new job, with its schedules where there are any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct JobForCreate {
  /// The namespace; the default one where none is named.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub namespace_id: Option<NamespaceId>,
  /// Its name.
  pub name: String,
  /// What it is for.
  #[serde(default)]
  pub description: String,
  /// Environment of its tasks.
  #[serde(default, deserialize_with = "read_environment")]
  pub environment: Environment,
  /// What to run and how.
  #[serde(default)]
  pub config: TaskConfig,
  /// Whether it may run; enabled where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub status: Option<JobStatus>,
  /// Labels.
  #[serde(default)]
  pub labels: Labels,
  /// Who looks after it.
  #[serde(default)]
  pub owner: String,
  /// When to run it.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub schedules: Vec<ScheduleForCreate>,
}

impl JobForCreate {
  /// Checks every rule, brings the name into its one form, and names each broken rule.
  pub fn check(&mut self, errors: &mut Vec<FieldError>) {
    match check_name(&self.name, "/name") {
      Ok(name) if name == ADHOC_JOB => errors.push(FieldError::new(
        "name.reserved",
        "/name",
        "\"adhoc\" is the job of commands without a job",
      )),
      Ok(name) => self.name = name,
      Err(error) => errors.push(error),
    }
    check_text(&self.description, "/description", errors);
    check_text(&self.owner, "/owner", errors);
    check_labels(&self.labels, "/labels", errors);
    check_environment(&self.environment, "/environment", errors);
    self.config.check("/config", errors);
    for (index, schedule) in self.schedules.iter_mut().enumerate() {
      let mut inner = Vec::new();
      schedule.check(&mut inner);
      let prefix = format!("/schedules/{index}");
      errors.extend(inner.into_iter().map(|error| error.under(&prefix)));
    }
  }
}

pub(super) fn check_text(text: &str, field: &str, errors: &mut Vec<FieldError>) {
  if text.len() > DESCRIPTION_BYTES_MAX {
    errors.push(FieldError::new(
      "text.too_long",
      field,
      format!("{} bytes, at most {DESCRIPTION_BYTES_MAX} are allowed", text.len()),
    ));
  }
  if text.contains('\0') {
    errors.push(FieldError::new("text.nul", field, "a NUL byte cannot be stored in text"));
  }
}

/// Changes of a job; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct JobForUpdate {
  /// A new name.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub name: Option<String>,
  /// What it is for.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub description: Option<String>,
  /// Environment of its tasks.
  #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "read_environment_option")]
  pub environment: Option<Environment>,
  /// What to run and how.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub config: Option<TaskConfig>,
  /// Whether it may run.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub status: Option<JobStatus>,
  /// Labels.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub labels: Option<Labels>,
  /// Who looks after it.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub owner: Option<String>,
  /// Only these of the given fields count; absent means all of them.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub update_mask: Option<Vec<String>>,
}

impl JobForUpdate {
  /// Checks every rule and names each that is broken.
  pub fn check(&mut self, errors: &mut Vec<FieldError>) {
    if let Some(name) = &self.name {
      match check_name(name, "/name") {
        Ok(name) => self.name = Some(name),
        Err(error) => errors.push(error),
      }
    }
    check_text(self.description.as_deref().unwrap_or_default(), "/description", errors);
    check_text(self.owner.as_deref().unwrap_or_default(), "/owner", errors);
    if let Some(labels) = &self.labels {
      check_labels(labels, "/labels", errors);
    }
    if let Some(environment) = &self.environment {
      check_environment(environment, "/environment", errors);
    }
    if let Some(config) = &self.config {
      config.check("/config", errors);
    }
  }
}

/// Which jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct JobFilter {
  /// In this namespace.
  pub namespace_id: Option<NamespaceId>,
  /// With this name.
  pub name: Option<String>,
  /// In this state.
  pub status: Option<JobStatus>,
}
