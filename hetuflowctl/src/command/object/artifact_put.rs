//! Files for tasks to find: put there from here, by hand or with a run.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hetuflow_core::{
  ArtifactEntity, ContentHash, ContentHasher, InputFile, TaskInputEntity, format_duration,
};

use crate::cli::{ArtifactInputs, ArtifactPut};
use crate::client::{Call, CtlError, path_of};
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, Record, TableRow as _, View};

/// A file of ours, read once.
struct Local {
  file: File,
  name: String,
  bytes: u64,
  hash: ContentHash,
  is_program: bool,
}

/// Puts a file there.
///
/// # Errors
/// When it cannot be read, or the server refuses it.
pub async fn put(session: &Session, args: &ArtifactPut) -> Result<Outcome, CtlError> {
  let local = Local::open(&args.file, args.name.as_deref())?;
  let file = send(session, local, args.retention).await?;
  Ok(View::thing(&file).into())
}

/// Shows what a task finds when it starts.
///
/// # Errors
/// When there is no such task.
pub async fn inputs(session: &Session, args: &ArtifactInputs) -> Result<Outcome, CtlError> {
  let task = get::task(session, &args.task).await?;
  let call = Call::get(path_of(&["tasks", &task.id.to_string(), "inputs"]));
  let files: Vec<TaskInputEntity> = session.client()?.fetch(call).await?;
  let records = files.iter().map(Record::of).collect();
  Ok(View::Things(TaskInputEntity::COLUMNS, records).into())
}

/// The files of a run, as its settings name them; they are put there first, unless it is only tried.
///
/// # Errors
/// When one cannot be read, or the server refuses it.
pub async fn of_run(
  session: &Session,
  files: &[String],
  dry_run: bool,
) -> Result<Vec<InputFile>, CtlError> {
  let mut inputs = Vec::with_capacity(files.len());
  for text in files {
    let (path, name) = split(text);
    let local = Local::open(&path, name.as_deref())?;
    inputs.push(InputFile {
      content_hash: Some(local.hash.to_string()),
      to: Some(local.name.clone()),
      mode: local.is_program.then(|| "0755".to_owned()),
      ..InputFile::default()
    });
    if !dry_run {
      send(session, local, None).await?;
    }
  }
  Ok(inputs)
}

/// `LOCAL:NAME`, where all of it is not the name of a file here.
fn split(text: &str) -> (PathBuf, Option<String>) {
  let whole = Path::new(text);
  match text.rsplit_once(':') {
    Some((path, name)) if !path.is_empty() && !name.is_empty() && !whole.exists() => {
      (PathBuf::from(path), Some(name.to_owned()))
    }
    _ => (whole.to_owned(), None),
  }
}

impl Local {
  fn open(path: &Path, name: Option<&str>) -> Result<Self, CtlError> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| CtlError::usage(format!("{shown}: {error}"));
    let is_stdin = path == Path::new("-");
    let mut file = if is_stdin {
      let mut copy = tempfile::tempfile().map_err(failed)?;
      std::io::copy(&mut std::io::stdin().lock(), &mut copy).map_err(failed)?;
      copy.rewind().map_err(failed)?;
      copy
    } else {
      File::open(path).map_err(failed)?
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
      return Err(CtlError::usage(format!("{shown}: no plain file")));
    }
    let own = path.file_name().filter(|_| !is_stdin).and_then(|name| name.to_str());
    let Some(name) = name.or(own) else {
      return Err(CtlError::usage(format!("{shown}: how is it to be called?")).help("--name NAME"));
    };
    let (mut hasher, mut bytes) = (ContentHasher::default(), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
      let count = file.read(&mut buffer).map_err(failed)?;
      if count == 0 {
        break;
      }
      hasher.add(&buffer[..count]);
      bytes += count as u64;
    }
    file.rewind().map_err(failed)?;
    let is_program = !is_stdin && meta.permissions().mode() & 0o100 != 0;
    Ok(Self { file, name: name.to_owned(), bytes, hash: hasher.finish(), is_program })
  }
}

async fn send(
  session: &Session,
  local: Local,
  retention: Option<Duration>,
) -> Result<ArtifactEntity, CtlError> {
  let client = session.client()?;
  let call = Call::post(Kind::Artifact.path())
    .query("namespace_id", &client.place.namespace)
    .query("name", &local.name)
    .query("content_hash", local.hash)
    .query_some("retention", retention.map(format_duration))
    .file(local.file, local.bytes);
  session.progress().during(&format!("sending {}", local.name), client.fetch(call)).await
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_name_stands_behind_the_last_colon() {
    let split = |text: &str| {
      let (path, name) = split(text);
      (path.to_string_lossy().into_owned(), name.unwrap_or_default())
    };
    let pair = |path: &str, name: &str| (path.to_owned(), name.to_owned());
    assert_eq!(split("no/such"), pair("no/such", ""));
    assert_eq!(split("no/such:data/x"), pair("no/such", "data/x"));
    assert_eq!(split("C:no/such:x"), pair("C:no/such", "x"));
    assert_eq!(split("none:"), pair("none:", ""));
    let dir = tempfile::tempdir().expect("dir");
    let odd = dir.path().join("a:b");
    std::fs::write(&odd, "x").expect("written");
    let odd = odd.to_string_lossy().into_owned();
    assert_eq!(split(&odd), pair(&odd, ""));
  }
}
