//! The same question asked of others, in the same run: the crate croner, the crate cron, and
//! Python's croniter where it is there. Each one's answers are compared with ours first.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds};
use hetuflow_core::{CronExpression, CronZone};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::evaluation::{FROM, ORDINARY, per_second};
use crate::bench::report::Report;

/// Fires of one walk, and fires that are compared.
const WALK: usize = 200;
const LENGTH: Duration = Duration::from_secs(1);

/// Measures the others.
///
/// # Errors
/// When one of them refuses an ordinary expression.
pub fn run(report: &mut Report) -> Result<()> {
  for zone in ["UTC", "Europe/Berlin"] {
    let rate = with_croner(zone, report)?;
    report.limit(&format!("croner 4.0.3 alone, the same expressions, {zone}"), rate, "/s");
  }
  let rate = with_cron(report)?;
  report.limit("cron 0.17 with chrono, the same expressions, UTC", rate, "/s");
  match with_croniter() {
    Some(rate) => report.limit("croniter of Python, the same expressions, UTC", rate, "/s"),
    None => report.note("Python's croniter is not there: pip install croniter to see it beside"),
  }
  Ok(())
}

/// Our fires in UTC.
fn ours(text: &str) -> Result<Vec<Timestamp>> {
  let expression = CronExpression::parse(text, 0)?;
  let zone = CronZone::utc();
  Ok(expression.fires_after(FROM.parse()?, &zone).take(WALK).map(|fire| fire.at).collect())
}

fn with_croner(zone: &str, report: &mut Report) -> Result<f64> {
  let zone = TimeZone::get(zone)?;
  let parser = CronParser::builder().seconds(Seconds::Optional).build();
  let from = FROM.parse::<Timestamp>()?.to_zoned(zone.clone());
  let mut all = Vec::new();
  for text in ORDINARY {
    let cron = parser.parse(text).with_context(|| text.to_owned())?;
    if zone == TimeZone::UTC {
      let mut at = from.clone();
      for expected in ours(text)? {
        at = cron.find_next_occurrence(&at, false)?;
        if at.timestamp() != expected {
          report.problem(format!("{text}: croner says {at}, we say {expected}"));
          break;
        }
      }
    }
    all.push(cron);
  }
  Ok(per_second(LENGTH, || {
    for cron in &all {
      let mut at = from.clone();
      for _ in 0..WALK {
        let Ok(next) = cron.find_next_occurrence(black_box(&at), false) else { break };
        at = next;
      }
    }
    all.len() * WALK
  }))
}

/// This crate wants seconds, and counts weekdays from Sunday as 1: names mean the same.
fn with_cron(report: &mut Report) -> Result<f64> {
  let from: DateTime<Utc> = FROM.parse()?;
  let mut all = Vec::new();
  for text in ORDINARY {
    let theirs = format!("0 {}", text.replace("1-5", "MON-FRI"));
    let schedule = cron::Schedule::from_str(&theirs).with_context(|| theirs.clone())?;
    for (theirs, ours) in schedule.after(&from).take(WALK).zip(ours(text)?) {
      if theirs.timestamp() != ours.as_second() {
        report.problem(format!("{text}: cron says {theirs}, we say {ours}"));
        break;
      }
    }
    all.push(schedule);
  }
  Ok(per_second(LENGTH, || {
    all.iter().map(|schedule| schedule.after(black_box(&from)).take(WALK).count()).sum()
  }))
}

/// `None`: no Python, or no croniter in it.
fn with_croniter() -> Option<f64> {
  const PROGRAM: &str = "
import sys, time
from datetime import datetime, timezone
from croniter import croniter
start = datetime(2026, 1, 1, tzinfo=timezone.utc)
count, began = 0, time.perf_counter()
while time.perf_counter() - began < 1:
  for text in sys.argv[1:]:
    walk = croniter(text, start)
    for _ in range(50):
      walk.get_next(float)
    count += 50
print(count / (time.perf_counter() - began))
";
  let python = std::env::var("HETUFLOW_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
  let mut command = Command::new(python);
  let output = command.arg("-c").arg(PROGRAM).args(ORDINARY).stderr(Stdio::null()).output().ok()?;
  String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
