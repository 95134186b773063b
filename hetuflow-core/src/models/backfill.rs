//! Backfills: a schedule run for instants that lie in the past, a few at a time.

use serde::{Deserialize, Serialize};

use crate::types::{BackfillId, FieldError, JobId, NamespaceId, ScheduleId, Ts};
use crate::wire_enum;

/// Most tasks of one backfill that are alive at the same time.
pub const BACKFILL_PARALLELISM_MAX: i64 = 100;

wire_enum! {
  /// From which end a backfill begins.
  pub enum BackfillOrder {
    /// The oldest instant first.
    Forward = 0 => "forward",
    /// The newest instant first.
    Backward = 1 => "backward",
  }
}

wire_enum! {
  /// Which instants of the range a backfill runs.
  pub enum BackfillOnly {
    /// Those without a task: never decided, or skipped.
    Missing = 0 => "missing",
    /// Those whose last task has failed, was lost or expired.
    Failed = 1 => "failed",
    /// All of them, whatever became of them.
    All = 2 => "all",
  }
}

wire_enum! {
  /// Where a backfill stands.
  pub enum BackfillState {
    /// It makes tasks, or waits for those that it made.
    Running = 0 => "running",
    /// It makes no more tasks until it goes on.
    Paused = 1 => "paused",
    /// Somebody ended it, or its schedule is gone.
    Cancelled = 2 => "cancelled",
    /// It is over, and not all of its tasks have succeeded.
    Failed = 3 => "failed",
    /// It is over, and all of its tasks have succeeded.
    Succeeded = 4 => "succeeded",
  }
}

impl BackfillState {
  /// Whether it will make no more tasks.
  pub fn is_over(self) -> bool {
    matches!(self, Self::Cancelled | Self::Failed | Self::Succeeded)
  }
}

/// A new backfill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct BackfillForCreate {
  /// The first instant that may be run.
  pub from: Ts,
  /// The last instant that may be run; not in the future.
  pub to: Ts,
  /// From which end; `forward` where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub order: Option<BackfillOrder>,
  /// Most tasks alive at the same time, 1 to 100; 1 where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub parallelism: Option<i64>,
  /// Which instants; `missing` where not said.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub only: Option<BackfillOnly>,
  /// Instants that calendars leave out are run too.
  #[serde(default, skip_serializing_if = "std::ops::Not::not")]
  pub with_excluded: bool,
  /// Only count.
  #[serde(default, skip_serializing_if = "std::ops::Not::not")]
  pub dry_run: bool,
}

impl BackfillForCreate {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, now: Ts, errors: &mut Vec<FieldError>) {
    if self.from > self.to {
      errors.push(FieldError::new("backfill.range", "/to", "to lies before from"));
    } else if self.to > now {
      let message = "to lies in the future: what is to come is for the schedule itself";
      errors
        .push(FieldError::new("backfill.future", "/to", message).with_hint("now at the latest"));
    }
    if self.parallelism.is_some_and(|most| !(1..=BACKFILL_PARALLELISM_MAX).contains(&most)) {
      let message = format!("parallelism is 1 to {BACKFILL_PARALLELISM_MAX}");
      errors.push(FieldError::new("number.range", "/parallelism", message));
    }
  }
}

/// A backfill as it is stored, in `sched_backfill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct BackfillEntity {
  /// Its id.
  pub id: BackfillId,
  /// The namespace of its schedule.
  pub namespace_id: NamespaceId,
  /// The schedule.
  pub schedule_id: ScheduleId,
  /// What the schedule was called.
  pub schedule_name: String,
  /// The job.
  pub job_id: JobId,
  /// The first instant that may be run.
  pub from_at: Ts,
  /// The last instant that may be run.
  pub to_at: Ts,
  /// From which end.
  #[cfg_attr(feature = "with-db", sqlx(rename = "direction"))]
  pub order: BackfillOrder,
  /// Which instants.
  #[cfg_attr(feature = "with-db", sqlx(rename = "selection"))]
  pub only: BackfillOnly,
  /// Most tasks alive at the same time.
  pub parallelism: i64,
  /// Where it stands.
  pub state: BackfillState,
  /// Why it stands there, or waits.
  pub reason: Option<String>,
  /// Instants that calendars leave out are run too.
  #[serde(default)]
  pub with_excluded: bool,
  /// Instants of the schedule in the range.
  pub in_range: i64,
  /// Those of them that calendars leave out.
  #[serde(default)]
  pub excluded: i64,
  /// Those of them that were to be run when it was made.
  pub total: i64,
  /// The oldest of these.
  pub first_at: Ts,
  /// The newest of these.
  pub last_at: Ts,
  /// Tasks made so far.
  pub made: i64,
  /// Tasks that have succeeded.
  pub succeeded: i64,
  /// Tasks that have ended in any other way.
  pub failed: i64,
  /// The instant that it has come to.
  pub cursor_at: Option<Ts>,
  /// Grows with every change.
  pub rev: i64,
  /// Who made it.
  pub created_by: Option<String>,
  /// When.
  pub created_at: Ts,
  /// When it changed last.
  pub updated_at: Ts,
  /// When it was over and none of its tasks was alive any more.
  pub ended_at: Option<Ts>,
}

/// Which backfills.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct BackfillFilter {
  /// In this namespace.
  pub namespace_id: Option<NamespaceId>,
  /// Of this schedule.
  pub schedule_id: Option<ScheduleId>,
  /// In this state.
  pub state: Option<BackfillState>,
}

/// How a backfill is ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct BackfillCancel {
  /// Why.
  pub reason: Option<String>,
  /// Its tasks that are alive go on; else they are cancelled too.
  pub keep_running: bool,
}

#[cfg(test)]
mod tests {
  use super::*;

  fn check(change: impl FnOnce(&mut BackfillForCreate)) -> Vec<String> {
    let at = |text: &str| text.parse::<Ts>().expect("an instant");
    let mut new = BackfillForCreate {
      from: at("2026-01-01T00:00:00Z"),
      to: at("2026-01-02T00:00:00Z"),
      order: None,
      parallelism: None,
      only: None,
      with_excluded: false,
      dry_run: false,
    };
    change(&mut new);
    let mut errors = Vec::new();
    new.check(at("2026-01-03T00:00:00Z"), &mut errors);
    errors.into_iter().map(|error| format!("{} {}", error.code, error.field)).collect()
  }

  #[test]
  fn ranges_lie_in_the_past() {
    assert!(check(|_| {}).is_empty());
    assert!(check(|new| new.from = new.to).is_empty(), "one instant is a range");
    let after = |new: &mut BackfillForCreate| {
      new.to = "2026-01-03T00:00:01Z".parse().expect("an instant");
    };
    assert_eq!(check(after), ["backfill.future /to"]);
    assert_eq!(check(|new| std::mem::swap(&mut new.from, &mut new.to)), ["backfill.range /to"]);
    for most in [0, -1, BACKFILL_PARALLELISM_MAX + 1] {
      assert_eq!(check(|new| new.parallelism = Some(most)), ["number.range /parallelism"]);
    }
  }
}
