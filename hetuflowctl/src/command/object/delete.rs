//! Deleting, after a question.

use super::act::{each, picked};
use super::kind::Kind;
use super::list::everything;
use super::picked::Picked;
use crate::cli::Many;
use crate::client::{Call, CtlError, Exit};
use crate::command::bulk::{Deed, Item, agree};
use crate::command::names::with_suggestion;
use crate::command::session::Session;
use crate::output::{Outcome, Record, View, ask};

/// Deletes things.
///
/// # Errors
/// When nobody says yes, or it fails for the only one.
pub async fn run(session: &Session, kind: Kind, args: &Many) -> Result<Outcome, CtlError> {
  let things = picked(session, kind, args).await?;
  let (verb, done) =
    if kind == Kind::Token { ("revoke", "revoked") } else { ("delete", "deleted") };
  let command = format!("{} delete", kind.word());
  let deed = Deed { verb, command: &command, what: kind.word(), done };
  let found: Vec<Record> = things.iter().map(Picked::record).collect();
  if (args.bulk.dry_run || things.is_empty())
    && let Some(end) = agree(session, deed, (false, args.bulk), &found)?
  {
    return Ok(end);
  }
  let shown = match things.as_slice() {
    [one] => format!("{} {}", kind.word(), one.name),
    many => format!("{} {}s", many.len(), kind.word()),
  };
  let place = session.client()?.place.title();
  let verb = if kind == Kind::Token { "Revoke" } else { "Delete" };
  if !ask(&session.look, &format!("{verb} {shown} on {place}"))? {
    return Ok(Outcome::from(View::Nothing).note("nothing was done"));
  }
  let mut items = Vec::new();
  for thing in things {
    let id = match kind {
      Kind::Token => token_id(session, &thing.name).await?,
      _ => thing.reference.clone(),
    };
    let mut call = Call::delete(kind.path_of(&id));
    if kind.in_namespace() {
      call = call.query("namespace_id", thing.namespace(session)?);
    }
    items.push(Item { name: thing.name, call });
  }
  each(session, kind, deed, items).await
}

/// Tokens are deleted by id; people know them by name.
async fn token_id(session: &Session, name: &str) -> Result<String, CtlError> {
  let all =
    everything::<hetuflow_core::TokenEntity>(session.client()?, Call::get(Kind::Token.path()))
      .await?;
  let live = all.iter().filter(|token| token.revoked_at.is_none());
  let found: Vec<_> =
    live.filter(|token| token.name == name || token.id.to_string() == name).collect();
  match found.as_slice() {
    [one] => Ok(one.id.to_string()),
    [] => {
      let error = CtlError::new(Exit::NotFound, format!("no token \"{name}\""));
      Err(with_suggestion(session, Kind::Token, name, error).await)
    }
    many => {
      let mut error =
        CtlError::new(Exit::Conflict, format!("{} tokens are called \"{name}\"", many.len()));
      error.facts = many.iter().map(|token| format!("{}  {}", token.id, token.prefix)).collect();
      Err(error.help("give the id"))
    }
  }
}
