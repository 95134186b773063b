//! Counting agrees with asking for each fire.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::types::{CronExpression, CronZone};

fn check(text: &str, zone: &str, (after, days): (Timestamp, i64)) {
  let expression = CronExpression::parse(text, 7).unwrap();
  let zone = CronZone::named(zone).unwrap();
  let until = after + SignedDuration::from_hours(24 * days);
  let asked = expression.fires_after(after, &zone).take_while(|fire| fire.at <= until).count();
  let counted = expression.count_between(after, until, &zone);
  assert_eq!(counted, asked as u64, "{text} from {after} for {days} days");
}

#[test]
fn thirty_days_of_every_second() {
  let expression = CronExpression::parse("* * * * * *", 0).unwrap();
  let zone = CronZone::named("Europe/Berlin").unwrap();
  let after: Timestamp = "2026-06-01T09:30:00.5Z".parse().unwrap();
  let until = after + SignedDuration::from_hours(30 * 24);
  assert_eq!(expression.count_between(after, until, &zone), 2_592_000);
}

proptest! {
  #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
  #[test]
  fn counts_what_it_would_tell(
    text in prop::sample::select(vec![
      "* * * * *", "*/7 3 * * *", "30 2 * * *", "0 0 13 * FRI", "15,45 */2 1-7 * MON",
      "0 0 0 29 2 *", "*/20 30 1,2,3 * * *", "@monthly", "5 0 * 10,3 SUN",
    ]),
    zone in prop::sample::select(vec![
      "UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
      "Africa/Casablanca", "Asia/Kathmandu",
    ]),
    second in 1_280_000_000_i64..1_900_000_000,
    days in 0_i64..40,
  ) {
    check(text, zone, (Timestamp::from_second(second).unwrap(), days));
  }
}

/// Around each change of the clocks of some years.
#[test]
fn changes_of_the_clocks_are_counted() {
  for (zone, change) in [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
  ] {
    let change: Timestamp = change.parse().unwrap();
    for before in 0..6 {
      let after = change - SignedDuration::from_hours(24 * before + 5);
      for text in ["*/10 * * * *", "30 2 * * *", "0 0 * * *"] {
        check(text, zone, (after, 9));
      }
    }
  }
}
