//! The one loop that claims: wakes on new work and new credits, claims for all agents of a class
//! in one statement, and answers them. A timer makes correct what a lost wake made late.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hetuflow_core::{
  AgentChoice, AgentEntity, AgentId, AgentStatus, InputNote, JobSpec, STICKY_WEIGHT, ScheduleId,
  Seconds, Secrets, SelectorClass, ServerId, TaskConfig, TaskId, Ts,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::needs::fitting;
use super::{Assignment, Reserved, Roster, Undelivered, Wish};
use crate::infra::bmc::hot::{self, ClaimSlot, ClaimedTask, OpenClaim};
use crate::infra::bmc::{
  agent_bmc, schedule_bmc, sticky_bmc, task_bmc, task_instance_bmc, watch_agents,
};
use crate::infra::bus::DueMarks;
use crate::infra::db::{Conn, DbError};
use crate::service::{
  ArtifactSvc, BroadcastSvc, JobCache, LiveAttempt, LiveAttempts, SecretSvc, Store, SvcError,
  take_back_claims,
};

/// Changes of agents are read again for so long: longer than any transaction takes, or the way from
/// an agent's registration to its seat.
const CHANGES_OVERLAP: Duration = Duration::from_secs(60);

/// How long it is remembered which agents there are.
const AGENTS_KNOWN_FOR: Duration = Duration::from_secs(1);

/// An attempt whose task has used up its whole time runs for so long.
const TIME_LEFT_MIN: Duration = Duration::from_millis(1);

/// How the dispatcher works.
#[derive(Debug, Clone, Copy)]
pub struct DispatchSettings {
  /// How early tasks are handed out.
  pub early: Duration,
  /// Time between looks without a wake.
  pub poll_interval: Duration,
  /// The order of agents for tasks that name none.
  pub choice: AgentChoice,
  /// How long a due task waits for an agent that it likes more while others have room.
  pub prefer_hold: Duration,
  /// C: age at which a claim without a word from its agent is looked at.
  pub claim_lease: Duration,
}

/// What one claim gave.
struct Claims {
  tasks: Vec<ClaimedTask>,
  /// There may be more for the places left.
  full: bool,
  /// No agent has room for the needs of the class.
  no_room: bool,
}

/// Claims and hands out.
pub struct Dispatcher {
  store: Store,
  roster: Arc<Roster>,
  jobs: Arc<JobCache>,
  live: Arc<LiveAttempts>,
  server: ServerId,
  settings: DispatchSettings,
  marks: DueMarks,
  /// Claims that did not leave and could not be taken back yet.
  unsent: Vec<OpenClaim>,
  /// Those of tasks that were claimed with their insert.
  undelivered: Arc<Undelivered>,
  /// Where tasks that name secrets get them.
  secrets: Option<Arc<SecretSvc>>,
  /// Where tasks that find files when they start are told of them.
  artifacts: Option<Arc<ArtifactSvc>>,
  /// The database's clock when this dispatcher began; older claims are not its own.
  began: Option<Ts>,
  next_audit: Instant,
  zones: HashMap<ScheduleId, Option<Arc<str>>>,
  broadcasts: BroadcastSvc,
  /// All agents, for tasks that like some more than others, and when they were read.
  known_agents: Option<(Instant, Vec<AgentEntity>)>,
  /// Classes with needs for which no agent had room when that was counted last.
  no_room: HashSet<i64>,
}

impl Dispatcher {
  /// A dispatcher over the agents connected here.
  pub fn new(
    store: Store,
    roster: Arc<Roster>,
    (jobs, live, undelivered): (Arc<JobCache>, Arc<LiveAttempts>, Arc<Undelivered>),
    server: ServerId,
    settings: DispatchSettings,
  ) -> Self {
    Self {
      broadcasts: BroadcastSvc::new(store.clone(), jobs.clone()),
      store,
      roster,
      jobs,
      live,
      server,
      settings,
      marks: DueMarks::new(),
      unsent: Vec::new(),
      undelivered,
      secrets: None,
      artifacts: None,
      began: None,
      next_audit: Instant::now() + settings.claim_lease,
      zones: HashMap::new(),
      known_agents: None,
      no_room: HashSet::new(),
    }
  }

