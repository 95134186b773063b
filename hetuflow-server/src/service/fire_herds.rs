//! Minutes in which many schedules start, seen from the schedules of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hetuflow_core::{Closings, Herd, ScheduleEntity, Ts};

use super::schedule_cursor::Rhythm;

/// How far herds are looked for.
const SPAN: Duration = Duration::from_secs(7 * 86_400);
/// Fires of one schedule of the plan whose minutes are looked at.
const FIRES_MAX: usize = 50;
/// Minutes that are looked at.
const MINUTES_MAX: usize = 200;
/// Herds and names that are told.
const TOLD_MAX: usize = 10;
/// Schedules with this much jitter, in seconds, make no herd of one minute.
const SPREAD_SECS: i64 = 60;
const MINUTE: Duration = Duration::from_secs(60);
const MICRO: Duration = Duration::from_micros(1);

/// A schedule of the plan, or of those around it.
struct Member<'a> {
  row: &'a ScheduleEntity,
  rhythm: Rhythm,
  closings: &'a Closings,
  changed: bool,
}

/// The fullest minutes that a schedule of the plan takes part in; one for each minute of the day.
pub(super) fn herds(
  changed: &[(ScheduleEntity, Closings)],
  others: &[(ScheduleEntity, Closings)],
  (from, herd): (Ts, i64),
) -> Vec<Herd> {
  let members: Vec<Member<'_>> = [(changed, true), (others, false)]
    .into_iter()
    .flat_map(|(rows, changed)| rows.iter().map(move |row| (row, changed)))
    .filter(|((row, _), _)| row.jitter_secs < SPREAD_SECS)
    .filter_map(|((row, closings), changed)| {
      Some(Member { row, rhythm: Rhythm::of(row).ok()?, closings, changed })
    })
    .collect();
  let mut fullest: BTreeMap<i64, Herd> = BTreeMap::new();
  for minute in minutes(&members, from) {
    let Some(found) = herd_at(&members, minute, herd) else { continue };
    let of_day = minute.rem_euclid(1440);
    if fullest.get(&of_day).is_none_or(|known| known.schedules < found.schedules) {
      fullest.insert(of_day, found);
    }
  }
  let mut found: Vec<Herd> = fullest.into_values().collect();
  found.sort_by_key(|herd| (std::cmp::Reverse(herd.schedules), herd.at));
  found.truncate(TOLD_MAX);
  found
}

/// Minutes since 1970 in which a schedule of the plan starts.
fn minutes(members: &[Member<'_>], from: Ts) -> BTreeSet<i64> {
  let end = from.plus(SPAN);
  let mut minutes = BTreeSet::new();
  for member in members.iter().filter(|member| member.changed) {
    let fires = std::iter::successors(member.rhythm.next(from), |(at, _)| member.rhythm.next(*at));
    let open = |(at, _): &(Ts, _)| !member.closings.is_closed(*at);
    for (at, _) in fires.take_while(|(at, _)| *at <= end).filter(open).take(FIRES_MAX) {
      if minutes.len() < MINUTES_MAX {
        minutes.insert(at.micros().div_euclid(60_000_000));
      }
    }
  }
  minutes
}

fn herd_at(members: &[Member<'_>], minute: i64, herd: i64) -> Option<Herd> {
  let at = Ts::from_micros(minute * 60_000_000);
  let (before, end) = (at.minus(MICRO), at.plus(MINUTE));
  let starts = |member: &&Member<'_>| {
    let first = member.rhythm.next(before);
    first.is_some_and(|(fire, _)| fire < end && !member.closings.is_closed(fire))
  };
  let there: Vec<&Member<'_>> = members.iter().filter(starts).collect();
  let schedules = i64::try_from(there.len()).unwrap_or(i64::MAX);
  if schedules < herd {
    return None;
  }
  let first = there.first()?;
  let zone = first.rhythm.zone(&first.row.timezone);
  let local = at.instant().to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
  let changed = there.iter().filter(|member| member.changed).count() as i64;
  let names = there.iter().take(TOLD_MAX).map(|member| member.row.name.clone()).collect();
  Some(Herd { at, local, schedules, changed, names })
}
