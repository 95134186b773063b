//! A simulation in 80 columns: sums, the load over time, and the schedules with most trouble.

use std::time::Duration;

use hetuflow_core::{SimulatedPeak, SimulatedSchedule, Simulation, Ts};
use jiff::tz::TimeZone;

use crate::output::{show_duration, visible};

/// Rows of the load.
const ROWS_MAX: usize = 28;
/// Cells of a bar.
const BAR_CELLS: usize = 40;
/// Cells of a schedule's name.
const NAME_CELLS: usize = 24;
/// Lengths of a row, in minutes.
const STEPS: [usize; 10] = [1, 5, 10, 15, 30, 60, 120, 360, 720, 1440];

/// The whole page.
pub(super) fn page(report: &Simulation, limit: usize) -> String {
  let mut text = sums(report);
  text.push_str(&load(report));
  text.push_str(&schedules(report, limit));
  for one in &report.left_out {
    text.push_str(&format!("left out: {}\n", visible(one)));
  }
  text
}

fn local(at: Ts, format: &str) -> String {
  at.instant().to_zoned(TimeZone::UTC).strftime(format).to_string()
}

fn sums(report: &Simulation) -> String {
  let when = "%a %Y-%m-%d %H:%M UTC";
  let mut text = format!(
    "{} from {}, seed {}\n",
    show_duration(report.until.since(report.from)),
    local(report.from, when),
    report.seed
  );
  let slots = match (report.slots, report.agents) {
    (0, Some(0)) => "no limit, since no agent is there (--slots N sets one)".to_owned(),
    (0, _) => "no limit".to_owned(),
    (slots, Some(agents)) => format!("{slots} of {agents} agent(s)"),
    (slots, None) => slots.to_string(),
  };
  text.push_str(&format!("  slots      {slots}\n"));
  text.push_str(&format!(
    "  fires      {}: {} ran, {} skipped, {} behind an earlier run, {} stopped\n",
    report.fires, report.runs, report.skipped, report.queued, report.stopped
  ));
  let peak = |peak: &SimulatedPeak| match peak.at {
    Some(at) => format!("{} at {}", peak.count, local(at, when)),
    None => "0".to_owned(),
  };
  let share = report.in_use.map(|share| format!(", {:.0}% of the slots in use", share * 100.0));
  text.push_str(&format!(
    "  at once    {}{}\n",
    peak(&report.peak_running),
    share.unwrap_or_default()
  ));
  text.push_str(&format!("  waiting    {} for a slot\n", peak(&report.peak_waiting)));
  let late = &report.late;
  let [p50, p95, p99, max] = [late.p50, late.p95, late.p99, late.max].map(millis);
  text.push_str(&format!("  lateness   p50 {p50}  p95 {p95}  p99 {p99}  max {max}\n"));
  if report.unfinished > 0 {
    text.push_str(&format!("  not over   {} at the end\n", report.unfinished));
  }
  text
}

/// Milliseconds in words.
fn millis(millis: f64) -> String {
  if millis < 1.0 {
    "0".to_owned()
  } else {
    show_duration(Duration::from_secs_f64(millis / 1000.0))
  }
}

/// Most runs at once over time, one row for some minutes; what waits stands behind it.
fn load(report: &Simulation) -> String {
  let minutes = report.load.running.len();
  let step = STEPS.iter().find(|step| minutes.div_ceil(**step) <= ROWS_MAX);
  let step = step.copied().unwrap_or_else(|| minutes.div_ceil(ROWS_MAX));
  let most = |levels: &[u32]| levels.iter().copied().max().unwrap_or(0);
  let top = most(&report.load.running).saturating_add(most(&report.load.waiting)).max(1);
  let cells = |level: u32| (f64::from(level) * BAR_CELLS as f64 / f64::from(top)).ceil() as usize;
  let step_words = show_duration(Duration::from_secs(step as u64 * 60));
  let mut text = format!("\nMost at once in each {step_words} (# runs, . waits):\n");
  for row in 0..minutes.div_ceil(step) {
    let span = row * step..((row + 1) * step).min(minutes);
    let (running, waiting) =
      (most(&report.load.running[span.clone()]), most(&report.load.waiting[span.clone()]));
    let started: u64 = report.load.started[span].iter().map(|count| u64::from(*count)).sum();
    let at = report.from.plus(Duration::from_secs((row * step * 60) as u64));
    let bar = format!("{}{}", "#".repeat(cells(running)), ".".repeat(cells(waiting)));
    let waits = if waiting > 0 { format!("+{waiting}") } else { String::new() };
    let when = local(at, "%a %d %H:%M");
    text.push_str(format!("  {when} {running:>5}{waits:<6} {started:>6} {bar}").trim_end());
    text.push('\n');
  }
  text
}

