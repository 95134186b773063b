//! `version`.

use serde_json::{Value, json};

use crate::cli::VersionArgs;
use crate::client::{Call, CtlError};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Our version, and the server's where asked.
///
/// # Errors
/// When the server was asked and does not answer.
pub async fn run(session: &Session, args: &VersionArgs) -> Result<Outcome, CtlError> {
  let own = env!("CARGO_PKG_VERSION");
  let mut text = format!("hetuflowctl {own}\n");
  let mut value = json!({ "client": own });
  if args.check_server {
    let server: Value = session.client()?.fetch(Call::get("/system/version")).await?;
    let theirs = server.get("version").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    text.push_str(&format!("server      {theirs} at {}\n", session.client()?.place.server));
    value["server"] = server;
  }
  Ok(View::text(text, value).into())
}
