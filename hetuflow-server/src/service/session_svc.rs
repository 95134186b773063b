//! Agents as the store sees them: registration, and what becomes of attempts when an agent comes
//! back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{
  AgentEntity, AgentId, AgentRegisterRequest, AgentStatus, Change, Delivery, NamespaceId,
  Reconcile, ReconcileAction, ServerId, Subject, TaskId, TaskInstanceStatus, TaskStatus, Topic, Ts,
  effective_labels,
};
use serde_json::json;

use super::attempt_end::{Ends, blank_end, effective_config};
use super::live_attempts::{LiveAttempt, LiveAttempts};
use super::returned_claims::take_back;
use super::{JobCache, Store, SvcError, SvcResult};
use crate::infra::bmc::agent_bmc::{self, Heartbeat};
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::hot::{self, HotRow};
use crate::infra::db::{Conn, DbError};

/// The reason of an attempt whose agent did not come back in time.
pub(super) const LOST_UNREACHABLE: &str = "lost(unreachable)";

/// The reason of an attempt whose agent came back without its memory.
const LOST_DATA: &str = "lost(agent_data_lost)";

/// The error of an agent that a newer copy of it stands in place of.
pub const SUPERSEDED: &str = "agent.superseded";

/// Attempts that agents name at most when they register.
const RUNNING_NAMED_MAX: usize = 3000;

/// Agents as the store sees them.
pub struct SessionSvc {
  pub(super) store: Store,
  pub(super) jobs: Arc<JobCache>,
  live: Arc<LiveAttempts>,
  pub(super) server: ServerId,
  pub(super) lost_after: Duration,
}

/// What a registration found.
#[derive(Debug)]
pub struct Registration {
  /// The agent's row.
  pub agent: AgentEntity,
  /// What to do with each attempt that the agent named.
  pub reconcile: Vec<Reconcile>,
  /// Attempts that the store gives to the agent and that it did not name. They are judged once
  /// its unacknowledged reports are in.
  pub unnamed: Vec<(TaskId, i64)>,
  /// Whether the agent's process is the one that the store knew.
  pub same_epoch: bool,
  /// Whether it remembers everything that it started before, and no other has that memory: what it
  /// does not name was not started.
  pub same_journal: bool,
  /// Whether it remembers nothing of what was started before.
  pub another_journal: bool,
  /// Whether the host started anew since.
  pub rebooted: bool,
}

impl SessionSvc {
  /// The service over a store.
  pub fn new(
    store: Store,
    jobs: Arc<JobCache>,
    live: Arc<LiveAttempts>,
    server: ServerId,
    lost_after: Duration,
  ) -> Self {
    Self { store, jobs, live, server, lost_after }
  }

  /// Takes an agent in, under the connection epoch that the store gives it. `alone` says that no
  /// older process of it is connected to this server.
  ///
  /// # Errors
  /// 409 for an older process of the same agent than the one that is known.
  pub async fn register(
    &self,
    id: &AgentId,
    request: &AgentRegisterRequest,
    alone: bool,
  ) -> SvcResult<Registration> {
    let mut tx = self.store.db.begin().await?;
    let outcome = self.register_in(&mut tx, id, (request, alone)).await;
    let registration = tx.end(outcome).await?;
    self.store.bus.events.notify_one();
    Ok(registration)
  }

