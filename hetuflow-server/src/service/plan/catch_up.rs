//! Missed instants: as many runs as the policy allows, the newest ones, and one row for the rest. The
//! time that it takes does not grow with the outage.

use std::time::Duration;

use hetuflow_core::{
  FireDecision, MisfirePolicy, OverlapPolicy, ScheduleEntity, TriggerSource, Ts, cron_seed,
};

use super::decide::{Plan, Question, Run};
use super::overlap::{Admission, Overlap};

/// Longest time over which what was missed is spread.
pub const SPREAD_MAX: Duration = Duration::from_secs(60);
/// Stretches of calendars that are told apart in one outage; what lies before them is told together.
const STRETCHES_MAX: usize = 200;
const MICRO: Duration = Duration::from_micros(1);

/// Decides all instants up to now.
pub(super) fn catch_up(plan: &mut Plan, q: &Question<'_>, overlap: &mut Overlap) {
  let Some(first) = plan.next else { return };
  let policy = q.held.map_or(q.schedule.misfire_policy, |held| held.policy);
  let runs = newest(q, first, wanted(plan, q, (policy, overlap)));
  let why = left_out(q, (policy, overlap));
  let why = (why.0, why.1.as_str());
  let mut from = first;
  for (index, at) in runs.iter().enumerate() {
    tell_missed(plan, q, (from, at.minus(MICRO)), why);
    // The first of them may replace what lives; the others find their place as later ones do.
    match overlap.admit() {
      Admission::Refuse(why) => {
        plan.summarise(q, (*at, *at), (FireDecision::SkippedOverlap, &why));
      }
      admission => {
        let (waits, reason) = match admission {
          Admission::Wait(why) => (true, Some(why)),
          Admission::Replace(kind, why) => {
            plan.stops = Some(kind);
            (true, Some(why))
          }
          _ => (false, None),
        };
        let once = policy == MisfirePolicy::FireOnce;
        let scheduled_at = if once { Ts::from_millis(q.now.millis()) } else { *at };
        let not_before =
          q.held.is_none_or(|held| held.spread).then(|| q.now.plus(spread(q, *at, index)));
        let run = Run { scheduled_at, not_before, waits, source: TriggerSource::Catchup };
        plan.fire(q, *at, (run, reason.or_else(|| Some(made_up_for(policy).to_owned()))));
      }
    }
    from = at.plus(Duration::from_micros(1));
  }
  if plan.waits_for_end {
    return;
  }
  tell_missed(plan, q, (from, q.now), why);
  plan.next = q.rhythm.next(q.now).map(|(at, _)| at);
}

/// Rows for missed instants: what calendars left out of them is told apart, stretch by stretch.
fn tell_missed(
  plan: &mut Plan,
  q: &Question<'_>,
  (mut from, last): (Ts, Ts),
  why: (FireDecision, &str),
) {
  let mut at = from;
  let whole = [FireDecision::SkippedPaused, FireDecision::SkippedWindow].contains(&why.0);
  let one_row = whole || q.rhythm.waits_for_end();
  let mut stretches = if one_row { 0 } else { STRETCHES_MAX };
  while stretches > 0 && at <= last && !q.closings.is_empty() {
    stretches -= 1;
    let Some((reason, until)) = q.closings.stretch(at) else {
      at = q.closings.open_until(at);
      continue;
    };
    let end = until.minus(MICRO).min(last);
    // A stretch without an instant is none.
    if q.rhythm.next(at.minus(MICRO)).is_some_and(|(next, _)| next <= end) {
      plan.summarise(q, (from, at.minus(MICRO)), why);
      plan.summarise(q, (at, end), (FireDecision::SkippedWindow, &reason));
      from = until;
    }
    at = until;
  }
  plan.summarise(q, (from, last), why);
}

fn made_up_for(policy: MisfirePolicy) -> &'static str {
  match policy {
    MisfirePolicy::FireOnce => "one run for all that was missed",
    _ => "made up for",
  }
}

