//! Deleting, after a question.

use super::act::each;
use super::kind::{Kind, bare};
use super::list::everything;
use crate::cli::Names;
use crate::client::{Call, CtlError, Exit};
use crate::command::names::{expand, with_suggestion};
use crate::command::session::Session;
use crate::output::{Outcome, View, ask};

/// Deletes things.
///
/// # Errors
/// When nobody says yes, or it fails for the only one.
pub async fn run(session: &Session, kind: Kind, args: &Names) -> Result<Outcome, CtlError> {
  let names = expand(&args.names)?;
  let verb = if kind == Kind::Token { "Revoke" } else { "Delete" };
  let shown = match names.as_slice() {
    [one] => format!("{} {}", kind.word(), bare(kind, one)),
    many => format!("{} {}s", many.len(), kind.word()),
  };
  let place = session.client()?.place.title();
  if !ask(&session.look, &format!("{verb} {shown} on {place}"))? {
    return Ok(Outcome::from(View::Nothing).note("nothing was done"));
  }
  let mut calls = Vec::new();
  for name in names {
    let name = bare(kind, &name).to_owned();
    let id = if kind == Kind::Token { token_id(session, &name).await? } else { name.clone() };
    let mut call = Call::delete(kind.path_of(&id));
    if kind.in_namespace() {
      call = call.query("namespace_id", &session.client()?.place.namespace);
    }
    calls.push((name, call));
  }
  let done = if kind == Kind::Token { "revoked" } else { "deleted" };
  each(session, kind, done, calls).await
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
