//! Files that tasks find when they start.

use serde::{Deserialize, Serialize};

use super::artifact::is_inner_path;
use crate::protocol::{ARTIFACT_NAME_MAX, ContentHash};
use crate::types::{ArtifactId, FieldError, TaskId, TaskInstanceId, Ts};

/// Most files that a task finds.
pub const INPUTS_MAX: usize = 64;
/// The rights of a file where its job does not say.
pub const INPUT_MODE_DEFAULT: u32 = 0o644;

/// A file that a task finds when it starts. Where it comes from is said by its content, by the
/// attempt, task or job that has left it, or by its name alone: the newest one that was put there
/// by hand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct InputFile {
  /// The SHA-256 of its bytes, in hexadecimal.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub content_hash: Option<String>,
  /// The attempt that has left it.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub instance_id: Option<TaskInstanceId>,
  /// The task that has left it, with its newest attempt.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub task_id: Option<TaskId>,
  /// The job, by name: the newest of its successful runs that has left such a file.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub job: Option<String>,
  /// Its name, as it was left or put.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub name: Option<String>,
  /// Where the task finds it: a path below `$HETUFLOW_INPUTS`; its name where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub to: Option<String>,
  /// Its rights, in octal digits; 0644 where not said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub mode: Option<String>,
}

/// Where a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputSource<'a> {
  /// Its content is known.
  Content(ContentHash),
  /// An attempt has left it under this name.
  Attempt(TaskInstanceId, &'a str),
  /// A task has left it under this name.
  Task(TaskId, &'a str),
  /// A successful run of this job has left it under this name.
  Job(&'a str, &'a str),
  /// Somebody has put it there under this name.
  Put(&'a str),
}

impl InputFile {
  /// Where it comes from; none where that is not said as it must be.
  pub fn source(&self) -> Option<InputSource<'_>> {
    let name = self.name.as_deref();
    match (&self.content_hash, self.instance_id, self.task_id, &self.job) {
      (Some(hash), None, None, None) => hash.parse().ok().map(InputSource::Content),
      (None, Some(id), None, None) => Some(InputSource::Attempt(id, name?)),
      (None, None, Some(id), None) => Some(InputSource::Task(id, name?)),
      (None, None, None, Some(job)) => Some(InputSource::Job(job, name?)),
      (None, None, None, None) => Some(InputSource::Put(name?)),
      _ => None,
    }
  }

  /// Where the task finds it.
  pub fn target(&self) -> &str {
    self.to.as_deref().or(self.name.as_deref()).unwrap_or_default()
  }

  /// Its rights.
  pub fn rights(&self) -> u32 {
    self.mode.as_deref().and_then(read_mode).unwrap_or(INPUT_MODE_DEFAULT)
  }

  /// Where it comes from, in words.
  pub fn shown(&self) -> String {
    let name = self.name.as_deref().unwrap_or_default().escape_debug();
    match self.source() {
      Some(InputSource::Content(hash)) => format!("the content {hash}"),
      Some(InputSource::Attempt(id, _)) => format!("\"{name}\" of the attempt {id}"),
      Some(InputSource::Task(id, _)) => format!("\"{name}\" of the task {id}"),
      Some(InputSource::Job(job, _)) => {
        format!("\"{name}\" of a successful run of {}", job.escape_debug())
      }
      Some(InputSource::Put(_)) | None => format!("\"{name}\", put there by hand"),
    }
  }

  fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    let named = [
      self.content_hash.is_some(),
      self.instance_id.is_some(),
      self.task_id.is_some(),
      self.job.is_some(),
    ];
    let named = named.into_iter().filter(|is_there| *is_there).count();
    if named > 1 {
      let message = "give one of content_hash, instance_id, task_id and job";
      errors.push(FieldError::new("input.source", field, message));
    } else if named == 0 && self.name.is_none() {
      let hint = "{job: build, name: app.tar}, {name: app.tar} for a file that was put there, or \
        {content_hash: …, to: app.tar}";
      errors.push(
        FieldError::new("input.source", field, "nothing says where it comes from").with_hint(hint),
      );
    }
    if let Some(hash) = &self.content_hash
      && hash.parse::<ContentHash>().is_err()
    {
      let message = "a content hash is 64 hexadecimal digits, as sha256sum prints them";
      errors.push(FieldError::new("hash.invalid", format!("{field}/content_hash"), message));
    }
    if named > 0 && self.content_hash.is_none() && self.name.is_none() {
      let message = "which of its files? give its name";
      errors.push(FieldError::new("input.source", format!("{field}/name"), message));
    }
    self.check_place(field, errors);
  }

  fn check_place(&self, field: &str, errors: &mut Vec<FieldError>) {
    let target = self.target();
    if !is_file_name(target) && (self.to.is_some() || self.name.is_some() || target.is_empty()) {
      let shown: String = target.chars().take(80).flat_map(char::escape_default).collect();
      let message = format!("\"{shown}\" is no path below the folder that the task runs in");
      errors.push(FieldError::new("path.invalid", format!("{field}/to"), message).with_hint(
        "write it as data/rows.csv: without a / before it, without . or .., at most 400 bytes",
      ));
    }
    if let Some(mode) = &self.mode
      && read_mode(mode).is_none()
    {
      let shown: String = mode.chars().take(20).flat_map(char::escape_default).collect();
      let message = format!("\"{shown}\" are no rights of a file");
      errors.push(
        FieldError::new("mode.invalid", format!("{field}/mode"), message)
          .with_hint("octal digits as text, at most 0777, with a right to read: \"0755\""),
      );
    }
  }
}

