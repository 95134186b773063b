//! `run`: start a task, wait for it, print its output, hand back its exit code.

use futures_util::stream::{self, StreamExt as _};
use hetuflow_core::{BULK_MAX, BulkResponse, TaskBulkCreate, TaskEntity, TaskForCreate};
use serde_json::{Value, json};

use super::log_shape::shape;
use super::{exit_code, follow, order, sentence, wait};
use crate::cli::{ExitStatus, LogOptions, RunArgs, read_selector};
use crate::client::{Call, CtlError, Exit, path_of};
use crate::command::job::versions;
use crate::command::names::with_suggestion;
use crate::command::object::{Kind, artifact_put, bare, create::namespace_id, get};
use crate::command::session::Session;
use crate::output::{LogPiece, LogStyle, Outcome, Record, TableRow as _, View};

/// Starts a task.
///
/// # Errors
/// What the server says; where the task's own exit code was wanted, as 125.
pub async fn run(session: &Session, args: &RunArgs) -> Result<Outcome, CtlError> {
  let mut args = args.clone();
  if let Some(text) = &session.global.selector {
    args
      .options
      .require
      .push(read_selector(text).map_err(|why| CtlError::usage(format!("-l: {why}")))?);
  }
  let args = &args;
  let options = &args.options;
  let waits = options.wait || options.logs;
  if options.dry_run {
    return dry(session, args).await;
  }
  if options.cancel_on_interrupt && !waits {
    return Err(CtlError::usage("--cancel-on-interrupt needs --wait or --logs"));
  }
  if args.options.count > 1 {
    if waits {
      return Err(CtlError::usage(
        "--count starts many tasks; wait for them with hetuflowctl wait -",
      ));
    }
    return many(session, args).await;
  }
  let which = options.exit_status.unwrap_or(ExitStatus::Task);
  let outcome = one(session, args).await;
  // Where the task's code was asked for, ours must not be taken for it.
  if waits && which == ExitStatus::Task {
    outcome.map_err(CtlError::beside_a_task)
  } else {
    outcome
  }
}

/// What would be asked for; the job is looked up, nothing is sent that starts anything.
async fn dry(session: &Session, args: &RunArgs) -> Result<Outcome, CtlError> {
  let mut order = wanted(session, args).await?;
  if let Some(job) = &args.job {
    order.job_id = Some(get::job(session, job).await?.id);
  }
  let value = json!({ "count": args.options.count, "task": order });
  let view = View::text(crate::output::describe(&value), value);
  Ok(Outcome::from(view).note("dry run: nothing was started"))
}

async fn one(session: &Session, args: &RunArgs) -> Result<Outcome, CtlError> {
  let options = &args.options;
  let task = start(session, args).await?;
  if !options.wait && !options.logs {
    return Ok(View::thing(&task).into());
  }
  let (short, id) = (task.id.short(), task.id.to_string());
  session.goes_on(format!("task {short} keeps running; hetuflowctl logs -f {short}"));
  if options.cancel_on_interrupt {
    let path = format!("{}/cancel", Kind::Task.path_of(&id));
    let call = Call::post(path).json(&json!({ "reason": "interrupted at the terminal" }));
    session.on_interrupt(call, format!("task {short} is asked to stop"));
  }
  let which = options.exit_status.unwrap_or(ExitStatus::Task);
  if options.logs {
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let whose = super::logs::source(&task);
    let pieces = follow::pieces(session.client()?.clone(), task, options.clone());
    let pieces = shape(pieces, whose, &options, (&session.look, false))?;
    let pieces = pieces.map(move |piece| match piece {
      Err(error) if which == ExitStatus::Task => Err(error.beside_a_task()),
      other => other,
    });
    let pieces = with_exit(pieces.boxed(), session.client()?.clone(), id, which);
    return Ok(View::logs(pieces, LogStyle::default()).into());
  }
  let ended = wait::until_final(session, &id).await?;
  Ok(finished(&ended, which))
}

/// Adds the end of the task behind its output.
pub fn with_exit(
  pieces: stream::BoxStream<'static, Result<LogPiece, CtlError>>,
  client: crate::client::Client,
  task: String,
  which: ExitStatus,
) -> stream::BoxStream<'static, Result<LogPiece, CtlError>> {
  let end = stream::once(async move {
    let ended = wait::poll_final(&client, &task).await?;
    let exit = exit_code(&ended, which).exit;
    Ok(vec![Ok(LogPiece::Note(sentence(&ended))), Ok(LogPiece::Exit(exit))])
  });
  let end = end.flat_map(|pieces: Result<Vec<_>, CtlError>| match pieces {
    Ok(pieces) => stream::iter(pieces),
    Err(error) => stream::iter(vec![Err(error)]),
  });
  pieces.chain(end).boxed()
}

