//! A bare loop that starts a process, reads both pipes and waits.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::bench::payload::now_ns;
use crate::bench::report::Report;
use crate::bench::sample::Sample;
use crate::bench::stamps::{job, read};

/// Starts in each loop.
const COUNT: usize = 2000;

/// Starts of the stamp command.
const STAMPS: usize = 200;

/// What the bare loops reach.
#[derive(Debug, Clone, Copy)]
pub struct Spawns {
  /// Processes per second on one thread.
  pub sequential: f64,
  /// Processes per second on two threads.
  pub two_at_a_time: f64,
}

/// `/bin/true` with captured output, one after the other and two at a time.
///
/// # Errors
/// When it cannot be started.
pub fn spawns(report: &mut Report) -> Result<Spawns> {
  spawn_loop(COUNT / 10)?;
  let sequential = spawn_loop(COUNT)?;
  let two_at_a_time = two_at_a_time()?;
  report.limit("bare spawn loop of /bin/true, one thread", sequential, "/s");
  report.limit("bare spawn loop of /bin/true, two at a time", two_at_a_time, "/s");
  Ok(Spawns { sequential, two_at_a_time })
}

/// As many on two threads; gives how many per second.
///
/// # Errors
/// When it cannot be started.
pub fn two_at_a_time() -> Result<f64> {
  let started = Instant::now();
  std::thread::scope(|scope| -> Result<()> {
    let other = scope.spawn(|| spawn_loop(COUNT / 2));
    spawn_loop(COUNT / 2)?;
    other.join().map_err(|_| anyhow::anyhow!("the other thread panicked"))?.map(drop)
  })?;
  Ok(COUNT as f64 / started.elapsed().as_secs_f64())
}

/// Runs `/bin/true` so many times; gives how many per second.
fn spawn_loop(count: usize) -> Result<f64> {
  let started = Instant::now();
  for _ in 0..count {
    // Nothing here needs code between fork and exec, so the library takes posix_spawn.
    let mut command = Command::new("/bin/true");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn()?.wait_with_output()?;
    ensure!(output.status.success(), "/bin/true: {}", output.status);
  }
  Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// The stamp command alone: from just before its spawn to its own first instruction.
///
/// # Errors
/// When it cannot be started or writes no stamp.
pub fn stamps(report: &mut Report) -> Result<()> {
  let dir = tempfile::tempdir()?;
  let file = dir.path().join("stamps");
  let args = job("stamp", &file)?.config.args;
  let mut before = Vec::with_capacity(STAMPS);
  for _ in 0..STAMPS {
    let mut command = Command::new(&args[0]);
    command.args(&args[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    before.push(now_ns());
    let output = command.spawn()?.wait_with_output()?;
    ensure!(output.status.success(), "stamp: {}", String::from_utf8_lossy(&output.stderr));
  }
  let stamps = read(&file)?;
  ensure!(stamps.len() == STAMPS, "{STAMPS} starts left {} stamps", stamps.len());
  let times = stamps.iter().zip(before).map(|(stamp, before)| (stamp.at_ns - before) as f64 / 1e6);
  let times = Sample::new(times.collect());
  report.limit("bare spawn of the stamp command to its main, p50", times.p50(), "ms");
  report.limit("bare spawn of the stamp command to its main, p99", times.p99(), "ms");
  Ok(())
}
