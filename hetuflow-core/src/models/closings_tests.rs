use std::sync::Arc;

use super::*;
use crate::types::CalendarRule;

fn at(text: &str) -> Ts {
  text.parse().expect("an instant")
}

fn named(name: &str, rules: &[&str], zone: &str) -> Arc<NamedCalendar> {
  let rules = rules.iter().map(|rule| rule.parse::<CalendarRule>().expect("a rule")).collect();
  let calendar = Calendar::new(rules, CronZone::named(zone).expect("a zone"));
  Arc::new(NamedCalendar { name: name.to_owned(), blackout: false, calendar })
}

fn schedule(cron: &str, zone: &str, include: &[&str], exclude: &[&str]) -> ScheduleEntity {
  serde_json::from_value(serde_json::json!({
    "id": uuid::Uuid::nil(), "job_id": uuid::Uuid::nil(), "namespace_id": "default",
    "name": "a", "schedule_kind": "cron", "cron_expression": cron, "timezone": zone,
    "dst_gap": "auto", "dst_overlap": "auto", "jitter_secs": 0, "status": "enabled",
    "include": include, "exclude": exclude,
    "overlap_policy": "allow_all", "misfire_policy": "fire_all", "misfire_grace_secs": 86_400,
    "catchup_max": 100, "parameters": null, "environment": {}, "priority": 0,
    "anchor_at": "2026-01-01T00:00:00Z", "run_count": 0, "rev": 1,
    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
  }))
  .expect("a schedule")
}

fn bound(row: &ScheduleEntity, known: &[Arc<NamedCalendar>]) -> Closings {
  let find = |name: &str| {
    let found = known.iter().find(|one| one.name == name).cloned();
    found.ok_or_else(|| format!("there is no calendar {name}"))
  };
  let blackouts = known.iter().filter(|one| one.blackout).cloned().collect();
  Closings::of(row, blackouts, find).expect("calendars")
}

fn open(row: &ScheduleEntity, closings: &Closings, (from, count): (&str, usize)) -> Vec<String> {
  let rhythm = Rhythm::of(row).expect("a rhythm");
  let mut after = at(from);
  let mut found = Vec::new();
  while found.len() < count
    && let Some((next, _)) = closings.next_open(&rhythm, after)
  {
    found.push(next.to_string());
    after = next;
  }
  found
}

#[test]
fn days_are_left_out_in_the_calendars_own_zone() {
  // Christmas Day of Auckland begins at noon of the 24th in Berlin's winter time.
  let known = [named("nz", &["12-25"], "Pacific/Auckland"), named("we", &["SAT-SUN"], "UTC")];
  let row = schedule("0 6,18 * * *", "UTC", &[], &["nz", "we"]);
  let closings = bound(&row, &known);
  assert_eq!(
    open(&row, &closings, ("2026-12-24T00:00:00Z", 3)),
    ["2026-12-24T06:00:00Z", "2026-12-25T18:00:00Z", "2026-12-28T06:00:00Z"]
  );
  assert_eq!(
    closings.reason(at("2026-12-24T18:00:00Z")).as_deref(),
    Some("left out by calendar nz")
  );
  let (reason, until) = closings.stretch(at("2026-12-26T06:00:00Z")).expect("a Saturday");
  assert_eq!((reason.as_str(), until), ("left out by calendar we", at("2026-12-28T00:00:00Z")));
}

#[test]
fn names_and_rules_of_include_are_one_set() {
  let known = [named("office", &["MON-FRI 09:00-11:00"], "Europe/Berlin")];
  let row = schedule("0 * * * *", "Europe/Berlin", &["office", "SUN 10:00-11:00"], &[]);
  let closings = bound(&row, &known);
  // The clocks go forward in the night to Sunday.
  assert_eq!(
    open(&row, &closings, ("2026-03-27T09:00:00Z", 4)),
    [
      "2026-03-29T08:00:00Z",
      "2026-03-30T07:00:00Z",
      "2026-03-30T08:00:00Z",
      "2026-03-31T07:00:00Z"
    ]
  );
  let reason = closings.reason(at("2026-03-28T09:00:00Z"));
  assert_eq!(reason.as_deref(), Some("outside of calendar office"));
  // Rules alone are part of the rule: no instant lies outside of them.
  let row = schedule("0 * * * *", "Europe/Berlin", &["SUN 10:00-11:00"], &[]);
  assert!(bound(&row, &known).is_empty());
  let first = Rhythm::of(&row).expect("a rhythm").next(at("2026-03-27T09:00:00Z"));
  assert_eq!(first.expect("a Sunday").0, at("2026-03-29T08:00:00Z"));
}

