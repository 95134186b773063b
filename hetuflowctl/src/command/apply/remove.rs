//! `delete -f`: the jobs that files describe are deleted.

use super::plan::{load_files, put_in_namespace};
use crate::cli::ManifestArgs;
use crate::client::{Call, CtlError};
use crate::command::bulk::{Deed, Item};
use crate::command::object::{Kind, act::each};
use crate::command::session::Session;
use crate::output::{Outcome, View, ask};

/// Deletes the jobs of the files, with their schedules. Namespaces stay.
///
/// # Errors
/// Invalid, with every problem; usage, where nobody says yes.
pub async fn run(session: &Session, args: &ManifestArgs) -> Result<Outcome, CtlError> {
  let mut loaded = load_files(args)?;
  let client = session.client()?;
  put_in_namespace(&mut loaded, &client.place.namespace)?;
  let (mut calls, mut missing) = (Vec::new(), Vec::new());
  for (job, _) in &loaded.jobs {
    let namespace = job.namespace_id.clone().unwrap_or_default();
    let path = Kind::Job.path_of(&job.name);
    match client.send(Call::get(&path).query("namespace_id", &namespace)).await {
      Ok(()) => {
        calls.push((job.name.clone(), Call::delete(path).query("namespace_id", &namespace)));
      }
      Err(error) if error.is_not_found() => missing.push(job.name.clone()),
      Err(error) => return Err(error),
    }
  }
  let mut notes: Vec<String> =
    missing.iter().map(|name| format!("job/{name} is not there")).collect();
  notes.extend(
    loaded
      .namespaces
      .iter()
      .map(|one| format!("namespace/{0} stays: hetuflowctl namespace delete {0}", one.id)),
  );
  let mut outcome = if calls.is_empty() {
    Outcome::from(View::Nothing)
  } else {
    let names: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
    session.look.say(format!("  - {}", names.join("\n  - ")));
    let question = format!("Delete {} job(s) on {}", calls.len(), client.place.title());
    if !ask(&session.look, &question)? {
      return Ok(Outcome::from(View::Nothing).note("nothing was done"));
    }
    let deed = Deed { verb: "delete", command: "job delete", what: "job", done: "deleted" };
    let items = calls.into_iter().map(|(name, call)| Item { name, call }).collect();
    each(session, Kind::Job, deed, items).await?
  };
  outcome.notes.extend(notes);
  Ok(outcome)
}
