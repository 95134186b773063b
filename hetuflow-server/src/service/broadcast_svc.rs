//! Tasks that run on many agents at once: each makes one task per agent when it is due, runs while
//! they do, and ends by its rule when all of them have.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{
  AgentEntity, AgentId, AgentStatus, Broadcast, BroadcastSuccess, TaskConfig, TaskEntity, TaskId,
  TaskStatus, Topic, Ts,
};
use serde_json::{Value, json};

use super::attempt_end::Ends;
use super::store::Work;
use super::submit_svc::created;
use super::{JobCache, Store, SvcResult};
use crate::infra::bmc::broadcast_bmc::{self, BroadcastRow, ChildRow};
use crate::infra::bmc::event_bmc;
use crate::infra::bmc::hot::{self, NewTask, StartGate, StopMark};
use crate::infra::bmc::{job_bmc, task_bmc, watch_agents};
use crate::infra::db::{Conn, DbError};

/// Broadcasts that one transaction begins.
const BEGIN_MAX: i64 = 10;
/// Agents that were away and are named.
const AWAY_MAX: usize = 100;

/// Use cases of broadcasts.
#[derive(Clone)]
pub struct BroadcastSvc {
  store: Store,
  jobs: Arc<JobCache>,
}

impl BroadcastSvc {
  /// Over a store.
  pub fn new(store: Store, jobs: Arc<JobCache>) -> Self {
    Self { store, jobs }
  }

  /// Begins what is due of a class and priority; `true` when there may be more.
  ///
  /// # Errors
  /// Any.
  pub async fn begin(&self, range: (i64, i64), early: Duration) -> SvcResult<bool> {
    let mut work = self.store.work().await?;
    let outcome = self.begin_in(&mut work, range, early).await;
    let (made, begun) = work.end(outcome).await?;
    let marks = made.iter().map(|task| ((task.class_id, task.priority), task.scheduled_at));
    self.store.bus.tasks_due(marks);
    Ok(begun == BEGIN_MAX)
  }

  async fn begin_in(
    &self,
    work: &mut Work,
    range: (i64, i64),
    early: Duration,
  ) -> SvcResult<(Vec<NewTask>, i64)> {
    let until = work.now.plus(early);
    let due = broadcast_bmc::due(&mut work.tx, range, (until, BEGIN_MAX)).await?;
    if due.is_empty() {
      return Ok((Vec::new(), 0));
    }
    let agents = watch_agents::all(&mut work.tx).await?;
    let in_hand: HashMap<AgentId, i64> =
      watch_agents::tasks_in_hand(&mut work.tx).await?.into_iter().collect();
    let (mut made, mut begun) = (Vec::new(), 0);
    for id in due {
      let Some(task) = task_bmc::get(&mut work.tx, id).await? else { continue };
      let spec = self.jobs.spec(&mut work.tx, task.job_id, task.job_version).await?;
      let config = task.config.as_ref().unwrap_or(&spec.config);
      let Some(broadcast) = config.broadcast else { continue };
      let Some((chosen, away)) = choose(&task, (config, broadcast), (&agents, &in_hand)) else {
        continue;
      };
      let children = children_of(&task, config, &chosen);
      for child in &children {
        let class =
          child.config.as_ref().map(|config| config.class(&task.namespace_id, task.job_id));
        if let Some(class) = class {
          job_bmc::ensure_class(&mut work.tx, &class).await?;
        }
      }
      hot::enqueue(&mut work.tx, &children, work.now).await?;
      let pairs: Vec<(TaskId, AgentId)> =
        children.iter().map(|child| child.id).zip(chosen).collect();
      let told = (&pairs[..], &away[..]);
      broadcast_bmc::begin(&mut work.tx, (task.id, broadcast.success), told, work.now).await?;
      for child in &children {
        let change = created(child, work.now);
        let subject = (change.subject.kind, change.subject.id);
        work.note(&child.namespace_id, subject, &change.event_type, change.data);
      }
      let data = json!({
        "status": TaskStatus::Running, "started_at": work.now, "tasks": pairs.len(), "away": away,
      });
      work.note(&task.namespace_id, (Topic::Task, task.id.to_string()), "task.running", data);
      made.extend(children);
      begun += 1;
    }
    Ok((made, begun))
  }

