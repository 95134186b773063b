//! Evaluations per second on one core: each one is "the next fire after this instant".

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hetuflow_core::{CronExpression, CronZone};
use jiff::Timestamp;

use super::others;
use crate::bench::report::{Bar, Report};

/// What people write, with the values of crontabs seen in the wild.
pub const ORDINARY: [&str; 12] = [
  "* * * * *",
  "*/5 * * * *",
  "*/15 9-17 * * 1-5",
  "0 * * * *",
  "30 2 * * *",
  "0 9 * * 1-5",
  "0 22 * * SUN",
  "0 0 1 * *",
  "15 14 1 * *",
  "23 0-20/2 * * *",
  "0 0,12 1 */2 *",
  "10,40 6 * * *",
];
/// What needs a search of its own.
const SPECIAL: [&str; 5] =
  ["0 0 L * *", "0 9 LW * *", "0 9 * * MON#2", "0 0 29 2 *", "0 0 13 * FRI"];
const ZONES: [&str; 5] =
  ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"];
/// Where each walk begins.
pub const FROM: &str = "2026-01-01T00:00:00Z";
/// Fires of one walk: each evaluation begins where the one before ended.
const WALK: usize = 2_000;
/// How long one kind is measured, at least.
const LENGTH: Duration = Duration::from_secs(1);

/// Measures this engine, then the others.
///
/// # Errors
/// When an expression is refused.
pub fn run(report: &mut Report) -> Result<()> {
  let from: Timestamp = FROM.parse()?;
  let everywhere = pairs(&ORDINARY, &ZONES)?;
  let rate = walks(&everywhere, from);
  let bar = Bar::AtLeast(1_000_000.0);
  report.barred("next fires, 12 ordinary expressions in 5 zones", rate, "/s", bar, None);
  let slowest = each_alone(&everywhere, from);
  report.barred("  the slowest pair of them", slowest, "/s", bar, None);
  report.value("  from instants at random in 60 years", at_random(&everywhere, from), "/s");
  report.value("fires before an instant, the same pairs", backwards(&everywhere, from), "/s");
  report.value("next fires, 5 special expressions", walks(&pairs(&SPECIAL, &ZONES)?, from), "/s");
  report.value("expressions read, with all checks", reads(), "/s");
  let utc = pairs(&ORDINARY, &ZONES[..1])?;
  report.value("next fires, ordinary, UTC alone", walks(&utc, from), "/s");
  others::run(report)
}

type Pair = (CronExpression, CronZone);

fn pairs(texts: &[&str], zones: &[&str]) -> Result<Vec<Pair>> {
  let mut pairs = Vec::new();
  for zone in zones {
    for text in texts {
      let expression = CronExpression::parse(text, 0).with_context(|| (*text).to_owned())?;
      pairs.push((expression, CronZone::named(zone)?));
    }
  }
  Ok(pairs)
}

/// Calls `round`, which says how much it did, until the time is over; how much that is per second.
pub fn per_second(length: Duration, mut round: impl FnMut() -> usize) -> f64 {
  round();
  let (mut done, started) = (0, Instant::now());
  while started.elapsed() < length {
    done += round();
  }
  done as f64 / started.elapsed().as_secs_f64()
}

fn walk((expression, zone): &Pair, from: Timestamp) -> usize {
  let mut at = from;
  for done in 0..WALK {
    let Some(fire) = expression.next_after(black_box(at), zone) else { return done };
    at = fire.at;
  }
  black_box(at);
  WALK
}

fn walks(pairs: &[Pair], from: Timestamp) -> f64 {
  per_second(LENGTH, || pairs.iter().map(|pair| walk(pair, from)).sum())
}

fn each_alone(pairs: &[Pair], from: Timestamp) -> f64 {
  let length = LENGTH / 20;
  let rates = pairs.iter().map(|pair| per_second(length, || walk(pair, from)));
  rates.fold(f64::INFINITY, f64::min)
}

fn at_random(pairs: &[Pair], from: Timestamp) -> f64 {
  let mut state = 0x9E37_79B9_7F4A_7C15u64;
  let mut instants = Vec::new();
  for _ in 0..WALK {
    // Xorshift: the same instants in every run.
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    let seconds = (state % (60 * 366 * 86_400)) as i64;
    instants.push(from + jiff::SignedDuration::from_secs(seconds));
  }
  per_second(LENGTH, || {
    for (expression, zone) in pairs {
      for at in &instants {
        black_box(expression.next_after(*at, zone));
      }
    }
    pairs.len() * instants.len()
  })
}

fn backwards(pairs: &[Pair], from: Timestamp) -> f64 {
  let back = |(expression, zone): &Pair| {
    let mut at = from;
    for done in 0..WALK {
      let Some(fire) = expression.previous_before(black_box(at), zone) else { return done };
      at = fire.at;
    }
    WALK
  };
  per_second(LENGTH, || pairs.iter().map(back).sum())
}

fn reads() -> f64 {
  per_second(LENGTH, || {
    for text in ORDINARY {
      black_box(CronExpression::parse(black_box(text), 0).is_ok());
    }
    ORDINARY.len()
  })
}
