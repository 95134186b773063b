//! The offsets of a zone, written out once: from then on the offset of an instant is one look into
//! a small table, without parsing and without allocation.

use std::sync::OnceLock;

use jiff::{Timestamp, tz::TimeZone};

use super::civil::{CYCLE_DAYS, DAY_SECS, day_number};

/// From here on only the rule of a zone counts, which repeats every 400 years. Morocco's dates are
/// written out to 2087, which is the longest.
const RULE_YEAR: i32 = 2100;
const CYCLE_SECS: i64 = CYCLE_DAYS * DAY_SECS;
/// Tables reach this much farther on both sides, so that each span that is asked for has true ends.
const MARGIN_SECS: i64 = 2 * 366 * DAY_SECS;
/// A bucket of the index is 2^24 s, about 194 days: between two changes of the clocks.
const BUCKET_BITS: u32 = 24;

/// A stretch of time with one offset. Instants are seconds since 1970, offsets seconds east.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
  /// Its first second; `i64::MIN` when it has no beginning.
  pub start: i64,
  /// The first second after it; `i64::MAX` when it has no end.
  pub end: i64,
  pub offset: i64,
  /// The offset before it; its own when it has no beginning.
  pub before: i64,
  /// The offset after it; its own when it has no end.
  pub after: i64,
}

/// All spans of a zone.
pub(super) struct ZoneTable {
  zone: TimeZone,
  /// From the beginning of time to a little after [`RULE_YEAR`].
  written: Spans,
  /// One cycle from [`RULE_YEAR`] on, made when somebody first looks so far; `None` for zones whose
  /// offset does not change any more.
  ruled: Option<OnceLock<Spans>>,
}

impl ZoneTable {
  pub fn new(zone: TimeZone) -> Self {
    let rule = rule_start();
    let written = Spans::between(&zone, None, rule + MARGIN_SECS, 0);
    let changes = written.starts.last().is_some_and(|last| *last > rule);
    Self { zone, written, ruled: changes.then(OnceLock::new) }
  }

  /// The zone as the calendar library knows it.
  pub fn zone(&self) -> &TimeZone {
    &self.zone
  }

  /// The span that an instant lies in.
  #[inline]
  pub fn at(&self, second: i64) -> Span {
    match &self.ruled {
      Some(ruled) if second >= rule_start() => self.at_rule(ruled, second),
      _ => self.written.at(second),
    }
  }

  #[cold]
  fn at_rule(&self, ruled: &OnceLock<Spans>, second: i64) -> Span {
    let rule = rule_start();
    let (from, to) = (rule - MARGIN_SECS, rule + CYCLE_SECS + MARGIN_SECS);
    let spans = ruled.get_or_init(|| Spans::between(&self.zone, Some(from), to, from));
    let shift = (second - rule) / CYCLE_SECS * CYCLE_SECS;
    let span = spans.at(second - shift);
    Span { start: span.start + shift, end: span.end + shift, ..span }
  }
}

/// The first second of [`RULE_YEAR`] in UTC.
fn rule_start() -> i64 {
  const DAYS: i64 = 47_482;
  debug_assert_eq!(DAYS, day_number(RULE_YEAR, 1, 1));
  DAYS * DAY_SECS
}

/// Spans in order, with an index by time.
struct Spans {
  starts: Vec<i64>,
  offsets: Vec<i32>,
  /// For each bucket from `base` on, the span that its first second lies in.
  buckets: Vec<u16>,
  base: i64,
}

