//! What limits allow and what is taken of them, at one instant: read once, then reckoned with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hetuflow_core::{
  Gate, JobId, LimitDemand, LimitOf, LimitUse, RateLimit, ScheduleId, SemaphoreEntity, TaskId, Ts,
};

use crate::infra::bmc::{limit_bmc, semaphore_bmc};
use crate::infra::db::{Conn, DbError};

/// One limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LimitState {
  /// Slots that there are; any number where none is said.
  pub(crate) slots: Option<i64>,
  /// Starts that there may be.
  pub(crate) rate: Option<RateLimit>,
  /// Slots that are taken.
  pub(crate) taken: i64,
  /// Starts within the spans that matter, the oldest first.
  pub(crate) starts: Vec<(Ts, i64)>,
  /// It is named by tasks and does not exist: nothing starts.
  pub(crate) missing: bool,
  /// A task that comes first waits for more of it.
  pub(crate) kept: bool,
  /// The longest span of the rates that are known of it.
  pub(crate) span: Duration,
}

/// Why a demand is not met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Lack {
  /// Too few slots are free.
  Slots,
  /// It needs more slots than there are.
  TooBig,
  /// There were enough starts; the next one may be then.
  Rate(Ts),
}

impl LimitState {
  /// Slots that there are for this demand.
  pub(crate) fn cap(&self, demand: &LimitDemand) -> Option<i64> {
    demand.cap.or(self.slots)
  }

  /// What keeps this demand waiting.
  pub(crate) fn lack(&self, demand: &LimitDemand, now: Ts) -> Option<Lack> {
    if let Some(cap) = self.cap(demand) {
      if demand.slots > cap {
        return Some(Lack::TooBig);
      }
      if self.taken + demand.slots > cap {
        return Some(Lack::Slots);
      }
    }
    let rate = demand.rate.or(self.rate)?;
    let counted = self.starts.iter().rev().take_while(|(at, _)| *at > now.minus(rate.per_secs.0));
    let mut left = rate.rate;
    for (at, starts) in counted {
      left -= starts;
      if left <= 0 {
        return Some(Lack::Rate(at.plus(rate.per_secs.0)));
      }
    }
    None
  }

  /// Starts within the last span of its rate.
  fn started(&self, now: Ts) -> i64 {
    let Some(rate) = self.rate else { return 0 };
    let since = now.minus(rate.per_secs.0);
    self.starts.iter().filter(|(at, _)| *at > since).map(|(_, starts)| starts).sum()
  }
}

/// The limits that some tasks need.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Board {
  pub(crate) limits: BTreeMap<String, LimitState>,
}

