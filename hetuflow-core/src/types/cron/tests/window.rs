//! A stretch of time, minute by minute or second by second, with what the clocks showed: the
//! reference that the engine is compared with. It reads clocks only, and shares no code with it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use proptest::prelude::*;

use super::{
  super::{CronExpression, CronZone},
  brute_expression::{Item, Sample},
};
use crate::types::{DstGap, DstOverlap};

/// A rule as a user may set it.
pub type Dst = (DstGap, DstOverlap);

/// Any rule, most often none.
pub fn any_dst() -> impl Strategy<Value = Dst> {
  let gap = prop_oneof![1 => Just(DstGap::Auto), 2 => prop::sample::select(DstGap::ALL)];
  let overlap =
    prop_oneof![1 => Just(DstOverlap::Auto), 2 => prop::sample::select(DstOverlap::ALL)];
  (gap, overlap)
}

/// Each instant of a stretch with its wall clock.
pub struct Window {
  zone: CronZone,
  step: SignedDuration,
  clock: Vec<(Timestamp, DateTime)>,
  /// When the clock showed each time, in order.
  shown: BTreeMap<DateTime, Vec<Timestamp>>,
  /// Fires are compared between these.
  inner: (Timestamp, Timestamp),
}

impl Window {
  /// The time around an instant, to both sides; the outermost three hours are for changes of the
  /// clocks that begin or end outside.
  pub fn new(
    zone: TimeZone,
    around: Timestamp,
    half: SignedDuration,
    step: SignedDuration,
  ) -> Self {
    let (mut at, end) = (around - half, around + half);
    let mut clock = Vec::new();
    let mut shown: BTreeMap<DateTime, Vec<Timestamp>> = BTreeMap::new();
    while at <= end {
      let wall = zone.to_datetime(at);
      clock.push((at, wall));
      shown.entry(wall).or_default().push(at);
      at += step;
    }
    let edge = SignedDuration::from_hours(3).min(half / 4);
    let inner = (around - half + edge, end - edge);
    Self { zone: CronZone::of(zone), step, clock, shown, inner }
  }

  /// Brings a sample to where something happens, more and more: any day, the hours around the
  /// middle, only on that date.
  pub fn aim(&self, sample: &mut Sample, aim: u8) {
    let middle = self.clock[self.clock.len() / 2].1;
    if aim >= 1 {
      sample.fields[3..].fill(vec![Item::Star(1)]);
    }
    if aim >= 2 {
      let hour = middle.hour() as u32;
      sample.fields[2] = vec![Item::Range(hour.saturating_sub(2), (hour + 1).min(23), 1)];
    }
    if aim >= 3 {
      sample.fields[3] = vec![Item::One(middle.day() as u32)];
      sample.fields[4] = vec![Item::One(middle.month() as u32)];
    }
  }

  /// Every fire, by looking at the clock.
  fn fires(&self, sample: &Sample, dst: Dst) -> BTreeSet<Timestamp> {
    let pattern = sample.is_wall_pattern();
    let gap = match dst.0 {
      DstGap::Auto if pattern => DstGap::Skip,
      DstGap::Auto => DstGap::Next,
      told => told,
    };
    let overlap = match dst.1 {
      DstOverlap::Auto if pattern => DstOverlap::Both,
      DstOverlap::Auto => DstOverlap::First,
      told => told,
    };
    let mut fires = BTreeSet::new();
    for times in self.shown.iter().filter(|(wall, _)| sample.matches(**wall)).map(|(_, at)| at) {
      match overlap {
        DstOverlap::First => fires.extend(times.first()),
        DstOverlap::Auto | DstOverlap::Both => fires.extend(times),
        DstOverlap::Last => fires.extend(times.last()),
      }
    }
    for pair in self.clock.windows(2) {
      let ((before, last_wall), (after, wall)) = (pair[0], pair[1]);
      let mut missing = last_wall + self.step;
      while missing < wall {
        if sample.matches(missing) && !self.shown.contains_key(&missing) {
          match gap {
            DstGap::Auto | DstGap::Skip => {}
            DstGap::Next => drop(fires.insert(after)),
            DstGap::Shift => drop(fires.insert(before + missing.duration_since(last_wall))),
          }
        }
        missing += self.step;
      }
    }
    fires.retain(|at| *at > self.inner.0 && *at < self.inner.1);
    fires
  }

  /// The engine finds exactly these fires, forwards and backwards, from each and from between.
  pub fn check(&self, sample: &Sample, dst: Dst) -> Result<(), TestCaseError> {
    let text = sample.text();
    let Ok(expression) = CronExpression::parse(&text, 0) else { return Ok(()) };
    let expression = expression.with_dst(dst.0, dst.1);
    let next = |at| expression.next_after(at, &self.zone).map(|fire| fire.at);
    let previous = |at| expression.previous_before(at, &self.zone).map(|fire| fire.at);
    let (start, end) = self.inner;
    let nano = SignedDuration::from_nanos(1);
    let fires = self.fires(sample, dst);
    let mut last = start;
    for fire in &fires {
      prop_assert_eq!(next(last), Some(*fire), "{} {:?} after {}", text, dst, last);
      prop_assert_eq!(next(*fire - nano), Some(*fire), "{} {:?}", text, dst);
      if last > start {
        prop_assert_eq!(previous(*fire), Some(last), "{} {:?} before {}", text, dst, fire);
        prop_assert_eq!(previous(last + nano), Some(last), "{} {:?}", text, dst);
        let middle = last + fire.duration_since(last) / 2;
        prop_assert_eq!(next(middle), Some(*fire), "{} {:?} after {}", text, dst, middle);
        prop_assert_eq!(previous(middle), Some(last), "{} {:?} before {}", text, dst, middle);
      }
      last = *fire;
    }
    prop_assert!(next(last).is_none_or(|at| at >= end), "{} {:?} after {}", text, dst, last);
    prop_assert_eq!(previous(end), fires.last().copied().or_else(|| previous(end)));
    let first = fires.first().copied().unwrap_or(end);
    prop_assert!(
      previous(first).is_none_or(|at| at <= start),
      "{} {:?} before {}",
      text,
      dst,
      first
    );
    Ok(())
  }
}
