//! Their next fires beside ours, and every instant at which the two differ.

use std::collections::BTreeMap;

use hetuflow_core::{CronExpression, CronZone, ScheduleForCreate, Ts, parse_time_zone};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::found::FoundTime;

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
  /// As it is written there.
  pub theirs: String,
  /// Our expression, or interval.
  pub ours: String,
  /// Our zone.
  pub timezone: String,
  /// How many of their fires were compared; none where their rule cannot be computed.
  pub compared: usize,
  /// The last instant that was compared.
  pub until: Option<Ts>,
  /// Every instant at which the two differ.
  pub differences: Vec<Difference>,
}

/// An instant at which the two differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
  /// When.
  pub at: Ts,
  /// On the wall clock.
  pub local: String,
  /// How often it fires there.
  pub theirs: usize,
  /// How often it fires here.
  pub ours: usize,
  /// Why, where daylight saving time did it.
  pub note: Option<String>,
}

/// Compares so many fires from an instant on.
pub fn prove(
  time: &FoundTime,
  schedule: &ScheduleForCreate,
  (after, count): (Timestamp, usize),
) -> Proof {
  let cron = schedule.cron_expression.clone();
  let mut proof = Proof {
    theirs: time.theirs.clone(),
    ours: cron.clone().unwrap_or_else(|| {
      let every = schedule.interval_secs.map(|every| hetuflow_core::format_duration(every.0));
      format!("every {}", every.unwrap_or_default())
    }),
    timezone: schedule.timezone.clone().unwrap_or_default(),
    compared: 0,
    until: None,
    differences: Vec::new(),
  };
  let (Some(pattern), Some(text)) = (&time.pattern, cron) else { return proof };
  let theirs = pattern.fires(after, &time.zone, count);
  let zone = parse_time_zone(&proof.timezone).unwrap_or(TimeZone::UTC);
  let Ok(expression) = CronExpression::parse(&text, 0) else { return proof };
  let searched = CronZone::of(zone.clone());
  // With less than what was asked for, their rule has no more fires at all.
  let end = if theirs.len() < count { None } else { theirs.last().copied() };
  let mut at_each: BTreeMap<Timestamp, (usize, usize, Option<String>)> = BTreeMap::new();
  for at in &theirs {
    at_each.entry(*at).or_default().0 += 1;
  }
  let mut last = after;
  for _ in 0..count.saturating_mul(2) {
    let Some(fire) = expression.next_after(last, &searched) else { break };
    if end.is_some_and(|end| fire.at > end) || (end.is_none() && is_far(fire.at)) {
      break;
    }
    last = fire.at;
    let entry = at_each.entry(fire.at).or_default();
    entry.1 += 1;
    entry.2 = fire.note.map(|note| note.to_string());
  }
  proof.compared = theirs.len();
  proof.until = end.or(at_each.keys().last().copied()).map(Ts::from);
  for (at, (theirs, ours, note)) in at_each {
    if theirs != ours {
      let local = at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
      let note = note.or_else(|| turn_near(at, &zone));
      proof.differences.push(Difference { at: Ts::from(at), local, theirs, ours, note });
    }
  }
  proof
}

/// Beyond the years that are looked at.
fn is_far(at: Timestamp) -> bool {
  at.to_zoned(TimeZone::UTC).year() > 2199
}

/// A change of the clocks within the hours around an instant.
fn turn_near(at: Timestamp, zone: &TimeZone) -> Option<String> {
  let span = jiff::SignedDuration::from_hours(4);
  let (early, late) = (at.checked_sub(span).ok()?, at.checked_add(span).ok()?);
  let (before, after) = (zone.to_offset(early), zone.to_offset(late));
  (before != after).then(|| {
    let way = if after > before { "forward" } else { "back" };
    format!("the clocks go {way} that day")
  })
}
