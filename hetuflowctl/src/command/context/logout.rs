//! `logout`: forget the token of the context.

use serde_json::json;

use crate::client::{Config, CtlError, token_file};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Forgets the token. The token itself stays valid: `token revoke` ends it.
///
/// # Errors
/// When there is no context.
pub fn run(session: &Session) -> Result<Outcome, CtlError> {
  let origin = session.origin()?;
  let mut config = Config::load(&origin.config)?;
  let Some(name) = origin.context.or(config.current.clone()) else {
    return Err(
      CtlError::usage("there is no context to log out of").help("hetuflowctl context list"),
    );
  };
  config.entry(&name)?;
  let entry = config.contexts.entry(name.clone()).or_default();
  entry.token_file = None;
  config.save(&origin.config)?;
  let _ = std::fs::remove_file(token_file(&origin.config, &name));
  let text = format!("forgot the token of {name}");
  Ok(
    Outcome::from(View::text(text, json!({ "context": name })))
      .note("the token itself stays valid until it is revoked"),
  )
}
