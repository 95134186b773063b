//! What becomes of the due instants of one schedule. Pure: from the schedule, its rhythm, its job,
//! its live runs and the time to a plan; the planner writes plans down, a simulation adds them up.

use std::time::Duration;

use hetuflow_core::{
  Closings, FireDecision, MisfirePolicy, Rhythm, ScheduleEntity, TaskControlKind, TriggerSource, Ts,
};

use super::catch_up::catch_up;
use super::overlap::{Admission, Live, Overlap};

/// An instant that passed this long ago without a decision was missed, not just late.
pub const MISSED_AFTER: Duration = Duration::from_secs(2);
/// Instants of one schedule that are decided in one transaction.
pub const INSTANTS_MAX: usize = 100;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
  /// The schedule, with the instant that comes next.
  pub schedule: &'a ScheduleEntity,
  /// Its rule, read.
  pub rhythm: &'a Rhythm,
  /// Why its job may not run, where it may not.
  pub job_off: Option<&'a str>,
  /// Calendars by name that leave out some of its instants.
  pub closings: &'a Closings,
  /// Its runs that are not final.
  pub live: Live,
  /// The time.
  pub now: Ts,
  /// Up to here instants are decided that nothing can hold back.
  pub horizon: Ts,
  /// Why its instants up to now were held, and what is to become of them; what it says itself
  /// about missed instants where nobody says otherwise.
  pub held: Option<Held<'a>>,
}

/// Instants that somebody held back.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
  /// Who and why, for the record.
  pub reason: &'a str,
  /// What is to be made up for.
  pub policy: MisfirePolicy,
  /// What is made up for is spread, because many were held together.
  pub spread: bool,
}

/// What becomes of an instant, or of many at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
  /// The instant, or the first of them.
  pub at: Ts,
  /// The last of them, where the row stands for many.
  pub to: Option<Ts>,
  /// How many.
  pub count: i64,
  /// What.
  pub what: FireDecision,
  /// Why.
  pub reason: Option<String>,
  /// The run, where there is one.
  pub run: Option<Run>,
}

/// A run that a decision makes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
  /// The instant that it is for.
  pub scheduled_at: Ts,
  /// Not to be started before this, where that is later.
  pub not_before: Option<Ts>,
  /// It waits for an earlier run.
  pub waits: bool,
  /// On time or late.
  pub source: TriggerSource,
}

/// Decisions about a schedule, and where its planning stands after them.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
  /// The decisions, in the order of time.
  pub decisions: Vec<Decision>,
  /// The next instant that is not decided; `None` when there is none, or it depends on a run's end.
  pub next: Option<Ts>,
  /// The next instant is known when the run has ended.
  pub waits_for_end: bool,
  /// The newest instant that is decided.
  pub last: Option<Ts>,
  /// Runs made so far.
  pub run_count: i64,
  /// Instants that are still to be left out by wish.
  pub skip_next: i64,
  /// How earlier runs are asked to stop, where they are.
  pub stops: Option<TaskControlKind>,
}

impl Plan {
  fn begin(schedule: &ScheduleEntity) -> Self {
    Self {
      decisions: Vec::new(),
      next: schedule.next_run_at,
      waits_for_end: false,
      last: schedule.last_run_at,
      run_count: schedule.run_count,
      skip_next: schedule.skip_next.max(0),
      stops: None,
    }
  }

  /// Whether it changes nothing of what is stored.
  pub fn is_empty(&self, schedule: &ScheduleEntity) -> bool {
    self.decisions.is_empty() && self.next == schedule.next_run_at
  }

  /// Runs made.
  pub fn runs(&self) -> usize {
    self.decisions.iter().filter(|decision| decision.run.is_some()).count()
  }

  /// Whether all runs of the schedule are used up.
  pub fn is_used_up(&self, schedule: &ScheduleEntity) -> bool {
    schedule.max_count.is_some_and(|count| self.run_count >= count)
  }

  /// One instant without a run.
  fn leave_out(&mut self, q: &Question<'_>, at: Ts, (what, reason): (FireDecision, &str)) {
    let reason = Some(reason.to_owned());
    self.decisions.push(Decision { at, to: None, count: 1, what, reason, run: None });
    self.last = Some(at);
    // Without a run there is no end to wait for.
    let after = if q.rhythm.waits_for_end() { at.max(q.now) } else { at };
    self.next = q.rhythm.next(after).map(|(at, _)| at);
  }

  /// One more instant that calendars leave out; those that follow each other are one decision.
  fn leave_out_closed(&mut self, q: &Question<'_>, at: Ts, reason: String) {
    let what = FireDecision::SkippedWindow;
    match self.decisions.pop() {
      Some(one) if one.what == what && one.reason.as_ref() == Some(&reason) => {
        self.leave_out(q, at, (what, &reason));
        if let Some(last) = self.decisions.last_mut() {
          (last.at, last.to, last.count) = (one.at, Some(at), one.count.saturating_add(1));
        }
      }
      other => {
        self.decisions.extend(other);
        self.leave_out(q, at, (what, &reason));
      }
    }
  }

