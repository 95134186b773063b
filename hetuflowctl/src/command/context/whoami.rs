//! `whoami`.

use serde_json::Value;

use crate::client::{Call, CtlError};
use crate::command::session::Session;
use crate::output::{Outcome, View, describe};

/// Asks the server who we are.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let mut me: Value = client.fetch(Call::get("/auth/me")).await?;
  if let Some(fields) = me.as_object_mut() {
    fields.insert("server".into(), Value::String(client.place.server.to_string()));
    fields
      .insert("context".into(), client.place.context.clone().map_or(Value::Null, Value::String));
  }
  Ok(View::text(describe(&me), me).into())
}
