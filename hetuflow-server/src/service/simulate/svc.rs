//! The world that a simulation begins with: schedules, slots, and what is known of durations.

use std::collections::BTreeMap;

use hetuflow_core::{
  AgentStatus, ApplyRequest, DURATION_SECS_DEFAULT, JobEntity, JobId, JobStatus, NamespaceId, Role,
  SIMULATED_SECS_DEFAULT, ScheduleEntity, ScheduleFilter, ScheduleStatus, SimulateRequest,
  Simulation,
};

use super::durations::Durations;
use super::{SimulatedActor, World, simulate};
use crate::infra::bmc::{agent_bmc, freeze_bmc, job_bmc, schedule_bmc, task_instance_bmc};
use crate::infra::db::Conn;
use crate::service::apply_svc::tried;
use crate::service::calendar_cache::CalendarCache;
use crate::service::schedule_outlook::Outlook;
use crate::service::store::{Cursor, PageArgs, Store};
use crate::service::{Actor, SvcError, SvcResult};

/// Schedules of one simulation.
const SCHEDULES_MAX: usize = 10_000;
/// Rows of one page.
const PAGE: i64 = 1000;
/// Runs of the past that one job is learned from.
const LEARNED_FROM: i64 = 100;

/// The use case of simulations.
#[derive(Clone)]
pub struct SimulateSvc {
  store: Store,
}

impl SimulateSvc {
  /// Over a store.
  pub fn new(store: Store) -> Self {
    Self { store }
  }

  /// Simulates a namespace as it is, or as it would be after an apply. Changes nothing.
  ///
  /// # Errors
  /// 403; the broken rules; those of an apply where manifests are given.
  pub async fn run(&self, actor: &Actor, request: SimulateRequest) -> SvcResult<Simulation> {
    let mut errors = Vec::new();
    request.check(&mut errors);
    SvcError::check(errors)?;
    let namespace = actor.namespace(request.namespace_id.as_ref());
    actor.require(Role::Viewer, &namespace)?;
    let secs = request.duration.map_or(SIMULATED_SECS_DEFAULT, |span| span.0.as_secs());
    let run = request.run.map_or(DURATION_SECS_DEFAULT as f64, |run| run.0.as_secs_f64());
    let given = (request.slots, request.seed.unwrap_or(1));
    let from = request.from;
    let (mut conn, dry) = self.begin(actor, &namespace, request).await?;
    let world = build(&mut conn, (&namespace, &self.store.calendars), (run, given)).await;
    if dry {
      let undone: SvcResult<()> = conn.end(Err(SvcError::unavailable("rolled back"))).await;
      drop(undone);
    } else {
      drop(conn);
    }
    let (mut world, agents) = world?;
    world.from = from.unwrap_or(world.from);
    world.until = world.from.plus(std::time::Duration::from_secs(secs));
    let report = tokio::task::spawn_blocking(move || simulate(&world)).await;
    let report = report.map_err(|_| SvcError::unavailable("the simulation was given up"))?;
    Ok(Simulation { agents, ..report })
  }

  /// A connection that sees the world; `true` where its transaction must be undone.
  async fn begin(
    &self,
    actor: &Actor,
    namespace: &NamespaceId,
    request: SimulateRequest,
  ) -> SvcResult<(Conn, bool)> {
    let SimulateRequest { mut jobs, scope, prune, .. } = request;
    if jobs.is_empty() {
      return Ok((self.store.read().await?, false));
    }
    for job in &mut jobs {
      job.namespace_id.get_or_insert_with(|| namespace.clone());
    }
    let apply = ApplyRequest { jobs, dry_run: true, scope, prune };
    let (work, _) = tried(&self.store, actor, apply).await?;
    Ok((work.tx, true))
  }
}

/// Reads the world; how many agents its slots are of, where nobody gave slots.
async fn build(
  conn: &mut Conn,
  (namespace, cache): (&NamespaceId, &CalendarCache),
  (run, (slots, seed)): (f64, (Option<i64>, u64)),
) -> SvcResult<(World, Option<i64>)> {
  let now = conn.now().await?;
  let (mut actors, mut jobs) = (Vec::new(), BTreeMap::new());
  let filter =
    ScheduleFilter { namespace_id: Some(namespace.clone()), ..ScheduleFilter::default() };
  let freezes = freeze_bmc::list(conn).await?;
  let mut page = PageArgs::first(PAGE);
  loop {
    let part = schedule_bmc::list(conn, &filter, &page).await?;
    let may_fire = |row: &ScheduleEntity| match row.status {
      ScheduleStatus::Enabled => true,
      ScheduleStatus::Paused => row.paused_until.is_some(),
      _ => false,
    };
    let book = cache.book(conn, &part.data).await?;
    for mut schedule in part.data.into_iter().filter(may_fire) {
      let known = jobs.contains_key(&schedule.job_id);
      if !known {
        let found = known_job(conn, schedule.job_id, run).await?;
        jobs.insert(schedule.job_id, found);
      }
      let Some(Some((job, durations))) = jobs.get(&schedule.job_id) else { continue };
      let (job, durations) = (job.name.clone(), *durations);
      // What cannot be asked leaves nothing out, as a rule that cannot be read never fires.
      let outlook = Outlook::new((&schedule, None), (&book, &freezes), now).unwrap_or_default();
      if outlook.endless().is_some() {
        continue;
      }
      let (held_until, closings) = (outlook.held_until(), outlook.closings);
      schedule.status = ScheduleStatus::Enabled;
      actors.push(SimulatedActor { schedule, job, durations, closings, held_until });
    }
    match part.page.next_cursor.and_then(|cursor| cursor.parse().ok()) {
      Some(cursor) if actors.len() < SCHEDULES_MAX => page.after = Some(Cursor::Id(cursor)),
      _ => break,
    }
  }
  actors.truncate(SCHEDULES_MAX);
  let (slots, agents) = match slots {
    Some(slots) => (slots, None),
    None => slots_of_agents(conn).await?,
  };
  Ok((World { actors, slots, from: now, until: now, seed }, agents))
}

/// A job that may run, and how long it takes.
async fn known_job(
  conn: &mut Conn,
  id: JobId,
  run: f64,
) -> SvcResult<Option<(JobEntity, Durations)>> {
  let Some(job) = job_bmc::get(conn, id).await? else { return Ok(None) };
  if job.status != JobStatus::Enabled {
    return Ok(None);
  }
  let past = task_instance_bmc::last_durations(conn, id, LEARNED_FROM).await?;
  let durations = Durations::learn(past).unwrap_or_else(|| Durations::constant(run));
  Ok(Some((job, durations)))
}

/// The slots of the agents that take work; no limit where there is no agent.
async fn slots_of_agents(conn: &mut Conn) -> SvcResult<(i64, Option<i64>)> {
  let page = agent_bmc::list(conn, &Default::default(), &PageArgs::first(PAGE)).await?;
  let there =
    |status| matches!(status, AgentStatus::Idle | AgentStatus::Busy | AgentStatus::Online);
  let (mut slots, mut agents) = (0, 0);
  for agent in page.data.iter().filter(|agent| there(agent.status) && !agent.cordoned) {
    slots += i64::from(agent.capabilities.max_concurrent_tasks);
    agents += 1;
  }
  Ok((slots, Some(agents)))
}
