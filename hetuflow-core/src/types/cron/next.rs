//! The next fire: a search over wall-clock time, then the zone's answer to "when is that?".

use jiff::{
  SignedDuration, Timestamp,
  civil::{Date, DateTime},
  tz::{AmbiguousOffset, Offset, TimeZone},
};

use super::expression::{CYCLE_YEARS, CronExpression};

/// Rules of zones are written out to 2037 and periodic after that, so one cycle plus this many
/// years without a fire means that none will come.
const EXPLICIT_YEARS: i16 = 40;

/// One moment at which a schedule is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronFire {
  /// The instant, on a whole second.
  pub at: Timestamp,
  /// What daylight saving time did to it, for people; `None` on ordinary days.
  pub note: Option<String>,
}

/// A repeated stretch of wall time: `start..end` exists once with offset `before`, then again
/// with offset `after`.
struct Fold {
  start: DateTime,
  end: DateTime,
  before: Offset,
  after: Offset,
}

impl CronExpression {
  /// The first fire strictly after an instant, in a zone.
  ///
  /// `None`: there is none any more (a year field that has passed, a wall pattern that only
  /// matches inside gaps of this zone, or the end of time in the year 9999).
  pub fn next_after(&self, after: Timestamp, tz: &TimeZone) -> Option<CronFire> {
    let offset = tz.to_offset(after);
    let wall = offset.to_datetime(after);
    let wall =
      DateTime::from_parts(wall.date(), wall.time().with().subsec_nanosecond(0).build().ok()?);
    let fold = match tz.to_ambiguous_timestamp(wall).offset() {
      AmbiguousOffset::Fold { before, after } => Some(Fold::around(wall, before, after, tz)?),
      _ => None,
    };
    if self.wall_pattern {
      self.next_pattern(wall, offset, fold, tz)
    } else {
      self.next_fixed(wall, offset, fold, tz)
    }
  }

  /// A fixed time maps each wall time to one instant, and later wall times never to earlier
  /// instants, so the first matching wall time decides. Only inside a second copy must the
  /// search skip what the first copy has fired already.
  fn next_fixed(
    &self,
    wall: DateTime,
    offset: Offset,
    fold: Option<Fold>,
    tz: &TimeZone,
  ) -> Option<CronFire> {
    let from = match fold {
      Some(fold) if offset == fold.after => fold.end,
      _ => second_after(wall)?,
    };
    let found = self.next_wall(from, last_year(wall))?;
    match tz.to_ambiguous_timestamp(found).offset() {
      AmbiguousOffset::Unambiguous { offset } => fire(found, offset, None),
      AmbiguousOffset::Fold { before, .. } => {
        let (time, day) = (clock(found), day_or_night(found));
        let text =
          format!("{time} happens twice that {day} (clocks go back): fires the first time");
        fire(found, before, Some(text))
      }
      AmbiguousOffset::Gap { before, after } => {
        let end = gap_end(found, before, after, tz)?;
        let more = self.next_wall(second_after(found)?, last_year(wall)).is_some_and(|w| w < end);
        fire(end, after, Some(gap_note(found, end, more)))
      }
    }
  }

  /// A wall pattern fires wherever the wall clock matches: the rest of the first copy, then the
  /// second copy from its start, then onwards, jumping over gaps.
  fn next_pattern(
    &self,
    wall: DateTime,
    offset: Offset,
    fold: Option<Fold>,
    tz: &TimeZone,
  ) -> Option<CronFire> {
    const AGAIN: &str = "second pass of a repeated time (clocks go back)";
    let last_year = last_year(wall);
    let mut from = second_after(wall)?;
    if let Some(fold) = fold {
      if offset == fold.before {
        if let Some(found) = self.next_wall(from, last_year).filter(|w| *w < fold.end) {
          return fire(found, fold.before, None);
        }
        from = fold.start;
      }
      if let Some(found) = self.next_wall(from, last_year).filter(|w| *w < fold.end) {
        return fire(found, fold.after, Some(AGAIN.to_owned()));
      }
      from = fold.end;
    }
    loop {
      let found = self.next_wall(from, last_year)?;
      match tz.to_ambiguous_timestamp(found).offset() {
        AmbiguousOffset::Unambiguous { offset } => return fire(found, offset, None),
        AmbiguousOffset::Fold { before, .. } => return fire(found, before, None),
        AmbiguousOffset::Gap { before, after } => from = gap_end(found, before, after, tz)?,
      }
    }
  }

  /// The first matching wall time at or after `from`, in no zone.
  fn next_wall(&self, from: DateTime, last_year: i16) -> Option<DateTime> {
    let (mut year, mut month) = (from.year(), from.month());
    let mut days = self.days_of(year, month) & (u32::MAX << (from.day() - 1));
    if days >> (from.day() - 1) & 1 == 1 {
      if let Some(time) = self.next_time(from) {
        return Some(time);
      }
      days &= days - 1;
    }
    while days == 0 {
      (year, month) = if month == 12 { (self.year_from(year + 1)?, 1) } else { (year, month + 1) };
      if year > last_year {
        return None;
      }
      days = self.days_of(year, month);
    }
    let date = Date::new(year, month, days.trailing_zeros() as i8 + 1).ok()?;
    let first = |bits: u64| bits.trailing_zeros() as i8;
    Some(date.at(first(self.hours.into()), first(self.minutes), first(self.seconds), 0))
  }