/// Rights in octal digits.
fn read_mode(text: &str) -> Option<u32> {
  let fine =
    (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
  u32::from_str_radix(text, 8).ok().filter(|mode| fine && *mode <= 0o777 && mode & 0o400 != 0)
}

/// Whether a file may be called so: a path that leads down, short and printable.
pub fn is_file_name(name: &str) -> bool {
  is_inner_path(name) && name.len() <= ARTIFACT_NAME_MAX && !name.chars().any(char::is_control)
}

/// Checks all of them, and that they have room beside each other.
pub(super) fn check_inputs(inputs: &[InputFile], field: &str, errors: &mut Vec<FieldError>) {
  if inputs.len() > INPUTS_MAX {
    let message = format!("{} files, at most {INPUTS_MAX} are allowed", inputs.len());
    errors.push(FieldError::new("artifact.too_many", field, message));
    return;
  }
  for (index, input) in inputs.iter().enumerate() {
    let here = format!("{field}/{index}");
    input.check(&here, errors);
    let target = input.target();
    let meets = |other: &&InputFile| {
      let (one, two) = (target, other.target());
      let below = |above: &str, path: &str| {
        path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
      };
      !one.is_empty() && (one == two || below(one, two) || below(two, one))
    };
    if let Some(other) = inputs[..index].iter().find(meets) {
      let message = format!(
        "\"{}\" and \"{}\" have no room beside each other",
        other.target().escape_debug(),
        target.escape_debug()
      );
      errors.push(FieldError::new("path.taken", format!("{here}/to"), message));
    }
  }
}

/// A file that a task has found, or is to find, in `sched_task_input`: what its source was when the
/// task was first handed out. Every attempt of the task gets these bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct TaskInputEntity {
  /// The task.
  pub task_id: TaskId,
  /// Where it finds it.
  pub target: String,
  /// The SHA-256 of its bytes, in hexadecimal.
  pub content_hash: String,
  /// Its bytes.
  pub size: i64,
  /// The file that it was, where it is not known by its content alone.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub artifact_id: Option<ArtifactId>,
  /// Since when it is known.
  pub created_at: Ts,
}

#[cfg(test)]
mod tests {
  use super::*;

  fn codes(json: serde_json::Value) -> Vec<String> {
    let inputs: Vec<InputFile> = serde_json::from_value(json).expect("readable");
    let mut errors = Vec::new();
    check_inputs(&inputs, "/in", &mut errors);
    errors.into_iter().map(|error| format!("{} {}", error.code, error.field)).collect()
  }

  #[test]
  fn broken_inputs_are_named() {
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (json, wanted) in [
      (r#"[{}]"#, vec!["input.source /in/0", "path.invalid /in/0/to"]),
      (r#"[{"to": "a"}]"#, vec!["input.source /in/0"]),
      (r#"[{"job": "a", "to": "b"}]"#, vec!["input.source /in/0/name"]),
      (r#"[{"content_hash": "abc", "to": "b"}]"#, vec!["hash.invalid /in/0/content_hash"]),
      (r#"[{"name": "../b"}]"#, vec!["path.invalid /in/0/to"]),
      (r#"[{"name": "b", "to": "/etc/passwd"}]"#, vec!["path.invalid /in/0/to"]),
      (r#"[{"name": "b", "to": "a\u0007"}]"#, vec!["path.invalid /in/0/to"]),
      (r#"[{"name": "b", "mode": "4755"}]"#, vec!["mode.invalid /in/0/mode"]),
      (r#"[{"name": "b", "mode": "rwx"}]"#, vec!["mode.invalid /in/0/mode"]),
      (r#"[{"name": "b"}, {"name": "c", "to": "b"}]"#, vec!["path.taken /in/1/to"]),
      (r#"[{"name": "b/c"}, {"name": "b"}]"#, vec!["path.taken /in/1/to"]),
      (r#"[{"name": "b"}, {"name": "bc"}]"#, vec![]),
    ] {
      assert_eq!(codes(serde_json::from_str(json).expect("JSON")), wanted, "{json}");
    }
    let both = serde_json::json!([{ "content_hash": hash, "job": "a", "name": "x" }]);
    assert_eq!(codes(both), ["input.source /in/0"]);
    assert!(
      codes(serde_json::json!([{ "content_hash": hash, "to": "x", "mode": "0755" }])).is_empty()
    );
  }

  #[test]
  fn what_is_not_said_follows_from_the_name() {
    let input: InputFile =
      serde_json::from_str(r#"{"job": "build", "name": "out/app"}"#).expect("readable");
    assert_eq!((input.target(), input.rights()), ("out/app", 0o644));
    assert_eq!(input.source(), Some(InputSource::Job("build", "out/app")));
    assert_eq!(input.shown(), "\"out/app\" of a successful run of build");
  }
}
