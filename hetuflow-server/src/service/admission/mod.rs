//! Tasks that limits hold are let through, one admission at a time in the whole cluster.
//!
//! What is taken of a limit is counted from live rows: a lease counts while its task is alive
//! behind an open gate. There is nothing to give back, and so nothing that a crash can keep.

mod board;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hetuflow_core::{DEBOUNCE_LIMIT, Gate, TaskId, Ts};

use super::fit::may_run;
use super::{JobCache, Store};
use crate::infra::bmc::hot::{self, HeldRange};
use crate::infra::bmc::limit_bmc::{self, Lease};
use crate::infra::bmc::{dedup_bmc, watch_agents};
use crate::infra::db::{Conn, DbError};
pub(super) use board::key_of;
use board::{Board, Candidate, Choice, choose};
pub(super) use told::tell_limits;

/// Tasks are let through so long before they may start: longer than the time between two looks, so
/// that none is late for want of a look.
const AHEAD: Duration = Duration::from_millis(1200);
/// Tasks of one kind that one turn lets through.
const ADMIT_MAX: i64 = 500;
/// Kinds of tasks that one turn lets through.
const KINDS_MAX: usize = 100;
/// The most that one walk over what is held returns.
const WALK_MAX: usize = 10_000;
/// A task that has its slots for so long, and that no agent may run, loses them to those that wait.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// It waits for so long then.
const STUCK_WAIT: Duration = Duration::from_secs(5);
/// Keys of requests are forgotten so long after their time is over.
const DEDUP_KEPT: Duration = Duration::from_secs(86_400);
/// Full limits that one turn looks into for tasks that nobody runs.
const STUCK_LIMITS_MAX: usize = 20;

/// Lets tasks through.
pub struct AdmissionSvc {
  store: Store,
  jobs: Arc<JobCache>,
  /// Where the walk goes on that could not see everything.
  walk_from: AtomicI64,
}

/// What a turn did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionTurn {
  /// Tasks that went through.
  pub admitted: usize,
  /// Another turn would do more.
  pub more: bool,
  /// When something changes by itself: a task comes due, or a rate allows one more.
  pub next_at: Option<Ts>,
}

impl AdmissionSvc {
  /// Over a store.
  pub fn new(store: Store, jobs: Arc<JobCache>) -> Arc<Self> {
    Arc::new(Self { store, jobs, walk_from: AtomicI64::new(0) })
  }

  /// Lets through what the limits allow now.
  ///
  /// # Errors
  /// Any [`DbError`]; then nothing went through.
  pub async fn turn(&self) -> Result<AdmissionTurn, DbError> {
    let mut conn = self.store.db.read().await?;
    if !hot::any_held(&mut conn).await? {
      return Ok(AdmissionTurn::default());
    }
    drop(conn);
    let mut tx = self.store.db.begin_hot().await?;
    let outcome = self.turn_in(&mut tx).await;
    let (turn, marks) = tx.end::<_, DbError>(outcome).await?;
    if !marks.is_empty() {
      self.store.bus.tasks_due(marks);
    }
    Ok(turn)
  }

  async fn turn_in(
    &self,
    tx: &mut Conn,
  ) -> Result<(AdmissionTurn, BTreeMap<(i64, i64), Ts>), DbError> {
    limit_bmc::lock_admission(tx).await?;
    let now = tx.now().await?;
    let (mut turn, mut due) = (AdmissionTurn::default(), Vec::new());
    for range in self.walk(tx).await? {
      let ahead = ahead_of(&range.limits.0);
      if range.eligible_at <= now.plus(ahead) {
        due.push(range);
      } else {
        sooner(&mut turn.next_at, range.eligible_at.minus(ahead));
      }
    }
    if due.is_empty() {
      return Ok((turn, BTreeMap::new()));
    }
    let names: BTreeSet<&str> =
      due.iter().flat_map(|range| &range.limits.0.0).map(|demand| demand.limit.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    limit_bmc::sweep_limits(tx, &names).await?;
    let mut board = Board::load(tx, due.iter().map(|range| &range.limits.0), now).await?;
    let mut candidates = candidates(tx, &board, &due, (now, &mut turn.more)).await?;
    let choice = choose(&mut board, &mut candidates, now);
    if let Some(at) = choice.next_at {
      sooner(&mut turn.next_at, at);
    }
    let marks = admit(tx, (&board, &candidates, &choice), (now, &mut turn.admitted)).await?;
    turn.more |= self.free_stuck(tx, &choice, now).await?;
    Ok((turn, marks))
  }

  async fn walk(&self, tx: &mut Conn) -> Result<Vec<HeldRange>, DbError> {
    let from = self.walk_from.load(Ordering::Relaxed);
    let ranges = hot::held_ranges(tx, from).await?;
    let cut = ranges.len() >= WALK_MAX;
    let next = ranges.last().map_or(0, |last| if cut { last.gate } else { 0 });
    self.walk_from.store(next, Ordering::Relaxed);
    Ok(ranges)
  }

  /// Tasks that have slots and that no agent may run must not keep others waiting.
  async fn free_stuck(&self, tx: &mut Conn, choice: &Choice, now: Ts) -> Result<bool, DbError> {
    let mut stuck = Vec::new();
    for limit in choice.full.iter().take(STUCK_LIMITS_MAX) {
      stuck.extend(hot::stuck_claims(tx, limit, now.minus(STUCK_AFTER)).await?);
    }
    if stuck.is_empty() {
      return Ok(false);
    }
    stuck.sort_by_key(|one| one.task_id);
    stuck.dedup();
    let agents = watch_agents::all(tx).await?;
    let mut freed = false;
    for one in stuck {
      let class = match self.jobs.class(tx, one.class_id).await {
        Ok(class) => class,
        // Nothing is known of its agents; the dispatcher says so.
        Err(DbError::Missing { .. }) => continue,
        Err(error) => return Err(error),
      };
      if !agents.iter().any(|agent| may_run(agent, &class)) {
        freed |= hot::take_back_slots(tx, one.task_id, (now.plus(STUCK_WAIT), now)).await?;
      }
    }
    Ok(freed)
  }

  /// Deletes what no longer counts.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn sweep(&self) -> Result<u64, DbError> {
    let mut tx = self.store.db.begin_hot().await?;
    let outcome = async {
      limit_bmc::lock_admission(&mut tx).await?;
      let now = tx.now().await?;
      let longest = Duration::from_secs(hetuflow_core::RATE_SECS_MAX);
      dedup_bmc::delete_before(&mut tx, now.minus(DEDUP_KEPT)).await?;
      limit_bmc::sweep_all(&mut tx, now.minus(longest)).await
    }
    .await;
    tx.end(outcome).await
  }
}