  async fn register_in(
    &self,
    tx: &mut Conn,
    id: &AgentId,
    (request, alone): (&AgentRegisterRequest, bool),
  ) -> SvcResult<Registration> {
    let now = tx.now().await?;
    let known = agent_bmc::lock(tx, id).await?;
    if let Some(known) = &known
      && request.agent_epoch < known.agent_epoch
      && known.status != AgentStatus::Offline
    {
      // With the same memory it is a copy that must not go on; else two agents share a name.
      let copy = !known.journal_id.is_empty() && known.journal_id == request.journal_id;
      return Err(SvcError::conflict(
        if copy { SUPERSEDED } else { "agent.name_taken" },
        "/agent_epoch",
        format!("a newer process of agent {id} is registered"),
      ));
    }
    let same_epoch = known.as_ref().is_some_and(|k| k.agent_epoch == request.agent_epoch);
    let rebooted =
      known.as_ref().is_some_and(|k| !k.boot_id.is_empty() && k.boot_id != request.boot_id);
    let journal = &request.journal_id;
    // A copied machine has the same memory, and the older copy may still be about to start what
    // it was given: only one that has let go of its connection is known to be followed.
    let gone = |k: &AgentEntity| {
      same_epoch
        || matches!(k.status, AgentStatus::Disconnecting | AgentStatus::Offline)
        || alone && k.server_id.as_ref() == Some(&self.server)
    };
    let another_journal =
      !journal.is_empty() && known.as_ref().is_none_or(|k| k.journal_id != *journal);
    let same_journal = !journal.is_empty() && !another_journal && known.as_ref().is_some_and(gone);
    let given_labels = known.as_ref().map(|k| k.given_labels.clone()).unwrap_or_default();
    let mut capabilities = request.capabilities.clone();
    capabilities.metadata.extend(request.metadata.clone());
    let mut namespaces = request.namespaces.clone();
    if namespaces.is_empty() && !request.namespace_id.is_empty() {
      namespaces.push(request.namespace_id.clone());
    }
    let agent = AgentEntity {
      id: id.clone(),
      description: known.as_ref().map(|k| k.description.clone()).unwrap_or_default(),
      status: AgentStatus::Idle,
      labels: effective_labels(id, &capabilities, &given_labels),
      capabilities,
      given_labels,
      namespaces,
      statistics: None,
      hostname: request.hostname.clone(),
      os_info: request.os_info.clone(),
      version: request.version.clone(),
      boot_id: request.boot_id.clone(),
      journal_id: journal.clone(),
      agent_epoch: request.agent_epoch,
      connection_epoch: known.as_ref().map_or(0, |k| k.connection_epoch) + 1,
      server_id: Some(self.server.clone()),
      acked_seq: known.as_ref().filter(|_| same_epoch).map_or(0, |k| k.acked_seq),
      clock_offset_ms: None,
      cordoned: known.as_ref().is_some_and(|k| k.cordoned),
      drain_since: known.as_ref().and_then(|k| k.drain_since),
      drain_deadline: known.as_ref().and_then(|k| k.drain_deadline),
      drain_reason: known.as_ref().and_then(|k| k.drain_reason.clone()),
      drain_then: known.as_ref().and_then(|k| k.drain_then),
      drained_at: known.as_ref().and_then(|k| k.drained_at),
      last_heartbeat_at: Some(now),
      created_at: known.as_ref().map_or(now, |k| k.created_at),
      updated_at: now,
      version_skew: None,
    };
    agent_bmc::register(tx, &agent).await?;
    let rows = hot::live_of_agent(tx, id).await?;
    hot::clear_unreachable(tx, id).await?;
    let (reconcile, unnamed) = self.compare(id, request, &rows);
    let data =
      json!({"status": agent.status, "hostname": agent.hostname, "version": agent.version});
    event_bmc::append(tx, &agent_event(id, "agent.connected", data, now), now).await?;
    Ok(Registration {
      agent,
      reconcile,
      unnamed,
      same_epoch,
      same_journal,
      another_journal,
      rebooted,
    })
  }

  /// Compares what the agent has with what the store gives it.
  fn compare(
    &self,
    id: &AgentId,
    request: &AgentRegisterRequest,
    rows: &[HotRow],
  ) -> (Vec<Reconcile>, Vec<(TaskId, i64)>) {
    let mut ours: HashMap<_, &HotRow> =
      rows.iter().filter_map(|row| Some((row.instance_id?, row))).collect();
    self.live.insert(ours.iter().map(|(instance, row)| {
      let fence = row.fence.unwrap_or_default();
      (*instance, LiveAttempt { task_id: row.task_id, agent_id: id.clone(), fence })
    }));
    let mut reconcile = Vec::new();
    for running in &request.running {
      let row = ours.remove(&running.instance_id);
      let action = match row {
        Some(row) if row.fence == Some(running.fence) => match row.status {
          TaskStatus::Cancelling => ReconcileAction::Stop,
          _ => ReconcileAction::Keep,
        },
        // The store has moved on without it.
        _ => ReconcileAction::Stop,
      };
      reconcile.push(Reconcile { instance_id: running.instance_id, action });
    }
    // An agent with more in hand than it can name: what is missing proves nothing.
    if request.running.len() >= RUNNING_NAMED_MAX {
      ours.clear();
    }
    let unnamed = ours.values().map(|row| (row.task_id, row.fence.unwrap_or_default())).collect();
    (reconcile, unnamed)
  }