  /// Tasks get their secrets from there; without it those that name any are refused by agents.
  #[must_use]
  pub fn with_secrets(mut self, secrets: Arc<SecretSvc>) -> Self {
    self.secrets = Some(secrets);
    self
  }

  /// Tasks are told from there of the files that they find; without it those that name any never
  /// leave.
  #[must_use]
  pub fn with_artifacts(mut self, artifacts: Arc<ArtifactSvc>) -> Self {
    self.artifacts = Some(artifacts);
    self
  }

  /// Claims until stopped; stops between turns, never inside one.
  pub async fn run(mut self, stop: CancellationToken) {
    let mut sweep = tokio::time::interval(self.settings.poll_interval);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
      let mut swept = false;
      tokio::select! {
        () = self.store.bus.dispatch.notified() => {}
        _ = sweep.tick() => swept = true,
        () = stop.cancelled() => return,
      }
      if let Err(error) = self.turn(swept).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "claim turn failed");
        self.store.bus.set_backlog(true);
        tokio::select! {
          () = tokio::time::sleep(Duration::from_millis(200)) => {}
          () = stop.cancelled() => return,
        }
        // What the failed turn knew is read again.
        self.store.bus.dispatch.notify_one();
        sweep.reset_immediately();
      }
    }
  }

  async fn turn(&mut self, swept: bool) -> Result<(), DbError> {
    if self.store.bus.look_anew.load(Ordering::Acquire) {
      // Nobody takes a short cut by what is known of agents until it is read.
      self.store.bus.set_backlog(true);
    }
    let anew = self.store.bus.look_anew.swap(false, Ordering::AcqRel);
    if (swept || anew) && !self.roster.is_empty() {
      let mut conn = self.store.db.read().await?;
      self.marks = hot::due_marks(&mut conn).await?.into_iter().collect();
      self.roster.set_cordoned(&agent_bmc::list_cordoned(&mut conn).await?);
      let since = conn.now().await?.minus(CHANGES_OVERLAP);
      self.roster.set_labels(agent_bmc::labels_since(&mut conn, since).await?);
    }
    if swept || anew || self.store.bus.room_freed.swap(false, Ordering::AcqRel) {
      self.no_room.clear();
    }
    self.audit_claims().await?;
    self.unsent.extend(self.undelivered.take());
    self.take_back().await?;
    for (key, at) in self.store.bus.take_due() {
      self.marks.entry(key).and_modify(|known| *known = (*known).min(at)).or_insert(at);
    }
    // Classes take turns within a priority, so that a large backlog does not starve a small one.
    let mut again = true;
    while again {
      again = false;
      let horizon = self.store.db.now().plus(self.settings.early);
      let mut ranges: Vec<(i64, i64)> =
        self.marks.iter().filter(|(_, at)| **at <= horizon).map(|(key, _)| *key).collect();
      ranges.sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
      for range in ranges {
        again |= self.claim_range(range).await?;
      }
    }
    let horizon = self.store.db.now().plus(self.settings.early);
    self.store.bus.set_backlog(self.marks.values().any(|at| *at <= horizon));
    Ok(())
  }

  /// One claim for one class and priority; `true` when there may be more for the credits left.
  async fn claim_range(&mut self, range: (i64, i64)) -> Result<bool, DbError> {
    if self.roster.is_empty() {
      return Ok(false);
    }
    let Some(class) = self.class(range).await? else { return Ok(false) };
    if class.broadcast {
      return self.begin_broadcasts(range).await;
    }
    if self.no_room.contains(&range.0) {
      return Ok(false);
    }
    let (last, elsewhere) = self.likings(&class).await?;
    let wish = Wish { class: &class, choice: self.settings.choice, last: last.as_ref(), elsewhere };
    let reserved = self.roster.reserve(&wish);
    if reserved.first.is_empty() && reserved.rest.is_empty() {
      return Ok(false);
    }
    let outcome = self.claim_in_turn((range, &class), &reserved).await;
    let slots = [reserved.first, reserved.rest].concat();
    let claims = match outcome {
      Ok(claims) => claims,
      Err(error) => {
        self.roster.settle(&slots, &BTreeMap::new());
        return Err(error);
      }
    };
    if claims.no_room {
      self.no_room.insert(range.0);
    } else if !claims.full {
      // Whatever lies beyond the horizon is found again by the sweep, long before it is due.
      self.marks.remove(&range);
    }
    self.hand_out(&slots, claims.tasks).await?;
    Ok(claims.full)
  }

  /// Tasks that go to many agents are begun, not claimed.
  async fn begin_broadcasts(&mut self, range: (i64, i64)) -> Result<bool, DbError> {
    let more = match self.broadcasts.begin(range, self.settings.early).await {
      Ok(more) => more,
      Err(SvcError::Database(error)) => return Err(error),
      Err(error) => {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot begin broadcasts");
        false
      }
    };
    if !more {
      // Those for which too few agents are there are found again by the sweep.
      self.marks.remove(&range);
    }
    Ok(more)
  }

  /// For the places of the best agents at once; for the others what has waited for long enough.
  async fn claim_in_turn(
    &self,
    (range, class): ((i64, i64), &SelectorClass),
    reserved: &Reserved,
  ) -> Result<Claims, DbError> {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let mut claims = Claims { tasks: Vec::new(), full: true, no_room: false };
    if !reserved.first.is_empty() {
      let ahead_us = micros(self.settings.early);
      claims = self.claim((range, class), (&reserved.first, ahead_us)).await?;
    }
    let (again, held_us) = (claims.full || claims.no_room, -micros(self.settings.prefer_hold));
    if !again || reserved.rest.is_empty() {
      return Ok(claims);
    }
    match self.claim((range, class), (&reserved.rest, held_us)).await {
      Ok(more) => {
        claims.tasks.extend(more.tasks);
        (claims.full, claims.no_room) = (more.full, more.no_room);
      }
      // What is claimed already still goes out.
      Err(error) if !claims.tasks.is_empty() => {
        tracing::warn!(error = &error as &dyn std::error::Error, "second claim of a class failed");
      }
      Err(error) => return Err(error),
    }
    Ok(claims)
  }

  /// For a class that likes some agents more: the one that ran it last, and how much it likes the
  /// best one that is not connected here.
  async fn likings(
    &mut self,
    class: &SelectorClass,
  ) -> Result<(Option<AgentId>, Option<i64>), DbError> {
    if !class.is_choosy() {
      return Ok((None, None));
    }
    let mut conn = self.store.db.read().await?;
    let last = match &class.sticky {
      Some(sticky) => sticky_bmc::last_agent(&mut conn, &class.namespace_id, &sticky.key).await?,
      None => None,
    };
    let fresh = |(at, _): &(Instant, _)| at.elapsed() < AGENTS_KNOWN_FOR;
    if !self.known_agents.as_ref().is_some_and(fresh) {
      self.known_agents = Some((Instant::now(), watch_agents::all(&mut conn).await?));
    }
    let agents = self.known_agents.iter().flat_map(|(_, agents)| agents);
    let away = agents.filter(|agent| {
      let takes = agent.status != AgentStatus::Offline && !agent.cordoned;
      takes && self.roster.get(&agent.id).is_none() && agent.may_serve(class)
    });
    let liking = |agent: &AgentEntity| {
      let sticky = if last.as_ref() == Some(&agent.id) { STICKY_WEIGHT } else { 0 };
      sticky + class.liking(&agent.labels)
    };
    let elsewhere = away.map(liking).max();
    Ok((last, elsewhere))
  }

  /// The demands of a class; `None`, told once per sweep, for one that is not stored.
  async fn class(&mut self, range: (i64, i64)) -> Result<Option<Arc<SelectorClass>>, DbError> {
    if let Some(class) = self.jobs.known_class(range.0) {
      return Ok(Some(class));
    }
    let mut conn = self.store.db.read().await?;
    match self.jobs.class(&mut conn, range.0).await {
      Ok(class) => Ok(Some(class)),
      Err(DbError::Missing { thing }) => {
        tracing::error!(%thing, "tasks wait for a selector class that is not stored");
        self.marks.remove(&range);
        Ok(None)
      }
      Err(error) => Err(error),
    }
  }

  async fn claim(
    &self,
    (range, class): ((i64, i64), &SelectorClass),
    (slots, ahead_us): (&[ClaimSlot], i64),
  ) -> Result<Claims, DbError> {
    if class.requests.is_none() && class.sticky.is_none() {
      let mut tx = self.store.db.begin_single().await?;
      let outcome = hot::claim_due(&mut tx, range, slots, &self.server, ahead_us).await;
      let tasks = tx.end(outcome).await?;
      return Ok(Claims { full: tasks.len() == slots.len(), tasks, no_room: false });
    }
    let mut tx = self.store.db.begin_hot().await?;
    let outcome = self.claim_with_care(&mut tx, (range, class), (slots, ahead_us)).await;
    tx.end(outcome).await
  }

  /// A claim that counts what agents carry, and notes where it went.
  async fn claim_with_care(
    &self,
    tx: &mut Conn,
    (range, class): ((i64, i64), &SelectorClass),
    (slots, ahead_us): (&[ClaimSlot], i64),
  ) -> Result<Claims, DbError> {
    let slots = match &class.requests {
      Some(need) => fitting(tx, &self.jobs, (need, slots)).await?,
      None => slots.to_vec(),
    };
    let tasks = hot::claim_due(tx, range, &slots, &self.server, ahead_us).await?;
    if let (Some(sticky), Some(last)) = (&class.sticky, tasks.last()) {
      let key = (&class.namespace_id, sticky.key.as_str());
      sticky_bmc::note(tx, key, &last.agent_id, self.store.db.now()).await?;
    }
    let full = !slots.is_empty() && tasks.len() == slots.len();
    Ok(Claims { tasks, full, no_room: slots.is_empty() })
  }

  /// Sends claimed tasks to their agents; what cannot leave goes back.
  async fn hand_out(
    &mut self,
    slots: &[ClaimSlot],
    claimed: Vec<ClaimedTask>,
  ) -> Result<(), DbError> {
    let mut used: BTreeMap<AgentId, usize> = BTreeMap::new();
    for task in &claimed {
      *used.entry(task.agent_id.clone()).or_default() += 1;
    }
    self.roster.settle(slots, &used);
    self.live.insert(claimed.iter().map(|task| {
      let attempt =
        LiveAttempt { task_id: task.task_id, agent_id: task.agent_id.clone(), fence: task.fence };
      (task.instance_id, attempt)
    }));
    let mut per_agent: BTreeMap<AgentId, Vec<Assignment>> = BTreeMap::new();
    let mut unsent = Vec::new();
    for task in claimed {
      let claim = open_claim(&task);
      match self.assign(task).await {
        Ok(assignment) => {
          per_agent.entry(assignment.task.agent_id.clone()).or_default().push(assignment);
        }
        Err(error) => {
          tracing::error!(task.id = %claim.task_id, error = &error as &dyn std::error::Error,
            "claimed task has no readable spec");
          unsent.push(claim);
        }
      }
    }
    for (agent, mut tasks) in per_agent {
      tasks.sort_by_key(|one| one.task.eligible_at);
      let claims: Vec<OpenClaim> = tasks.iter().map(|one| open_claim(&one.task)).collect();
      let slot = slots.iter().find(|slot| slot.agent_id == agent);
      let member = slot.and_then(|slot| self.roster.holder(slot));
      let sent = member.is_some_and(|member| {
        self.roster.count_sent(&agent, member.connection_epoch, tasks.len());
        member.link.dispatch(tasks)
      });
      if !sent {
        unsent.extend(claims);
      }
    }
    self.unsent.extend(unsent);
    self.take_back().await
  }

  /// Claims that did not leave wait again, or end where somebody asked for that.
  async fn take_back(&mut self) -> Result<(), DbError> {
    if self.unsent.is_empty() {
      return Ok(());
    }
    let claims: Vec<(TaskId, i64)> =
      self.unsent.iter().map(|claim| (claim.task_id, claim.fence)).collect();
    let count = take_back_claims(&self.store, &self.jobs, &claims).await?;
    self.live.remove(self.unsent.drain(..).map(|claim| claim.instance_id));
    // Wherever they belong, they are found by looking.
    self.store.bus.look_anew.store(true, Ordering::Release);
    tracing::info!(count, "claims that did not reach their agent are taken back");
    Ok(())
  }

  /// Finds claims whose answer from the database was lost: this process made them and has never
  /// handed them to anybody, so that taking them back cannot start anything twice.
  async fn audit_claims(&mut self) -> Result<(), DbError> {
    if Instant::now() < self.next_audit && self.began.is_some() {
      return Ok(());
    }
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let began = *self.began.get_or_insert(now);
    let range = (began, now.minus(self.settings.claim_lease));
    let open = hot::open_claims(&mut conn, &self.server, range).await?;
    drop(conn);
    self.unsent.extend(open.into_iter().filter(|claim| !self.live.knows(claim.instance_id)));
    self.next_audit = Instant::now() + self.settings.claim_lease;
    Ok(())
  }

  async fn assign(&mut self, task: ClaimedTask) -> Result<Assignment, DbError> {
    let key = (task.job_id, task.job_version);
    let mut conn = None;
    let spec = match self.jobs.known(key.0, key.1) {
      Some(spec) => spec,
      None => {
        let conn = conn.insert(self.store.db.read().await?);
        self.jobs.spec(conn, key.0, key.1).await?
      }
    };
    let timezone = match task.schedule_id {
      None => None,
      Some(id) => match self.zones.get(&id) {
        Some(zone) => zone.clone(),
        None => {
          let mut read = match conn {
            Some(conn) => conn,
            None => self.store.db.read().await?,
          };
          let schedule = schedule_bmc::get(&mut read, id).await?;
          let zone = schedule.map(|schedule| Arc::from(schedule.timezone.as_str()));
          if self.zones.len() > 10_000 {
            self.zones.clear();
          }
          self.zones.insert(id, zone.clone());
          zone
        }
      },
    };
    let secrets = self.secrets_of(&task, &spec).await?;
    let inputs = self.inputs_of(&task, &spec).await?;
    let task = self.with_time_left(task, &spec).await?;
    let prev_success_at = match task.schedule_id {
      None => None,
      Some(_) => {
        let mut conn = self.store.db.read().await?;
        task_bmc::last_success(&mut conn, task.job_id, task.scheduled_at).await?
      }
    };
    Ok(Assignment { task, spec, timezone, prev_success_at, secrets, inputs })
  }

  /// An attempt after the first has what its task has left of its whole time.
  async fn with_time_left(
    &self,
    task: ClaimedTask,
    spec: &JobSpec,
  ) -> Result<ClaimedTask, DbError> {
    let config = task.config.as_ref().map_or(&spec.config, |config| &config.0);
    let Some(total) = config.total_timeout_secs.filter(|_| task.attempt > 1) else {
      return Ok(task);
    };
    let mut conn = self.store.db.read().await?;
    let began = task_instance_bmc::first_start(&mut conn, task.task_id).await?;
    let Some(began) = began else { return Ok(task) };
    let left = began.plus(total.0).since(conn.now().await?.max(task.eligible_at));
    // The agent ends it at once, which tells more than not to start it.
    let total_timeout_secs = Some(Seconds(left.max(TIME_LEFT_MIN)));
    let config = TaskConfig { total_timeout_secs, ..config.clone() };
    Ok(task.with_config(config))
  }

  async fn secrets_of(&self, task: &ClaimedTask, spec: &JobSpec) -> Result<Secrets, DbError> {
    let config = task.config.as_ref().map_or(&spec.config, |config| &config.0);
    match &self.secrets {
      Some(secrets) if !config.secrets.is_empty() => {
        secrets.values(&task.namespace_id, &config.secrets).await
      }
      _ => Ok(Secrets::new()),
    }
  }

  async fn inputs_of(&self, task: &ClaimedTask, spec: &JobSpec) -> Result<Vec<InputNote>, DbError> {
    let config = task.config.as_ref().map_or(&spec.config, |config| &config.0);
    match &self.artifacts {
      Some(artifacts) if !config.inputs().is_empty() => {
        artifacts.inputs((&task.namespace_id, task.task_id), config.inputs()).await
      }
      _ => Ok(Vec::new()),
    }
  }
}

fn open_claim(task: &ClaimedTask) -> OpenClaim {
  OpenClaim { task_id: task.task_id, instance_id: task.instance_id, fence: task.fence }
}
