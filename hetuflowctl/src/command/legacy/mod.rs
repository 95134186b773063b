//! `legacy`: what the first version's commands did, through the routes that the server keeps for
//! them. Everything else speaks `/api/v1`.

mod rows;

use serde_json::{Value, json};

use crate::cli::{
  ExitStatus, LegacyAgents, LegacyCronJob, LegacyDispatch, LegacyTask, LegacyTasks, LegacyVerb,
  Targets, Until, WaitArgs,
};
use crate::client::{Call, CtlError};
use crate::command::session::Session;
use crate::command::task;
use crate::output::{Outcome, Rows, View};
use rows::{AgentRow, TaskRow};

/// Does a verb.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, verb: &LegacyVerb) -> Result<Outcome, CtlError> {
  match verb {
    LegacyVerb::CreateTask(args) => create_task(session, args).await,
    LegacyVerb::ListTasks(args) => list_tasks(session, args).await,
    LegacyVerb::CreateCronJob(args) => create_cron_job(session, args).await,
    LegacyVerb::ListAgents(args) => list_agents(session, args).await,
    LegacyVerb::DispatchTask(args) => dispatch(session, args).await,
  }
}

async fn create_task(session: &Session, args: &LegacyTask) -> Result<Outcome, CtlError> {
  let body = json!({
    "name": args.name, "task_type": args.task_type, "priority": args.priority,
    "payload": args.payload,
  });
  made(session, Call::post("/api/tasks").json(&body), "task").await.map(|(outcome, _)| outcome)
}

async fn dispatch(session: &Session, args: &LegacyDispatch) -> Result<Outcome, CtlError> {
  let name = args.name.as_ref().unwrap_or(&args.task_type);
  let body = json!({
    "name": name, "task_type": args.task_type, "payload": args.payload,
    "capabilities": args.capabilities,
  });
  let (outcome, id) = made(session, Call::post("/api/tasks").json(&body), "task").await?;
  if !args.wait {
    return Ok(outcome);
  }
  let wait = WaitArgs {
    targets: Targets { targets: vec![id] },
    until: Until::Done,
    any: false,
    exit_status: Some(ExitStatus::Simple),
  };
  task::wait::run(session, &wait).await
}

async fn create_cron_job(session: &Session, args: &LegacyCronJob) -> Result<Outcome, CtlError> {
  let mut body = json!({
    "name": args.name, "cron_expression": args.cron_expression, "task_type": args.task_type,
    "payload": args.payload, "enabled": !args.disabled,
  });
  if let Some(zone) = &args.timezone {
    body["timezone"] = json!(zone);
  }
  made(session, Call::post("/api/cron-jobs").json(&body), "job").await.map(|(outcome, _)| outcome)
}

/// What was made, and its id, which is all that people are shown.
async fn made(session: &Session, call: Call, kind: &str) -> Result<(Outcome, String), CtlError> {
  let made: Value = session.client()?.fetch(call).await?;
  let Some(id) = made.get("id").and_then(Value::as_str).map(str::to_owned) else {
    return Err(
      CtlError::failure("the answer names no id").help("hetuflowctl version --check-server"),
    );
  };
  let names = vec![format!("{kind}/{id}")];
  Ok((View::Text { text: id.clone(), value: made, names }.into(), id))
}

async fn list_tasks(session: &Session, args: &LegacyTasks) -> Result<Outcome, CtlError> {
  let call = Call::get("/api/tasks")
    .query("limit", args.limit)
    .query_some("status", args.status.as_ref())
    .query_some("task_type", args.task_type.as_ref());
  let rows: Vec<TaskRow> = session.client()?.fetch(call).await?;
  Ok(View::List(Rows::ready(&rows)).into())
}

async fn list_agents(session: &Session, args: &LegacyAgents) -> Result<Outcome, CtlError> {
  let call = Call::get("/api/agents").query_some("online", args.online.then_some(true));
  let rows: Vec<AgentRow> = session.client()?.fetch(call).await?;
  Ok(View::List(Rows::ready(&rows)).into())
}