/// A task that has ended, with its exit code.
pub fn finished(task: &TaskEntity, which: ExitStatus) -> Outcome {
  let told = exit_code(task, which);
  let mut record = Record::of(task);
  if let (Some(fields), Value::Object(facts)) = (record.value.as_object_mut(), told.facts()) {
    fields.extend(facts);
  }
  Outcome::from(View::Things(TaskEntity::COLUMNS, vec![record]))
    .exit(told.exit)
    .note(sentence(task))
}

async fn start(session: &Session, args: &RunArgs) -> Result<TaskEntity, CtlError> {
  let client = session.client()?;
  let order = wanted(session, args).await?;
  // Every start has a key, so that a repeat after a broken connection starts nothing twice. One that
  // becomes one task with others is no task of its own, and has none.
  let keyed = |call: Call| match (&order.dedup, &args.options.idempotency_key) {
    (Some(_), _) => call,
    (None, Some(key)) => call.idempotency_key(key),
    (None, None) => call.idempotency_key(&format!("ctl-{}", uuid::Uuid::now_v7())),
  };
  let Some(job) = &args.job else {
    return client.fetch(keyed(Call::post("/tasks").json(&order))).await;
  };
  let job = bare(Kind::Job, job);
  let call =
    Call::post(path_of(&["jobs", job, "run"])).query("namespace_id", &client.place.namespace);
  match client.fetch(keyed(call.json(&order))).await {
    Ok(task) => Ok(task),
    Err(error) => Err(with_suggestion(session, Kind::Job, job, error).await),
  }
}

async fn wanted(session: &Session, args: &RunArgs) -> Result<TaskForCreate, CtlError> {
  let namespace = namespace_id(&session.client()?.place.namespace)?;
  let mut order = order::task(&args.options, namespace)?;
  order.idempotency_key = args.options.idempotency_key.clone();
  if let Some(text) = &args.cmd {
    order.config = Some(order::command(text, args)?);
  } else if let Some(job) = &args.job
    && order::changes_settings(&args.options)
  {
    let job = get::job(session, job).await?;
    let config = match args.options.job_version {
      Some(version) => {
        let spec = versions::one(session, &job, version).await?;
        // Its environment too; what this run gives goes before it.
        let mut environment = spec.environment;
        environment.extend(order.environment.take().unwrap_or_default());
        order.environment = (!environment.is_empty()).then_some(environment);
        spec.config
      }
      None => job.config,
    };
    order.config = Some(order::changed(&config, &args.options));
  }
  if let Some(config) = &mut order.config {
    let files = artifact_put::of_run(session, &args.options.files, args.options.dry_run).await?;
    order::give_files(config, files);
  }
  Ok(order)
}

async fn many(session: &Session, args: &RunArgs) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let mut order = wanted(session, args).await?;
  if let Some(job) = &args.job {
    order.job_id = Some(get::job(session, job).await?.id);
  }
  let (mut left, mut ids, mut failures, mut done) =
    (args.options.count as usize, Vec::new(), Vec::new(), 0_usize);
  while left > 0 {
    let part = left.min(BULK_MAX);
    let items = (0..part).map(|at| numbered(&order, done + at)).collect();
    let call = Call::post("/tasks/bulk").json(&TaskBulkCreate { items });
    let answer: BulkResponse = session
      .progress()
      .during(&format!("starting {} tasks", args.options.count), client.fetch(call))
      .await?;
    for result in answer.results {
      match (result.id, result.error) {
        (Some(id), _) => ids.push(id),
        (None, error) => {
          failures.push(error.map_or("no reason given".to_owned(), |error| error.err_msg))
        }
      }
    }
    left -= part;
    done += part;
  }
  let mut text = String::new();
  for id in &ids {
    text.push_str(&format!("task/{}\n", id.short()));
  }
  let names = ids.iter().map(|id| format!("task/{}", id.short())).collect();
  let value = json!({ "created": ids.len(), "failed": failures.len(), "ids": ids });
  let outcome = Outcome::from(View::Text { text, value, names });
  if failures.is_empty() {
    return Ok(outcome);
  }
  let note = format!(
    "error: started {} of {}; first reason: {}",
    ids.len(),
    args.options.count,
    failures[0]
  );
  Ok(outcome.exit(Exit::SomeFailed as u8).note(note))
}

/// Each of many has a key of its own.
fn numbered(order: &TaskForCreate, number: usize) -> TaskForCreate {
  let key = order.idempotency_key.as_ref().map(|key| format!("{key}-{number}"));
  TaskForCreate { idempotency_key: key, ..order.clone() }
}