impl Board {
  /// Reads the limits that these gates name.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub(crate) async fn load(
    conn: &mut Conn,
    gates: impl IntoIterator<Item = &Gate>,
    now: Ts,
  ) -> Result<Self, DbError> {
    let mut board = Self::default();
    for demand in gates.into_iter().flat_map(|gate| &gate.0) {
      if !board.limits.contains_key(&demand.limit) {
        board.limits.insert(demand.limit.clone(), LimitState::default());
      }
      if let (Some(rate), Some(state)) = (demand.rate, board.limits.get_mut(&demand.limit)) {
        state.span = state.span.max(rate.per_secs.0);
      }
    }
    board.read_numbers(conn).await?;
    let names: Vec<String> = board.limits.keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (limit, taken) in limit_bmc::taken(conn, &names).await? {
      if let Some(state) = board.limits.get_mut(&limit) {
        state.taken = taken;
      }
    }
    let mut rated = Vec::new();
    for (limit, state) in &mut board.limits {
      state.span = state.span.max(state.rate.map_or(Duration::ZERO, |rate| rate.per_secs.0));
      if !state.span.is_zero() {
        rated.push((limit.as_str(), now.minus(state.span)));
      }
    }
    for (limit, at, starts) in limit_bmc::starts_since(conn, &rated).await? {
      if let Some(state) = board.limits.get_mut(&limit) {
        state.starts.push((at, starts));
      }
    }
    Ok(board)
  }

  /// Whether starts of this limit are counted.
  pub(crate) fn is_rated(&self, demand: &LimitDemand) -> bool {
    let rate = || self.limits.get(&demand.limit).and_then(|state| state.rate);
    demand.rate.or_else(rate).is_some()
  }

  /// Starts from longer ago are of no use to any rate that is known of it.
  pub(crate) fn longest_span(&self, limit: &str) -> Duration {
    self.limits.get(limit).map_or(Duration::ZERO, |state| state.span)
  }

  /// What the limits are now: of the jobs, the schedules and the semaphores themselves.
  async fn read_numbers(&mut self, conn: &mut Conn) -> Result<(), DbError> {
    let mut jobs: BTreeSet<JobId> = BTreeSet::new();
    let mut schedules: BTreeSet<ScheduleId> = BTreeSet::new();
    let mut semaphores: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for limit in self.limits.keys() {
      match LimitOf::read(limit) {
        Some(LimitOf::Job(job)) => _ = jobs.insert(job),
        Some(LimitOf::Schedule(schedule)) => _ = schedules.insert(schedule),
        Some(LimitOf::Semaphore { namespace, name, .. }) => {
          semaphores.entry((namespace, name)).or_default().push(limit.clone());
        }
        None => {}
      }
    }
    let jobs: Vec<JobId> = jobs.into_iter().collect();
    for (job, config) in limit_bmc::job_configs(conn, &jobs).await? {
      if let Some(state) = self.limits.get_mut(&format!("job:{job}")) {
        (state.slots, state.rate) = (config.max_concurrent, config.rate_limit);
      }
    }
    let schedules: Vec<ScheduleId> = schedules.into_iter().collect();
    for (schedule, slots) in limit_bmc::schedule_caps(conn, &schedules).await? {
      if let Some(state) = self.limits.get_mut(&format!("schedule:{schedule}")) {
        state.slots = slots;
      }
    }
    let names: Vec<(&str, &str)> =
      semaphores.keys().map(|(namespace, name)| (namespace.as_str(), name.as_str())).collect();
    let found = semaphore_bmc::get_all(conn, &names).await?;
    let found: BTreeMap<(&str, &str), &SemaphoreEntity> =
      found.iter().map(|one| ((one.namespace_id.as_str(), one.name.as_str()), one)).collect();
    for ((namespace, name), limits) in &semaphores {
      let known = found.get(&(namespace.as_str(), name.as_str()));
      for limit in limits {
        let Some(state) = self.limits.get_mut(limit) else { continue };
        state.missing = known.is_none();
        state.slots = known.map_or(Some(0), |one| one.slots);
        state.rate = known.and_then(|one| one.rate_limit());
      }
    }
    Ok(())
  }

  /// What keeps this demand waiting; `None` also for a limit that nobody knows.
  pub(crate) fn lack(&self, demand: &LimitDemand, now: Ts) -> Option<Lack> {
    self.limits.get(&demand.limit)?.lack(demand, now)
  }

  /// How many tasks with these demands there is room for, at most `most`.
  pub(crate) fn room(&self, gate: &Gate, now: Ts, most: i64) -> i64 {
    let room = |demand: &LimitDemand| {
      let Some(state) = self.limits.get(&demand.limit) else { return most };
      if state.lack(demand, now).is_some() {
        return 0;
      }
      let slots = state.cap(demand).map_or(most, |cap| (cap - state.taken) / demand.slots.max(1));
      let starts = demand.rate.or(state.rate).map_or(most, |rate| {
        let since = now.minus(rate.per_secs.0);
        let counted = state.starts.iter().filter(|(at, _)| *at > since);
        rate.rate - counted.map(|(_, starts)| starts).sum::<i64>()
      });
      slots.min(starts)
    };
    gate.0.iter().map(room).min().unwrap_or(most).clamp(0, most)
  }

  /// Takes what a task needs.
  pub(crate) fn take(&mut self, gate: &Gate, now: Ts) {
    for demand in &gate.0 {
      let Some(state) = self.limits.get_mut(&demand.limit) else { continue };
      state.taken += demand.slots;
      if demand.rate.or(state.rate).is_some() {
        match state.starts.last_mut() {
          Some((at, starts)) if *at == now => *starts += 1,
          _ => state.starts.push((now, 1)),
        }
      }
    }
  }

  /// A limit as people see it.
  pub(crate) fn told(&self, demand: &LimitDemand, now: Ts) -> LimitUse {
    let state = self.limits.get(&demand.limit).cloned().unwrap_or_default();
    LimitUse {
      limit: demand.limit.clone(),
      key: key_of(&demand.limit),
      slots: state.cap(demand),
      taken: state.taken,
      rate: demand.rate.or(state.rate),
      started: state.started(now),
      holders: Vec::new(),
    }
  }
}

