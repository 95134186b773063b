//! Orders to agents as a whole: stored, carried by whichever server holds the connection, and
//! answered to whoever waits.

use std::time::Duration;

use hetuflow_core::{
  AgentCommandEntity, AgentCommandRequest, AgentCommandState, AgentEntity, AgentId, AgentStatus,
  ErrorCode, ErrorResponse, NamespaceId, Role, Topic,
};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::agent_svc::AgentSvc;
use super::{Actor, Store, SvcError, SvcResult};
use crate::infra::bmc::agent_command_bmc;
pub use crate::infra::bmc::agent_command_bmc::CommandEnd;
use crate::infra::db::DbError;

/// How long an answer is waited for, where the asker does not say.
const WAIT: Duration = Duration::from_secs(10);
/// Between two looks for an answer that another server has stored.
const LOOK: Duration = Duration::from_millis(100);

/// Use cases of orders to agents.
#[derive(Clone)]
pub struct AgentCommandSvc {
  store: Store,
  agents: AgentSvc,
}

impl AgentCommandSvc {
  /// Over a store.
  pub fn new(store: Store, agents: AgentSvc) -> Self {
    Self { store, agents }
  }

  /// Gives an order and waits for what the agent says.
  ///
  /// # Errors
  /// 404 for an agent that is not known, 409 for one that is not connected or that refuses, 503
  /// where no answer comes in time, 403 below administration, or the broken rules.
  pub async fn run(
    &self,
    actor: &Actor,
    id: &str,
    request: &AgentCommandRequest,
  ) -> SvcResult<AgentCommandEntity> {
    let agent = self.agents.get(actor, id).await?;
    actor.require_everywhere(Role::Admin)?;
    let mut errors = Vec::new();
    request.check(&mut errors);
    SvcError::check(errors)?;
    if matches!(agent.status, AgentStatus::Offline | AgentStatus::Disconnecting) {
      return Err(not_connected(&agent));
    }
    let wait = request.timeout.map_or(WAIT, |timeout| timeout.0);
    let row = self.store_command(actor, &agent.id, request, wait).await?;
    self.store.bus.fleet.notify_one();
    self.store.bus.remote.notify_one();
    let ended = self.wait_for(row, Instant::now() + wait).await?;
    match ended.state {
      AgentCommandState::Done => Ok(ended),
      AgentCommandState::Refused => Err(refused(&ended)),
      _ => Err(no_answer(&ended, wait)),
    }
  }

  async fn store_command(
    &self,
    actor: &Actor,
    agent: &AgentId,
    request: &AgentCommandRequest,
    wait: Duration,
  ) -> SvcResult<AgentCommandEntity> {
    let mut work = self.store.work().await?;
    let row = AgentCommandEntity {
      id: Uuid::now_v7(),
      agent_id: agent.clone(),
      command: request.command,
      parameters: request.parameters.clone(),
      state: AgentCommandState::Waiting,
      result: None,
      message: None,
      created_by: actor.name.clone(),
      created_at: work.now,
      expires_at: work.now.plus(wait),
      finished_at: None,
    };
    let outcome = agent_command_bmc::create(&mut work.tx, &row).await.map_err(SvcError::from);
    let data = json!({ "command": row.command, "command_id": row.id, "by": row.created_by });
    let subject = (Topic::Agent, agent.to_string());
    work.note(&NamespaceId::default(), subject, "agent.command", data);
    work.end(outcome).await?;
    Ok(row)
  }

  /// The command once it has ended, or as it is when the time is over; then it has expired.
  async fn wait_for(
    &self,
    row: AgentCommandEntity,
    until: Instant,
  ) -> SvcResult<AgentCommandEntity> {
    loop {
      let answered = self.store.bus.answers.notified();
      tokio::pin!(answered);
      answered.as_mut().enable();
      let mut conn = self.store.read().await?;
      let now = agent_command_bmc::get(&mut conn, row.id).await?;
      drop(conn);
      match now {
        Some(now) if now.finished_at.is_some() => return Ok(now),
        Some(now) if Instant::now() >= until => {
          let state = AgentCommandState::Expired;
          let message = match now.state {
            AgentCommandState::Waiting => "it was not sent: no server holds the connection",
            _ => "it was sent and not answered",
          };
          let message = Some(message.to_owned());
          let end = CommandEnd { id: now.id, state, result: None, message };
          if self.finish(&now.agent_id, &end).await? {
            return Ok(AgentCommandEntity { state, message: end.message, ..now });
          }
        }
        Some(_) => {}
        None => return Err(SvcError::not_found("command", &row.id.to_string())),
      }
      tokio::select! {
        () = answered => {}
        () = tokio::time::sleep(LOOK) => {}
      }
    }
  }

  /// Commands that wait to be sent.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn waiting(&self) -> Result<Vec<AgentCommandEntity>, DbError> {
    let mut conn = self.store.db.read().await?;
    agent_command_bmc::waiting(&mut conn).await
  }

  /// Takes a command to send it; `false` where another has it.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn take(&self, command: &AgentCommandEntity) -> Result<bool, DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      Ok(command.expires_at > now && agent_command_bmc::take(&mut tx, command.id).await?)
    }
    .await;
    tx.end(outcome).await
  }

  /// Stores how a command of this agent ended. Returns whether it had not.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn finish(&self, agent: &AgentId, end: &CommandEnd) -> Result<bool, DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      agent_command_bmc::finish(&mut tx, agent, end, now).await
    }
    .await;
    let ended = tx.end::<_, DbError>(outcome).await?;
    self.store.bus.answers.notify_waiters();
    Ok(ended)
  }
}

fn not_connected(agent: &AgentEntity) -> SvcError {
  let since = agent.last_heartbeat_at.map_or_else(
    || "it has never connected".to_owned(),
    |at| format!("it was last heard of at {at}"),
  );
  let message = format!("agent \"{}\" is {}: {since}", agent.id, agent.status);
  SvcError::conflict("agent.not_connected", "/id", message)
}

fn refused(command: &AgentCommandEntity) -> SvcError {
  let why = command.message.as_deref().unwrap_or("it does not say why");
  let message = format!("agent \"{}\" refuses {}: {why}", command.agent_id, command.command);
  SvcError::conflict("command.refused", "/command", message)
}

fn no_answer(command: &AgentCommandEntity, wait: Duration) -> SvcError {
  let AgentCommandEntity { agent_id, command: what, message, .. } = command;
  let why = message.as_deref().unwrap_or_default();
  let text = format!("agent \"{agent_id}\" has not answered {what} within {wait:?}: {why}");
  SvcError::refused(ErrorResponse::new(ErrorCode::Unavailable, text))
}
