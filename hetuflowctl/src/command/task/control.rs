//! `attempt control`.

use serde_json::json;

use crate::cli::ControlArgs;
use crate::client::{Call, CtlError};
use crate::command::object::{Kind, act::each, get};
use crate::command::session::Session;
use crate::output::Outcome;

/// Controls a running attempt.
///
/// # Errors
/// When it is not there, or has ended.
pub async fn run(session: &Session, args: &ControlArgs) -> Result<Outcome, CtlError> {
  let attempt = get::attempt(session, &args.target).await?;
  let mut body = json!({ "control_type": args.what, "force": args.force });
  let fields = body.as_object_mut().expect("an object");
  if let Some(signal) = &args.signal {
    fields.insert("signal".into(), json!(signal));
  }
  if let Some(reason) = &args.reason {
    fields.insert("reason".into(), json!(reason));
  }
  if let Some(grace) = args.grace {
    fields.insert("grace_secs".into(), json!(grace.as_secs_f64()));
  }
  let id = attempt.id.to_string();
  let call = Call::post(format!("{}/control", Kind::Attempt.path_of(&id))).json(&body);
  each(session, Kind::Attempt, &format!("asked to {}", args.what), vec![(id, call)]).await
}
