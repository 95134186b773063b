//! `status`: health on one screen; `--wait-ready` waits for a server.

use std::time::Duration;

use hetuflow_core::{AgentEntity, AgentStatus, Page, ServerEntity, TaskEntity};
use serde_json::{Value, json};

use super::object::list::everything;
use super::session::Session;
use crate::cli::StatusArgs;
use crate::client::{Call, Client, CtlError, Exit, Place};
use crate::output::{Outcome, View, describe, relative};

const LOOK: Duration = Duration::from_millis(100);
/// Without `--timeout` a wait ends here.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// One look at a server that is not up yet takes no longer.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Tasks counted per state; more are shown as so many and a plus.
const COUNT_MAX: i64 = 1000;

/// Shows the health.
///
/// # Errors
/// When no server answers, or it does not become ready.
pub async fn run(session: &Session, args: &StatusArgs) -> Result<Outcome, CtlError> {
  if args.wait_ready {
    let wait = wait_ready(session, args.agents);
    session.progress().during("waiting for a server", wait).await?;
  }
  let client = session.client()?;
  let health = match client.fetch::<Value>(Call::get("/system/health")).await {
    Ok(health) => health,
    Err(error) if error.is_unreachable() || error.exit == Exit::Unauthorized as u8 => {
      return Err(error);
    }
    Err(error) => json!({ "status": "unhealthy", "error": error.message }),
  };
  let servers: Vec<ServerEntity> = everything(client, Call::get("/servers")).await?;
  let agents: Vec<AgentEntity> = everything(client, Call::get("/agents")).await?;
  let online = agents.iter().filter(|agent| is_online(agent)).count();
  let mut queue = Vec::new();
  for state in ["pending", "doing", "waiting_retry"] {
    queue.push((state, count(session, state).await?));
  }
  let failing = recent_failures(session).await?;
  let state = health.get("status").and_then(Value::as_str).unwrap_or("unknown").to_owned();
  let well = matches!(state.as_str(), "healthy" | "ok" | "ready");

  let place = &client.place;
  let mut text = format!("{}  {state}  {}\n", place.title(), place.server);
  for server in &servers {
    text.push_str(&format!(
      "server  {}  {}  {}  up since {}\n",
      server.id, server.status, server.version, server.started_at
    ));
  }
  text.push_str(&format!("agents  {online} of {} connected\n", agents.len()));
  let counts: Vec<String> = queue
    .iter()
    .map(|(state, (n, more))| format!("{n}{} {state}", if *more { "+" } else { "" }))
    .collect();
  text.push_str(&format!("tasks   {}\n", counts.join(", ")));
  for task in &failing {
    let when = task.completed_at.map(|at| relative(at, session.look.now)).unwrap_or_default();
    let reason = task.reason.as_deref().unwrap_or_default();
    text.push_str(&format!("failed  {}/{}  {reason}  {when}\n", task.job_name, task.id.short()));
  }
  let value = json!({
    "status": state, "server": place.server, "health": health, "servers": servers,
    "agents": { "online": online, "known": agents.len() },
    "tasks": queue.iter().map(|(state, (n, _))| ((*state).to_owned(), json!(n))).collect::<serde_json::Map<_, _>>(),
    "recent_failures": failing,
  });
  let outcome = Outcome::from(View::text(text, value));
  Ok(if args.exit_code && !(well && online > 0) {
    outcome.exit(Exit::Failure as u8)
  } else {
    outcome
  })
}

/// Whether work can be given to an agent, or it is connected at least.
pub fn is_online(agent: &AgentEntity) -> bool {
  !matches!(
    agent.status,
    AgentStatus::Offline | AgentStatus::Connecting | AgentStatus::Disconnecting
  )
}

async fn count(session: &Session, state: &str) -> Result<(usize, bool), CtlError> {
  let call = Call::get("/tasks")
    .query("status", state)
    .query("limit", COUNT_MAX)
    .query_some("namespace_id", session.list_namespace()?);
  let page: Page<TaskEntity> = session.client()?.fetch(call).await?;
  Ok((page.data.len(), page.page.next_cursor.is_some()))
}

async fn recent_failures(session: &Session) -> Result<Vec<TaskEntity>, CtlError> {
  let call = Call::get("/tasks")
    .query("status", "failed,lost")
    .query("limit", 5)
    .query_some("namespace_id", session.list_namespace()?);
  let page: Page<TaskEntity> = session.client()?.fetch(call).await?;
  Ok(page.data)
}

/// Waits until a server is ready, accepts the token, and has so many agents. The context is read
/// anew each time: `dev` may be about to write it.
async fn wait_ready(session: &Session, agents: usize) -> Result<(), CtlError> {
  let limit = session.global.timeout.unwrap_or(WAIT_MAX);
  let end = tokio::time::Instant::now() + limit;
  loop {
    let look = tokio::time::timeout(LOOK_MAX, look(session, agents)).await;
    let last = match look {
      Ok(Ok(())) => return Ok(()),
      Ok(Err(error)) => error,
      Err(_) => CtlError::new(Exit::Unreachable, "the server does not answer in time"),
    };
    if tokio::time::Instant::now() + LOOK >= end {
      let mut error =
        CtlError::new(Exit::Timeout, format!("no server was ready within {} s", limit.as_secs()));
      error.facts.push(last.message.clone());
      error.facts.extend(last.facts.clone());
      return Err(error.help("nothing running yet? hetuflowctl dev"));
    }
    tokio::time::sleep(LOOK).await;
  }
}

async fn look(session: &Session, agents: usize) -> Result<(), CtlError> {
  let place = Place::settle(&session.origin()?)?;
  ready_once(place, agents).await
}

/// One look: ready, the token accepted, so many agents connected.
///
/// # Errors
/// What is missing.
pub async fn ready_once(place: Place, agents: usize) -> Result<(), CtlError> {
  // A closed port is told by one quick connect: the client's own retries would make the wait long.
  let address = place.server.socket_addrs(|| None)?;
  let refused = |error: std::io::Error| {
    CtlError::new(Exit::Unreachable, format!("no hetuflow server answers at {}", place.server))
      .fact(error.to_string())
  };
  tokio::net::TcpStream::connect(address.as_slice()).await.map_err(refused)?;
  let client = Client::new(place, LOOK_MAX, 0)?;
  client.send(Call::get("/system/ready")).await?;
  client.send(Call::get("/auth/me")).await?;
  if agents > 0 {
    let all: Vec<AgentEntity> = everything(&client, Call::get("/agents")).await?;
    let online = all.iter().filter(|agent| is_online(agent)).count();
    if online < agents {
      return Err(CtlError::failure(format!("{online} of {agents} agents are connected")));
    }
  }
  Ok(())
}

/// What the server says at a path, as it is.
///
/// # Errors
/// What the server says.
pub async fn raw(session: &Session, path: &str) -> Result<Outcome, CtlError> {
  let value: Value = session.client()?.fetch(Call::get(path)).await?;
  Ok(View::text(describe(&value), value).into())
}
