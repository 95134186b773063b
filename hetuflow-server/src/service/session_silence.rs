//! Agents that are heard and agents that are not: signs of life, and what becomes of attempts when an agent
//! goes silent.

use std::time::Duration;

use hetuflow_core::{AgentId, AgentStatus, NamespaceId};
use serde_json::json;

use super::attempt_end::effective_config;
use super::session_svc::{LOST_UNREACHABLE, SessionSvc, agent_change, agent_event};
use crate::infra::bmc::agent_bmc::{self, Heartbeat};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot;
use crate::infra::db::DbError;

/// How often signs of life are stored anew where another transaction was in the way.
const TRIES_MAX: usize = 4;

impl SessionSvc {
  /// Notes signs of life of connected agents, on the database's clock.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn heartbeats(&self, beats: &[Heartbeat]) -> Result<(), DbError> {
    if beats.is_empty() {
      return Ok(());
    }
    // They are not heard a second time.
    for _ in 1..TRIES_MAX {
      match self.note_beats(beats).await {
        Err(error) if error.is_retry() => {}
        outcome => return outcome,
      }
    }
    self.note_beats(beats).await
  }

  async fn note_beats(&self, beats: &[Heartbeat]) -> Result<(), DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      let ids = beats.iter().map(|beat| &beat.id);
      let offline = agent_bmc::lock_offline(&mut tx, ids).await?;
      let mut journal = Journal::default();
      for beat in beats {
        if !agent_bmc::heartbeat(&mut tx, beat, &self.server, now).await? {
          continue;
        }
        // Called offline too early, on the connection that it still has.
        if offline.contains(&beat.id) {
          hot::clear_unreachable(&mut tx, &beat.id).await?;
          let change = agent_change(&beat.id, "agent.online", json!({"status": beat.status}), now);
          journal.push(&NamespaceId::default(), change);
        }
        if beat.clock_invalid {
          let change = agent_change(&beat.id, "agent.clock_invalid", json!({}), now);
          journal.push(&NamespaceId::default(), change);
        }
      }
      event_bmc::append(&mut tx, &journal, now).await?;
      Ok(!journal.is_empty())
    }
    .await;
    if tx.end::<_, DbError>(outcome).await? {
      self.store.bus.events.notify_one();
    }
    Ok(())
  }

  /// A connection of an agent ended.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn disconnected(&self, id: &AgentId, connection_epoch: i64) -> Result<(), DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      let status = AgentStatus::Disconnecting;
      if agent_bmc::set_status(&mut tx, id, connection_epoch, status).await? {
        let journal = agent_event(id, "agent.disconnected", json!({"status": status}), now);
        event_bmc::append(&mut tx, &journal, now).await?;
      }
      Ok(())
    }
    .await;
    tx.end::<_, DbError>(outcome).await?;
    self.store.bus.events.notify_one();
    Ok(())
  }

  /// Calls agents that were silent for `unreachable_after` offline and their attempts
  /// unreachable. Returns how many agents.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn sweep_silent(&self, unreachable_after: Duration) -> Result<usize, DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let now = tx.now().await?;
      let silent = agent_bmc::mark_silent(&mut tx, now.minus(unreachable_after)).await?;
      let mut journal = Journal::default();
      for id in &silent {
        let attempts = hot::mark_unreachable(&mut tx, id, now).await?;
        let data = json!({"status": "offline", "unreachable_attempts": attempts});
        let change = agent_change(id, "agent.offline", data, now);
        journal.push(&NamespaceId::default(), change);
      }
      event_bmc::append(&mut tx, &journal, now).await?;
      Ok(silent.len())
    }
    .await;
    let count = tx.end::<_, DbError>(outcome).await?;
    if count > 0 {
      self.store.bus.events.notify_one();
    }
    Ok(count)
  }

  /// Calls attempts unreachable whose agent is offline and that were missed when it was given up,
  /// as a claim that a server made for it just then and died. Returns how many.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn sweep_orphans(&self) -> Result<u64, DbError> {
    let mut conn = self.store.db.read().await?;
    let any = hot::any_orphans(&mut conn).await?;
    drop(conn);
    if !any {
      return Ok(0);
    }
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      // One that comes back meanwhile would not know that anything of it was given up.
      let offline = agent_bmc::lock_all_offline(&mut tx).await?;
      let now = tx.now().await?;
      hot::mark_orphans(&mut tx, &offline, now).await
    }
    .await;
    tx.end::<_, DbError>(outcome).await
  }

  /// Ends attempts that have been unreachable for longer than their job allows. Returns how many
  /// are lost, and how many are still unreachable.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn sweep_lost(&self) -> Result<(usize, usize), DbError> {
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let candidates = hot::unreachable_before(&mut conn, now).await?;
    let mut lost = Vec::new();
    for candidate in &candidates {
      let rows = hot::lock_rows(&mut conn, &[candidate.task_id]).await?;
      let Some(row) = rows.first() else { continue };
      let config = effective_config(&mut conn, &self.jobs, row).await?;
      let after = config.lost_after(self.lost_after);
      if config.may_be_replaced() && now.since(candidate.unreachable_since) >= after {
        lost.push((candidate.task_id, candidate.fence.unwrap_or_default()));
      }
    }
    drop(conn);
    let count = self.declare_lost(&lost, LOST_UNREACHABLE).await?;
    Ok((count, candidates.len().saturating_sub(count)))
  }
}
