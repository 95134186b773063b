//! New tasks on idle agents: the claim is part of the insert, so no second statement delays it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hetuflow_core::{AgentChoice, Secrets, ServerId};

use super::{Assignment, Roster, Wish};
use crate::infra::bmc::hot::{Birth, ClaimedTask, NewTask, OpenClaim};
use crate::infra::bus::Bus;
use crate::infra::db::DbClock;
use crate::service::{IdleAgents, IdlePlace, JobCache, LiveAttempt, LiveAttempts};

/// Claims that did not reach their agent and wait to be taken back.
#[derive(Debug, Default)]
pub struct Undelivered(Mutex<Vec<OpenClaim>>);

impl Undelivered {
  fn claims(&self) -> std::sync::MutexGuard<'_, Vec<OpenClaim>> {
    self.0.lock().unwrap_or_else(PoisonError::into_inner)
  }

  /// Notes a claim.
  pub fn push(&self, claim: OpenClaim) {
    self.claims().push(claim);
  }

  /// All of them, once.
  pub fn take(&self) -> Vec<OpenClaim> {
    std::mem::take(&mut *self.claims())
  }
}

/// What [`IdleStart`] works with.
pub struct IdleStart {
  /// The wakes of this server.
  pub bus: Arc<Bus>,
  /// The clock that decides.
  pub clock: Arc<DbClock>,
  /// The agents connected here.
  pub roster: Arc<Roster>,
  /// Classes and specs in memory.
  pub jobs: Arc<JobCache>,
  /// Who may speak for which attempt.
  pub live: Arc<LiveAttempts>,
  /// This server.
  pub server: ServerId,
  /// The order of agents for tasks that name none.
  pub choice: AgentChoice,
  /// Shared with the dispatcher, which takes claims back.
  pub undelivered: Arc<Undelivered>,
}

impl IdleAgents for IdleStart {
  fn reserve(&self, task: &NewTask) -> Option<IdlePlace> {
    let free = task.schedule_id.is_none() && task.gate.is_none();
    if !free || task.scheduled_at > self.clock.now() || !self.bus.is_quiet() {
      return None;
    }
    let spec = self.jobs.known(task.job_id, task.job_version)?;
    // Secrets and files are asked for on the slower way.
    let config = task.config.as_ref().unwrap_or(&spec.config);
    if !config.secrets.is_empty() || !config.inputs().is_empty() {
      return None;
    }
    let class = self.jobs.known_class(task.class_id)?;
    if !class.is_simple() {
      return None;
    }
    let slot = self.roster.reserve_free(&Wish::plain(&class, self.choice))?;
    Some(IdlePlace { birth: Birth { slot, server: self.server.clone() }, spec })
  }

  fn hand_out(&self, task: ClaimedTask, place: IdlePlace) {
    let slot = place.birth.slot;
    let agent = slot.agent_id.clone();
    let used = BTreeMap::from([(agent.clone(), 1)]);
    self.roster.settle(std::slice::from_ref(&slot), &used);
    let attempt = LiveAttempt { task_id: task.task_id, agent_id: agent.clone(), fence: task.fence };
    self.live.insert([(task.instance_id, attempt)]);
    let claim =
      OpenClaim { task_id: task.task_id, instance_id: task.instance_id, fence: task.fence };
    let sent = self.roster.holder(&slot).is_some_and(|member| {
      self.roster.count_sent(&agent, member.connection_epoch, 1);
      member.link.dispatch(vec![Assignment {
        task,
        spec: place.spec,
        timezone: None,
        prev_success_at: None,
        secrets: Secrets::new(),
        inputs: Vec::new(),
      }])
    });
    if !sent {
      self.undelivered.push(claim);
      self.bus.dispatch.notify_one();
    }
  }

  fn release(&self, place: IdlePlace) {
    self.roster.settle(&[place.birth.slot], &BTreeMap::new());
    self.bus.dispatch.notify_one();
  }
}
