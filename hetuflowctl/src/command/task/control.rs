//! `attempt control`, `task kill`, `task signal`.

use hetuflow_core::{TaskControlKind, TaskInstanceEntity};
use serde_json::json;

use crate::cli::{ControlArgs, SignalArgs};
use crate::client::{Call, CtlError, Exit};
use crate::command::bulk::{Deed, Item};
use crate::command::object::{Kind, act::each, get};
use crate::command::session::Session;
use crate::output::Outcome;

/// Controls a running attempt.
///
/// # Errors
/// When it is not there, or has ended.
pub async fn run(session: &Session, args: &ControlArgs) -> Result<Outcome, CtlError> {
  let attempt = get::attempt(session, &args.target).await?;
  control(session, args, &attempt).await
}

/// Kills the newest attempt of a task.
///
/// # Errors
/// When the task is not there, or runs nowhere.
pub async fn kill(session: &Session, target: &str) -> Result<Outcome, CtlError> {
  on_task(session, target, TaskControlKind::Kill, None).await
}

/// Sends a signal to the newest attempt of a task.
///
/// # Errors
/// When the task is not there, or runs nowhere.
pub async fn signal(session: &Session, args: &SignalArgs) -> Result<Outcome, CtlError> {
  on_task(session, &args.target.target, TaskControlKind::Signal, Some(args.signal.clone())).await
}

async fn on_task(
  session: &Session,
  target: &str,
  what: TaskControlKind,
  signal: Option<String>,
) -> Result<Outcome, CtlError> {
  let task = get::task(session, target).await?;
  let Some(attempt) = get::attempts(session, &task).await?.pop() else {
    let words = format!("task {} has no attempt, it is {}", task.id.short(), task.status);
    return Err(CtlError::new(Exit::Conflict, words).help(format!("hetuflowctl cancel {target}")));
  };
  let args = ControlArgs {
    target: attempt.id.to_string(),
    what,
    signal,
    reason: None,
    force: false,
    grace: None,
  };
  control(session, &args, &attempt).await
}

async fn control(
  session: &Session,
  args: &ControlArgs,
  attempt: &TaskInstanceEntity,
) -> Result<Outcome, CtlError> {
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
  let done = format!("asked to {}", args.what);
  let deed =
    Deed { verb: "control", command: "attempt control", what: Kind::Attempt.word(), done: &done };
  each(session, Kind::Attempt, deed, vec![Item { name: id, call }]).await
}
