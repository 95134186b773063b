//! Orders to agents as a whole, and their answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hetuflow_core::{
  AgentCommandEntity, AgentCommandRequest, AgentEntity, AgentMetrics, CommandKind, Seconds,
};
use serde_json::{Value, json};

use super::load_words;
use crate::cli::{AgentCommandArgs, AgentRestartArgs};
use crate::client::{Call, CtlError, Exit};
use crate::command::names::expand;
use crate::command::object::{Kind, bare, get};
use crate::command::session::Session;
use crate::output::{Outcome, View, describe, visible};

/// Between two looks at an agent that is on its way back.
const LOOK: Duration = Duration::from_millis(100);
/// How long an agent may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Gives any order.
///
/// # Errors
/// What the server says, or the agent.
pub async fn run(session: &Session, args: &AgentCommandArgs) -> Result<Outcome, CtlError> {
  let parameters = args.params.iter().map(|(key, text)| {
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
    (key.clone(), value)
  });
  let answer = order(session, &args.name, (args.command, parameters.collect()), args.wait).await?;
  let result = answer.result.clone().unwrap_or(Value::Null);
  Ok(View::text(describe(&result), json!(answer)).into())
}

async fn order(
  session: &Session,
  name: &str,
  (command, parameters): (CommandKind, BTreeMap<String, Value>),
  wait: Duration,
) -> Result<AgentCommandEntity, CtlError> {
  let request = AgentCommandRequest { command, parameters, timeout: Some(Seconds(wait)) };
  let path = format!("{}/command", Kind::Agent.path_of(bare(Kind::Agent, name)));
  session.client()?.fetch(Call::post(path).json(&request).slow(wait)).await
}

/// Starts agents anew, one after the other, each when the one before is back.
///
/// # Errors
/// When one refuses, or does not come back in time.
pub async fn restart(session: &Session, args: &AgentRestartArgs) -> Result<Outcome, CtlError> {
  let (mut text, mut values) = (String::new(), Vec::new());
  for name in expand(&args.names.names)? {
    let before: AgentEntity = get::one(session, Kind::Agent, &name).await?;
    let begun = Instant::now();
    let answer = order(session, &name, (CommandKind::Restart, BTreeMap::new()), ANSWER).await?;
    let after = back(session, &before, begun + args.wait).await?;
    let running = answer.result.as_ref().map_or(&Value::Null, |told| &told["running"]);
    let took = begun.elapsed().as_secs_f64();
    text.push_str(&format!(
      "agent/{} restarted in {took:.1}s, version {}, {running} tasks went on\n",
      after.id,
      visible(&after.version)
    ));
    values.push(json!({ "name": after.id, "version": after.version, "seconds": took }));
  }
  Ok(View::text(text, json!(values)).into())
}

/// The agent once another process of it is registered.
async fn back(
  session: &Session,
  before: &AgentEntity,
  until: Instant,
) -> Result<AgentEntity, CtlError> {
  loop {
    let now: AgentEntity = get::one(session, Kind::Agent, before.id.as_str()).await?;
    if now.agent_epoch > before.agent_epoch {
      return Ok(now);
    }
    if Instant::now() >= until {
      let words = format!("agent \"{}\" has not come back; it was told to restart", before.id);
      return Err(CtlError::new(Exit::Timeout, words).help("look at its log on its host"));
    }
    tokio::time::sleep(LOOK).await;
  }
}

/// Asks agents how they are; the exit code is 1 where one is not well.
///
/// # Errors
/// When one does not answer.
pub async fn ping(session: &Session, names: &[String]) -> Result<Outcome, CtlError> {
  let (mut text, mut values, mut all_well) = (String::new(), Vec::new(), true);
  for name in expand(names)? {
    let begun = Instant::now();
    let answer = order(session, &name, (CommandKind::HealthCheck, BTreeMap::new()), ANSWER).await?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    let told = answer.result.unwrap_or(Value::Null);
    let well = told["healthy"] == true;
    all_well &= well;
    let words = match told["problems"].as_array() {
      Some(problems) if !well => {
        let words: Vec<_> = problems.iter().filter_map(Value::as_str).collect();
        visible(&words.join("; "))
      }
      _ => format!("{} of {} slots in use", told["running"], told["slots"]),
    };
    let state = if well { "well" } else { "not well" };
    let name = bare(Kind::Agent, &name);
    text.push_str(&format!("agent/{name} is {state}, {took:.0} ms: {words}\n"));
    values.push(json!({ "name": name, "milliseconds": took, "answer": told }));
  }
  let outcome = Outcome::from(View::text(text, json!(values)));
  Ok(if all_well { outcome } else { outcome.exit(1) })
}

/// Load and health of a host, from the last heartbeat.
///
/// # Errors
/// What the server says.
pub async fn metrics(session: &Session, name: &str) -> Result<Outcome, CtlError> {
  let path = format!("{}/metrics", Kind::Agent.path_of(bare(Kind::Agent, name)));
  let figures: AgentMetrics = session.client()?.fetch(Call::get(path)).await?;
  Ok(View::text(format!("{}\n", load_words(&figures)), json!(figures)).into())
}
