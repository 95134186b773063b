//! `attempt control`, `task kill`, `task signal`.

use std::time::Duration;

use hetuflow_core::{TaskControlKind, TaskInstanceEntity};
use serde_json::json;

use super::chosen;
use crate::cli::{BulkOptions, ControlArgs, KillArgs, SignalArgs};
use crate::client::{Call, CtlError, Exit};
use crate::command::bulk::{Deed, Failed, Item, agree, chosen_unseen};
use crate::command::object::act::{each, each_beside};
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, Record};

/// Controls a running attempt.
///
/// # Errors
/// When it is not there, or has ended.
pub async fn run(session: &Session, args: &ControlArgs) -> Result<Outcome, CtlError> {
  let attempt = get::attempt(session, &args.target).await?;
  control(session, args, &attempt).await
}

/// Kills the newest attempts of tasks.
///
/// # Errors
/// When the only task is not there, or runs nowhere; with several, each failure is told and the
/// exit code is 11.
pub async fn kill(session: &Session, args: &KillArgs) -> Result<Outcome, CtlError> {
  let deed = Deed { verb: "kill", command: "task kill", what: "task", done: "asked to kill" };
  let order = Order { what: Some(TaskControlKind::Kill), ..Order::default() };
  on_tasks(session, deed, (&args.targets.targets, args.bulk), &order).await
}

/// Sends a signal to the newest attempts of tasks.
///
/// # Errors
/// As [`kill`].
pub async fn signal(session: &Session, args: &SignalArgs) -> Result<Outcome, CtlError> {
  let command = format!("task signal --signal {}", args.signal);
  let deed = Deed { verb: "signal", command: &command, what: "task", done: "asked to signal" };
  let order =
    Order { what: Some(TaskControlKind::Signal), signal: Some(&args.signal), ..Order::default() };
  on_tasks(session, deed, (&args.targets.targets, args.bulk), &order).await
}

async fn on_tasks(
  session: &Session,
  deed: Deed<'_>,
  (targets, options): (&[String], BulkOptions),
  order: &Order<'_>,
) -> Result<Outcome, CtlError> {
  let chosen = chosen::some(session, targets, options.limit).await?;
  let unseen = chosen_unseen(session, targets)?;
  let found: Vec<Record> = chosen.tasks.iter().map(Record::of).collect();
  if (chosen.failed.is_empty() || !found.is_empty())
    && let Some(end) = agree(session, deed, (unseen, options), &found)?
  {
    return Ok(end);
  }
  let (mut items, mut failed) = (Vec::new(), chosen.failed);
  for task in chosen.tasks {
    let name = task.id.short();
    match task.instance_id {
      Some(id) => items.push(Item { name, call: order.call(&id.to_string()) }),
      None => {
        let words = format!("task {name} has no attempt, it is {}", task.status);
        let help = format!("hetuflowctl cancel {name}");
        failed.push(Failed { name, error: CtlError::new(Exit::Conflict, words).help(help) });
      }
    }
  }
  each_beside(session, (Kind::Task, deed), items, failed).await
}

async fn control(
  session: &Session,
  args: &ControlArgs,
  attempt: &TaskInstanceEntity,
) -> Result<Outcome, CtlError> {
  let order = Order {
    what: Some(args.what),
    signal: args.signal.as_deref(),
    reason: args.reason.as_deref(),
    force: args.force,
    grace: args.grace,
  };
  let id = attempt.id.to_string();
  let call = order.call(&id);
  let done = format!("asked to {}", args.what);
  let deed =
    Deed { verb: "control", command: "attempt control", what: Kind::Attempt.word(), done: &done };
  each(session, Kind::Attempt, deed, vec![Item { name: id, call }]).await
}

/// What is asked of an attempt.
#[derive(Debug, Default)]
struct Order<'a> {
  what: Option<TaskControlKind>,
  signal: Option<&'a str>,
  reason: Option<&'a str>,
  force: bool,
  grace: Option<Duration>,
}

impl Order<'_> {
  fn call(&self, attempt: &str) -> Call {
    let mut body = json!({ "control_type": self.what, "force": self.force });
    let fields = body.as_object_mut().expect("an object");
    if let Some(signal) = self.signal {
      fields.insert("signal".into(), json!(signal));
    }
    if let Some(reason) = self.reason {
      fields.insert("reason".into(), json!(reason));
    }
    if let Some(grace) = self.grace {
      fields.insert("grace_secs".into(), json!(grace.as_secs_f64()));
    }
    Call::post(format!("{}/control", Kind::Attempt.path_of(attempt))).json(&body)
  }
}
