//! One act on many tasks in few requests: the server does it to each and answers for each.

use std::collections::HashMap;

use hetuflow_core::{BULK_MAX, TaskActions, TaskActionsResponse, TaskEntity, TaskId};

use crate::client::{Call, Client, CtlError, Exit};
use crate::command::bulk::{Deed, Failed};
use crate::command::object::list::everything;
use crate::command::session::Session;

/// Ids in one filter; a filter is part of an address, which may not be long.
const IDS_MAX: usize = 100;

/// Does it; the tasks as they are afterwards (after a retry the new ones), and what failed.
///
/// # Errors
/// When a request fails as a whole.
pub async fn run(
  session: &Session,
  deed: Deed<'_>,
  (action, tasks): (&TaskActions, &[TaskEntity]),
) -> Result<(Vec<TaskEntity>, Vec<Failed>), CtlError> {
  let client = session.client()?;
  let (mut done, mut failed) = (Vec::new(), Vec::new());
  let words = format!("{} {} {}s", deed.verb, tasks.len(), deed.what);
  let sending = async {
    for part in tasks.chunks(BULK_MAX) {
      let ids = part.iter().map(|task| task.id.to_string()).collect();
      let call = Call::post("/tasks/actions").json(&TaskActions { ids, ..action.clone() });
      let answer: TaskActionsResponse = client.fetch(call).await?;
      for (task, result) in part.iter().zip(answer.results) {
        match result.task_id.filter(|_| result.ok) {
          Some(id) => done.push(id),
          None => failed.push(Failed { name: task.id.short(), error: refusal(&result) }),
        }
      }
    }
    read(client, &done).await
  };
  let found = session.progress().during(&words, sending).await?;
  Ok((found, failed))
}

fn refusal(result: &hetuflow_core::TaskActionResult) -> CtlError {
  let words = result.message.clone().unwrap_or_else(|| "no reason given".to_owned());
  let mut error = CtlError::new(Exit::Failure, words);
  if let Some(code) = &result.code {
    error.code.clone_from(code);
  }
  error
}

/// The tasks with these ids, in this order.
async fn read(client: &Client, ids: &[TaskId]) -> Result<Vec<TaskEntity>, CtlError> {
  let mut found: HashMap<TaskId, TaskEntity> = HashMap::new();
  for part in ids.chunks(IDS_MAX) {
    let list = part.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let call = Call::get("/tasks").query("filter", format!("id={list}"));
    found
      .extend(everything::<TaskEntity>(client, call).await?.into_iter().map(|one| (one.id, one)));
  }
  Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}
