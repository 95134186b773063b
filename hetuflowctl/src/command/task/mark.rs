//! `task mark`, `task skip` and `task force`: words of a person about a task.

use hetuflow_core::{CancelRequest, ForceRequest, MarkRequest, MarkedAs};
use serde::Serialize;

use super::deed::{self, OnTasks};
use crate::cli::{BulkOptions, ForceArgs, MarkArgs, SkipArgs, Targets};
use crate::client::{Call, CtlError};
use crate::command::bulk::Deed;
use crate::command::object::Kind;
use crate::command::session::Session;
use crate::output::Outcome;

const MARK: Deed<'static> =
  Deed { verb: "mark", command: "task mark", what: "task", done: "marked" };
const SKIP: Deed<'static> =
  Deed { verb: "skip", command: "task skip", what: "task", done: "skipped" };
const FORCE: Deed<'static> =
  Deed { verb: "force", command: "task force", what: "task", done: "started" };

/// Says how tasks are to count.
///
/// # Errors
/// When it fails for the only one; with several, each failure is told and the exit code is 11.
pub async fn mark(session: &Session, args: &MarkArgs) -> Result<Outcome, CtlError> {
  let status = if args.succeeded { MarkedAs::Succeeded } else { MarkedAs::Failed };
  let request = MarkRequest { status, reason: args.reason.clone() };
  each(session, MARK, (&args.targets, args.bulk), &request).await
}

/// Ends tasks as skipped.
///
/// # Errors
/// As [`mark`].
pub async fn skip(session: &Session, args: &SkipArgs) -> Result<Outcome, CtlError> {
  let request = CancelRequest { reason: args.reason.clone(), ..CancelRequest::default() };
  each(session, SKIP, (&args.targets, args.bulk), &request).await
}

/// Starts tasks now, past what they wait for.
///
/// # Errors
/// As [`mark`].
pub async fn force(session: &Session, args: &ForceArgs) -> Result<Outcome, CtlError> {
  let request = ForceRequest { reason: args.reason.clone() };
  each(session, FORCE, (&args.targets, args.bulk), &request).await
}

/// Asks the route of the verb for each task.
async fn each(
  session: &Session,
  deed: Deed<'_>,
  (targets, options): (&Targets, BulkOptions),
  request: &impl Serialize,
) -> Result<Outcome, CtlError> {
  let what = OnTasks { deed, targets: &targets.targets, options, together: None, lines: false };
  let done = deed::run(session, what, |task| {
    let place = Kind::Task.path_of(&task.id.to_string());
    Call::post(format!("{place}/{}", deed.verb)).json(request)
  });
  done.await
}