/// How long before their instant tasks with these demands are let through. One that is debounced
/// may still be moved, and is held until its instant.
fn ahead_of(gate: &Gate) -> Duration {
  let debounced = gate.0.iter().any(|demand| demand.limit.starts_with(DEBOUNCE_LIMIT));
  if debounced { Duration::ZERO } else { AHEAD }
}

fn sooner(known: &mut Option<Ts>, at: Ts) {
  *known = Some(known.map_or(at, |known| known.min(at)));
}

/// The first tasks of each kind for which there is room; of a kind without room only where it
/// stands.
async fn candidates<'a>(
  tx: &mut Conn,
  board: &Board,
  due: &'a [HeldRange],
  (now, more): (Ts, &mut bool),
) -> Result<Vec<Candidate<'a>>, DbError> {
  let mut order: Vec<&HeldRange> = due.iter().collect();
  order.sort_by_key(|range| (std::cmp::Reverse(range.priority), range.eligible_at, range.gate));
  let (mut all, mut kinds) = (Vec::new(), 0);
  for range in order {
    let (priority, gate) = (range.priority, &range.limits.0);
    let room = board.room(gate, now, ADMIT_MAX);
    if room == 0 || kinds >= KINDS_MAX {
      *more |= room > 0;
      all.push(Candidate { priority, eligible_at: range.eligible_at, task: None, gate });
      continue;
    }
    kinds += 1;
    // One more than there is room for, so that it is seen that something waits.
    let held =
      hot::held_due(tx, (range.gate, priority), now.plus(ahead_of(gate)), room + 1).await?;
    *more |= room == ADMIT_MAX && held.len() as i64 > room;
    all.extend(held.into_iter().map(|one| {
      let task = Some((one.task_id, one.class_id));
      Candidate { priority, eligible_at: one.eligible_at, task, gate }
    }));
  }
  Ok(all)
}

/// Writes what was chosen; returns where the dispatcher finds it.
async fn admit(
  tx: &mut Conn,
  (board, candidates, choice): (&Board, &[Candidate<'_>], &Choice),
  (now, admitted): (Ts, &mut usize),
) -> Result<BTreeMap<(i64, i64), Ts>, DbError> {
  let chosen: BTreeMap<TaskId, (&Candidate<'_>, i64)> = choice
    .through
    .iter()
    .filter_map(|index| {
      candidates[*index].task.map(|(id, class)| (id, (&candidates[*index], class)))
    })
    .collect();
  let mut marks: BTreeMap<(i64, i64), Ts> = BTreeMap::new();
  if chosen.is_empty() {
    return Ok(marks);
  }
  let ids: Vec<TaskId> = chosen.keys().copied().collect();
  let mut through = Vec::with_capacity(ids.len());
  for id in hot::admit_rows(tx, &ids, now).await? {
    let Some((candidate, class)) = chosen.get(&id) else { continue };
    *admitted += 1;
    let mark = marks.entry((*class, candidate.priority)).or_insert(candidate.eligible_at);
    *mark = (*mark).min(candidate.eligible_at);
    through.push((id, candidate.gate));
  }
  write_taken(tx, board, &through, now).await?;
  Ok(marks)
}

/// Writes what these tasks have of their limits from now on.
async fn write_taken(
  tx: &mut Conn,
  board: &Board,
  through: &[(TaskId, &Gate)],
  now: Ts,
) -> Result<(), DbError> {
  let (mut leases, mut starts) = (Vec::new(), BTreeMap::<&str, i64>::new());
  for (id, gate) in through {
    for demand in gate.0.iter().filter(|demand| !demand.limit.starts_with(DEBOUNCE_LIMIT)) {
      let (limit, slots) = (demand.limit.clone(), demand.slots);
      leases.push(Lease { limit, task_id: *id, slots });
      if board.is_rated(demand) {
        *starts.entry(demand.limit.as_str()).or_default() += 1;
      }
    }
  }
  limit_bmc::write_leases(tx, &leases, now).await?;
  for (limit, count) in starts {
    let since = now.minus(board.longest_span(limit));
    limit_bmc::note_starts(tx, (limit, count), (now, since)).await?;
  }
  Ok(())
}

/// Gives a task what it needs of its limits, whether there is room for it or not.
///
/// # Errors
/// Any [`DbError`].
pub(super) async fn take_regardless(
  tx: &mut Conn,
  (task, gate): (TaskId, &Gate),
  now: Ts,
) -> Result<(), DbError> {
  let board = Board::load(tx, [gate], now).await?;
  write_taken(tx, &board, &[(task, gate)], now).await
}
