//! `job stats`.

use std::collections::BTreeMap;

use hetuflow_core::{PAGE_LIMIT_MAX, Page, TaskEntity, TaskStatus, Ts};
use serde_json::json;

use crate::cli::JobStats;
use crate::client::{Call, CtlError, path_of};
use crate::command::object::get;
use crate::command::session::Session;
use crate::output::{Outcome, View, show_duration};

/// Runs that are looked at, at most.
const RUNS_MAX: usize = 100_000;

/// Counts and durations of the runs of a job.
#[derive(Debug, Default, PartialEq)]
struct Figures {
  states: BTreeMap<String, u64>,
  runs: u64,
  ended: u64,
  succeeded: u64,
  retried: u64,
  run_ms: Vec<u64>,
  wait_ms: Vec<u64>,
  first: Option<Ts>,
}

/// How the runs of a job went.
///
/// # Errors
/// When the job is not there.
pub async fn run(session: &Session, args: &JobStats) -> Result<Outcome, CtlError> {
  let job = get::job(session, &args.name).await?;
  let call = Call::get(path_of(&["jobs", &job.id.to_string(), "tasks"]));
  let mut figures = Figures::default();
  let work = read(session, &call, args.since, &mut figures);
  session.progress().during("reading runs", work).await?;
  figures.run_ms.sort_unstable();
  figures.wait_ms.sort_unstable();
  let share = |part: u64| if figures.ended == 0 { 0.0 } else { part as f64 / figures.ended as f64 };
  let value = json!({
    "job": job.name, "runs": figures.runs, "since": figures.first,
    "states": figures.states, "success_rate": share(figures.succeeded),
    "retried": figures.retried,
    "run_ms": quantiles(&figures.run_ms), "wait_ms": quantiles(&figures.wait_ms),
  });
  let mut text = format!("{}  {} runs", job.name, figures.runs);
  if let Some(first) = figures.first {
    text.push_str(&format!(" since {first}"));
  }
  let rate = share(figures.succeeded) * 100.0;
  text.push_str(&format!("\n  success  {rate:.1}% of {} that ended\n", figures.ended));
  for (state, count) in &figures.states {
    text.push_str(&format!("  {count:>7}  {state}\n"));
  }
  text.push_str(&format!("  {:>7}  needed more than one attempt\n", figures.retried));
  text.push_str(&line("run", &figures.run_ms));
  text.push_str(&line("wait", &figures.wait_ms));
  Ok(View::text(text, value).into())
}

async fn read(
  session: &Session,
  call: &Call,
  since: Option<Ts>,
  figures: &mut Figures,
) -> Result<(), CtlError> {
  let mut cursor = None;
  loop {
    let call = call.clone().query("limit", PAGE_LIMIT_MAX).query_some("cursor", cursor);
    let page: Page<TaskEntity> = session.client()?.fetch(call).await?;
    for task in &page.data {
      if since.is_some_and(|since| task.created_at < since) || figures.runs as usize >= RUNS_MAX {
        return Ok(());
      }
      figures.add(task);
    }
    cursor = page.page.next_cursor;
    if cursor.is_none() {
      return Ok(());
    }
  }
}

impl Figures {
  fn add(&mut self, task: &TaskEntity) {
    self.runs += 1;
    self.first = Some(task.created_at);
    *self.states.entry(task.status.to_string()).or_default() += 1;
    self.retried += u64::from(task.attempt > 1);
    self.ended += u64::from(task.status.is_final());
    self.succeeded += u64::from(task.status == TaskStatus::Succeeded);
    if let Some(from) = task.started_at {
      self.wait_ms.push(millis(task.scheduled_at.max(task.created_at), from));
      if let Some(to) = task.completed_at {
        self.run_ms.push(millis(from, to));
      }
    }
  }
}

fn millis(from: Ts, to: Ts) -> u64 {
  u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}

/// The value that so many of a hundred do not exceed; the list is sorted.
fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
  let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
  sorted.get(rank).copied()
}

fn quantiles(sorted: &[u64]) -> serde_json::Value {
  json!({
    "n": sorted.len(), "p50": quantile(sorted, 50), "p95": quantile(sorted, 95),
    "p99": quantile(sorted, 99), "max": sorted.last(),
  })
}

fn line(what: &str, sorted: &[u64]) -> String {
  let show = |percent| {
    quantile(sorted, percent)
      .map_or("-".to_owned(), |millis| show_duration(std::time::Duration::from_millis(millis)))
  };
  format!("  {what:<5} p50 {}  p95 {}  p99 {}  max {}\n", show(50), show(95), show(99), show(100))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn quantiles_are_values_of_the_list() {
    let list: Vec<u64> = (1..=100).collect();
    for (percent, wanted) in [(50, 50), (95, 95), (99, 99), (100, 100)] {
      assert_eq!(quantile(&list, percent), Some(wanted));
    }
    assert_eq!(quantile(&[7], 50), Some(7));
    assert_eq!(quantile(&[], 50), None);
  }
}
