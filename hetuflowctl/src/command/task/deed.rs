//! One act on many tasks: chosen, counted, asked about once, done, told.

use hetuflow_core::{TaskActions, TaskEntity};
use serde_json::json;

use super::{chosen, together};
use crate::cli::BulkOptions;
use crate::client::{Call, CtlError};
use crate::command::bulk::{Deed, Failed, Item, agree, chosen_unseen, send, some_failed};
use crate::command::session::Session;
use crate::output::{Outcome, Record, Rows, TableRow as _, View};

/// What is done to which tasks.
#[derive(Debug, Clone, Copy)]
pub struct OnTasks<'a> {
  /// The act.
  pub deed: Deed<'a>,
  /// The names that were given.
  pub targets: &'a [String],
  /// How many, and whether for real.
  pub options: BulkOptions,
  /// How many are done together; `None`: one request for each.
  pub together: Option<&'a TaskActions>,
  /// What is shown are lines, not the tasks in a table.
  pub lines: bool,
}

/// Does it; the tasks as the server answers them.
///
/// # Errors
/// When it fails for the only one; with several, each failure is told and the exit code is 11.
pub async fn run(
  session: &Session,
  what: OnTasks<'_>,
  call: impl Fn(&TaskEntity) -> Call,
) -> Result<Outcome, CtlError> {
  let limit = what.options.limit;
  let chosen = chosen::some(session, what.targets, limit).await?;
  let unseen = chosen_unseen(session, what.targets)?;
  let found: Vec<Record> = chosen.tasks.iter().map(Record::of).collect();
  if found.is_empty() && !chosen.failed.is_empty() {
    let failure = some_failed(what.deed, chosen.failed.len(), &chosen.failed);
    return Ok(Outcome::from(View::Nothing).partial(failure));
  }
  if let Some(end) = agree(session, what.deed, (unseen, what.options), &found)? {
    return Ok(end);
  }
  if unseen && limit > 0 && found.len() == limit as usize {
    session.look.say(format!("only the first {limit} are taken; --limit N takes more"));
  }
  let total = found.len() + chosen.failed.len();
  let (done, mut failed) = match what.together {
    Some(action) if chosen.tasks.len() > 1 => {
      together::run(session, what.deed, (action, &chosen.tasks)).await?
    }
    _ => one_by_one(session, what.deed, (&chosen.tasks, total), call).await?,
  };
  failed.splice(0..0, chosen.failed);
  let view = match what.lines {
    true => told(&done, &failed, what.deed.done),
    false if total == 1 => View::things(&done),
    // One of many stays one row of a list.
    false => View::List(Rows::ready(&done)),
  };
  let outcome = Outcome::from(view);
  Ok(if failed.is_empty() {
    outcome
  } else {
    outcome.partial(some_failed(what.deed, total, &failed))
  })
}

async fn one_by_one(
  session: &Session,
  deed: Deed<'_>,
  (tasks, total): (&[TaskEntity], usize),
  call: impl Fn(&TaskEntity) -> Call,
) -> Result<(Vec<TaskEntity>, Vec<Failed>), CtlError> {
  let items = tasks.iter().map(|task| Item { name: task.id.short(), call: call(task) }).collect();
  let (mut done, mut failed) = (Vec::new(), Vec::new());
  for (name, answer) in send(session, deed, items).await? {
    match answer.and_then(|body| read_task(&body)) {
      Ok(task) => done.push(task),
      Err(error) if total == 1 => return Err(error),
      Err(error) => failed.push(Failed { name, error }),
    }
  }
  Ok((done, failed))
}

fn read_task(body: &[u8]) -> Result<TaskEntity, CtlError> {
  serde_json::from_slice(body)
    .map_err(|error| CtlError::failure(format!("the answer is not a task: {error}")))
}

/// One line per task for people; for programs the task, or one result for each of many.
fn told(tasks: &[TaskEntity], failed: &[Failed], done: &str) -> View {
  let text = tasks.iter().map(|task| format!("task/{} {done}\n", task.reference())).collect();
  let names = tasks.iter().map(|task| format!("task/{}", task.reference())).collect();
  let value = match (tasks, failed) {
    ([one], []) => json!(one),
    _ => {
      let well =
        tasks.iter().map(|task| json!({ "name": task.reference(), "ok": true, "object": task }));
      json!({ "items": well.chain(failed.iter().map(Failed::value)).collect::<Vec<_>>() })
    }
  };
  View::Text { text, value, names }
}