/// How many missed instants may run.
fn wanted(plan: &Plan, q: &Question<'_>, (policy, overlap): (MisfirePolicy, &Overlap)) -> usize {
  let allowed = match policy {
    MisfirePolicy::Skip => 0,
    MisfirePolicy::FireOnce | MisfirePolicy::FireLast => 1,
    MisfirePolicy::FireAll => usize::try_from(q.schedule.catchup_max).unwrap_or(0),
  };
  let left = q.schedule.max_count.map_or(i64::MAX, |most| most.saturating_sub(plan.run_count));
  // Nothing starts inside a window in which nothing fires.
  let open = if q.closings.is_closed(q.now) { 0 } else { usize::MAX };
  allowed.min(overlap.room()).min(usize::try_from(left).unwrap_or(0)).min(open)
}

/// Why the others do not run.
fn left_out(
  q: &Question<'_>,
  (policy, overlap): (MisfirePolicy, &Overlap),
) -> (FireDecision, String) {
  if let Some(held) = q.held {
    return (FireDecision::SkippedPaused, held.reason.to_owned());
  }
  if let Some(reason) = q.closings.reason(q.now) {
    return (FireDecision::SkippedWindow, reason);
  }
  if policy != MisfirePolicy::Skip && overlap.room() == 0 {
    return (FireDecision::SkippedOverlap, "an earlier run is alive".to_owned());
  }
  (FireDecision::SkippedMisfire, format!("missed ({policy})"))
}

/// The newest instants that are not too old, oldest first.
fn newest(q: &Question<'_>, first: Ts, wanted: usize) -> Vec<Ts> {
  let grace = Duration::from_secs(u64::try_from(q.schedule.misfire_grace_secs).unwrap_or(0));
  let in_time = |at: &Ts| *at >= first && q.now.since(*at) <= grace;
  if q.rhythm.waits_for_end() {
    return [first].into_iter().filter(|at| wanted > 0 && in_time(at)).collect();
  }
  let mut found = Vec::new();
  let mut before = q.now.plus(Duration::from_micros(1));
  let mut tries = wanted.saturating_mul(2).saturating_add(100);
  while found.len() < wanted
    && tries > 0
    && let Some(at) = q.rhythm.previous(before).filter(in_time)
  {
    if !q.closings.is_closed(at) {
      found.push(at);
    }
    (before, tries) = (at, tries - 1);
  }
  // The instant that stands in the row was due, whatever the rule says of it now.
  if found.len() < wanted && before > first && in_time(&first) && !q.closings.is_closed(first) {
    found.push(first);
  }
  found.reverse();
  found
}

/// How much later than now a missed instant runs: over at most a minute and half the time to the next
/// instant, by a hash of the schedule's id, so that an outage does not end in a herd.
fn spread(q: &Question<'_>, at: Ts, index: usize) -> Duration {
  let next = q.rhythm.next(at.max(q.now)).map(|(next, _)| next);
  let gap = next.map_or(SPREAD_MAX * 2, |next| next.since(previous_or(q, at, next)));
  let window = if q.rhythm.waits_for_end() { own_interval(q.schedule) } else { gap } / 2;
  // Side by side the runs of one schedule are spread too; in a queue the first one alone matters.
  let alone = q.schedule.overlap_policy != OverlapPolicy::AllowAll;
  let place = if alone { 0 } else { index as u64 };
  spread_of(cron_seed(q.schedule.id).wrapping_add(place), window.min(SPREAD_MAX))
}

/// The instant before the next one, for the length of the rhythm; at least `at`.
fn previous_or(q: &Question<'_>, at: Ts, next: Ts) -> Ts {
  q.rhythm.previous(next).map_or(at, |before| before.max(at))
}

fn own_interval(schedule: &ScheduleEntity) -> Duration {
  Duration::from_secs(schedule.interval_secs.and_then(|secs| u64::try_from(secs).ok()).unwrap_or(0))
}

/// A place in a window, by a hash.
pub(super) fn spread_of(seed: u64, window: Duration) -> Duration {
  let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX - 1);
  let mut z = seed ^ 0x6361_7463_6875_7001;
  z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
  z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
  Duration::from_millis((z ^ (z >> 31)) % (millis + 1))
}
