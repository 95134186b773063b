//! What a task hands on: the file that `$HETUFLOW_OUTPUT` names, read once when the task has ended.
//!
//! The task makes the file: most tasks have nothing to hand on, and cost one look for it.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hetuflow_core::TaskInstanceId;
use serde_json::{Map, Value};

/// Its name in the folder of an attempt that has one.
const NAME: &str = "output";

/// Where an attempt may leave its results, and how much.
#[derive(Debug, Clone)]
pub struct ResultFile {
  path: PathBuf,
  bytes_max: u64,
}

/// What a task has left.
#[derive(Debug, PartialEq)]
pub enum Left {
  /// Nothing.
  Nothing,
  /// Names and values, and how many lines had neither.
  Values(Map<String, Value>, usize),
  /// More than is allowed.
  TooLarge,
  /// No file that can be read.
  Unreadable(String),
}

impl ResultFile {
  /// The file of an attempt: in its folder, else beside the folders of others.
  pub fn new(
    instance_id: TaskInstanceId,
    (run_dir, run_base_dir): (Option<&Path>, &Path),
    bytes_max: u64,
  ) -> Self {
    let path = match run_dir {
      Some(run_dir) => run_dir.join(NAME),
      None => run_base_dir.join(format!("{instance_id}.{NAME}")),
    };
    Self { path, bytes_max }
  }

  /// Its path, for the task.
  pub fn path(&self) -> &Path {
    &self.path
  }

  /// Reads and removes it.
  pub fn take(&self) -> Left {
    let found = match self.read() {
      Ok(None) => return Left::Nothing,
      Ok(Some(bytes)) if bytes.len() as u64 > self.bytes_max => Left::TooLarge,
      Ok(Some(bytes)) => parse(&String::from_utf8_lossy(&bytes)),
      Err(error) => Left::Unreadable(error.to_string()),
    };
    self.remove();
    match found {
      // Written down it is longer than it was: quotes and names.
      Left::Values(values, _) if self.is_too_long(&values) => Left::TooLarge,
      found => found,
    }
  }

  fn remove(&self) {
    let removed = match std::fs::remove_file(&self.path) {
      Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
        std::fs::remove_dir_all(&self.path)
      }
      other => other,
    };
    if let Err(error) = removed {
      tracing::warn!(path = %self.path.display(), %error, "a result file stays");
    }
  }

  fn is_too_long(&self, values: &Map<String, Value>) -> bool {
    let length = serde_json::to_string(values).map_or(u64::MAX, |text| text.len() as u64);
    length > self.bytes_max
  }

  /// At most one byte more than is allowed. What is not a plain file is not opened: a task must not
  /// make us read another one, or wait for it.
  fn read(&self) -> io::Result<Option<Vec<u8>>> {
    use rustix::fs::OFlags;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
    let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
      Ok(file) => file,
      Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
      Err(error) => return Err(error),
    };
    // A second name may be that of a file that is not the task's to hand on.
    let meta = file.metadata()?;
    if !meta.is_file() || meta.nlink() > 1 {
      return Err(io::Error::other("it is not a plain file of its own"));
    }
    let mut bytes = Vec::new();
    file.take(self.bytes_max + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
  }
}

/// Reads one JSON object, or lines of `name=value`.
fn parse(text: &str) -> Left {
  let text = text.replace('\0', "\u{fffd}");
  if let Some(values) = object(&text) {
    return Left::Values(values, 0);
  }
  let (mut values, mut others) = (Map::new(), 0);
  for line in text.lines().filter(|line| !line.trim().is_empty()) {
    match line.split_once('=') {
      Some((name, value)) if !name.trim().is_empty() => {
        values.insert(name.trim().to_owned(), Value::String(value.to_owned()));
      }
      _ => others += 1,
    }
  }
  if values.is_empty() && others == 0 { Left::Nothing } else { Left::Values(values, others) }
}

/// A JSON object; any other JSON value that is more than a word becomes one with the name `result`.
fn object(text: &str) -> Option<Map<String, Value>> {
  match serde_json::from_str(text.trim()).ok()? {
    Value::Object(values) => Some(values),
    value => Some(Map::from_iter([("result".to_owned(), value)])),
  }
}

/// The result in the last line that a handler has printed, if it is JSON.
pub fn of_last_line(tail: &[u8]) -> Option<Map<String, Value>> {
  let mut lines = tail.rsplit(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
  let last = lines.find(|line| !line.is_empty() && !line.starts_with(b"::hetuflow "))?;
  object(&String::from_utf8_lossy(last).replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  fn values(text: &str) -> Value {
    match parse(text) {
      Left::Values(values, _) => Value::Object(values),
      other => panic!("{other:?}"),
    }
  }

  #[test]
  fn lines_and_objects_are_read() {
    assert_eq!(values("a=1\n b = x=y \r\n\na=2\n"), json!({"a": "2", "b": " x=y "}));
    assert_eq!(values("{\"a\": [1, null]}\n"), json!({"a": [1, null]}));
    assert_eq!(values("[1, 2]"), json!({"result": [1, 2]}));
    assert_eq!(values("{a=1"), json!({"{a": "1"}));
    assert_eq!(values("a=\0"), json!({"a": "\u{fffd}"}));
    assert_eq!(parse(" \n\n"), Left::Nothing);
    assert!(matches!(parse("a\n=b\nc=d"), Left::Values(_, 2)));
  }

  #[test]
  fn a_handler_may_print_its_result() {
    let last = |text: &str| of_last_line(text.as_bytes()).map(Value::Object);
    assert_eq!(last("x\n{\"ok\":true}\n\n"), Some(json!({"ok": true})));
    assert_eq!(last("7"), Some(json!({"result": 7})));
    assert_eq!(last("{\"a\":1}\n::hetuflow progress 1\n"), Some(json!({"a": 1})));
    assert_eq!((last("{\"a\":1}\ndone\n"), last("")), (None, None));
  }

  #[test]
  fn only_a_plain_file_of_some_size_is_read() {
    let dir = tempfile::tempdir().expect("dir");
    let id = TaskInstanceId::generate();
    let file = ResultFile::new(id, (Some(dir.path()), dir.path()), 10);
    assert_eq!(file.take(), Left::Nothing);
    std::fs::write(file.path(), "a=123456789").expect("written");
    assert_eq!(file.take(), Left::TooLarge);
    std::fs::write(file.path(), "a=1").expect("written");
    assert!(matches!(file.take(), Left::Values(..)));
    assert_eq!(file.take(), Left::Nothing, "it is gone");
    std::fs::write(file.path(), "abcd=12345").expect("written");
    assert_eq!(file.take(), Left::TooLarge, "as JSON it is longer");
    std::fs::write(dir.path().join("secret"), "a=1").expect("written");
    std::fs::hard_link(dir.path().join("secret"), file.path()).expect("a second name");
    assert!(matches!(file.take(), Left::Unreadable(_)));
    std::os::unix::fs::symlink(dir.path().join("secret"), file.path()).expect("a link");
    assert!(matches!(file.take(), Left::Unreadable(_)));
    std::fs::create_dir(file.path()).expect("a folder");
    assert!(matches!(file.take(), Left::Unreadable(_)));
    assert_eq!(file.take(), Left::Nothing, "a folder goes as well");
  }
}
