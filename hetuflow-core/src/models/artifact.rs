//! Files that attempts leave, and which of them other tasks find.

use serde::{Deserialize, Serialize};

use super::input_file::{InputFile, check_inputs};
use super::task_config::{Seconds, TIMEOUT_SECS_MAX};
use crate::types::{
  AgentId, ArtifactId, ArtifactState, FieldError, JobId, NamespaceId, TaskId, TaskInstanceId, Ts,
};

/// Most patterns of files.
pub const ARTIFACT_PATTERNS_MAX: usize = 64;

/// Which files a task finds, which it leaves, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ArtifactConfig {
  /// Files that are there when it starts, below `$HETUFLOW_INPUTS`: the folder that it runs in where
  /// it names no `working_directory`.
  #[serde(rename = "in", skip_serializing_if = "Vec::is_empty")]
  pub inputs: Vec<InputFile>,
  /// Files below the folder that the task runs in: paths with `*`, `?` and `**`. What the task
  /// puts into the folder `$HETUFLOW_ARTIFACTS` is taken as well.
  #[serde(skip_serializing_if = "Vec::is_empty")]
  pub out: Vec<String>,
  /// How long they are kept; as the server says where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub retention: Option<Seconds>,
}

impl ArtifactConfig {
  /// Checks every rule and names each that is broken; `field` is where the config stands.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    check_inputs(&self.inputs, &format!("{field}/in"), errors);
    if self.out.len() > ARTIFACT_PATTERNS_MAX {
      let message =
        format!("{} patterns, at most {ARTIFACT_PATTERNS_MAX} are allowed", self.out.len());
      errors.push(FieldError::new("artifact.too_many", format!("{field}/out"), message));
    }
    for (index, pattern) in self.out.iter().enumerate() {
      if !is_inner_path(pattern) {
        let shown: String = pattern.chars().take(80).flat_map(char::escape_default).collect();
        let message = format!("\"{shown}\" is no path below the folder that the task runs in");
        errors.push(
          FieldError::new("path.invalid", format!("{field}/out/{index}"), message)
            .with_hint("write it as reports/*.pdf: without a / before it, and without . or .."),
        );
      }
    }
    if let Some(Seconds(time)) = self.retention
      && (time.is_zero() || time.as_secs() > TIMEOUT_SECS_MAX)
    {
      let message = format!("{} s is out of range", time.as_secs_f64());
      errors.push(
        FieldError::new("duration.invalid", format!("{field}/retention"), message)
          .with_hint("write a time over 0, at most 366 days"),
      );
    }
  }
}

/// Whether a path leads down, and nowhere else.
pub(super) fn is_inner_path(path: &str) -> bool {
  !path.is_empty()
    && path.len() <= 1024
    && !path.contains('\0')
    && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// A file that an attempt has left, or that was put there by hand, in `sched_artifact`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ArtifactEntity {
  /// Its id.
  pub id: ArtifactId,
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// The job; none where it was put there by hand.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub job_id: Option<JobId>,
  /// The task; none where it was put there by hand.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub task_id: Option<TaskId>,
  /// The attempt; none where it was put there by hand.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub instance_id: Option<TaskInstanceId>,
  /// The agent that it was left on.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub agent_id: Option<AgentId>,
  /// Who has put it there by hand.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub created_by: Option<String>,
  /// Its path below the folder that it was found in.
  pub name: String,
  /// Its bytes.
  pub size: i64,
  /// Their SHA-256, in hexadecimal; none where it was not taken.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub content_hash: Option<String>,
  /// Where it is.
  pub state: ArtifactState,
  /// Why it is not here, or what is odd about it.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// When the attempt ended, or it was put there.
  pub created_at: Ts,
  /// When it is forgotten.
  pub expires_at: Ts,
}

/// Which files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct ArtifactFilter {
  /// Of this namespace.
  pub namespace_id: Option<NamespaceId>,
  /// Of this job.
  pub job_id: Option<JobId>,
  /// Of this task.
  pub task_id: Option<TaskId>,
  /// Of this attempt.
  pub instance_id: Option<TaskInstanceId>,
  /// In this state.
  pub state: Option<ArtifactState>,
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn only_paths_that_lead_down_are_taken() {
    let check = |text: &str| {
      let config = ArtifactConfig { out: vec![text.to_owned()], ..ArtifactConfig::default() };
      let mut errors = Vec::new();
      config.check("/config/artifacts", &mut errors);
      errors.len()
    };
    for fine in ["a", "a/b.txt", "**/*.pdf", "a b/ü", ".hidden", "..a"] {
      assert_eq!(check(fine), 0, "{fine}");
    }
    for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\0"] {
      assert_eq!(check(bad), 1, "{bad}");
    }
  }
}
