//! `cancel`.

use hetuflow_core::{CancelRequest, TaskAction, TaskActions};

use super::deed::{self, OnTasks};
use crate::cli::CancelArgs;
use crate::client::{Call, CtlError};
use crate::command::bulk::Deed;
use crate::command::object::Kind;
use crate::command::session::Session;
use crate::output::Outcome;

const CANCEL: Deed<'static> =
  Deed { verb: "cancel", command: "task cancel", what: "task", done: "asked to stop" };

/// Asks tasks to stop.
///
/// # Errors
/// When the only task is not there, or has ended; with several, each failure is told and the exit
/// code is 11.
pub async fn run(session: &Session, args: &CancelArgs) -> Result<Outcome, CtlError> {
  let request = CancelRequest {
    reason: args.reason.clone(),
    force: args.force,
    grace_secs: args.grace.map(|grace| grace.as_secs_f64()),
  };
  let together = TaskActions {
    action: if args.force { TaskAction::Kill } else { TaskAction::Cancel },
    ids: Vec::new(),
    reason: args.reason.clone(),
    grace_secs: request.grace_secs,
  };
  let what = OnTasks {
    deed: CANCEL,
    targets: &args.targets.targets,
    options: args.bulk,
    together: Some(&together),
    lines: true,
  };
  let done = deed::run(session, what, |task| {
    Call::post(format!("{}/cancel", Kind::Task.path_of(&task.id.to_string()))).json(&request)
  });
  done.await
}