#[test]
fn what_is_never_open_ends_the_search() {
  let known = [named("all", &["MON-SUN"], "UTC"), named("never", &["2020-01-01"], "UTC")];
  for (include, exclude) in [(&[][..], &["all"][..]), (&["never"][..], &[][..])] {
    let row = schedule("* * * * * *", "UTC", include, exclude);
    let closings = bound(&row, &known);
    assert_eq!(
      closings.next_open(&Rhythm::of(&row).expect("a rhythm"), at("2026-01-01T00:00:00Z")),
      None
    );
  }
  let row = schedule("0 0 * * *", "UTC", &[], &["gone"]);
  let missing = Closings::of(&row, Vec::new(), |name| Err(format!("no {name}")));
  assert_eq!(missing.expect_err("unknown"), "no gone");
}

mod brute {
  use proptest::prelude::*;

  use super::*;

  const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
  ];
  const RULES: [&str; 9] = [
    "SAT-SUN",
    "22:00-06:00",
    "MON-FRI 01:30-03:15",
    "03-29",
    "10-24..10-26",
    "SUN 02:00-03:00",
    "easter",
    "2011-12-29..2011-12-31",
    "2026-03-29T00:30:00Z..2026-03-29T01:30:00Z",
  ];
  const CRONS: [&str; 4] = ["*/15 * * * *", "30 2 * * *", "0 */3 * * *", "7 * * * 0"];
  /// Around changes of the clocks of these zones, and the day that Apia never had.
  const FROM: [&str; 5] = [
    "2026-03-27T12:00:00Z",
    "2026-10-23T12:00:00Z",
    "2026-04-03T12:00:00Z",
    "2011-12-28T12:00:00Z",
    "2018-11-02T12:00:00Z",
  ];

  fn some(most: usize) -> impl Strategy<Value = Vec<(Vec<&'static str>, &'static str)>> {
    let rules = prop::sample::subsequence(RULES.to_vec(), 1..3);
    prop::collection::vec((rules, prop::sample::select(ZONES.to_vec())), 0..=most)
  }

  proptest! {
    /// The jump from stretch to stretch finds what a walk over each instant finds.
    #[test]
    fn the_next_open_instant(
      (include, exclude, blackout) in (some(2), some(2), some(1)),
      cron in prop::sample::select(CRONS.to_vec()),
      zone in prop::sample::select(ZONES.to_vec()),
      from in prop::sample::select(FROM.to_vec()),
    ) {
      let make = |word: &str, all: &[(Vec<&str>, &str)]| -> Vec<Arc<NamedCalendar>> {
        let one = |(n, (rules, zone)): (usize, &(Vec<&str>, &str))| named(&format!("{word}{n}"), rules, zone);
        all.iter().enumerate().map(one).collect()
      };
      let (included, excluded) = (make("in", &include), make("ex", &exclude));
      let mut known = make("black", &blackout);
      for one in &mut known {
        Arc::make_mut(one).blackout = true;
      }
      let names = |all: &[Arc<NamedCalendar>]| -> Vec<String> {
        all.iter().map(|one| one.name.clone()).collect()
      };
      let (ins, exs) = (names(&included), names(&excluded));
      let (ins, exs): (Vec<&str>, Vec<&str>) =
        (ins.iter().map(String::as_str).collect(), exs.iter().map(String::as_str).collect());
      known.extend(included.iter().chain(&excluded).cloned());
      let row = schedule(cron, zone, &ins, &exs);
      let closings = bound(&row, &known);
      let rhythm = Rhythm::of(&row).expect("a rhythm");
      let end = at(from).plus(Duration::from_secs(6 * 86_400));
      let covers = |all: &[Arc<NamedCalendar>], at: Ts| {
        all.iter().any(|one| one.calendar.covers(at.instant()))
      };
      let is_open = |at: Ts| {
        (included.is_empty() || covers(&included, at))
          && !covers(&excluded, at)
          && !known.iter().any(|one| one.blackout && one.calendar.covers(at.instant()))
      };
      let mut walked = Vec::new();
      let mut next = rhythm.next(at(from));
      while let Some((instant, _)) = next.filter(|(instant, _)| *instant <= end) {
        prop_assert_eq!(closings.is_closed(instant), !is_open(instant), "{}", instant);
        if is_open(instant) {
          walked.push(instant);
          // Up to there nothing is left out.
          let open = closings.open_until(instant);
          prop_assert!(open > instant);
          let within = rhythm.next(instant).is_none_or(|(next, _)| next >= open || is_open(next));
          prop_assert!(within, "{} open until {}", instant, open);
        } else {
          let (reason, until) = closings.stretch(instant).expect("closed");
          prop_assert!(until > instant);
          let inside = rhythm.next(instant).map(|(next, _)| next).filter(|next| *next < until);
          prop_assert!(inside.is_none_or(|next| closings.reason(next).as_ref() == Some(&reason)));
        }
        next = rhythm.next(instant);
      }
      let mut jumped = Vec::new();
      let mut after = at(from);
      while let Some((instant, _)) =
        closings.next_open(&rhythm, after).filter(|one| one.0 <= end)
      {
        jumped.push(instant);
        after = instant;
      }
      prop_assert_eq!(jumped, walked);
    }
  }
}
