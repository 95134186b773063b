//! The fires of an expression in a zone: which instants its matching wall times are.
//!
//! One rule decides: a wall time that exists once is one instant; one that comes twice is the first,
//! the second or both (`dst_overlap`); one that does not exist is none, the end of the gap, or as
//! much later as the clocks were moved (`dst_gap`). The fires are the set of those instants. The
//! search goes through the zone's spans of one offset and asks each for its first, or last, fire;
//! spans without a matching wall time are jumped over.

use jiff::Timestamp;

use super::civil::{CYCLE_DAYS, DAY_SECS};
use super::expression::CronExpression;
use super::note::ClockNote;
use super::zone::CronZone;
use super::zone_table::Span;
use crate::types::{DstGap, DstOverlap};

/// A wall time and its instant lie no farther apart.
const OFFSET_MAX: i64 = 26 * 3600;
/// Zones are written out to 2100 and periodic after that, so one cycle plus these years without a
/// fire means that none will come.
const SEARCH_SECS: i64 = (CYCLE_DAYS + 366 * 150) * DAY_SECS;

/// One moment at which a schedule is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CronFire {
  /// The instant, on a whole second.
  pub at: Timestamp,
  /// What daylight saving time did to it; `None` on ordinary days.
  pub note: Option<ClockNote>,
}

/// A fire in seconds, or the wall time that comes next outside the span.
type Found = Result<(i64, Option<ClockNote>), Option<i64>>;

impl CronExpression {
  /// The first fire strictly after an instant, in a zone.
  ///
  /// `None`: there is none any more (a year field that has passed, a pattern that only matches
  /// inside gaps of this zone, or the end of time in the year 9999).
  pub fn next_after(&self, after: Timestamp, zone: &CronZone) -> Option<CronFire> {
    let mut from = floor_second(after) + 1;
    let (table, limit) = (zone.table(), from + SEARCH_SECS);
    let (mut span, mut skipped, mut is_first) = (table.at(from), None, true);
    loop {
      if from == span.start && span.offset > span.before {
        skipped = skipped.or_else(|| self.skipped_in_gap(&span));
      }
      let wall = match self.first_in(&span, from) {
        Ok((at, note)) => return fire(at, note.or(skipped)),
        Err(wall) => wall?,
      };
      if span.end == i64::MAX || span.end > limit {
        return None;
      }
      // The next span may repeat wall times that the search has passed; later ones repeat nothing
      // that matches before `wall`.
      let earliest = if is_first { span.end } else { span.end.max(wall - OFFSET_MAX) };
      (span, is_first) = (table.at(earliest), false);
      from = span.start;
    }
  }

  /// The last fire strictly before an instant. Its note never tells of times that were skipped.
  pub fn previous_before(&self, before: Timestamp, zone: &CronZone) -> Option<CronFire> {
    let mut to = ceil_second(before) - 1;
    let (table, limit) = (zone.table(), to - SEARCH_SECS);
    let (mut span, mut is_first) = (table.at(to), true);
    loop {
      let wall = match self.last_in(&span, to) {
        Ok((at, note)) => return fire(at, note),
        Err(wall) => wall?,
      };
      if span.start == i64::MIN || span.start < limit {
        return None;
      }
      let latest = span.start - 1;
      let latest = if is_first { latest } else { latest.min(wall + OFFSET_MAX) };
      (span, is_first) = (table.at(latest), false);
      to = span.end - 1;
    }
  }

  /// Every fire strictly after an instant, in order.
  pub fn fires_after(&self, after: Timestamp, zone: &CronZone) -> impl Iterator<Item = CronFire> {
    let first = self.next_after(after, zone);
    std::iter::successors(first, move |last| self.next_after(last.at, zone))
  }

  /// The first fire of a span at or after `from`, which lies in it.
  #[inline]
  fn first_in(&self, span: &Span, from: i64) -> Found {
    let moved = if span.offset > span.before { self.first_moved(span, from) } else { None };
    let mut lowest = from + span.offset;
    if span.offset < span.before && self.dst_overlap == DstOverlap::First {
      lowest = lowest.max(span.start + span.before);
    }
    let wall = self.wall_at_or_after(lowest);
    let plain = wall.filter(|wall| *wall <= self.highest(span)).map(|wall| wall - span.offset);
    match (moved, plain) {
      (Some((at, note)), plain) if plain.is_none_or(|plain| at <= plain) => Ok((at, Some(note))),
      (_, Some(at)) => Ok((at, self.twice(span, at + span.offset))),
      _ => Err(wall),
    }
  }

