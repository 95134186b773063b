//! What becomes of the instants of one schedule that are due: the planner's own decision, as verdicts.

use hetuflow_core::{Closings, Rhythm, ScheduleEntity, Ts};

use crate::service::plan::{Live, Question, decide};

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
  (rhythm, closings): (&Rhythm, &Closings),
  (started, queued): (usize, usize),
  now: Ts,
) -> Vec<Verdict> {
  let live = Live { started: started as i64, waiting: queued as i64 };
  let plan = decide(&Question {
    schedule,
    rhythm,
    job_off: None,
    closings,
    live,
    now,
    horizon: now,
    held: None,
  });
  let mut verdicts = Vec::with_capacity(plan.decisions.len() + 1);
  if plan.stops.is_some() {
    verdicts.push(Verdict::StopOthers);
  }
  for decision in &plan.decisions {
    verdicts.push(match decision.run {
      // What waits for those that are stopped may start at once.
      Some(run) if run.waits && plan.stops.is_none() => Verdict::Queue,
      Some(_) => Verdict::Start,
      None => Verdict::Skip(decision.count),
    });
  }
  let over = plan.is_used_up(schedule);
  schedule.next_run_at = if over { None } else { plan.next };
  schedule.last_run_at = plan.last;
  schedule.run_count = plan.run_count;
  schedule.skip_next = plan.skip_next;
  verdicts
}
