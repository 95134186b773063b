//! Carries orders to the agents connected here, and goes on with drains: any server may do either
//! for any agent, but only the one that holds a connection can say something over it.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{AgentCommand, AgentCommandEntity, AgentCommandState, AgentId, CommandKind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Roster;
use crate::service::{AgentCommandSvc, CommandEnd, DrainSvc, Store, SvcResult};

/// Time between looks while a drain is open, and while none is.
const LOOK_OPEN: Duration = Duration::from_millis(500);
const LOOK_IDLE: Duration = Duration::from_secs(2);

/// Carries orders, and goes on with drains.
pub struct FleetRouter {
  store: Store,
  roster: Arc<Roster>,
  commands: AgentCommandSvc,
  drains: DrainSvc,
}

impl FleetRouter {
  /// A router over the agents connected here.
  pub fn new(store: Store, roster: Arc<Roster>, commands: AgentCommandSvc) -> Self {
    let drains = DrainSvc::new(store.clone());
    Self { store, roster, commands, drains }
  }

  /// Works until stopped.
  pub async fn run(self, stop: CancellationToken) {
    let mut wait = Duration::ZERO;
    loop {
      tokio::select! {
        () = self.store.bus.fleet.notified() => {}
        () = tokio::time::sleep(wait) => {}
        () = stop.cancelled() => return,
      }
      wait = match self.turn().await {
        Ok(0) => LOOK_IDLE,
        Ok(_) => LOOK_OPEN,
        Err(error) => {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot steer agents");
          LOOK_IDLE
        }
      };
    }
  }

  /// Returns how many drains are open.
  async fn turn(&self) -> SvcResult<usize> {
    for command in self.commands.waiting().await? {
      self.carry(command).await?;
    }
    let turn = self.drains.turn().await?;
    for agent in turn.give_back {
      self.ask_back(&agent);
    }
    Ok(turn.open)
  }

  /// Sends a command once, if its agent is connected here.
  async fn carry(&self, command: AgentCommandEntity) -> SvcResult<()> {
    let Some(member) = self.roster.get(&command.agent_id) else { return Ok(()) };
    if !self.commands.take(&command).await? {
      return Ok(());
    }
    let order = AgentCommand {
      command_id: command.id,
      command_type: command.command,
      parameters: command.parameters,
      timeout: None,
      priority: 0,
    };
    if !member.link.command(order) {
      let end = CommandEnd {
        id: command.id,
        state: AgentCommandState::Refused,
        result: None,
        message: Some("its connection takes nothing just now".to_owned()),
      };
      self.commands.finish(&command.agent_id, &end).await?;
    }
    Ok(())
  }

  /// Asks an agent for what it has not started, after the last claim for it. What a claim that was
  /// under way still sends is asked for in the next turn.
  fn ask_back(&self, agent: &AgentId) {
    self.roster.update(agent, |member| member.cordoned = true);
    if let Some(member) = self.roster.get(agent) {
      let order = AgentCommand {
        command_id: Uuid::now_v7(),
        command_type: CommandKind::Drain,
        parameters: std::collections::BTreeMap::new(),
        timeout: None,
        priority: 0,
      };
      // A link that takes nothing is asked again in the next turn.
      let _full = member.link.command(order);
    }
  }
}
