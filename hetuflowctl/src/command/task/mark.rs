//! `task mark` and `task skip`.

use hetuflow_core::{CancelRequest, MarkRequest, MarkedAs};

use super::deed::{self, OnTasks};
use crate::cli::{MarkArgs, SkipArgs};
use crate::client::{Call, CtlError};
use crate::command::bulk::Deed;
use crate::command::object::Kind;
use crate::command::session::Session;
use crate::output::Outcome;

const MARK: Deed<'static> =
  Deed { verb: "mark", command: "task mark", what: "task", done: "marked" };
const SKIP: Deed<'static> =
  Deed { verb: "skip", command: "task skip", what: "task", done: "skipped" };

/// Says how tasks are to count.
///
/// # Errors
/// When it fails for the only one; with several, each failure is told and the exit code is 11.
pub async fn mark(session: &Session, args: &MarkArgs) -> Result<Outcome, CtlError> {
  let status = if args.succeeded { MarkedAs::Succeeded } else { MarkedAs::Failed };
  let request = MarkRequest { status, reason: args.reason.clone() };
  let what = OnTasks {
    deed: MARK,
    targets: &args.targets.targets,
    options: args.bulk,
    together: None,
    lines: false,
  };
  let done = deed::run(session, what, |task| {
    Call::post(format!("{}/mark", Kind::Task.path_of(&task.id.to_string()))).json(&request)
  });
  done.await
}

/// Ends tasks as skipped.
///
/// # Errors
/// As [`mark`].
pub async fn skip(session: &Session, args: &SkipArgs) -> Result<Outcome, CtlError> {
  let request = CancelRequest { reason: args.reason.clone(), ..CancelRequest::default() };
  let what = OnTasks {
    deed: SKIP,
    targets: &args.targets.targets,
    options: args.bulk,
    together: None,
    lines: false,
  };
  let done = deed::run(session, what, |task| {
    Call::post(format!("{}/skip", Kind::Task.path_of(&task.id.to_string()))).json(&request)
  });
  done.await
}
