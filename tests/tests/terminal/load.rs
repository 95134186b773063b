//! Nothing to do costs next to nothing, and a flood does not drown the keys.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hetuflow_tests::bench::Sample;
use hetuflow_tests::terminal::Terminal;

use crate::stage::{LIMIT, Stage};

/// Resident memory, in bytes.
fn memory(terminal: &Terminal) -> Result<u64> {
  let status = std::fs::read_to_string(format!("/proc/{}/status", terminal.pid()?))?;
  let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
  Ok(line.split_whitespace().next().context("a number")?.parse::<u64>()? * 1024)
}

#[tokio::test]
async fn nothing_new_is_nothing_drawn() -> Result<()> {
  const SECONDS: u64 = 5;
  let stage = Stage::new().await?;
  let terminal = stage.tui(&[]).await?;
  tokio::time::sleep(Duration::from_secs(2)).await;
  let before = terminal.count();
  tokio::time::sleep(Duration::from_secs(SECONDS)).await;
  let bytes = terminal.count() - before;
  println!("idle: {} bytes a second", bytes / SECONDS);
  // The clock and a few ages; the bar is 200 a second over a minute.
  ensure!(bytes <= 300 * SECONDS, "{bytes} bytes in {SECONDS} s");
  Ok(())
}

#[tokio::test]
async fn keys_in_a_flood() -> Result<()> {
  let stage = Stage::new().await?;
  stage.feed.unmerged(Some(100));
  let terminal = stage.tui(&["tasks"]).await?;
  terminal.wait_text("etl-job-", LIMIT).await?;
  let flood = stage.feed.flood(10_000, Duration::from_secs(4));
  tokio::time::sleep(Duration::from_secs(1)).await;
  let (memory_before, count, begun) = (memory(&terminal)?, terminal.count(), Instant::now());
  let mut times = Vec::new();
  let mut tasks = true;
  while !flood.is_finished() {
    tasks = !tasks;
    let (key, expected) = if tasks { ("2", "[2 Tasks]") } else { ("5", "[5 Agents]") };
    let pressed = Instant::now();
    terminal.keys(key).await?;
    while !terminal.screen().contains(expected) {
      ensure!(pressed.elapsed() < Duration::from_secs(5), "{key}: {}", terminal.screen());
      tokio::time::sleep(Duration::from_millis(1)).await;
    }
    times.push(pressed.elapsed().as_secs_f64() * 1e3);
  }
  let seconds = begun.elapsed().as_secs_f64();
  let times = Sample::new(times);
  println!(
    "flood: {} keys, p50 {:.1} ms, p99 {:.1} ms; {:.0} KB/s; memory {} -> {} KB",
    times.len(),
    times.p50(),
    times.p99(),
    (terminal.count() - count) as f64 / seconds / 1e3,
    memory_before / 1024,
    memory(&terminal)? / 1024,
  );
  ensure!(times.len() > 5, "keys are hardly answered");
  // Afterwards the picture equals the truth.
  stage.feed.unmerged(None);
  stage.feed.change(|world| world.add_task("after-the-flood", "running"));
  // The flood may have ended on the other screen.
  terminal.keys("2").await?;
  terminal.keys("g").await?;
  terminal
    .wait_for("the truth", LIMIT, |screen| {
      screen.contains("after-the-flood") && screen.contains("LIVE")
    })
    .await
}
