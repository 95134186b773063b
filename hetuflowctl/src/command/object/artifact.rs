//! Files that tasks leave: listed, and written here with their hash compared.

use std::io::Write;
use std::path::{Path, PathBuf};

use hetuflow_core::{ArtifactEntity, ArtifactState, ContentHasher};

use super::get;
use super::kind::Kind;
use super::list::{everything, rows};
use crate::cli::{ArtifactDownload, ArtifactList};
use crate::client::{Call, CtlError, Exit, path_of};
use crate::command::session::Session;
use crate::output::{Outcome, View, visible};

/// Lists files.
///
/// # Errors
/// When there is no client, or the task is not there.
pub async fn list(session: &Session, args: &ArtifactList) -> Result<Outcome, CtlError> {
  let call = Call::get(Kind::Artifact.path()).query_some("state", args.state);
  let call = match args.task.as_deref() {
    None => call.query_some("namespace_id", session.list_namespace()?),
    Some(attempt) if attempt.contains('#') => {
      let attempt = get::attempt(session, attempt).await?;
      call.query("namespace_id", &attempt.namespace_id).query("instance_id", attempt.id)
    }
    Some(task) => {
      let task = get::task(session, task).await?;
      call.query("namespace_id", &task.namespace_id).query("task_id", task.id)
    }
  };
  rows::<ArtifactEntity>(session, call, args.paging)
}

/// Writes the bytes of a file.
///
/// # Errors
/// When it is not there or not here yet; when it cannot be written; when it is not what it was.
pub async fn download(session: &Session, args: &ArtifactDownload) -> Result<Outcome, CtlError> {
  let file = match &args.name {
    Some(name) => of_task(session, &args.target, name).await?,
    None => session.client()?.fetch(Call::get(Kind::Artifact.path_of(&args.target))).await?,
  };
  let call = Call::get(path_of(&["artifacts", &file.id.to_string(), "content"]));
  if args.to.as_deref() == Some("-") {
    let bytes = session.client()?.bytes(call).await.map_err(|error| later(error, &file))?;
    let mut hasher = ContentHasher::default();
    hasher.add(&bytes);
    check(&file, hasher)?;
    return Ok(View::Raw(bytes).into());
  }
  let target = args.to.as_ref().map_or_else(|| own_name(&file.name), |to| Ok(PathBuf::from(to)))?;
  if target.exists() && !args.force {
    let message = format!("{} is there already", target.display());
    return Err(CtlError::new(Exit::Conflict, message).help("--force, or --to another file"));
  }
  write(session, call, (&file, &target)).await?;
  let words = format!("{}  {} bytes  sha256 {}\n", target.display(), file.size, hash_of(&file));
  let value = serde_json::json!({ "path": target, "artifact": file });
  Ok(View::text(visible(&words), value).into())
}

/// The newest file of a task with a name.
async fn of_task(session: &Session, task: &str, name: &str) -> Result<ArtifactEntity, CtlError> {
  let client = session.client()?;
  let task = get::task(session, task).await?;
  let call = Call::get(Kind::Artifact.path());
  let call = call.query("namespace_id", &task.namespace_id).query("task_id", task.id);
  let all = everything::<ArtifactEntity>(client, call).await?;
  if let Some(found) = all.iter().find(|file| file.name == name) {
    return Ok(found.clone());
  }
  let shown = name.escape_debug();
  let mut error = CtlError::new(Exit::NotFound, format!("the task has left no file \"{shown}\""));
  error.facts = all.iter().take(10).map(|file| visible(&file.name)).collect();
  Err(error.help(format!("hetuflowctl artifact list {}", task.id.short())))
}

/// The last part of a name that a task has chosen.
fn own_name(name: &str) -> Result<PathBuf, CtlError> {
  let last = name.rsplit('/').next().unwrap_or_default();
  if matches!(last, "" | "." | "..") || last.starts_with('-') {
    let message = format!("\"{}\" is no name for a file here", name.escape_debug());
    return Err(CtlError::new(Exit::Invalid, message).help("say where:  --to FILE"));
  }
  Ok(PathBuf::from(last))
}

/// It is whole before it has its name.
async fn write(
  session: &Session,
  call: Call,
  (file, target): (&ArtifactEntity, &Path),
) -> Result<(), CtlError> {
  let mut answer = session.client()?.open(call).await.map_err(|error| later(error, file))?;
  let folder = match target.parent() {
    Some(folder) if !folder.as_os_str().is_empty() => folder,
    _ => Path::new("."),
  };
  let mut part = tempfile::NamedTempFile::new_in(folder)?;
  let mut hasher = ContentHasher::default();
  let broken = |error| CtlError::failure(format!("the file was broken off: {error}"));
  while let Some(chunk) = answer.chunk().await.map_err(broken)? {
    hasher.add(&chunk);
    part.write_all(&chunk)?;
  }
  check(file, hasher)?;
  part.persist(target).map_err(|error| CtlError::from(error.error))?;
  Ok(())
}

fn hash_of(file: &ArtifactEntity) -> &str {
  file.content_hash.as_deref().unwrap_or_default()
}

fn check(file: &ArtifactEntity, hasher: ContentHasher) -> Result<(), CtlError> {
  let came = hasher.finish().to_string();
  if came == hash_of(file) {
    return Ok(());
  }
  let message = format!("what came is not what the task has left: sha256 {came}");
  Err(CtlError::failure(message).fact(format!("it should be {}", hash_of(file))))
}

/// What to do about a file that is not here yet.
fn later(error: CtlError, file: &ArtifactEntity) -> CtlError {
  match file.state {
    ArtifactState::Uploading => {
      error.help(format!("ask again in a while: artifact get {}", file.id))
    }
    _ => error,
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn names_of_tasks_lead_nowhere_else() {
    for (name, wanted) in [("a/b.txt", Some("b.txt")), ("x", Some("x")), ("a/..", None)] {
      assert_eq!(own_name(name).ok(), wanted.map(PathBuf::from), "{name}");
    }
    assert!(own_name("-rf").is_err() && own_name("a/").is_err());
  }
}
