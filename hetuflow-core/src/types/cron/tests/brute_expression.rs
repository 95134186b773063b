//! Generated expressions with a meaning of their own: each one knows its text and, without any
//! code of the engine, whether a wall time matches.

use jiff::civil::{Date, DateTime};
use proptest::{collection::vec, prelude::*};

/// One element of a list.
#[derive(Clone, Debug)]
pub enum Item {
  Star(u32),
  One(u32),
  Range(u32, u32, u32),
  Open(u32, u32),
  Last,
  LastWorkday,
  Nearest(u32),
  Nth(u32, u32),
  LastOf(u32),
}

/// An expression as a list of items per field: second, minute, hour, day, month, weekday.
#[derive(Clone, Debug)]
pub struct Sample {
  pub fields: [Vec<Item>; 6],
  pub with_seconds: bool,
}

const MAX: [u32; 6] = [59, 59, 23, 31, 12, 7];

fn plain(min: u32, max: u32) -> BoxedStrategy<Item> {
  prop_oneof![
    4 => (min..=max).prop_map(Item::One),
    2 => (min..=max, min..=max, 1u32..8).prop_map(|(a, b, k)| Item::Range(a.min(b), a.max(b), k)),
    1 => (1u32..20).prop_map(Item::Star),
    1 => (min..=max, 1u32..20).prop_map(|(a, k)| Item::Open(a, k)),
  ]
  .boxed()
}

fn field(item: BoxedStrategy<Item>, stars: u32) -> BoxedStrategy<Vec<Item>> {
  prop_oneof![stars => Just(vec![Item::Star(1)]), 3 => vec(item, 1..4)].boxed()
}

/// Expressions of all shapes, many of them with stars, as people write them.
pub fn expressions() -> impl Strategy<Value = Sample> {
  let day = prop_oneof![
    6 => plain(1, 31),
    1 => Just(Item::Last),
    1 => Just(Item::LastWorkday),
    1 => (1u32..=31).prop_map(Item::Nearest),
  ];
  let weekday = prop_oneof![
    6 => plain(0, 7),
    1 => (0u32..=7, 1u32..=5).prop_map(|(d, k)| Item::Nth(d, k)),
    1 => (0u32..=7).prop_map(Item::LastOf),
  ];
  let fields = (
    field(plain(0, 59), 2),
    field(plain(0, 59), 2),
    field(plain(0, 23), 2),
    field(day.boxed(), 6),
    field(plain(1, 12), 9),
    field(weekday.boxed(), 6),
  );
  (fields, any::<bool>()).prop_map(|((s, m, h, d, mo, w), with_seconds)| Sample {
    fields: [s, m, h, d, mo, w],
    with_seconds,
  })
}

impl Sample {
  /// The expression as a user would type it.
  pub fn text(&self) -> String {
    let skip = usize::from(!self.with_seconds);
    let fields = self.fields[skip..].iter();
    fields
      .map(|f| f.iter().map(Item::text).collect::<Vec<_>>().join(","))
      .collect::<Vec<_>>()
      .join(" ")
  }

  fn star(&self, field: usize) -> bool {
    matches!(self.fields[field][0], Item::Star(_))
  }

  /// Fires by the wall clock, twice in a repeated hour.
  pub fn is_wall_pattern(&self) -> bool {
    self.star(1) || self.star(2)
  }

  /// Whether a wall time matches.
  pub fn matches(&self, wall: DateTime) -> bool {
    let second = if self.with_seconds { self.plain(0, wall.second()) } else { wall.second() == 0 };
    second
      && self.plain(1, wall.minute())
      && self.plain(2, wall.hour())
      && self.matches_date(wall.date())
  }

  /// Whether a date matches.
  pub fn matches_date(&self, date: Date) -> bool {
    let day = self.fields[3].iter().any(|item| item.day(date));
    let weekday = self.fields[5].iter().any(|item| item.weekday(date));
    let joined = if self.star(3) || self.star(5) { day && weekday } else { day || weekday };
    joined && self.plain(4, date.month())
  }

  fn plain(&self, field: usize, value: i8) -> bool {
    let min = u32::from(field == 3 || field == 4);
    self.fields[field].iter().any(|item| item.plain(value as u32, min, MAX[field]))
  }
}

impl Item {
  fn text(&self) -> String {
    match self {
      Item::Star(1) => "*".into(),
      Item::Star(k) => format!("*/{k}"),
      Item::One(a) => a.to_string(),
      Item::Range(a, b, 1) => format!("{a}-{b}"),
      Item::Range(a, b, k) => format!("{a}-{b}/{k}"),
      Item::Open(a, k) => format!("{a}/{k}"),
      Item::Last => "L".into(),
      Item::LastWorkday => "LW".into(),
      Item::Nearest(a) => format!("{a}W"),
      Item::Nth(d, k) => format!("{d}#{k}"),
      Item::LastOf(d) => format!("{d}L"),
    }
  }

  fn plain(&self, value: u32, min: u32, max: u32) -> bool {
    match *self {
      Item::Star(k) => (value - min).is_multiple_of(k),
      Item::One(a) => value == a,
      Item::Range(a, b, k) => (a..=b).step_by(k as usize).any(|v| v == value),
      Item::Open(a, k) => (a..=max).step_by(k as usize).any(|v| v == value),
      _ => false,
    }
  }

  fn day(&self, date: Date) -> bool {
    let last = date.last_of_month();
    match *self {
      Item::Last => date == last,
      Item::LastWorkday => date == nearest_workday(last),
      Item::Nearest(a) => Date::new(date.year(), date.month(), a as i8)
        .is_ok_and(|target| date == nearest_workday(target)),
      _ => self.plain(date.day() as u32, 1, 31),
    }
  }

  fn weekday(&self, date: Date) -> bool {
    let weekday = date.weekday().to_sunday_zero_offset() as u32;
    match *self {
      Item::Nth(d, k) => weekday == d % 7 && (date.day() as u32).div_ceil(7) == k,
      Item::LastOf(d) => weekday == d % 7 && date.day() + 7 > date.days_in_month(),
      _ => self.plain(weekday, 0, 7) || (weekday == 0 && self.plain(7, 0, 7)),
    }
  }
}

/// By looking outwards from the day: same day, the day before, after, two away.
fn nearest_workday(target: Date) -> Date {
  let working = |date: &Date| date.weekday().to_monday_one_offset() <= 5;
  let mut near = vec![target];
  for distance in 1..3 {
    let span = jiff::Span::new().days(distance);
    near.extend([target.saturating_sub(span), target.saturating_add(span)]);
  }
  near.into_iter().find(|d| working(d) && d.month() == target.month()).unwrap()
}
