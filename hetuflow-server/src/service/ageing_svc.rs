//! Long waiters rise: one point of priority for every step of their wait, so that a stream of urgent
//! tasks does not hold the others up for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use hetuflow_core::Ts;

use super::Store;
use crate::infra::bmc::hot::{self, AgeingRange};
use crate::infra::db::DbError;

/// Ranges that one turn raises; the others rise in the next ones.
const RANGES_MAX: usize = 64;

/// Raises priorities.
#[derive(Clone)]
pub struct AgeingSvc {
  store: Store,
  step: Duration,
}

impl AgeingSvc {
  /// Over a store; a step of zero raises nothing.
  pub fn new(store: Store, step: Duration) -> Self {
    Self { store, step }
  }

  /// Whether anything ever rises.
  pub fn is_on(&self) -> bool {
    !self.step.is_zero()
  }

  /// Raises whoever has waited long enough while something more urgent is due. Without that the
  /// order would stay the same, and nothing is written. Returns how many rose.
  ///
  /// # Errors
  /// Any [`DbError`].
  pub async fn turn(&self) -> Result<usize, DbError> {
    let mut conn = self.store.db.read().await?;
    let now = conn.now().await?;
    let claimable = hot::due_marks(&mut conn).await?;
    let held = if hot::any_held(&mut conn).await? {
      hot::held_ranges(&mut conn, 0).await?
    } else {
      Vec::new()
    };
    drop(conn);
    let ranges: Vec<(AgeingRange, i64, Ts)> = claimable
      .into_iter()
      .map(|((class, priority), at)| (AgeingRange::Claimable(class, priority), priority, at))
      .chain(
        held
          .into_iter()
          .map(|one| (AgeingRange::Held(one.gate, one.priority), one.priority, one.eligible_at)),
      )
      .collect();
    let highest = ranges.iter().filter(|(_, _, at)| *at <= now).map(|(_, p, _)| *p).max();
    let Some(highest) = highest else { return Ok(0) };
    let old = now.minus(self.step);
    let mut waiting: Vec<(AgeingRange, i64, Ts)> =
      ranges.into_iter().filter(|(_, p, at)| *p < highest && *at <= old).collect();
    waiting.sort_by_key(|(_, _, at)| *at);
    let mut rose = 0;
    for (range, _, _) in waiting.into_iter().take(RANGES_MAX) {
      rose += self.raise(range, now).await?;
    }
    Ok(rose)
  }

  async fn raise(&self, range: AgeingRange, now: Ts) -> Result<usize, DbError> {
    let step = i64::try_from(self.step.as_micros()).unwrap_or(i64::MAX).max(1);
    let mut tx = self.store.db.begin_hot().await?;
    let outcome = hot::age_waiting(&mut tx, range, (step, now)).await;
    let rose = tx.end(outcome).await?;
    match range {
      AgeingRange::Claimable(..) => {
        let marks: BTreeMap<(i64, i64), Ts> = rose.iter().map(|key| (*key, now)).collect();
        if !marks.is_empty() {
          self.store.bus.tasks_due(marks);
        }
      }
      AgeingRange::Held(..) if !rose.is_empty() => self.store.bus.admit.notify_one(),
      AgeingRange::Held(..) => {}
    }
    Ok(rose.len())
  }
}