  /// The last fire of a span at or before `to`, which lies in it.
  fn last_in(&self, span: &Span, to: i64) -> Found {
    let moved = if span.offset > span.before { self.last_moved(span, to) } else { None };
    let wall = self.wall_at_or_before((to + span.offset).min(self.highest(span)));
    let again = span.offset < span.before && self.dst_overlap == DstOverlap::First;
    let lowest = span.start.saturating_add(if again { span.before } else { span.offset });
    let plain = wall.filter(|wall| *wall >= lowest).map(|wall| wall - span.offset);
    match (moved, plain) {
      (Some((at, note)), plain) if plain.is_none_or(|plain| at >= plain) => Ok((at, Some(note))),
      (_, Some(at)) => Ok((at, self.twice(span, at + span.offset))),
      _ => Err(wall),
    }
  }

  /// The last wall time of a span that may fire in it.
  fn highest(&self, span: &Span) -> i64 {
    let left_to_second = span.after < span.offset && self.dst_overlap == DstOverlap::Last;
    let offset = if left_to_second { span.after } else { span.offset };
    span.end.saturating_add(offset) - 1
  }

  /// What the gap before a span adds to it at or after `from`.
  #[cold]
  fn first_moved(&self, span: &Span, from: i64) -> Option<(i64, ClockNote)> {
    let (first, end) = (span.start + span.before, span.start + span.offset);
    match self.dst_gap {
      DstGap::Next if from == span.start => self.all_moved(span),
      DstGap::Shift => {
        let wall = self.wall_at_or_after(first.max(from + span.before)).filter(|w| *w < end)?;
        Some(shifted(span, wall))
      }
      DstGap::Auto | DstGap::Next | DstGap::Skip => None,
    }
  }

  /// The same at or before `to`.
  #[cold]
  fn last_moved(&self, span: &Span, to: i64) -> Option<(i64, ClockNote)> {
    let (first, end) = (span.start + span.before, span.start + span.offset);
    match self.dst_gap {
      DstGap::Next => self.all_moved(span),
      DstGap::Shift => {
        let last = (end - 1).min(to + span.before);
        Some(shifted(span, self.wall_at_or_before(last).filter(|w| *w >= first)?))
      }
      DstGap::Auto | DstGap::Skip => None,
    }
  }

  /// All times of the gap before a span become its first instant.
  fn all_moved(&self, span: &Span) -> Option<(i64, ClockNote)> {
    let (first, to) = (span.start + span.before, span.start + span.offset);
    let missing = self.wall_at_or_after(first).filter(|wall| *wall < to)?;
    let more = self.wall_at_or_after(missing + 1).is_some_and(|wall| wall < to);
    Some((span.start, ClockNote::Moved { missing, to, more }))
  }

  /// What is to be said of a wall time that comes twice.
  #[inline]
  fn twice(&self, span: &Span, wall: i64) -> Option<ClockNote> {
    let is_second = span.offset < span.before && wall < span.start + span.before;
    let is_first = span.after < span.offset && wall >= span.end + span.after;
    match self.dst_overlap {
      DstOverlap::Both if is_second => Some(ClockNote::SecondPass),
      DstOverlap::First if is_first => Some(ClockNote::FirstOfTwo { wall }),
      DstOverlap::Last if is_second => Some(ClockNote::SecondOfTwo { wall }),
      _ => None,
    }
  }

  /// A fixed time that `dst_gap: skip` leaves out in the gap before a span.
  #[cold]
  fn skipped_in_gap(&self, span: &Span) -> Option<ClockNote> {
    if self.wall_pattern || self.dst_gap != DstGap::Skip {
      return None;
    }
    let (first, end) = (span.start + span.before, span.start + span.offset);
    let missing = self.wall_at_or_after(first).filter(|wall| *wall < end)?;
    Some(ClockNote::Skipped { missing })
  }
}

/// A time that does not exist, read with the offset before the gap.
fn shifted(span: &Span, wall: i64) -> (i64, ClockNote) {
  let to = wall + span.offset - span.before;
  (wall - span.before, ClockNote::Moved { missing: wall, to, more: false })
}

fn fire(at: i64, note: Option<ClockNote>) -> Option<CronFire> {
  Some(CronFire { at: Timestamp::from_second(at).ok()?, note })
}

/// The whole second at or before an instant.
fn floor_second(at: Timestamp) -> i64 {
  at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

/// The whole second at or after an instant.
fn ceil_second(at: Timestamp) -> i64 {
  at.as_second() + i64::from(at.subsec_nanosecond() > 0)
}
