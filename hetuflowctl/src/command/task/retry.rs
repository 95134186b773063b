//! `retry`.

use hetuflow_core::TaskEntity;
use serde_json::json;

use crate::cli::RetryArgs;
use crate::client::{Call, CtlError, Exit};
use crate::command::names::expand;
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Runs finished tasks once more, each as a new task.
///
/// # Errors
/// When it fails for the only one; with several, each failure is told and the exit code is 11.
pub async fn run(session: &Session, args: &RetryArgs) -> Result<Outcome, CtlError> {
  let targets = expand(&args.targets.targets)?;
  let (mut made, mut failures) = (Vec::new(), Vec::new());
  for target in &targets {
    match one(session, target).await {
      Ok(task) => made.push(task),
      Err(error) if targets.len() == 1 => return Err(error),
      Err(error) => failures.push(format!("  {target}  not retried: {}", error.message)),
    }
  }
  let outcome = Outcome::from(View::things(&made));
  if failures.is_empty() {
    return Ok(outcome);
  }
  let mut outcome = outcome.exit(Exit::SomeFailed as u8);
  outcome.notes.push(format!("error: retried {} of {}", made.len(), targets.len()));
  outcome.notes.extend(failures);
  Ok(outcome)
}

async fn one(session: &Session, target: &str) -> Result<TaskEntity, CtlError> {
  let task = get::task(session, target).await?;
  let call = Call::post(format!("{}/retry", Kind::Task.path_of(&task.id.to_string())));
  session.client()?.fetch(call.json(&json!({}))).await
}
