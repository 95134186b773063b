//! `wait`: until tasks end, or start.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hetuflow_core::{TaskEntity, TaskStatus};

use super::{exit_code, sentence};
use crate::cli::{ExitStatus, Until, WaitArgs};
use crate::client::{Client, CtlError, Exit};
use crate::command::names::{expand, with_suggestion};
use crate::command::object::Kind;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// One long poll; under the server's 60 s and under common proxy limits.
const POLL: Duration = Duration::from_secs(30);
/// Between looks at a task that has not started.
const LOOK: Duration = Duration::from_millis(200);

/// Waits.
///
/// # Errors
/// When a task is not there or the server stays away.
pub async fn run(session: &Session, args: &WaitArgs) -> Result<Outcome, CtlError> {
  let targets = expand(&args.targets.targets)?;
  let which = args.exit_status.unwrap_or(ExitStatus::Simple);
  if which == ExitStatus::Task && targets.len() > 1 {
    return Err(CtlError::usage("--exit-status task needs one target"));
  }
  let words = if targets.len() == 1 {
    format!("waiting for {}", targets[0])
  } else {
    format!("waiting for {} tasks", targets.len())
  };
  session.goes_on("the tasks go on");
  let waited = session.progress().during(&words, all(session, args, &targets)).await;
  let tasks = match waited {
    Err(error) if which == ExitStatus::Task => return Err(error.beside_a_task()),
    other => other?,
  };
  let exit = match which {
    ExitStatus::Task => exit_code(&tasks[0], which).exit,
    ExitStatus::Simple if tasks.iter().all(|task| as_wanted(task, args.until)) => 0,
    ExitStatus::Simple => Exit::TaskFailed as u8,
  };
  let mut outcome = Outcome::from(View::things(&tasks)).exit(exit);
  if let [one] = tasks.as_slice() {
    outcome = outcome.note(sentence(one));
  }
  Ok(outcome)
}

async fn all(
  session: &Session,
  args: &WaitArgs,
  targets: &[String],
) -> Result<Vec<TaskEntity>, CtlError> {
  let mut waits: FuturesUnordered<_> = targets
    .iter()
    .enumerate()
    .map(|(index, target)| async move {
      match args.until {
        Until::Running => started(session, target).await,
        _ => until_final(session, target).await,
      }
      .map(|task| (index, task))
    })
    .collect();
  let mut found = Vec::new();
  while let Some(task) = waits.next().await {
    found.push(task?);
    if args.any {
      break;
    }
  }
  found.sort_by_key(|(index, _)| *index);
  Ok(found.into_iter().map(|(_, task)| task).collect())
}

fn as_wanted(task: &TaskEntity, until: Until) -> bool {
  match until {
    // The default: any end ends the wait, and only success is 0.
    Until::Done | Until::Succeeded => task.status == TaskStatus::Succeeded,
    Until::Failed => task.status.is_final() && task.status != TaskStatus::Succeeded,
    Until::Running => true,
  }
}

/// Waits for the end of a task.
///
/// # Errors
/// When it is not there or the server stays away.
pub async fn until_final(session: &Session, target: &str) -> Result<TaskEntity, CtlError> {
  let client = session.client()?;
  // The first look settles which task is meant: job@latest may be another one later.
  let task = match client.task(target, None).await {
    Ok(task) => task,
    Err(error) => return Err(with_suggestion(session, Kind::Task, target, error).await),
  };
  if task.status.is_final() {
    return Ok(task);
  }
  poll_final(client, &task.id.to_string()).await
}

/// Polls until a task has ended; a server that is away for a while is waited for.
///
/// # Errors
/// When the task is not there, or the server refuses.
pub async fn poll_final(client: &Client, id: &str) -> Result<TaskEntity, CtlError> {
  loop {
    match client.task(id, Some(POLL)).await {
      Ok(task) if task.status.is_final() => return Ok(task),
      Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
      Err(error) if error.is_unreachable() || error.exit == Exit::Overloaded as u8 => {
        tokio::time::sleep(Duration::from_secs(1)).await;
      }
      Err(error) => return Err(error),
    }
  }
}

async fn started(session: &Session, target: &str) -> Result<TaskEntity, CtlError> {
  let client = session.client()?;
  let mut task = match client.task(target, None).await {
    Ok(task) => task,
    Err(error) => return Err(with_suggestion(session, Kind::Task, target, error).await),
  };
  let id = task.id.to_string();
  while task.started_at.is_none() && !task.status.is_final() {
    tokio::time::sleep(LOOK).await;
    task = client.task(&id, None).await?;
  }
  Ok(task)
}
