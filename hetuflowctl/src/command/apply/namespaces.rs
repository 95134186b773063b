//! Namespaces of manifests: made or changed before the plan of the jobs that live in them. That is
//! no part of the jobs' transaction: a namespace without jobs harms nobody.

use hetuflow_core::{NamespaceEntity, NamespaceForCreate, NamespaceForUpdate};

use crate::client::{Call, CtlError};
use crate::command::object::Kind;
use crate::command::session::Session;
use crate::output::ask;

/// What differs, agreed to and done; `false`: nobody said yes.
///
/// # Errors
/// What the server says; usage, where nobody can be asked.
pub async fn settle(session: &Session, wanted: &[NamespaceForCreate]) -> Result<bool, CtlError> {
  let client = session.client()?;
  let (mut calls, mut words) = (Vec::new(), Vec::new());
  for one in wanted {
    let path = Kind::Namespace.path_of(one.id.as_str());
    match client.fetch::<NamespaceEntity>(Call::get(&path)).await {
      Ok(known) if known.description == one.description => {}
      Ok(_) => {
        let description = Some(one.description.clone());
        let change = NamespaceForUpdate { description, ..NamespaceForUpdate::default() };
        calls.push(Call::patch(&path).json(&change));
        words.push(format!("change namespace {}", one.id));
      }
      Err(error) if error.is_not_found() => {
        calls.push(Call::post("/namespaces").json(one));
        words.push(format!("make namespace {}", one.id));
      }
      Err(error) => return Err(error),
    }
  }
  if calls.is_empty() {
    return Ok(true);
  }
  let question = format!("First {} on {}", words.join(", "), client.place.title());
  if !ask(&session.look, &question)? {
    return Ok(false);
  }
  for call in calls {
    client.send(call).await?;
  }
  Ok(true)
}
