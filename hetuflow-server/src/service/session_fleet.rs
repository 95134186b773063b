//! Agents between their registrations: what they say anew of themselves, and when they are
//! forgotten.

use std::time::Duration;

use hetuflow_core::{AgentCapabilities, AgentId, Labels, NamespaceId, effective_labels};
use serde_json::json;

use super::session_svc::{SessionSvc, agent_change, agent_event};
use crate::infra::bmc::agent_bmc;
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::db::DbError;

impl SessionSvc {
  /// Takes over what an agent says of itself between registrations; gives the labels that count.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn capabilities(
    &self,
    id: &AgentId,
    mut capabilities: AgentCapabilities,
  ) -> Result<Option<Labels>, DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      let Some(known) = agent_bmc::lock(&mut tx, id).await? else { return Ok(None) };
      for (key, value) in known.capabilities.metadata {
        capabilities.metadata.entry(key).or_insert(value);
      }
      let labels = effective_labels(id, &capabilities, &known.given_labels);
      agent_bmc::set_capabilities(&mut tx, id, (&capabilities, &labels), now).await?;
      let data = json!({
        "labels": labels, "max_concurrent_tasks": capabilities.max_concurrent_tasks,
      });
      event_bmc::append(&mut tx, &agent_event(id, "agent.updated", data, now), now).await?;
      Ok(Some(labels))
    }
    .await;
    let labels = tx.end::<_, DbError>(outcome).await?;
    self.store.bus.events.notify_one();
    Ok(labels)
  }

  /// Forgets agents that nobody has heard of for `ttl`, are connected nowhere and have nothing in
  /// hand. Returns how many.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn forget_stale(&self, ttl: Duration) -> Result<usize, DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      let before = now.minus(ttl);
      let (mut journal, mut count) = (Journal::default(), 0);
      for agent in agent_bmc::list_forgotten(&mut tx, before).await? {
        if !agent_bmc::delete_forgotten(&mut tx, &agent.id, before).await? {
          continue;
        }
        count += 1;
        // What people gave it is told, so that it can be given again.
        let data = json!({
          "reason": "stale", "last_heartbeat_at": agent.last_heartbeat_at,
          "hostname": agent.hostname, "description": agent.description,
          "given_labels": agent.given_labels, "cordoned": agent.cordoned,
        });
        let change = agent_change(&agent.id, "agent.removed", data, now);
        journal.push(&NamespaceId::default(), change);
      }
      event_bmc::append(&mut tx, &journal, now).await?;
      Ok(count)
    }
    .await;
    let count = tx.end::<_, DbError>(outcome).await?;
    if count > 0 {
      self.store.bus.events.notify_one();
    }
    Ok(count)
  }
}
