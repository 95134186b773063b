//! Due instants become fires and tasks. One transaction locks the schedules that are due, decides
//! ([`decide`]) and writes fires, tasks and cursors together, so that a run is decided against what
//! lives at that moment, whoever else plans. The unique fire key is the last arbiter.

mod catch_up;
mod decide;
mod from_end;
mod invalid;
mod overlap;
mod release;
mod rows;
mod settle;
mod stops;
mod thaw;
mod trigger;
mod write;

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{FreezeEntity, ScheduleId, Ts};

pub use catch_up::SPREAD_MAX;
pub use decide::{Decision, Held, INSTANTS_MAX, MISSED_AFTER, Plan, Question, Run, decide};
pub use overlap::{Admission, Live, Overlap};
pub(super) use settle::settle;
pub(super) use trigger::trigger;

use super::{Store, SvcResult};
use crate::infra::bmc::plan_bmc;
use crate::infra::db::DbError;

/// Schedules decided in one transaction.
const SCHEDULES_MAX: usize = 256;
/// Transactions of one turn.
const ROUNDS_MAX: usize = 20;

/// Makes fires.
pub struct PlanSvc {
  store: Store,
  /// How far ahead instants are decided that nothing can hold back.
  ahead: Duration,
}

/// What a turn of planning did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PlanTurn {
  /// Fires that made a task.
  pub fired: usize,
  /// Instants that were skipped: rows, some of which stand for many.
  pub skipped: usize,
  /// Runs that waited for an earlier one and may start now.
  pub released: usize,
  /// How long nothing needs to be looked at, at most; `None` for as long as the caller likes.
  pub look_in: Option<Duration>,
}

impl PlanSvc {
  /// A planner over a store.
  pub fn new(store: Store, ahead: Duration) -> Arc<Self> {
    Arc::new(Self { store, ahead })
  }

  /// Decides every instant that can be decided now. A broken schedule is marked and stops nobody.
  ///
  /// # Errors
  /// When the list of schedules cannot be read.
  pub async fn run_once(&self) -> SvcResult<PlanTurn> {
    let mut turn = PlanTurn::default();
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let freezes = self.thaw(&mut conn, now).await?;
    drop(conn);
    self.go_on_after_ends().await?;
    let mut full = true;
    for _ in 0..ROUNDS_MAX {
      if !full {
        break;
      }
      let mut conn = self.store.db.read().await?;
      let now = conn.now().await?;
      let limit = SCHEDULES_MAX as i64;
      let ids = plan_bmc::due_ids(&mut conn, (now, now.plus(self.ahead)), limit).await?;
      drop(conn);
      let before = turn.fired + turn.skipped;
      self.plan_all(&ids, (now, &freezes), &mut turn).await;
      full = ids.len() == SCHEDULES_MAX && turn.fired + turn.skipped > before;
    }
    self.release(&mut turn).await?;
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let next = plan_bmc::next_instant(&mut conn, now).await?;
    let soon = if full { Some(Duration::ZERO) } else { next.map(|at| at.since(now)) };
    turn.look_in = turn.look_in.into_iter().chain(soon).min();
    Ok(turn)
  }

  /// Plans these together; where that fails, each alone, so that one that is broken is found.
  async fn plan_all(
    &self,
    ids: &[ScheduleId],
    (now, freezes): (Ts, &[FreezeEntity]),
    turn: &mut PlanTurn,
  ) {
    if ids.is_empty() {
      return;
    }
    match self.plan_group(ids, (now, freezes), turn).await {
      Ok(()) => {}
      Err(error) if error.is_retry() => turn.look_in = Some(Duration::ZERO),
      Err(DbError::Unreachable(error)) => {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot plan");
      }
      Err(error) if ids.len() > 1 => {
        tracing::warn!(
          error = &error as &dyn std::error::Error,
          "schedules are planned one by one"
        );
        for id in ids {
          self.plan_alone(*id, (now, freezes), turn).await;
        }
      }
      Err(_) => self.plan_alone(ids[0], (now, freezes), turn).await,
    }
  }

  async fn plan_alone(
    &self,
    id: ScheduleId,
    (now, freezes): (Ts, &[FreezeEntity]),
    turn: &mut PlanTurn,
  ) {
    let outcome = match self.plan_group(&[id], (now, freezes), turn).await {
      Ok(()) | Err(DbError::Retry(_) | DbError::Unreachable(_)) => return,
      Err(error) => {
        let why = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
        self.mark_broken(id, &why, now).await
      }
    };
    if let Err(error) = outcome {
      tracing::error!(schedule.id = %id, error = &error as &dyn std::error::Error,
        "cannot plan schedule {id}");
    }
  }
}
