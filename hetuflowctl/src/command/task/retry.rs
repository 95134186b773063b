//! `retry` and `task reprioritise`.

use hetuflow_core::{TaskAction, TaskActions, TaskForUpdate};
use serde_json::json;

use super::deed::{self, OnTasks};
use crate::cli::{ReprioritiseArgs, RetryArgs};
use crate::client::{Call, CtlError};
use crate::command::bulk::Deed;
use crate::command::object::Kind;
use crate::command::session::Session;
use crate::output::Outcome;

const RETRY: Deed<'static> =
  Deed { verb: "retry", command: "task retry", what: "task", done: "retried" };
const REPRIORITISE: Deed<'static> =
  Deed { verb: "reprioritise", command: "task reprioritise", what: "task", done: "reprioritised" };

/// Runs finished tasks once more, each as a new task.
///
/// # Errors
/// When it fails for the only one; with several, each failure is told and the exit code is 11.
pub async fn run(session: &Session, args: &RetryArgs) -> Result<Outcome, CtlError> {
  let together =
    TaskActions { action: TaskAction::Retry, ids: Vec::new(), reason: None, grace_secs: None };
  let what = OnTasks {
    deed: RETRY,
    targets: &args.targets.targets,
    options: args.bulk,
    together: Some(&together),
    lines: false,
  };
  let done = deed::run(session, what, |task| {
    Call::post(format!("{}/retry", Kind::Task.path_of(&task.id.to_string()))).json(&json!({}))
  });
  done.await
}

/// Gives waiting tasks another priority.
///
/// # Errors
/// As [`run`].
pub async fn reprioritise(session: &Session, args: &ReprioritiseArgs) -> Result<Outcome, CtlError> {
  let change = TaskForUpdate { priority: Some(args.prio) };
  let what = OnTasks {
    deed: REPRIORITISE,
    targets: &args.targets.targets,
    options: args.bulk,
    together: None,
    lines: false,
  };
  let done = deed::run(session, what, |task| {
    Call::patch(Kind::Task.path_of(&task.id.to_string())).json(&change)
  });
  done.await
}
