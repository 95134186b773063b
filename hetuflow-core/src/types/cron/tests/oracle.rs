//! croner as a second opinion, where its dialect and ours agree: five fields without zone
//! changes, and not the day rule for fields that start with `*` but are more than `*`.

use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{
  super::{CronExpression, CronZone},
  brute_expression::{Item, expressions},
  ts,
};

proptest! {
  #![proptest_config(ProptestConfig::with_cases(300))]

  /// Five fires in a row, from any hour of eleven years.
  #[test]
  fn croner_agrees(sample in expressions(), hours in 0i64..100_000) {
    let partial = |field: &[Item]| field.len() > 1 || !matches!(field[0], Item::Star(1));
    let star = |field: &[Item]| field.iter().any(|item| matches!(item, Item::Star(_)));
    let (day, weekday) = (&sample.fields[3], &sample.fields[5]);
    prop_assume!(!(star(day) && partial(day) || star(weekday) && partial(weekday)));
    // croner reads the list `L,LW` as `LW`.
    prop_assume!(!(day.iter().any(|item| matches!(item, Item::Last))
      && day.iter().any(|item| matches!(item, Item::LastWorkday))));
    let text = sample.text();
    let Ok(expression) = CronExpression::parse(&text, 0) else { return Ok(()) };
    let parser = CronParser::builder().seconds(Seconds::Optional).sloppy_ranges(true).build();
    // croner refuses `*` inside a list; everything it accepts must agree.
    let theirs = parser.parse(&text);
    prop_assume!(theirs.is_ok());
    let theirs = theirs.unwrap();
    let utc = CronZone::utc();
    let mut after = ts("2026-01-01T00:00:00Z") + jiff::SignedDuration::from_hours(hours);
    for _ in 0..5 {
      let ours = expression.next_after(after, &utc).map(|fire| fire.at);
      let next = theirs.find_next_occurrence(&after.to_zoned(TimeZone::UTC), false);
      prop_assert_eq!(ours, next.ok().map(|zoned| zoned.timestamp()), "{} after {}", text, after);
      after = ours.unwrap();
    }
  }
}
