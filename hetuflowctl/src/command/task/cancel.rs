//! `cancel`.

use hetuflow_core::CancelRequest;

use crate::cli::CancelArgs;
use crate::client::{Call, CtlError};
use crate::command::names::expand;
use crate::command::object::{Kind, act::each, get};
use crate::command::session::Session;
use crate::output::Outcome;

/// Asks tasks to stop.
///
/// # Errors
/// When a task is not there, or has ended.
pub async fn run(session: &Session, args: &CancelArgs) -> Result<Outcome, CtlError> {
  let request = CancelRequest {
    reason: args.reason.clone(),
    force: args.force,
    grace_secs: args.grace.map(|grace| grace.as_secs_f64()),
  };
  let mut calls = Vec::new();
  for target in expand(&args.targets.targets)? {
    let task = get::task(session, &target).await?;
    let call = Call::post(format!("{}/cancel", Kind::Task.path_of(&task.id.to_string())));
    calls.push((task.id.short(), call.json(&request)));
  }
  each(session, Kind::Task, "asked to stop", calls).await
}
