//! Everything about one thing, for people.

use hetuflow_core::{Page, TaskEntity};
use serde_json::{Value, json};

use super::get;
use super::kind::Kind;
use crate::cli::GetArgs;
use crate::client::{Call, CtlError};
use crate::command::session::Session;
use crate::output::{Outcome, View, describe};

/// Tasks shown with a job.
const RECENT: i64 = 5;

/// Describes things.
///
/// # Errors
/// When a thing is not there.
pub async fn run(session: &Session, args: &GetArgs) -> Result<Outcome, CtlError> {
  let (kind, names) = get::words(&args.words)?;
  let mut values = Vec::new();
  for name in &names {
    values.push(value(session, kind, name).await?);
  }
  let text: Vec<String> = values.iter().map(describe).collect();
  let value = if values.len() == 1 { values.remove(0) } else { json!(values) };
  Ok(View::text(text.join("\n"), value).into())
}

async fn value(session: &Session, kind: Kind, name: &str) -> Result<Value, CtlError> {
  let (mut value, more) = match kind {
    Kind::Job => {
      let job = get::job(session, name).await?;
      let call = Call::get("/tasks").query("job_id", job.id).query("limit", RECENT);
      let recent: Page<TaskEntity> = session.client()?.fetch(call).await?;
      let recent: Vec<String> = recent.data.iter().map(one_line).collect();
      let schedules = get::schedules_of(session, &job).await?;
      (json!(job), json!({ "schedules": schedules, "recent_tasks": recent }))
    }
    Kind::Task => {
      let task = get::task(session, name).await?;
      let attempts = get::attempts(session, &task).await?;
      (json!(task), json!({ "attempts": attempts }))
    }
    Kind::Attempt => (json!(get::attempt(session, name).await?), Value::Null),
    Kind::Token | Kind::Server => {
      let found = get::run(session, kind, &[name.to_owned()]).await?;
      let View::Things(_, mut records) = found.view else { return Ok(Value::Null) };
      (records.pop().map_or(Value::Null, |record| record.value), Value::Null)
    }
    kind => (get::one::<Value>(session, kind, name).await?, Value::Null),
  };
  if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
    fields.extend(more);
  }
  Ok(value)
}

fn one_line(task: &TaskEntity) -> String {
  let exit = task.exit_code.map(|code| format!(" exit {code}")).unwrap_or_default();
  format!("{} {}{exit} at {}", task.id.short(), task.status, task.scheduled_at)
}
