//! `schedule trigger`.

use hetuflow_core::TaskEntity;
use serde_json::{Value, json};

use crate::cli::Many;
use crate::client::{Call, CtlError};
use crate::command::names::expand;
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Fires schedules once, now.
///
/// # Errors
/// When one is not there.
pub async fn run(session: &Session, args: &Many) -> Result<Outcome, CtlError> {
  let mut tasks = Vec::new();
  let mut others = Vec::new();
  for name in expand(&args.names.names)? {
    let schedule = get::schedule(session, &name).await?;
    let call = Call::post(format!("{}/trigger", Kind::Schedule.path_of(&schedule.id.to_string())));
    let answer: Value = session.client()?.fetch(call.json(&json!({}))).await?;
    match serde_json::from_value::<TaskEntity>(answer.clone()) {
      Ok(task) => tasks.push(task),
      Err(_) => others.push(answer),
    }
  }
  if others.is_empty() {
    return Ok(View::things(&tasks).into());
  }
  let value = json!(others);
  Ok(View::text(crate::output::describe(&value), value).into())
}
