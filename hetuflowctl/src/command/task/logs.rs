//! `logs`: the output of tasks.

use futures_util::stream::{self, StreamExt as _};

use super::{follow, run::with_exit};
use crate::cli::{Attempt, AttemptLogs, ExitStatus, LogOptions, LogsArgs};
use crate::client::{CtlError, Exit};
use crate::command::names::expand;
use crate::command::object::get;
use crate::command::session::Session;
use crate::output::{LogPiece, Outcome, View};

/// Prints or follows.
///
/// # Errors
/// When a task is not there.
pub async fn run(session: &Session, args: &LogsArgs) -> Result<Outcome, CtlError> {
  let targets = expand(&args.targets)?;
  if targets.len() > 1 {
    return several(session, args, &targets).await;
  }
  let outcome = single(session, args, &targets[0]).await;
  if args.exit_status == Some(ExitStatus::Task) {
    outcome.map_err(CtlError::beside_a_task)
  } else {
    outcome
  }
}

async fn single(session: &Session, args: &LogsArgs, target: &str) -> Result<Outcome, CtlError> {
  let client = session.client()?.clone();
  let task = get::task(session, target).await?;
  let (short, id) = (task.id.short(), task.id.to_string());
  if args.options.follow && !task.status.is_final() {
    session.goes_on(format!("task {short} keeps running; hetuflowctl logs -f {short}"));
  }
  let pieces = match args.attempt {
    Attempt::Latest => follow::pieces(client.clone(), task, args.options.clone()),
    Attempt::All | Attempt::Number(_) => {
      let mut attempts = get::attempts(session, &task).await?;
      if let Attempt::Number(number) = args.attempt {
        attempts.retain(|one| one.attempt == number);
        if attempts.is_empty() {
          return Err(
            CtlError::new(Exit::NotFound, format!("task {short} has no attempt {number}"))
              .fact(format!("its newest attempt is {}", task.attempt)),
          );
        }
      }
      let (client, options) = (client.clone(), args.options.clone());
      stream::iter(attempts)
        .flat_map(move |attempt| {
          let note = LogPiece::Note(format!("-- attempt {} --", attempt.attempt));
          let output = follow::of_attempt(client.clone(), attempt, options.clone());
          stream::iter([Ok(note)]).chain(output)
        })
        .boxed()
    }
  };
  let pieces = match args.exit_status {
    Some(which) => with_exit(pieces, client, id, which),
    None => pieces,
  };
  Ok(View::logs(pieces, args.options.raw).into())
}

/// Several at once: each line says whose it is.
async fn several(
  session: &Session,
  args: &LogsArgs,
  targets: &[String],
) -> Result<Outcome, CtlError> {
  if args.exit_status == Some(ExitStatus::Task) {
    return Err(CtlError::usage("--exit-status task needs one target"));
  }
  let mut sources = Vec::new();
  for target in targets {
    let task = get::task(session, target).await?;
    let label = format!("{}/{}", task.job_name, task.id.short());
    let pieces = follow::pieces(session.client()?.clone(), task, args.options.clone());
    let pieces = pieces.map(move |piece| match piece {
      Ok(LogPiece::Bytes { stream, bytes, .. }) => {
        Ok(LogPiece::Bytes { stream, bytes, label: Some(label.clone()) })
      }
      other => other,
    });
    sources.push(pieces.boxed());
  }
  session.goes_on("the tasks go on");
  Ok(View::logs(stream::select_all(sources), args.options.raw).into())
}

/// The output of one attempt.
///
/// # Errors
/// When it is not there.
pub async fn of_attempt(session: &Session, args: &AttemptLogs) -> Result<Outcome, CtlError> {
  let attempt = get::attempt(session, &args.target).await?;
  let options: LogOptions = args.options.clone();
  let pieces = follow::of_attempt(session.client()?.clone(), attempt, options);
  Ok(View::logs(pieces, args.options.raw).into())
}
