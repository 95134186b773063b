//! What it takes to do nothing, and how fast the command line starts.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::args::Options;
use super::report::{Bar, Report};
use super::rig::{Rig, Setup};
use super::sample::Sample;
use super::target::Target;
use super::usage::{tree_cpu_fine_us, tree_rss_bytes};
use crate::binaries::Binaries;

/// Starts of hetuflowctl.
const STARTS: usize = 50;

/// Measures memory at rest and start-up time.
///
/// # Errors
/// When something does not start.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  let seconds = options.seconds.unwrap_or(10);
  let setup = Setup { agents: 1, slots: 4, agent_settings: "" };
  let mut rig = Rig::start(target, setup).await?;
  let server = rig.cluster().server(0).process().pid();
  let agent = rig.cluster().agent(0).process().pid();
  let before = (tree_cpu_fine_us(server), tree_cpu_fine_us(agent));
  tokio::time::sleep(Duration::from_secs(seconds)).await;
  let mib = |pid: u32| tree_rss_bytes(pid) as f64 / f64::from(1 << 20);
  report.barred("server at rest, RSS", mib(server), "MiB", Bar::AtMost(40.0), None);
  report.barred("agent at rest, RSS", mib(agent), "MiB", Bar::AtMost(15.0), None);
  let busy = |now: u64, before: u64| now.saturating_sub(before) as f64 / 1e4 / seconds as f64;
  report.cost("server at rest, of one core", busy(tree_cpu_fine_us(server), before.0), "%");
  report.cost("agent at rest, of one core", busy(tree_cpu_fine_us(agent), before.1), "%");
  rig.finish(report);

  let ctl = starts(&Binaries::find()?.ctl, &["--version"])?;
  report.barred("hetuflowctl --version, p50", ctl.p50(), "ms", Bar::AtMost(10.0), None);
  report.value("hetuflowctl --version, p99", ctl.p99(), "ms");
  report.limit("/bin/true, p50", starts(Path::new("/bin/true"), &[])?.p50(), "ms");
  report.note(format!("{seconds} s after the agent was ready; processes with all their children"));
  Ok(())
}

/// Milliseconds from start to end of a command, many times.
fn starts(program: &Path, args: &[&str]) -> Result<Sample> {
  let mut times = Vec::new();
  for _ in 0..STARTS {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let output = command.spawn()?.wait_with_output()?;
    times.push(started.elapsed().as_secs_f64() * 1e3);
    ensure!(output.status.success(), "{}: {}", program.display(), output.status);
  }
  Ok(Sample::new(times))
}
