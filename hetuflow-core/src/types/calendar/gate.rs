//! Calendars together: when a schedule may fire.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use super::rule::{CalendarRule, Kind};
use crate::types::CronZone;

/// A search looks so far ahead; a schedule that is closed for longer has no next fire.
const HORIZON: SignedDuration = SignedDuration::from_hours(50 * 366 * 24);

/// Rules in a zone: it covers what any of them covers.
#[derive(Clone, Debug)]
pub struct Calendar {
  rules: Vec<CalendarRule>,
  zone: CronZone,
}

impl Calendar {
  /// A calendar of these rules.
  pub fn new(rules: Vec<CalendarRule>, zone: CronZone) -> Self {
    Self { rules, zone }
  }

  /// Whether it covers an instant.
  pub fn covers(&self, at: Timestamp) -> bool {
    self.covered_until(at).is_some()
  }

  /// A later instant up to which it covers everything from `at` on; not always the last one.
  pub fn covered_until(&self, at: Timestamp) -> Option<Timestamp> {
    let (date, second) = self.wall(at);
    let mut end: Option<Timestamp> = None;
    for rule in &self.rules {
      let found = match rule.0 {
        Kind::Span(first, last) => (first <= at && at < last).then_some(last),
        _ => rule
          .on(date)
          .into_iter()
          .flatten()
          .find(|(from, to)| *from <= second && second < *to)
          .map(|(_, to)| self.instant(date, to, at)),
      };
      end = end.max(found);
    }
    end
  }

  /// A later instant up to which it covers nothing from `at` on, where it does not cover `at`.
  pub fn bare_until(&self, at: Timestamp) -> Timestamp {
    let (date, second) = self.wall(at);
    let mut next = self.instant(date, 86_400, at);
    for rule in &self.rules {
      if let Kind::Span(first, _) = rule.0 {
        next = if first > at { next.min(first) } else { next };
      }
      for (from, _) in rule.on(date).into_iter().flatten().filter(|(from, _)| *from > second) {
        next = next.min(self.instant(date, from, at));
      }
    }
    next
  }

  /// The date and the second of the day that the clocks show.
  fn wall(&self, at: Timestamp) -> (Date, i32) {
    let wall = self.zone.time_zone().to_datetime(at);
    let time = wall.time();
    let second = i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60;
    (wall.date(), second + i32::from(time.second()))
  }

  /// When the clocks show a second of a day, at least a second after `at`, and not after their next
  /// change: an hour that comes twice is looked at twice.
  fn instant(&self, date: Date, second: i32, at: Timestamp) -> Timestamp {
    let soon = at.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
    let midnight = DateTime::from_parts(date, Time::midnight());
    let wall = midnight.checked_add(SignedDuration::from_secs(i64::from(second)));
    let found = wall.and_then(|wall| self.zone.time_zone().to_timestamp(wall));
    let change = self.zone.time_zone().following(at).next().map(|change| change.timestamp());
    found.unwrap_or(Timestamp::MAX).min(change.unwrap_or(Timestamp::MAX)).max(soon)
  }
}

/// When a schedule may fire: inside of one of `include`, where there are any, and outside of all of
/// `exclude`.
#[derive(Clone, Debug, Default)]
pub struct CalendarGate {
  /// Calendars to fire in; none is always.
  pub include: Vec<Calendar>,
  /// Calendars not to fire in.
  pub exclude: Vec<Calendar>,
}

impl CalendarGate {
  /// Whether a schedule may fire at an instant.
  pub fn is_open(&self, at: Timestamp) -> bool {
    self.closed_until(at).is_none()
  }

  /// `None` where it is open; else a later instant up to which it stays closed, a day at most
  /// except for rules of instants.
  pub fn closed_until(&self, at: Timestamp) -> Option<Timestamp> {
    let excluded = self.exclude.iter().filter_map(|calendar| calendar.covered_until(at)).max();
    let outside = match self.include.as_slice() {
      [] => None,
      all if all.iter().any(|calendar| calendar.covers(at)) => None,
      all => all.iter().map(|calendar| calendar.bare_until(at)).min(),
    };
    excluded.max(outside)
  }

  /// The first fire strictly after an instant at which it is open; `next` gives the fires of the
  /// schedule alone. Closed stretches are jumped over, so a fire each second costs no more.
  pub fn next_open(
    &self,
    after: Timestamp,
    mut next: impl FnMut(Timestamp) -> Option<Timestamp>,
  ) -> Option<Timestamp> {
    let horizon = after.saturating_add(HORIZON).unwrap_or(Timestamp::MAX);
    let mut after = after;
    loop {
      let at = next(after).filter(|at| *at <= horizon)?;
      match self.closed_until(at) {
        None => return Some(at),
        // The end itself is open again, and may fire.
        Some(end) => after = end.checked_sub(SignedDuration::from_nanos(1)).ok()?.max(at),
      }
    }
  }
}
