//! What leaves out instants that a schedule's rule names: calendars by name, those of the schedule
//! and the blackouts of its namespace. Pure: planner, previews, plans and simulations ask the same code.

use std::sync::Arc;
use std::time::Duration;

use super::rhythm::Rhythm;
use super::schedule::ScheduleEntity;
use crate::types::{Calendar, CalendarItem, ClockNote, CronZone, Ts};

/// Stretches that are joined into one answer.
const JOINED_MAX: usize = 1000;
/// A search for the next open instant gives up after so many stretches, some years of days.
const STRETCHES_MAX: usize = 4000;
/// Where nothing has a say, nothing is left out for this long and longer.
const FAR: Duration = Duration::from_secs(366 * 86_400);
const MICRO: Duration = Duration::from_micros(1);

/// A calendar of a namespace, read.
#[derive(Debug, Clone)]
pub struct NamedCalendar {
  /// Its name.
  pub name: String,
  /// Nothing of its namespace fires while it covers.
  pub blackout: bool,
  /// What it covers.
  pub calendar: Calendar,
}

/// The calendars that have a say about one schedule.
#[derive(Debug, Clone, Default)]
pub struct Closings {
  blackouts: Vec<Arc<NamedCalendar>>,
  exclude: Vec<Arc<NamedCalendar>>,
  include: Vec<Arc<NamedCalendar>>,
  /// Rules of the schedule itself beside the names in `include`.
  own: Option<Calendar>,
}

impl Closings {
  /// Blackouts alone.
  pub fn blackouts(blackouts: Vec<Arc<NamedCalendar>>) -> Self {
    Self { blackouts, ..Self::default() }
  }

  /// Those of a schedule; `find` knows the calendars of its namespace by name, and says why where
  /// it does not.
  ///
  /// # Errors
  /// What `find` says; a zone of the schedule that cannot be read.
  pub fn of(
    schedule: &ScheduleEntity,
    blackouts: Vec<Arc<NamedCalendar>>,
    find: impl Fn(&str) -> Result<Arc<NamedCalendar>, String>,
  ) -> Result<Self, String> {
    let named = |items: &[CalendarItem]| -> Result<Vec<_>, String> {
      items.iter().filter_map(CalendarItem::name).map(&find).collect()
    };
    let (include, exclude) = (named(&schedule.include)?, named(&schedule.exclude)?);
    let rules: Vec<_> = schedule.include.iter().filter_map(CalendarItem::rule).cloned().collect();
    let own = if include.is_empty() || rules.is_empty() {
      None
    } else {
      let zone = CronZone::named(&schedule.timezone).map_err(|error| error.to_string())?;
      Some(Calendar::new(rules, zone))
    };
    Ok(Self { blackouts, exclude, include, own })
  }

  /// The same without blackouts: what the schedule itself wants.
  #[must_use]
  pub fn without_blackouts(&self) -> Self {
    Self { blackouts: Vec::new(), ..self.clone() }
  }

  /// The blackouts alone.
  #[must_use]
  pub fn only_blackouts(&self) -> Self {
    Self::blackouts(self.blackouts.clone())
  }

  /// Whether nothing has a say.
  pub fn is_empty(&self) -> bool {
    self.blackouts.is_empty() && self.exclude.is_empty() && self.include.is_empty()
  }

  /// Whether an instant is left out.
  pub fn is_closed(&self, at: Ts) -> bool {
    !self.is_empty() && self.first(at).is_some()
  }

  /// Why an instant is left out, where it is.
  pub fn reason(&self, at: Ts) -> Option<String> {
    if self.is_empty() { None } else { self.first(at).map(|(reason, _)| reason) }
  }

  /// Why an instant is left out, and a later instant up to which everything is for the same reason.
  pub fn stretch(&self, at: Ts) -> Option<(String, Ts)> {
    let (reason, mut until) = self.first(at).filter(|_| !self.is_empty())?;
    for _ in 0..JOINED_MAX {
      match self.first(until) {
        Some((next, end)) if next == reason && end > until => until = end,
        _ => break,
      }
    }
    Some((reason, until))
  }

  /// A later instant up to which nothing is left out, where `at` is not; not always the last one.
  pub fn open_until(&self, at: Ts) -> Ts {
    let instant = at.instant();
    let others = self.blackouts.iter().chain(&self.exclude);
    let closing = others.map(|one| one.calendar.bare_until(instant)).min();
    let included = self.included().filter_map(|calendar| calendar.covered_until(instant)).max();
    closing.into_iter().chain(included).min().map_or(at.plus(FAR), Ts::from)
  }

  /// The first instant of a schedule strictly after another that nothing leaves out; `None` where
  /// there is none, or none in the coming years.
  pub fn next_open(&self, rhythm: &Rhythm, after: Ts) -> Option<(Ts, Option<ClockNote>)> {
    let mut found = rhythm.next(after)?;
    for _ in 0..STRETCHES_MAX {
      let at = found.0;
      let closed = if self.is_empty() { None } else { self.first(at) };
      let Some((_, until)) = closed else { return Some(found) };
      // The end itself is open again, and may fire.
      found = rhythm.next(until.minus(MICRO).max(at))?;
    }
    None
  }

  /// What leaves an instant out, and up to when at least it is what does.
  fn first(&self, at: Ts) -> Option<(String, Ts)> {
    let instant = at.instant();
    let all = self.blackouts.iter().chain(&self.exclude);
    let covers = |(n, one): (usize, &Arc<NamedCalendar>)| {
      let until = one.calendar.covered_until(instant)?;
      Some((n, one.name.clone(), until))
    };
    let (before, reason, until) = match all.clone().enumerate().find_map(covers) {
      Some((n, name, until)) if n < self.blackouts.len() => {
        (n, format!("nothing fires during {name}"), until)
      }
      Some((n, name, until)) => (n, format!("left out by calendar {name}"), until),
      None => {
        let until = self.included().map(|calendar| calendar.bare_until(instant)).min()?;
        let covered = self.included().any(|calendar| calendar.covers(instant));
        (usize::MAX, self.outside(), (!covered).then_some(until)?)
      }
    };
    // One that comes first in the order may begin in between, and is what is told then.
    let others = all.take(before).map(|one| one.calendar.bare_until(instant));
    Some((reason, Ts::from(others.fold(until, std::cmp::min))))
  }

  fn included(&self) -> impl Iterator<Item = &Calendar> {
    self.include.iter().map(|one| &one.calendar).chain(&self.own)
  }

  fn outside(&self) -> String {
    let names: Vec<&str> = self.include.iter().map(|one| one.name.as_str()).collect();
    let many = if names.len() == 1 { "calendar" } else { "calendars" };
    format!("outside of {many} {}", names.join(", "))
  }
}

#[cfg(test)]
#[path = "closings_tests.rs"]
mod tests;
