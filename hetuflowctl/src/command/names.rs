//! Names and targets: from arguments or stdin, and the nearest name when one is not found.

use std::io::BufRead as _;

use hetuflow_core::config_text::nearest;
use hetuflow_core::{PAGE_LIMIT_MAX, Page};
use serde_json::Value;

use super::again::again_with;
use super::object::Kind;
use super::session::Session;
use crate::client::{Call, CtlError};

/// Most names from stdin.
const NAMES_MAX: usize = 100_000;

/// The names themselves; `-` reads them from stdin, one per line or JSONL with `id`.
///
/// # Errors
/// When stdin cannot be read, or gives nothing.
pub fn expand(names: &[String]) -> Result<Vec<String>, CtlError> {
  if names.is_empty() {
    return Err(
      CtlError::usage("nothing is named").help("give names, - for stdin, or  -F 'state=failed'"),
    );
  }
  let mut all = Vec::new();
  for name in names {
    if name != "-" {
      all.push(name.clone());
      continue;
    }
    for line in std::io::stdin().lock().lines().take(NAMES_MAX) {
      let line = line?;
      let line = line.trim();
      let id = line.starts_with('{').then(|| serde_json::from_str::<Value>(line).ok()).flatten();
      let id =
        id.and_then(|value| value.get("id").or(value.get("name"))?.as_str().map(str::to_owned));
      if !line.is_empty() {
        all.push(id.unwrap_or_else(|| line.to_owned()));
      }
    }
  }
  if all.is_empty() {
    return Err(CtlError::usage("stdin names nothing"));
  }
  Ok(all)
}

/// Adds the nearest name to an error that says "not found".
pub async fn with_suggestion(
  session: &Session,
  kind: Kind,
  name: &str,
  error: CtlError,
) -> CtlError {
  if !error.is_not_found() {
    return error;
  }
  // A task is looked for by its job's name, as etl-daily@latest.
  let (kind, wanted) = match (kind, name.split_once('@')) {
    (Kind::Task | Kind::Attempt, Some((job, _))) => (Kind::Job, job),
    (Kind::Task | Kind::Attempt, None) => {
      return error.help(format!("hetuflowctl logs {name}@latest, where it is a job"));
    }
    (kind, _) => (kind, name),
  };
  let Ok(client) = session.client() else { return error };
  let mut call = Call::get(kind.path()).query("limit", PAGE_LIMIT_MAX);
  if kind.in_namespace() {
    call = call.query("namespace_id", &client.place.namespace);
  }
  let Ok(page) = client.fetch::<Page<Value>>(call).await else { return error };
  let names: Vec<&str> =
    page.data.iter().filter_map(|one| one.get(kind.name_field())?.as_str()).collect();
  if names.contains(&wanted) {
    return error;
  }
  match nearest(wanted, names) {
    Some(near) => {
      // The server may have said so already.
      let said = error.help.iter().any(|help| help.starts_with("did you mean"));
      let error = if said { error } else { error.help(format!("did you mean  {near} ?")) };
      match again_with(wanted, near) {
        Some(command) => error.help(command),
        None => error,
      }
    }
    None => error.help(format!("hetuflowctl {} list", kind.word())),
  }
}