  /// The first listed year not before this one.
  fn year_from(&self, year: i16) -> Option<i16> {
    match &self.years {
      None => Some(year),
      Some(years) => years.get(years.partition_point(|y| *y < year)).copied(),
    }
  }

  /// Matching days of a month, none when month or year do not match.
  fn days_of(&self, year: i16, month: i8) -> u32 {
    let open = self.months >> month & 1 == 1 && self.year_from(year) == Some(year);
    if open { self.days.mask(year, month) } else { 0 }
  }

  /// The first matching time at or after `from` on the same day.
  fn next_time(&self, from: DateTime) -> Option<DateTime> {
    let at_or_after = |bits: u64, value: i8| {
      let rest = bits.checked_shr(value as u32).unwrap_or(0);
      (rest != 0).then(|| value + rest.trailing_zeros() as i8)
    };
    let (first_minute, first_second) =
      (self.minutes.trailing_zeros(), self.seconds.trailing_zeros());
    let hour = at_or_after(self.hours.into(), from.hour())?;
    if hour == from.hour() {
      if let Some(minute) = at_or_after(self.minutes, from.minute()) {
        if minute > from.minute() {
          return Some(from.date().at(hour, minute, first_second as i8, 0));
        }
        if let Some(second) = at_or_after(self.seconds, from.second()) {
          return Some(from.date().at(hour, minute, second, 0));
        }
        if let Some(minute) = at_or_after(self.minutes, minute + 1) {
          return Some(from.date().at(hour, minute, first_second as i8, 0));
        }
      }
      let hour = at_or_after(self.hours.into(), hour + 1)?;
      return Some(from.date().at(hour, first_minute as i8, first_second as i8, 0));
    }
    Some(from.date().at(hour, first_minute as i8, first_second as i8, 0))
  }
}

impl Fold {
  /// The repeated stretch this wall time lies in.
  fn around(wall: DateTime, before: Offset, after: Offset, tz: &TimeZone) -> Option<Self> {
    let first_copy = before.to_timestamp(wall).ok()?;
    let turn = turn_to(after, first_copy, tz)?;
    Some(Self { start: after.to_datetime(turn), end: before.to_datetime(turn), before, after })
  }
}

/// The first wall time after the gap this wall time lies in.
fn gap_end(wall: DateTime, before: Offset, after: Offset, tz: &TimeZone) -> Option<DateTime> {
  debug_assert!(before < after, "clocks go forward into a gap");
  let early = after.to_timestamp(wall).ok()?;
  Some(after.to_datetime(turn_to(after, early, tz)?))
}

/// The instant of the next change to this offset. Zones also list changes that keep the offset
/// (a new abbreviation), hence the search; it ends within the hours of one gap or fold.
fn turn_to(offset: Offset, from: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
  tz.following(from).take(4).find(|turn| turn.offset() == offset).map(|turn| turn.timestamp())
}

/// One second later on the wall; `None` at the end of time.
fn second_after(wall: DateTime) -> Option<DateTime> {
  wall.checked_add(SignedDuration::from_secs(1)).ok()
}

/// Where a search that found nothing gives up.
fn last_year(wall: DateTime) -> i16 {
  wall.year().saturating_add(CYCLE_YEARS + EXPLICIT_YEARS).min(9999)
}

/// A fire at this wall time, read with this offset.
fn fire(wall: DateTime, offset: Offset, note: Option<String>) -> Option<CronFire> {
  Some(CronFire { at: offset.to_timestamp(wall).ok()?, note })
}

/// `02:30`, with seconds only when there are some.
fn clock(wall: DateTime) -> String {
  let (hour, minute, second) = (wall.hour(), wall.minute(), wall.second());
  if second == 0 {
    format!("{hour:02}:{minute:02}")
  } else {
    format!("{hour:02}:{minute:02}:{second:02}")
  }
}

/// Changes of the clocks mostly happen at night, but not in every zone.
fn day_or_night(wall: DateTime) -> &'static str {
  if (6..22).contains(&wall.hour()) { "day" } else { "night" }
}

/// Says which time was moved where; `more` is whether others in the same gap joined it.
fn gap_note(missing: DateTime, end: DateTime, more: bool) -> String {
  let (time, to, day) = (clock(missing), clock(end), day_or_night(missing));
  if missing.date() != end.date() {
    let (on, to_date) = (missing.date(), end.date());
    return format!(
      "{time} on {on} does not exist (clocks go forward): fires at {to} on {to_date}"
    );
  }
  if more {
    return format!(
      "{time} and other times before {to} do not exist that {day} (clocks go forward): \
       fires once at {to}"
    );
  }
  format!("{time} does not exist that {day} (clocks go forward): fires at {to}")
}
