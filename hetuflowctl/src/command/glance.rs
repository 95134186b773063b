//! The health of everything on one screen: what `status` shows once, or again and again.

use hetuflow_core::{AgentEntity, AgentStatus, Page, ServerEntity, TaskEntity, Ts};
use serde_json::{Value, json};

use super::object::list::everything;
use crate::client::{Call, Client, CtlError, Exit};
use crate::output::relative;

/// Tasks counted per state; more are shown as so many and a plus.
const COUNT_MAX: i64 = 1000;
/// Failures that are named.
const FAILURES: i64 = 5;

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Glance {
  /// The server.
  pub client: Client,
  /// Tasks of this namespace, or of all.
  pub namespace: Option<String>,
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
  /// For people.
  pub text: String,
  /// For programs.
  pub value: Value,
  /// The server is healthy and an agent is connected.
  pub well: bool,
}

impl Glance {
  /// One look.
  ///
  /// # Errors
  /// When no server answers, or it does not accept the token.
  pub async fn look(&self) -> Result<Seen, CtlError> {
    let client = &self.client;
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
      queue.push((state, self.count(state).await?));
    }
    let failing = self.tasks("failed,lost", FAILURES).await?.data;
    let state = health.get("status").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let well = matches!(state.as_str(), "healthy" | "ok" | "ready") && online > 0;

    let place = &client.place;
    let mut text = format!("{}  {state}  {}\n", place.title(), place.server);
    for server in &servers {
      text.push_str(&format!(
        "server  {}  {}  {}  up since {}\n",
        server.id, server.status, server.version, server.started_at
      ));
    }
    let paused = super::cluster::freezes_in(&health);
    text.extend(paused.iter().map(|one| format!("PAUSED  {}\n", super::cluster::told(one))));
    text.push_str(&format!("agents  {online} of {} connected\n", agents.len()));
    let counts: Vec<String> = queue
      .iter()
      .map(|(state, (n, more))| format!("{n}{} {state}", if *more { "+" } else { "" }))
      .collect();
    text.push_str(&format!("tasks   {}\n", counts.join(", ")));
    text.extend(failing.iter().map(failure));
    let counts = queue.iter().map(|(state, (n, _))| ((*state).to_owned(), json!(n)));
    let value = json!({
      "status": state, "server": place.server, "health": health, "servers": servers,
      "agents": { "online": online, "known": agents.len() },
      "tasks": counts.collect::<serde_json::Map<_, _>>(),
      "recent_failures": failing,
    });
    Ok(Seen { text, value, well })
  }

  async fn count(&self, state: &str) -> Result<(usize, bool), CtlError> {
    let page = self.tasks(state, COUNT_MAX).await?;
    Ok((page.data.len(), page.page.next_cursor.is_some()))
  }

  async fn tasks(&self, states: &str, limit: i64) -> Result<Page<TaskEntity>, CtlError> {
    let call = Call::get("/tasks")
      .query("status", states)
      .query("limit", limit)
      .query_some("namespace_id", self.namespace.as_ref());
    self.client.fetch(call).await
  }
}

fn failure(task: &TaskEntity) -> String {
  let when = task.completed_at.map(|at| relative(at, Ts::now())).unwrap_or_default();
  let reason = task.reason.as_deref().unwrap_or_default();
  format!("failed  {}/{}  {reason}  {when}\n", task.job_name, task.id.short())
}

/// Whether work can be given to an agent, or it is connected at least.
pub fn is_online(agent: &AgentEntity) -> bool {
  !matches!(
    agent.status,
    AgentStatus::Offline | AgentStatus::Connecting | AgentStatus::Disconnecting
  )
}
