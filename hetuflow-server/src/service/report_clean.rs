//! What agents report, brought into the limits of the store. Pure.

use std::time::Duration;

use hetuflow_core::{
  ARTIFACT_NAME_MAX, ARTIFACTS_MAX, ArtifactNote, OUTPUTS_BYTES_MAX, TIMEOUT_SECS_MAX, TaskId,
  TaskInstanceUpdate,
};
use serde_json::Value;

use crate::infra::bmc::hot::{LeftBehind, ProgressRow};

/// How far a living attempt is.
pub(super) fn progress_row(task_id: TaskId, update: &TaskInstanceUpdate) -> Option<ProgressRow> {
  let progress = update.progress.and_then(clean_progress)?;
  let note = update.progress_note.as_deref().map(clean_text);
  Some(ProgressRow { task_id, fence: update.fence, progress, note })
}

/// What an attempt has left beside its output, within the limits of the store.
pub(super) fn left_behind(update: &TaskInstanceUpdate) -> LeftBehind {
  let dropped = update.log_dropped.unwrap_or(0);
  LeftBehind {
    log_hash: update.log_hash.map(|digest| digest.to_string()),
    log_dropped: i64::try_from(dropped).unwrap_or(i64::MAX),
    progress: update.progress.and_then(clean_progress),
    progress_note: update.progress_note.as_deref().map(clean_text),
    outputs: update.outputs.clone().and_then(clean_outputs),
    artifacts: update.artifacts.iter().take(ARTIFACTS_MAX).filter_map(clean_artifact).collect(),
    artifacts_kept_for: update
      .artifacts_keep_secs
      .map(|secs| Duration::from_secs(secs.clamp(1, TIMEOUT_SECS_MAX))),
  }
}

/// A file with a name that people can be shown; what has no content must say why.
fn clean_artifact(note: &ArtifactNote) -> Option<ArtifactNote> {
  let odd = |c: char| c.is_control();
  let name: String = note.name.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect();
  if name.is_empty() || name.len() > ARTIFACT_NAME_MAX || i64::try_from(note.size).is_err() {
    return None;
  }
  let reason = note.reason.as_deref().map(clean_text);
  let reason = reason.or_else(|| note.hash.is_none().then(|| "not taken".to_owned()));
  Some(ArtifactNote { name, reason, ..*note })
}

/// A share of the whole; what is no number says nothing.
pub(super) fn clean_progress(progress: f64) -> Option<f64> {
  progress.is_finite().then(|| progress.clamp(0.0, 1.0))
}

/// What an attempt hands on, as both databases can store it; too much of it is left out.
fn clean_outputs(outputs: Value) -> Option<Value> {
  let text = outputs.to_string();
  if outputs.is_null() || text.len() > OUTPUTS_BYTES_MAX {
    return None;
  }
  // An escaped NUL is JSON, and text in neither database.
  if text.contains("\\u0000") { without_nul(outputs) } else { Some(outputs) }
}

fn without_nul(value: Value) -> Option<Value> {
  let clean = |text: String| text.replace('\0', "\u{fffd}");
  Some(match value {
    Value::String(text) => Value::String(clean(text)),
    Value::Array(items) => items.into_iter().filter_map(without_nul).collect(),
    Value::Object(fields) => {
      let fields = fields.into_iter();
      fields.filter_map(|(name, value)| Some((clean(name), without_nul(value)?))).collect()
    }
    other => other,
  })
}

/// Text from an agent as both databases can store it.
pub(super) fn clean_text(text: &str) -> String {
  const TEXT_CHARS_MAX: usize = 2000;
  text.chars().take(TEXT_CHARS_MAX).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  #[test]
  fn what_no_database_takes_is_changed_or_left_out() {
    let clean = clean_outputs(json!({"a\0": ["x\0y", 1, null], "b": {"c": "\\u0000"}}));
    let expected = json!({"a\u{fffd}": ["x\u{fffd}y", 1, null], "b": {"c": "\\u0000"}});
    assert_eq!(clean, Some(expected));
    assert_eq!(clean_outputs(json!("x".repeat(OUTPUTS_BYTES_MAX))), None);
    assert_eq!(clean_outputs(Value::Null), None);
  }

  #[test]
  fn progress_is_a_share() {
    let all = [-1.0, 0.4, 7.0, f64::NAN, f64::INFINITY].map(clean_progress);
    assert_eq!(all, [Some(0.0), Some(0.4), Some(1.0), None, None]);
  }
}