fn schedules(report: &Simulation, limit: usize) -> String {
  if report.schedules.is_empty() {
    return "\nNo schedule fires.\n".to_owned();
  }
  let mut text = format!(
    "\n{:NAME_CELLS$} {:>6} {:>6} {:>6} {:>6} {:>8} {:>8}\n",
    "SCHEDULE", "FIRES", "SKIP", "QUEUE", "STOP", "TAKES", "LATE-P95"
  );
  let shown = if limit == 0 { report.schedules.len() } else { limit };
  for one in report.schedules.iter().take(shown) {
    text.push_str(&row(one));
  }
  let more = report.schedules.len().saturating_sub(shown);
  if more > 0 {
    text.push_str(&format!("… and {more} more with less trouble (--limit 0 shows all)\n"));
  }
  let defaults = report.schedules.iter().filter(|one| one.learned_from == 0).count();
  if defaults > 0 {
    text.push_str(&format!("? {defaults} without a past: their runs take what --run says\n"));
  }
  text
}

fn row(one: &SimulatedSchedule) -> String {
  let mut name: String = visible(&one.schedule);
  if name.chars().count() > NAME_CELLS {
    name = name.chars().take(NAME_CELLS - 1).chain(['…']).collect();
  }
  let takes = show_duration(Duration::from_secs_f64(one.p50_secs));
  let takes = if one.learned_from == 0 { format!("{takes}?") } else { takes };
  let late = millis(one.late.p95);
  let (fires, skipped, queued, stopped) = (one.fires, one.skipped, one.queued, one.stopped);
  let line = format!(
    "{name:NAME_CELLS$} {fires:>6} {skipped:>6} {queued:>6} {stopped:>6} {takes:>8} {late:>8}"
  );
  format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
  use serde_json::{Value, json};

  use super::*;

  #[test]
  fn a_simulation_in_80_columns() {
    let late =
      json!({ "n": 90, "p50": 0.0, "p95": 61_000.0, "p99": 120_000.0, "max": 3_700_000.0 });
    let one = |name: &str, learned: u32, skipped: i64| {
      json!({
        "schedule": name, "job": "j", "overlap_policy": "skip", "p50_secs": 42.0, "p95_secs": 90.0,
        "learned_from": learned, "fires": 1000, "runs": 990, "skipped": skipped, "queued": 0,
        "stopped": 0, "late": late, "busy_secs": 100.0,
      })
    };
    let level = |fill: &dyn Fn(u32) -> u32| (0..1441).map(fill).collect::<Vec<u32>>();
    let report: Value = json!({
      "from": "2026-01-05T00:00:00Z", "until": "2026-01-06T00:00:00Z", "seed": 1, "slots": 8,
      "agents": 2, "fires": 2000, "runs": 1980, "skipped": 12, "queued": 0, "stopped": 0,
      "unfinished": 1, "peak_running": { "count": 8, "at": "2026-01-05T02:00:00Z" },
      "peak_waiting": { "count": 4, "at": "2026-01-05T02:00:00Z" }, "in_use": 0.42, "late": late,
      "load": { "started": level(&|n| n % 3), "running": level(&|n| n / 180),
        "waiting": level(&|n| u32::from(n == 130) * 4) },
      "schedules": [one("a-schedule-with-a-rather-long-name", 100, 12), one("new\u{1b}[2J", 0, 0),
        one("third", 9, 0)],
      "left_out": ["s3: no zone"],
    });
    let report: Simulation = serde_json::from_value(report).expect("a report");
    let text = page(&report, 2);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
  }
}
