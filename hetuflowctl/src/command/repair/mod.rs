//! `repair`: find, plan, apply. Nothing is changed that a person has not seen before.

mod code;
mod find;

use std::path::Path;

use hetuflow_core::{ScheduleEntity, TaskEntity, Ts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::RepairVerb;
use crate::client::{Call, Client, CtlError, Exit, path_of, write_private};
use crate::command::session::Session;
use crate::output::{Outcome, View, ask, visible};
use code::{CODES, NOT_LOOKED_FOR};
use find::{Finding, seen_of_schedule, seen_of_task};

/// Findings, and the server that they are of.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
  /// The form of this file.
  version: u32,
  server: String,
  made_at: Ts,
  findings: Vec<Finding>,
}

/// Does a verb.
///
/// # Errors
/// What the server says; conflict, where something changed since the plan.
pub async fn run(session: &Session, verb: &RepairVerb) -> Result<Outcome, CtlError> {
  match verb {
    RepairVerb::Check => {
      let found = find::find(session).await?;
      let outcome = Outcome::from(View::text(text(&found), json!(found)));
      Ok(if found.is_empty() { outcome } else { outcome.exit(Exit::Failure as u8) })
    }
    RepairVerb::Plan { out } => plan(session, out.as_deref()).await,
    RepairVerb::Apply { plan } => apply(session, plan).await,
    RepairVerb::Explain { code } => explain(code),
  }
}

fn text(found: &[Finding]) -> String {
  let lines = found.iter().map(|one| format!("{}  {}\n", one.code, visible(&one.detail)));
  lines.chain([format!("{} finding(s)\n", found.len())]).collect()
}

async fn plan(session: &Session, out: Option<&Path>) -> Result<Outcome, CtlError> {
  let findings = find::find(session).await?;
  let server = session.client()?.place.server.to_string();
  let plan = Plan { version: 1, server, made_at: Ts::now(), findings };
  let value = json!(plan);
  let Some(path) = out else {
    let mut told = serde_json::to_string_pretty(&value).unwrap_or_default();
    told.push('\n');
    return Ok(View::text(told, value).into());
  };
  let bytes =
    serde_json::to_vec_pretty(&value).map_err(|error| CtlError::failure(error.to_string()))?;
  write_private(path, &bytes)?;
  let mut told = String::new();
  for one in &plan.findings {
    let change = code::find(&one.code).map_or("", |code| code.change);
    told.push_str(&format!("{}  {}\n      {change}\n", one.code, visible(&one.detail)));
  }
  told.push_str(&format!("{} repair(s) in {}\n", plan.findings.len(), path.display()));
  let next = format!("next: hetuflowctl repair apply {}", path.display());
  let outcome = Outcome::from(View::text(told, value));
  Ok(if plan.findings.is_empty() { outcome } else { outcome.note(next) })
}

