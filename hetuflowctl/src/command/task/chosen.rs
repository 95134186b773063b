//! The tasks that a command is about: named, from stdin, or found by a filter.

use hetuflow_core::TaskEntity;

use crate::client::{Call, CtlError};
use crate::command::bulk::{Failed, given};
use crate::command::object::{get, list};
use crate::command::session::Session;

/// Tasks, and the names that named none.
#[derive(Debug, Default)]
pub struct Chosen {
  /// The tasks.
  pub tasks: Vec<TaskEntity>,
  /// What could not be found.
  pub failed: Vec<Failed>,
}

/// The tasks that are meant; every name must name one.
///
/// # Errors
/// When a name names none, or nothing is named.
pub async fn tasks(session: &Session, names: &[String], limit: u32) -> Result<Chosen, CtlError> {
  let mut chosen = some(session, names, limit).await?;
  match chosen.failed.pop() {
    Some(failed) => Err(failed.error),
    None => Ok(chosen),
  }
}

/// The tasks that are meant, as far as they are there.
///
/// # Errors
/// When the only name names none, or nothing is named.
pub async fn some(session: &Session, names: &[String], limit: u32) -> Result<Chosen, CtlError> {
  let names = given(session, names)?;
  let mut chosen = Chosen::default();
  if let Some(filter) = session.filter()? {
    let call = Call::get("/tasks")
      .query_some("namespace_id", session.list_namespace()?)
      .query("filter", filter)
      .query_some("sort", session.global.sort.as_ref());
    chosen.tasks = list::at_most(session, call, limit).await?;
    return Ok(chosen);
  }
  let single = names.len() == 1;
  for name in names {
    match get::task(session, &name).await {
      Ok(task) => chosen.tasks.push(task),
      Err(error) if single || !error.is_not_found() => return Err(error),
      Err(error) => chosen.failed.push(Failed { name, error }),
    }
  }
  Ok(chosen)
}