  /// One row for all instants from one to another, where there are any.
  pub(super) fn summarise(
    &mut self,
    q: &Question<'_>,
    (first, last): (Ts, Ts),
    (what, reason): (FireDecision, &str),
  ) {
    if last < first {
      return;
    }
    let count = i64::try_from(q.rhythm.count(first, last)).unwrap_or(i64::MAX);
    // The instant that stands in the row was due, whatever the rule says of it now.
    let stored = i64::from(q.schedule.next_run_at == Some(first));
    let count = count.max(stored);
    if count == 0 {
      return;
    }
    // The row stands at an instant, wherever the span begins.
    let first = match q.rhythm.next(first.minus(Duration::from_micros(1))) {
      Some((at, _)) if stored == 0 && at <= last && !q.rhythm.waits_for_end() => at,
      _ => first,
    };
    let just_after = last.plus(Duration::from_micros(1));
    let to = q.rhythm.previous(just_after).filter(|to| *to >= first);
    let one = q.rhythm.waits_for_end() || count == 1;
    let to = if one { to.unwrap_or(first) } else { to.unwrap_or(last) };
    let reason = Some(reason.to_owned());
    self.decisions.push(Decision { at: first, to: Some(to), count, what, reason, run: None });
    self.last = self.last.max(Some(to));
  }

  /// Leaves out every instant up to now.
  fn leave_out_all(&mut self, q: &Question<'_>, why: (FireDecision, &str)) {
    if let Some(first) = self.next.filter(|at| *at <= q.now) {
      self.summarise(q, (first, q.now), why);
      self.next = q.rhythm.next(q.now).map(|(at, _)| at);
    }
  }

  /// A run for an instant.
  pub(super) fn fire(&mut self, q: &Question<'_>, at: Ts, (run, reason): (Run, Option<String>)) {
    let what = FireDecision::Fired;
    self.decisions.push(Decision { at, to: None, count: 1, what, reason, run: Some(run) });
    self.last = Some(at);
    self.run_count = self.run_count.saturating_add(1);
    self.waits_for_end = q.rhythm.waits_for_end();
    self.next = if self.waits_for_end { None } else { q.rhythm.next(at).map(|(next, _)| next) };
  }
}

/// Decides what can be decided now.
pub fn decide(q: &Question<'_>) -> Plan {
  let mut plan = Plan::begin(q.schedule);
  if let Some(why) = q.job_off {
    plan.leave_out_all(q, (FireDecision::SkippedPaused, why));
    return plan;
  }
  leave_out_by_wish(&mut plan, q);
  let mut overlap = Overlap::of(q.schedule, q.live);
  let missed_before =
    if q.held.is_some() { q.now.plus(Duration::from_micros(1)) } else { q.now.minus(MISSED_AFTER) };
  if plan.next.is_some_and(|at| at < missed_before) {
    catch_up(&mut plan, q, &mut overlap);
  }
  for _ in 0..INSTANTS_MAX {
    let Some(at) = plan.next.filter(|at| *at <= q.horizon) else { break };
    if plan.is_used_up(q.schedule) || !decide_one(&mut plan, q, (at, &mut overlap)) {
      break;
    }
  }
  plan
}

/// The next instants that somebody wants left out, once they are there.
fn leave_out_by_wish(plan: &mut Plan, q: &Question<'_>) {
  let reason = q.schedule.skip_reason.as_deref().unwrap_or("it was to be left out");
  while plan.skip_next > 0
    && plan.decisions.len() < INSTANTS_MAX
    && let Some(at) = plan.next.filter(|at| *at <= q.now)
  {
    // What is left out anyway is no part of the wish.
    if let Some(closed) = q.closings.reason(at) {
      plan.leave_out_closed(q, at, closed);
      continue;
    }
    plan.leave_out(q, at, (FireDecision::SkippedPaused, reason));
    plan.skip_next -= 1;
  }
}

/// Decides one instant; `false` when it is too early for that.
fn decide_one(plan: &mut Plan, q: &Question<'_>, (at, overlap): (Ts, &mut Overlap)) -> bool {
  let ahead = at > q.now;
  let closed = q.closings.reason(at);
  // What may change until then is decided then.
  if ahead && (plan.skip_next > 0 || closed.is_some() || !overlap.is_free()) {
    return false;
  }
  if let Some(reason) = closed {
    plan.leave_out_closed(q, at, reason);
    return true;
  }
  let newer = overlap.replaces() && q.rhythm.next(at).is_some_and(|(next, _)| next <= q.now);
  if newer && !q.rhythm.waits_for_end() {
    plan.leave_out(q, at, (FireDecision::SkippedOverlap, "a newer instant has come"));
    return true;
  }
  let run =
    |waits| Run { scheduled_at: at, not_before: None, waits, source: TriggerSource::Schedule };
  match overlap.admit() {
    Admission::Start => plan.fire(q, at, (run(false), None)),
    Admission::Wait(why) => plan.fire(q, at, (run(true), Some(why))),
    Admission::Replace(kind, why) => {
      plan.stops = Some(kind);
      plan.fire(q, at, (run(true), Some(why)));
    }
    Admission::Refuse(why) => plan.leave_out(q, at, (FireDecision::SkippedOverlap, &why)),
  }
  true
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
