//! Declarative changes: manifests as files hold them, the plan that a server makes of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::job::JobForCreate;
use crate::types::{Labels, NamespaceId};

/// The label of jobs that an apply with a scope looks after.
pub const MANAGED_BY: &str = "managed-by";
/// The value of that label.
pub const MANAGED_BY_APPLY: &str = "apply";

/// The version of the manifest's form.
pub const API_VERSION: &str = "hetuflow/v1";

/// All jobs of an apply; written in one transaction, all or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ApplyRequest {
  /// The jobs, each with all its schedules.
  pub jobs: Vec<JobForCreate>,
  /// Only say what would change.
  #[serde(default)]
  pub dry_run: bool,
  /// Labels that every job of the request gets, with the mark `managed-by: apply`.
  #[serde(default, skip_serializing_if = "Labels::is_empty")]
  pub scope: Labels,
  /// Delete the jobs of the same namespaces that carry the scope and the mark and are not in the
  /// request. Needs a scope.
  #[serde(default, skip_serializing_if = "std::ops::Not::not")]
  pub prune: bool,
}

/// A field before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ApplyDifference {
  /// The field, as `config.timeout`.
  pub field: String,
  /// What it was; null where there was nothing.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub before: Value,
  /// What it becomes; null where there will be nothing.
  #[cfg_attr(feature = "with-openapi", schema(value_type = Option<Object>))]
  pub after: Value,
}

/// What an apply does, or did, to one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ApplyChange {
  /// Its place in the request; deleted jobs come after all of them.
  pub index: usize,
  /// `create`, `update`, `unchanged` or `delete`.
  pub action: String,
  /// The namespace.
  pub namespace_id: NamespaceId,
  /// The job.
  pub name: String,
  /// The fields that differ, as `config.timeout`.
  pub fields: Vec<String>,
  /// The same fields with their values.
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub differences: Vec<ApplyDifference>,
  /// The job's version afterwards.
  pub version: i64,
}

/// The plan of an apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ApplyResponse {
  /// Whether it was done.
  pub applied: bool,
  /// One line per job.
  pub changes: Vec<ApplyChange>,
}
