//! Emptying agents.

use std::time::Duration;

use hetuflow_core::{AgentEntity, DrainRequest, Page, Seconds, TaskEntity};

use crate::cli::DrainArgs;
use crate::client::{Call, CtlError};
use crate::command::object::act::{on_many, picked};
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::Outcome;

/// Between two looks at an agent that is not empty.
const LOOK: Duration = Duration::from_millis(500);

/// Begins drains, and waits for their end where asked to.
///
/// # Errors
/// When it fails for the only one.
pub async fn run(session: &Session, args: &DrainArgs) -> Result<Outcome, CtlError> {
  let request = DrainRequest {
    timeout: args.timeout.map(Seconds),
    then: Some(args.then),
    reason: args.reason.clone(),
  };
  // Found before the drain begins: a filter may not find them again.
  let waited = if args.wait && !args.many.bulk.dry_run {
    picked(session, Kind::Agent, &args.many).await?
  } else {
    Vec::new()
  };
  let done = if args.wait { "drained" } else { "draining" };
  let outcome = on_many(session, Kind::Agent, ("drain", done), &args.many, |path| {
    Call::post(format!("{path}/drain")).json(&request)
  })
  .await?;
  if outcome.failure.is_some() {
    return Ok(outcome);
  }
  let mut outcome = outcome;
  for agent in waited {
    outcome = outcome.note(wait_for(session, &agent.name).await?);
  }
  Ok(outcome)
}

/// Waits until one drain is over; a person may end it before.
async fn wait_for(session: &Session, name: &str) -> Result<String, CtlError> {
  loop {
    let agent: AgentEntity = get::one(session, Kind::Agent, name).await?;
    if agent.drain_since.is_none() {
      return Ok(format!("{name}  the drain was called off"));
    }
    if agent.drained_at.is_some() {
      let left = left_on(session, &agent).await?;
      return Ok(match left {
        0 => format!("{name}  is empty"),
        1 => format!("{name}  its time is over, 1 task goes on"),
        left => format!("{name}  its time is over, {left} tasks go on"),
      });
    }
    tokio::time::sleep(LOOK).await;
  }
}

async fn left_on(session: &Session, agent: &AgentEntity) -> Result<usize, CtlError> {
  let path = format!("{}/tasks", Kind::Agent.path_of(agent.id.as_str()));
  let states = "locked,dispatched,running,paused,cancelling";
  let call = Call::get(path).query("status", states).query("limit", 1000);
  Ok(session.client()?.fetch::<Page<TaskEntity>>(call).await?.data.len())
}