  /// Carries stops to the tasks of broadcasts, and ends those whose tasks are over; returns how
  /// many go on.
  ///
  /// # Errors
  /// Any.
  pub async fn turn(&self) -> SvcResult<usize> {
    let mut conn = self.store.read().await?;
    let mut open = Vec::new();
    for row in broadcast_bmc::open(&mut conn).await? {
      let children = broadcast_bmc::children(&mut conn, row.task_id).await?;
      open.push((row, children));
    }
    drop(conn);
    let mut left = open.len();
    for (row, children) in open {
      if children.iter().all(|child| child.status.is_final()) {
        self.end(&row, &children).await?;
        left -= 1;
      } else if row.status != Some(TaskStatus::Running) {
        self.stop(&row, &children).await?;
      }
    }
    Ok(left)
  }

  /// What was asked of the whole is asked of its tasks.
  async fn stop(&self, row: &BroadcastRow, children: &[ChildRow]) -> SvcResult<()> {
    let (to, mark) = stop_of(row);
    let live = children.iter().filter(|one| !one.status.is_final());
    let live: Vec<TaskId> =
      live.filter(|one| one.status != TaskStatus::Cancelling).map(|one| one.task_id).collect();
    if live.is_empty() {
      return Ok(());
    }
    let now = self.store.db.now();
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let mut ends = Ends::default();
      let reason = format!("{to}({})", mark.reason.as_deref().unwrap_or("broadcast"));
      for one in hot::finish_unstarted(&mut tx, &live).await? {
        ends.add_unstarted(&one.row, to, (&reason, None), now);
      }
      for task in &live {
        hot::request_stop(&mut tx, *task, &mark, now).await?;
      }
      self.write(&mut tx, ends, now).await
    }
    .await;
    tx.end::<_, DbError>(outcome).await?.wake(&self.store);
    self.store.bus.control.notify_one();
    self.store.bus.remote.notify_one();
    Ok(())
  }

  /// Ends the whole, by its rule.
  async fn end(&self, row: &BroadcastRow, children: &[ChildRow]) -> SvcResult<()> {
    let now = self.store.db.now();
    let (to, reason) = verdict(row, children);
    let mut tx = self.store.db.begin().await?;
    let outcome = async {
      let mut ends = Ends::default();
      if let Some(live) = hot::finish_broadcast(&mut tx, row.task_id).await? {
        ends.add_broadcast(&live, (to, &reason), outputs(row, children), now);
      }
      broadcast_bmc::end(&mut tx, row.task_id).await?;
      self.write(&mut tx, ends, now).await
    }
    .await;
    tx.end::<_, DbError>(outcome).await?.wake(&self.store);
    Ok(())
  }

  async fn write(&self, tx: &mut Conn, mut ends: Ends, now: Ts) -> Result<Ends, DbError> {
    ends.write(tx, now).await?;
    event_bmc::append(tx, &ends.journal, now).await?;
    Ok(ends)
  }
}

/// The agents that a broadcast goes to, and those that fit and are away; none while too few are
/// there.
fn choose(
  task: &TaskEntity,
  (config, broadcast): (&TaskConfig, Broadcast),
  (agents, in_hand): (&[AgentEntity], &HashMap<AgentId, i64>),
) -> Option<(Vec<AgentId>, Vec<AgentId>)> {
  let class = config.class(&task.namespace_id, task.job_id);
  let fitting = agents.iter().filter(|agent| agent.may_serve(&class));
  let here = |agent: &&AgentEntity| agent.status != AgentStatus::Offline && !agent.cordoned;
  let (mut here, away): (Vec<&AgentEntity>, Vec<&AgentEntity>) = fitting.partition(here);
  let wanted = broadcast.agents.map_or(1, |count| count as usize);
  if here.len() < wanted.max(1) {
    return None;
  }
  if let Some(count) = broadcast.agents {
    let load = |agent: &AgentEntity| in_hand.get(&agent.id).copied().unwrap_or(0);
    here.sort_by_key(|agent| (load(agent), agent.id.clone()));
    here.truncate(count as usize);
  }
  let names = |all: Vec<&AgentEntity>| all.iter().map(|agent| agent.id.clone()).collect();
  let away: Vec<AgentId> = names(away);
  Some((names(here), away.into_iter().take(AWAY_MAX).collect()))
}