impl Spans {
  /// Reads the changes in a stretch of time. Zones also list changes that keep the offset (a new
  /// abbreviation): those are left out.
  fn between(zone: &TimeZone, from: Option<i64>, to: i64, base: i64) -> Self {
    let from = from.and_then(|from| Timestamp::from_second(from).ok()).unwrap_or(Timestamp::MIN);
    let (mut starts, mut offsets) = (vec![i64::MIN], vec![zone.to_offset(from).seconds()]);
    for change in zone.following(from) {
      let second = change.timestamp().as_second();
      if second > to {
        break;
      }
      if offsets.last() != Some(&change.offset().seconds()) {
        starts.push(second);
        offsets.push(change.offset().seconds());
      }
    }
    let last = starts.last().copied().unwrap_or(base).max(base);
    let bucket = |n: i64| {
      let start = base + (n << BUCKET_BITS);
      let index = starts.partition_point(|at| *at <= start) - 1;
      u16::try_from(index).unwrap_or(u16::MAX)
    };
    let buckets = (0..=(last - base) >> BUCKET_BITS).map(bucket).collect();
    Self { starts, offsets, buckets, base }
  }

  #[inline]
  fn at(&self, second: i64) -> Span {
    let mut index = if second < self.base {
      self.starts.partition_point(|at| *at <= second) - 1
    } else {
      let bucket = ((second - self.base) >> BUCKET_BITS) as usize;
      usize::from(self.buckets[bucket.min(self.buckets.len() - 1)])
    };
    while self.starts.get(index + 1).is_some_and(|start| *start <= second) {
      index += 1;
    }
    let offset = |index: usize| self.offsets.get(index).map(|secs| i64::from(*secs));
    let own = i64::from(self.offsets[index]);
    Span {
      start: self.starts[index],
      end: self.starts.get(index + 1).copied().unwrap_or(i64::MAX),
      offset: own,
      before: index.checked_sub(1).and_then(offset).unwrap_or(own),
      after: offset(index + 1).unwrap_or(own),
    }
  }
}

#[cfg(test)]
mod tests {
  use jiff::tz::TimeZoneDatabase;
  use proptest::prelude::*;

  use super::*;

  /// Every zone, at every change that it lists up to 2110, and around it.
  #[test]
  fn every_change_of_every_zone_is_in_the_table() {
    for name in TimeZoneDatabase::bundled().available() {
      let zone = TimeZoneDatabase::bundled().get(name.as_str()).unwrap();
      let table = ZoneTable::new(zone.clone());
      for change in
        zone.following(Timestamp::MIN).take_while(|t| t.timestamp().as_second() < 4_418_064_000)
      {
        for second in [-1, 0, 1].map(|n| change.timestamp().as_second() + n) {
          let theirs = zone.to_offset(Timestamp::from_second(second).unwrap()).seconds();
          let span = table.at(second);
          assert_eq!(span.offset, i64::from(theirs), "{name} at {second}");
          assert!(span.start <= second && second < span.end, "{name} at {second}: {span:?}");
        }
      }
    }
  }

  proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Any zone at any instant, and the ends of the span that it lies in.
    #[test]
    fn offsets_agree_with_jiff(pick: prop::sample::Index, second in -377_705_023_201i64..=253_402_207_200) {
      let database = TimeZoneDatabase::bundled();
      let names: Vec<_> = database.available().collect();
      let zone = database.get(pick.get(&names).as_str()).unwrap();
      let table = ZoneTable::new(zone.clone());
      let offset = |second: i64| {
        Timestamp::from_second(second).ok().map(|at| i64::from(zone.to_offset(at).seconds()))
      };
      let span = table.at(second);
      prop_assert_eq!(Some(span.offset), offset(second));
      if span.start > i64::MIN {
        prop_assert_eq!(Some(span.before), offset(span.start - 1));
        prop_assert_eq!(Some(span.offset), offset(span.start));
        prop_assert!(span.before != span.offset);
      }
      if span.end < i64::MAX && Timestamp::from_second(span.end).is_ok() {
        prop_assert_eq!(Some(span.offset), offset(span.end - 1));
        prop_assert_eq!(Some(span.after), offset(span.end));
        prop_assert_eq!(table.at(span.end).start, span.end);
      }
    }
  }
}
