//! What this machine can do without server and agents, measured in the same run.

mod bare_postgres;
mod bare_sqlite;
mod commit;
mod output;
mod process;

use std::time::{Duration, Instant};

use anyhow::Result;

use super::report::Report;
use super::sample::Sample;
use super::target::Target;

pub use commit::commits;
pub use output::output;
pub use process::{Spawns, spawns, stamps, two_at_a_time};

/// How long each limit is measured.
const SPAN: Duration = Duration::from_secs(3);

/// Tasks per turn of the bare path.
const BATCH: usize = 500;

/// The queue's SQL alone: enqueue, claim and final in batches; gives tasks per second.
///
/// # Errors
/// When the database refuses.
pub async fn bare_queue(target: &Target, report: &mut Report) -> Result<f64> {
  let fresh = target.fresh().await?;
  let rate = if target.is_postgres() {
    bare_postgres::rate(fresh.url(), SPAN).await?
  } else {
    bare_sqlite::rate(fresh.url(), SPAN).await?
  };
  let lanes = if target.is_postgres() { "2 connections" } else { "1 connection" };
  report.limit(&format!("bare SQL path of the queue, {BATCH} a batch, {lanes}"), rate, "/s");
  Ok(rate)
}

/// How late a plain sleep wakes up.
pub fn timer(report: &mut Report) {
  let late = (0..200).map(|_| {
    let due = Instant::now() + Duration::from_millis(5);
    std::thread::sleep(Duration::from_millis(5));
    due.elapsed().as_secs_f64() * 1e3
  });
  let late = Sample::new(late.collect());
  report.limit("a plain sleep wakes late, p50", late.p50(), "ms");
  report.limit("a plain sleep wakes late, p99", late.p99(), "ms");
}
