//! First data, changes, rest and flood.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::{LIMIT, LOOK, Stage, memory};
use crate::bench::report::{Bar, Report};
use crate::bench::sample::Sample;
use crate::bench::usage::tree_cpu_us;
use crate::terminal::{Recipe, Terminal};

const SIZE: (u16, u16) = (24, 80);
const STARTS: usize = 5;
const CHANGES: usize = 100;
/// Changes a second of the flood, and frames a second of a server that merges as asked.
const FLOOD: u32 = 10_000;

/// Until the screen has a text; how long that took, in milliseconds.
async fn until(terminal: &Terminal, text: &str, begun: Instant) -> Result<f64> {
  while !terminal.screen().contains(text) {
    ensure!(begun.elapsed() < LIMIT, "no {text:?} on\n{}", terminal.screen());
    sleep(LOOK).await;
  }
  Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// From the start of the program to the first real row.
pub async fn first_data(report: &mut Report) -> Result<()> {
  let stage = Stage::new().await?;
  let mut times = Vec::new();
  for _ in 0..STARTS {
    let begun = Instant::now();
    let terminal = stage.tui(&["tasks"], SIZE)?;
    times.push(until(&terminal, "etl-job-059", begun).await?);
  }
  report.barred(
    "start to first row, worst",
    Sample::new(times).max(),
    "ms",
    Bar::AtMost(300.0),
    None,
  );
  Ok(())
}

/// From a change on the server to its text on the screen.
pub async fn changes(report: &mut Report) -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&["tasks"], SIZE)?;
  until(&terminal, "etl-job-059", Instant::now()).await?;
  let id = stage.feed.change(|world| world.add_task("stamp", "running"));
  until(&terminal, "stamp", Instant::now()).await?;
  let mut times = Vec::new();
  for number in 0..CHANGES {
    // Not in step with the server's frames.
    sleep(Duration::from_millis(37 + (number as u64 * 53) % 211)).await;
    let name = format!("stamp-{number:03}");
    let begun = Instant::now();
    stage.feed.change(|world| world.set_task(&id, &json!({ "job": name })));
    times.push(until(&terminal, &name, begun).await?);
  }
  let times = Sample::new(times);
  report.value("change to screen, p50", times.p50(), "ms");
  report.barred("change to screen, p99", times.p99(), "ms", Bar::AtMost(250.0), None);
  Ok(())
}

/// What it takes to show that nothing happens, beside another program that shows a clock.
pub async fn idle(seconds: u64, report: &mut Report) -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&[], SIZE)?;
  until(&terminal, "LIVE", Instant::now()).await?;
  sleep(Duration::from_secs(2)).await;
  let (bytes, cpu) = rest(&terminal, seconds).await?;
  report.barred("idle, bytes to the terminal", bytes, "B/s", Bar::AtMost(200.0), None);
  report.barred("idle, of one core", cpu, "%", Bar::AtMost(0.5), None);
  report.barred(
    "idle, RSS",
    memory(terminal.pid()?, false)? as f64 / 1e6,
    "MB",
    Bar::AtMost(40.0),
    None,
  );
  for (program, args) in [("/usr/bin/top", &["-d", "1"][..]), ("/usr/bin/htop", &[])] {
    if Path::new(program).is_file() {
      let other = Terminal::spawn(&Recipe::new(Path::new(program), args, stage.dir.path()))?;
      sleep(Duration::from_secs(2)).await;
      let (bytes, cpu) = rest(&other, seconds.min(10)).await?;
      report.limit(&format!("{program} at its own pace, bytes"), bytes, "B/s");
      report.limit(&format!("{program} at its own pace, of one core"), cpu, "%");
    }
  }
  Ok(())
}

/// Bytes a second, and percent of a core.
async fn rest(terminal: &Terminal, seconds: u64) -> Result<(f64, f64)> {
  let pid = terminal.pid()?;
  let (count, cpu, begun) = (terminal.count(), tree_cpu_us(pid), Instant::now());
  sleep(Duration::from_secs(seconds)).await;
  let time = begun.elapsed().as_secs_f64();
  let bytes = (terminal.count() - count) as f64 / time;
  Ok((bytes, tree_cpu_us(pid).saturating_sub(cpu) as f64 / 1e4 / time))
}

/// Keys while everything changes.
pub async fn flood(seconds: u64, report: &mut Report) -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&["tasks"], SIZE)?;
  until(&terminal, "etl-job-", Instant::now()).await?;
  let flood = stage.feed.flood(FLOOD, Duration::from_secs(seconds + 2));
  sleep(Duration::from_secs(2)).await;
  let pid = terminal.pid()?;
  let (memory_before, cpu) = (memory(pid, false)?, tree_cpu_us(pid));
  let (count, begun) = (terminal.count(), Instant::now());
  let (mut times, mut tasks) = (Vec::new(), true);
  while begun.elapsed() < Duration::from_secs(seconds) {
    tasks = !tasks;
    let (key, text) = if tasks { ("2", "[2 Tasks]") } else { ("5", "[5 Agents]") };
    let pressed = Instant::now();
    terminal.keys(key).await?;
    times.push(until(&terminal, text, pressed).await?);
    // A person's pace: what the keys themselves draw is not the flood's.
    sleep(Duration::from_millis(500)).await;
  }
  let time = begun.elapsed().as_secs_f64();
  let kilobytes = (terminal.count() - count) as f64 / time / 1e3;
  let drift = (memory(pid, false)? as f64 - memory_before as f64) / 1e6;
  let busy = tree_cpu_us(pid).saturating_sub(cpu) as f64 / 1e4 / time;
  let changes = flood.await?;
  let times = Sample::new(times);
  report.value("flood, changes sent", changes as f64, "");
  report.value("flood, key to screen, p50", times.p50(), "ms");
  report.barred("flood, key to screen, p99", times.p99(), "ms", Bar::AtMost(50.0), None);
  report.barred("flood, bytes to the terminal", kilobytes, "KB/s", Bar::AtMost(64.0), None);
  report.barred("flood, RSS drift", drift.abs(), "MB", Bar::AtMost(5.0), None);
  report.cost("flood, of one core", busy, "%");
  Ok(())
}