/// The value of the key in a limit's name.
pub(crate) fn key_of(limit: &str) -> Option<String> {
  match LimitOf::read(limit) {
    Some(LimitOf::Semaphore { key, .. }) => key,
    _ => None,
  }
}

/// Tasks in the order in which they are let through.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate<'a> {
  /// Higher comes first.
  pub(crate) priority: i64,
  /// Then the sooner.
  pub(crate) eligible_at: Ts,
  /// The task and its class; none stands for tasks that had no room to begin with.
  pub(crate) task: Option<(TaskId, i64)>,
  /// What it needs.
  pub(crate) gate: &'a Gate,
}

/// What was chosen, and when something may change by itself.
#[derive(Debug, Default)]
pub(crate) struct Choice {
  /// Positions of those that go through.
  pub(crate) through: Vec<usize>,
  /// The first instant at which a rate allows one more.
  pub(crate) next_at: Option<Ts>,
  /// Limits of which slots were missing.
  pub(crate) full: BTreeSet<String>,
}

/// Chooses, all or nothing for each task. What a task lacks is kept for it: nobody behind it takes
/// of that, so that a task that needs much comes to its turn. Pure; sorts the candidates.
pub(crate) fn choose(board: &mut Board, candidates: &mut [Candidate<'_>], now: Ts) -> Choice {
  candidates.sort_by_key(|one| (std::cmp::Reverse(one.priority), one.eligible_at, one.task));
  let mut choice = Choice::default();
  for (index, candidate) in candidates.iter().enumerate() {
    let lacks: Vec<(&str, Lack)> = candidate
      .gate
      .0
      .iter()
      .filter_map(|demand| Some((demand.limit.as_str(), board.lack(demand, now)?)))
      .collect();
    // What can never go through keeps nothing from others.
    let hopeless = lacks.iter().any(|(_, lack)| *lack == Lack::TooBig);
    for (limit, lack) in &lacks {
      match lack {
        Lack::Rate(at) => {
          choice.next_at = Some(choice.next_at.map_or(*at, |known| known.min(*at)));
        }
        Lack::Slots => _ = choice.full.insert((*limit).to_owned()),
        Lack::TooBig => {}
      }
      if !hopeless && let Some(state) = board.limits.get_mut(*limit) {
        state.kept = true;
      }
    }
    let kept = |demand: &LimitDemand| board.limits.get(&demand.limit).is_some_and(|s| s.kept);
    if lacks.is_empty() && candidate.task.is_some() && !candidate.gate.0.iter().any(kept) {
      board.take(candidate.gate, now);
      choice.through.push(index);
    }
  }
  choice
}

#[cfg(test)]
mod tests {
  use std::time::Duration;

  use hetuflow_core::Seconds;
  use proptest::prelude::*;

  use super::*;

  fn now() -> Ts {
    Ts::from_micros(1_000_000_000)
  }

  fn demand(limit: &str, slots: i64) -> LimitDemand {
    LimitDemand { limit: limit.to_owned(), slots, cap: None, rate: None }
  }

  fn board(limits: &[(&str, i64, i64)]) -> Board {
    let state = |slots, taken| LimitState { slots: Some(slots), taken, ..LimitState::default() };
    let limits =
      limits.iter().map(|(name, slots, taken)| ((*name).to_owned(), state(*slots, *taken)));
    Board { limits: limits.collect() }
  }

  fn candidate(gate: &Gate, priority: i64, at: i64) -> Candidate<'_> {
    let eligible_at = Ts::from_micros(at);
    Candidate { priority, eligible_at, task: Some((TaskId::generate(), 1)), gate }
  }

  #[test]
  fn priority_then_time() {
    let gate = Gate(vec![demand("a", 1)]);
    let mut all = [candidate(&gate, 0, 1), candidate(&gate, 5, 9), candidate(&gate, 5, 3)];
    let choice = choose(&mut board(&[("a", 3, 1)]), &mut all, now());
    assert_eq!(choice.through, [0, 1]);
    assert_eq!((all[0].eligible_at.micros(), all[1].eligible_at.micros()), (3, 9));
    assert!(choice.full.contains("a"));
  }

  #[test]
  fn what_a_big_one_lacks_is_kept_for_it() {
    let (big, small) = (Gate(vec![demand("a", 3)]), Gate(vec![demand("a", 1)]));
    let mut all = [candidate(&big, 0, 1), candidate(&small, 0, 2)];
    assert!(choose(&mut board(&[("a", 3, 1)]), &mut all, now()).through.is_empty());
    // One that can never fit keeps nothing.
    let (huge, small) = (Gate(vec![demand("a", 9)]), Gate(vec![demand("a", 1)]));
    let mut all = [candidate(&huge, 0, 1), candidate(&small, 0, 2)];
    assert_eq!(choose(&mut board(&[("a", 3, 1)]), &mut all, now()).through, [1]);
  }

  #[test]
  fn a_rate_counts_starts_of_its_span() {
    let per = Duration::from_secs(60);
    let mut limits = board(&[("a", 100, 0)]);
    let state = limits.limits.get_mut("a").expect("there");
    state.rate = Some(RateLimit { rate: 3, per_secs: Seconds(per) });
    let (old, new) = (now().minus(per), now().minus(Duration::from_secs(10)));
    state.starts = vec![(old, 5), (new, 2)];
    let gate = Gate(vec![demand("a", 1)]);
    let mut all = [candidate(&gate, 0, 1), candidate(&gate, 0, 2)];
    let choice = choose(&mut limits, &mut all, now());
    assert_eq!((choice.through, choice.next_at), (vec![0], Some(new.plus(per))));
  }

  proptest! {
    #[test]
    fn nothing_is_ever_overdrawn(
      caps in prop::collection::vec((0_i64..5, 0_i64..3), 3),
      wishes in prop::collection::vec((prop::collection::vec(0_i64..4, 3), -2_i64..3, 0_i64..50), 0..40),
    ) {
      let names = ["a", "b", "c"];
      let limits: Vec<(&str, i64, i64)> =
        names.iter().zip(&caps).map(|(name, (cap, taken))| (*name, *cap, *taken)).collect();
      let gates: Vec<Gate> = wishes.iter().map(|(slots, _, _)| {
        let needs = names.iter().zip(slots).filter(|(_, slots)| **slots > 0);
        Gate(needs.map(|(name, slots)| demand(name, *slots)).collect())
      }).collect();
      let mut all: Vec<Candidate<'_>> = wishes.iter().zip(&gates)
        .map(|((_, priority, at), gate)| candidate(gate, *priority, *at)).collect();
      let mut after = board(&limits);
      let choice = choose(&mut after, &mut all, now());
      for (name, (cap, taken)) in names.iter().zip(&caps) {
        let used: i64 = choice.through.iter().flat_map(|index| &all[*index].gate.0)
          .filter(|demand| demand.limit == *name).map(|demand| demand.slots).sum();
        prop_assert_eq!(after.limits[*name].taken, taken + used);
        prop_assert!(used == 0 || taken + used <= *cap);
      }
      // The first of all goes through whenever it fits.
      if let Some(first) = all.first() {
        let fits = first.gate.0.iter().all(|d| board(&limits).lack(d, now()).is_none());
        prop_assert_eq!(choice.through.first() == Some(&0), fits);
      }
    }
  }
}