  /// Judges the attempts that a returned agent did not name, after its reports are in: a claim
  /// that never reached the same process, or the same journal under the same boot, waits again, and
  /// so does what only waited beside that journal, or ends where somebody asked for that;
  /// anything else is lost.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn judge_unnamed(&self, found: &Registration) -> Result<(), DbError> {
    if found.unnamed.is_empty() {
      return Ok(());
    }
    let reason = if found.rebooted {
      "lost(host_reboot)"
    } else if found.same_epoch || found.another_journal {
      LOST_DATA
    } else {
      "lost(start_unknown)"
    };
    let mut returned = Vec::new();
    if found.same_epoch || found.same_journal && !found.rebooted {
      let mut tx = self.store.db.begin().await?;
      let unreceived = (found.unnamed.as_slice(), !found.same_epoch);
      let outcome = take_back(&mut tx, &self.jobs, unreceived, self.store.db.now()).await;
      let (rows, ends) = tx.end::<_, DbError>(outcome).await?;
      self.live.remove(ends.ended_attempts().iter().copied());
      ends.wake(&self.store);
      returned = rows;
      self
        .store
        .bus
        .tasks_due(returned.iter().map(|row| ((row.class_id, row.priority), Ts::from_micros(0))));
    }
    let gone: Vec<(TaskId, i64)> = found
      .unnamed
      .iter()
      .filter(|(task, _)| !returned.iter().any(|row| row.task_id == *task))
      .copied()
      .collect();
    self.declare_lost(&gone, reason).await.map(drop)
  }

  /// Ends attempts as lost, if their fences still hold; their tasks follow their policy. Returns
  /// how many.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn declare_lost(
    &self,
    attempts: &[(TaskId, i64)],
    reason: &str,
  ) -> Result<usize, DbError> {
    if attempts.is_empty() {
      return Ok(0);
    }
    let mut tx = self.store.db.begin().await?;
    let outcome = self.declare_lost_in(&mut tx, attempts, reason).await;
    let (count, ends) = tx.end::<_, DbError>(outcome).await?;
    self.live.remove(ends.ended_attempts().iter().copied());
    ends.wake(&self.store);
    Ok(count)
  }

  async fn declare_lost_in(
    &self,
    tx: &mut Conn,
    attempts: &[(TaskId, i64)],
    reason: &str,
  ) -> Result<(usize, Ends), DbError> {
    let now = tx.now().await?;
    let mut ends = Ends::default();
    let mut count = 0;
    let mut tasks: Vec<TaskId> = attempts.iter().map(|(task, _)| *task).collect();
    tasks.sort_unstable();
    for row in hot::lock_rows(tx, &tasks).await? {
      let fence = row.fence.unwrap_or_default();
      let Some(instance) = row.instance_id.filter(|_| attempts.contains(&(row.task_id, fence)))
      else {
        continue;
      };
      // Its agent has forgotten it, which does not end it: it is waited for until it must have.
      if reason == LOST_DATA
        && effective_config(tx, &self.jobs, &row).await?.delivery() == Delivery::Exclusive
      {
        hot::mark_row_unreachable(tx, row.task_id, fence, now).await?;
        continue;
      }
      // Its agent came back in between.
      if reason == LOST_UNREACHABLE && row.unreachable_since.is_none() {
        continue;
      }
      let mut end = blank_end(&row, instance, TaskInstanceStatus::Lost, now);
      end.reason = Some(reason.to_owned());
      ends.add_locked(tx, &self.jobs, &row, end).await?;
      count += 1;
    }
    ends.write(tx, now).await?;
    event_bmc::append(tx, &ends.journal, now).await?;
    Ok((count, ends))
  }
}

pub(super) fn agent_change(
  id: &AgentId,
  event_type: &str,
  data: serde_json::Value,
  at: Ts,
) -> Change {
  let subject = Subject { kind: Topic::Agent, id: id.to_string() };
  Change { at, subject, event_type: event_type.to_owned(), data }
}

pub(super) fn agent_event(
  id: &AgentId,
  event_type: &str,
  data: serde_json::Value,
  at: Ts,
) -> Journal {
  let mut journal = Journal::default();
  journal.push(&NamespaceId::default(), agent_change(id, event_type, data, at));
  journal
}

/// A sign of life that waits to be stored.
pub type HeartbeatNote = Heartbeat;
