//! What becomes of the instants of one schedule that are due.

use hetuflow_core::{OverlapPolicy, Rhythm, ScheduleEntity, Ts};

/// What becomes of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
  /// A run.
  Start,
  /// A run behind the earlier ones.
  Queue,
  /// The earlier runs are stopped first.
  StopOthers,
  /// So many instants have no run.
  Skip(i64),
}

/// Decides what is due now and moves the schedule's cursor; `live` is how many runs have started or
/// may, and how many wait for them.
pub(super) fn decide_now(
  schedule: &mut ScheduleEntity,
  rhythm: &Rhythm,
  (started, queued): (usize, usize),
  now: Ts,
) -> Vec<Verdict> {
  schedule.next_run_at = rhythm.next(now).map(|(at, _)| at);
  if schedule.max_count.is_some_and(|most| schedule.run_count >= most) {
    schedule.next_run_at = None;
    return Vec::new();
  }
  let idle = started + queued == 0;
  let verdicts = match schedule.overlap_policy {
    OverlapPolicy::AllowAll => vec![Verdict::Start],
    _ if idle => vec![Verdict::Start],
    OverlapPolicy::Skip => vec![Verdict::Skip(1)],
    OverlapPolicy::BufferOne if queued > 0 => vec![Verdict::Skip(1)],
    OverlapPolicy::CancelOther | OverlapPolicy::TerminateOther => {
      vec![Verdict::StopOthers, Verdict::Start]
    }
    _ => vec![Verdict::Queue],
  };
  if !matches!(verdicts.as_slice(), [Verdict::Skip(_)]) {
    schedule.run_count += 1;
  }
  verdicts
}