async fn apply(session: &Session, path: &Path) -> Result<Outcome, CtlError> {
  let bytes = std::fs::read(path).map_err(|error| match error.kind() {
    std::io::ErrorKind::NotFound => {
      CtlError::new(Exit::NotFound, format!("no file {}", path.display()))
    }
    _ => CtlError::failure(format!("cannot read {}: {error}", path.display())),
  })?;
  let plan: Plan = serde_json::from_slice(&bytes).map_err(|error| {
    CtlError::new(Exit::Invalid, format!("{} is no plan: {error}", path.display()))
      .help("hetuflowctl repair plan --out FILE")
  })?;
  let client = session.client()?;
  if plan.server != client.place.server.to_string() {
    let message = format!("the plan is for {}, this is {}", plan.server, client.place.server);
    return Err(CtlError::new(Exit::Conflict, message));
  }
  // All are looked at before the first is touched.
  let mut moved = Vec::new();
  for one in &plan.findings {
    if now_seen(client, one).await? != Some(one.seen.clone()) {
      moved.push(format!("{}  {}", one.code, one.object));
    }
  }
  if !moved.is_empty() {
    let mut error =
      CtlError::new(Exit::Conflict, "these changed since the plan was made, nothing was done");
    error.facts = moved;
    return Err(error.help("hetuflowctl repair plan --out FILE"));
  }
  if plan.findings.is_empty() {
    return Ok(Outcome::from(View::text("nothing to repair", json!([]))));
  }
  session.look.say(text(&plan.findings).trim_end());
  let question = format!("Repair {} thing(s) on {}", plan.findings.len(), client.place.title());
  if !ask(&session.look, &question)? {
    return Ok(Outcome::from(View::Nothing).note("nothing was done"));
  }
  let (mut told, mut results, mut failed) = (String::new(), Vec::new(), false);
  for one in &plan.findings {
    let outcome = repair(client, one).await;
    failed |= outcome.is_err();
    let words =
      outcome.err().map_or("repaired".to_owned(), |error| format!("failed: {}", error.message));
    told.push_str(&format!("{}  {}  {}\n", one.code, one.object, visible(&words)));
    results.push(json!({ "code": one.code, "object": one.object, "ok": words == "repaired", "message": words }));
  }
  let outcome = Outcome::from(View::text(told, json!(results)));
  Ok(if failed { outcome.exit(Exit::SomeFailed as u8) } else { outcome })
}

fn object(one: &Finding) -> Result<(&str, &str), CtlError> {
  one.object.split_once('/').filter(|(kind, _)| matches!(*kind, "task" | "schedule")).ok_or_else(
    || CtlError::new(Exit::Invalid, format!("\"{}\" is no object of a plan", one.object)),
  )
}

/// What the object looks like now; `None` where it is gone.
async fn now_seen(client: &Client, one: &Finding) -> Result<Option<Value>, CtlError> {
  let (kind, id) = object(one)?;
  let seen = if kind == "task" {
    client
      .fetch::<TaskEntity>(Call::get(path_of(&["tasks", id])))
      .await
      .map(|task| seen_of_task(&task))
  } else {
    let call = Call::get(path_of(&["schedules", id]));
    client.fetch::<ScheduleEntity>(call).await.map(|schedule| seen_of_schedule(&schedule))
  };
  match seen {
    Ok(seen) => Ok(Some(seen)),
    Err(error) if error.is_not_found() => Ok(None),
    Err(error) => Err(error),
  }
}

async fn repair(client: &Client, one: &Finding) -> Result<(), CtlError> {
  let (kind, id) = object(one)?;
  if kind == "task" {
    return client.send(Call::post(path_of(&["tasks", id, "cancel"])).json(&json!({}))).await;
  }
  client.send(Call::post(path_of(&["schedules", id, "pause"])).json(&json!({}))).await?;
  client.send(Call::post(path_of(&["schedules", id, "resume"])).json(&json!({}))).await
}

fn explain(code: &str) -> Result<Outcome, CtlError> {
  let Some(one) = code::find(code) else {
    if let Some((code, why)) = NOT_LOOKED_FOR.iter().find(|one| one.0.eq_ignore_ascii_case(code)) {
      let error = CtlError::new(Exit::NotFound, format!("{code} is not looked for"));
      return Err(error.fact(*why).help("hetuflowctl repair check"));
    }
    let known: Vec<&str> = CODES.iter().map(|one| one.code).collect();
    let error = CtlError::new(Exit::NotFound, format!("no code \"{}\"", code.escape_debug()));
    return Err(error.help(format!("codes: {}", known.join(", "))));
  };
  let text = format!(
    "{}  {}\ncause   {}\nrisk    {}\nchange  {}\n",
    one.code, one.title, one.cause, one.risk, one.change
  );
  let value = json!({ "code": one.code, "title": one.title, "cause": one.cause, "risk": one.risk, "change": one.change });
  Ok(View::text(text, value).into())
}
