//! `logs`: the output of tasks.

use futures_util::stream::{self, StreamExt as _};
use hetuflow_core::{TaskEntity, TaskInstanceEntity};

use super::line_cut::Source;
use super::line_pick::LinePick;
use super::log_shape::{Pieces, RawPiece, by_time, shape, style};
use super::{chosen, follow, run::with_exit};
use crate::cli::{Attempt, AttemptLogs, ExitStatus, LogsArgs};
use crate::client::{CtlError, Exit};
use crate::command::object::get;
use crate::command::session::Session;
use crate::output::{LogPiece, Outcome, View};

/// Most tasks that a filter may choose.
pub(super) const SOURCES_MAX: u32 = 100;

/// Prints or follows.
///
/// # Errors
/// When a task is not there.
pub async fn run(session: &Session, args: &LogsArgs) -> Result<Outcome, CtlError> {
  let own = args.exit_status == Some(ExitStatus::Task);
  let outcome = tasks(session, args).await;
  if own { outcome.map_err(CtlError::beside_a_task) } else { outcome }
}

async fn tasks(session: &Session, args: &LogsArgs) -> Result<Outcome, CtlError> {
  if args.verify {
    return super::verify::run(session, args).await;
  }
  // An expression that cannot be read is told before anything is asked.
  LinePick::new(&args.options)?;
  let tasks = chosen::tasks(session, &args.targets, SOURCES_MAX).await?.tasks;
  match tasks.as_slice() {
    [] => Ok(Outcome::from(View::Nothing).note("nothing found")),
    [one] => single(session, args, one).await,
    many if args.exit_status == Some(ExitStatus::Task) => Err(
      CtlError::usage("--exit-status task needs one target")
        .fact(format!("{} tasks were named", many.len())),
    ),
    many => several(session, args, many).await,
  }
}

/// Whose lines they are.
pub fn source(task: &TaskEntity) -> Source {
  let task_id = task.id.short();
  Source { label: format!("{}/{task_id}", task.job_name), task: task_id }
}

/// The attempts that are meant.
pub(super) async fn attempts(
  session: &Session,
  task: &TaskEntity,
  which: Attempt,
) -> Result<Vec<TaskInstanceEntity>, CtlError> {
  let mut attempts = get::attempts(session, task).await?;
  match which {
    Attempt::All => {}
    Attempt::Latest => attempts = attempts.pop().into_iter().collect(),
    Attempt::Number(number) => {
      attempts.retain(|one| one.attempt == number);
      if attempts.is_empty() {
        let words = format!("task {} has no attempt {number}", task.id.short());
        let newest = format!("its newest attempt is {}", task.attempt);
        return Err(CtlError::new(Exit::NotFound, words).fact(newest));
      }
    }
  }
  Ok(attempts)
}

async fn raw(
  session: &Session,
  args: &LogsArgs,
  task: &TaskEntity,
) -> Result<Pieces<RawPiece>, CtlError> {
  let client = session.client()?.clone();
  if args.attempt == Attempt::Latest {
    return Ok(follow::pieces(client, task.clone(), args.options.clone()));
  }
  let attempts = attempts(session, task, args.attempt).await?;
  let options = args.options.clone();
  Ok(
    stream::iter(attempts)
      .flat_map(move |attempt| {
        let note = RawPiece::Note(format!("-- attempt {} --", attempt.attempt));
        let output = follow::of_attempt(client.clone(), attempt, options.clone());
        stream::iter([Ok(note)]).chain(output)
      })
      .boxed(),
  )
}

async fn single(
  session: &Session,
  args: &LogsArgs,
  task: &TaskEntity,
) -> Result<Outcome, CtlError> {
  let short = task.id.short();
  if args.options.follow && !task.status.is_final() {
    session.goes_on(format!("task {short} keeps running; hetuflowctl logs -f {short}"));
  }
  let pieces = raw(session, args, task).await?;
  let mut pieces = shape(pieces, source(task), &args.options, (&session.look, false))?;
  if let Some(which) = args.exit_status {
    pieces = with_exit(pieces, session.client()?.clone(), task.id.to_string(), which);
  }
  Ok(View::logs(pieces, style(&args.options, false)).into())
}

/// Several at once: each line says whose it is. What has ended is merged by time; what is followed
/// comes as it comes.
async fn several(
  session: &Session,
  args: &LogsArgs,
  tasks: &[TaskEntity],
) -> Result<Outcome, CtlError> {
  let mut sources = Vec::new();
  for task in tasks {
    let pieces = raw(session, args, task).await?;
    sources.push(shape(pieces, source(task), &args.options, (&session.look, true))?);
  }
  let mut pieces =
    if args.options.follow { stream::select_all(sources).boxed() } else { by_time(sources) };
  if args.options.follow {
    session.goes_on("the tasks go on");
  }
  if args.exit_status == Some(ExitStatus::Simple) {
    let ids = tasks.iter().map(|task| task.id.to_string()).collect();
    pieces = pieces.chain(all_ended(session.client()?.clone(), ids)).boxed();
  }
  Ok(View::logs(pieces, style(&args.options, true)).into())
}

/// 0 where all succeeded, 12 otherwise.
fn all_ended(
  client: crate::client::Client,
  ids: Vec<String>,
) -> impl futures_util::Stream<Item = Result<LogPiece, CtlError>> + Send + 'static {
  stream::once(async move {
    let mut well = true;
    for id in ids {
      let ended = super::wait::poll_final(&client, &id).await?;
      well &= ended.status == hetuflow_core::TaskStatus::Succeeded;
    }
    Ok(LogPiece::Exit(if well { 0 } else { Exit::TaskFailed as u8 }))
  })
}

/// The output of one attempt.
///
/// # Errors
/// When it is not there.
pub async fn of_attempt(session: &Session, args: &AttemptLogs) -> Result<Outcome, CtlError> {
  let attempt = get::attempt(session, &args.target).await?;
  if args.verify {
    return super::verify::of_attempt(session, &attempt).await;
  }
  let task = get::task(session, &attempt.task_id.to_string()).await?;
  let pieces = follow::of_attempt(session.client()?.clone(), attempt, args.options.clone());
  let pieces = shape(pieces, source(&task), &args.options, (&session.look, false))?;
  Ok(View::logs(pieces, style(&args.options, false)).into())
}
