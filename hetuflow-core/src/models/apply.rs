//! Declarative changes: manifests as files hold them, the plan that a server makes of them.

use serde::{Deserialize, Serialize};

use super::job::JobForCreate;
use crate::types::NamespaceId;

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
}

/// What an apply does, or did, to one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ApplyChange {
  /// Its place in the request.
  pub index: usize,
  /// `create`, `update` or `unchanged`.
  pub action: String,
  /// The namespace.
  pub namespace_id: NamespaceId,
  /// The job.
  pub name: String,
  /// The fields that differ, as `config.timeout`.
  pub fields: Vec<String>,
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