/// One task per agent, each a while after the one before.
fn children_of(task: &TaskEntity, config: &TaskConfig, agents: &[AgentId]) -> Vec<NewTask> {
  let stagger = config.stagger_secs.map_or(Duration::ZERO, |secs| secs.0);
  // A start that somebody forced comes before its planned instant.
  let base = task.scheduled_at.min(task.eligible_at.unwrap_or(task.scheduled_at));
  let one = |(index, agent): (usize, &AgentId)| {
    let later = stagger.saturating_mul(u32::try_from(index).unwrap_or(u32::MAX));
    let scheduled_at = base.plus(later);
    let own = TaskConfig {
      broadcast: None,
      stagger_secs: None,
      sticky: None,
      prefer: Vec::new(),
      pin: Some(agent.clone()),
      ..config.clone()
    };
    NewTask {
      id: TaskId::generate(),
      job_id: task.job_id,
      job_version: task.job_version,
      namespace_id: task.namespace_id.clone(),
      class_id: own.class(&task.namespace_id, task.job_id).class_id(),
      // Limits count the whole, once.
      gate: None,
      start: StartGate::Open,
      priority: task.priority,
      schedule_id: None,
      scheduled_at,
      start_deadline_at: config.start_deadline_secs.map(|secs| scheduled_at.plus(secs.0)),
      trigger_source: task.trigger_source,
      parameters: task.parameters.clone(),
      environment: task.environment.clone(),
      config: Some(own),
      idempotency_key: None,
      idempotency_hash: None,
      created_by: task.created_by.clone(),
    }
  };
  agents.iter().enumerate().map(one).collect()
}

/// How a stop of the whole ends its tasks.
fn stop_of(row: &BroadcastRow) -> (TaskStatus, StopMark) {
  // A restart of the whole would begin its tasks anew for ever: it stops them.
  let known = row.stop_kind.clone().filter(|kind| matches!(kind.as_str(), "kill" | "skip"));
  let kind = known.unwrap_or_else(|| "stop".to_owned());
  let to = if kind == "skip" { TaskStatus::Skipped } else { TaskStatus::Cancelled };
  let reason = row.stop_reason.clone().or_else(|| Some("its broadcast ended".to_owned()));
  (to, StopMark { kind, reason, grace_ms: row.stop_grace_ms })
}

/// How the whole ends, and why where it is no success.
fn verdict(row: &BroadcastRow, children: &[ChildRow]) -> (TaskStatus, String) {
  if row.status == Some(TaskStatus::Cancelling) {
    let (to, mark) = stop_of(row);
    return (to, format!("{to}({})", mark.reason.unwrap_or_default()));
  }
  let rule = row.success.parse().unwrap_or(BroadcastSuccess::All);
  let succeeded = succeeded(children);
  if rule.holds(succeeded, children.len()) {
    return (TaskStatus::Succeeded, String::new());
  }
  let total = children.len();
  (TaskStatus::Failed, format!("broadcast({succeeded} of {total} succeeded, {rule} wanted)"))
}

fn succeeded(children: &[ChildRow]) -> usize {
  children.iter().filter(|one| one.status == TaskStatus::Succeeded).count()
}

fn outputs(row: &BroadcastRow, children: &[ChildRow]) -> Value {
  let agents: serde_json::Map<String, Value> =
    children.iter().map(|one| (one.agent_id.to_string(), json!(one.status))).collect();
  json!({
    "agents": agents, "away": row.away.0, "succeeded": succeeded(children), "total": children.len(),
  })
}
