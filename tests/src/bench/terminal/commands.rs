//! The command line: how fast it starts and lists, how much it takes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::memory;
use crate::bench::report::{Bar, Report};
use crate::bench::sample::Sample;
use crate::binaries::Binaries;
use crate::cluster::Cluster;

const RUNS: usize = 50;

/// Measures.
pub async fn run(report: &mut Report) -> Result<()> {
  let ctl = Binaries::find()?.ctl;
  let (version, _) = starts(&ctl, &["--version"], &[])?;
  report.barred("--version, p50", version.p50(), "ms", Bar::AtMost(10.0), None);
  let mut cluster = Cluster::builder().agents(0).start().await?;
  let api = cluster.api();
  for number in 0..50 {
    let job = json!({ "name": format!("job-{number:02}"), "config": { "command": "true" } });
    api.post_ok("/jobs", &job).await?;
  }
  let mut own = Vec::new();
  for _ in 0..RUNS {
    let begun = Instant::now();
    api.get_ok("/jobs?limit=50").await?;
    own.push(begun.elapsed().as_secs_f64() * 1e3);
  }
  let own = Sample::new(own).p50();
  let token = cluster.dir().join("admin.token").display().to_string();
  let url = cluster.server(0).url().to_owned();
  let environment = [("HETUFLOW_SERVER", url.as_str()), ("HETUFLOW_TOKEN_FILE", token.as_str())];
  let (list, most) = starts(&ctl, &["job", "list"], &environment)?;
  let over = list.p50() - own;
  report.barred("list of 50 over the server's own time, p50", over, "ms", Bar::AtMost(50.0), None);
  report.limit("the server's own time for the list, p50", own, "ms");
  report.barred("list of 50, RSS", most as f64 / 1e6, "MB", Bar::AtMost(15.0), None);
  cluster.finish()?;
  size(&ctl, report)
}

/// Milliseconds from start to end, and the most memory that was seen.
fn starts(program: &Path, args: &[&str], environment: &[(&str, &str)]) -> Result<(Sample, u64)> {
  let (mut times, mut most) = (Vec::new(), 0);
  for _ in 0..RUNS {
    let mut command = Command::new(program);
    command.args(args).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    // Its peak only grows, so the last look before its end is the one that counts.
    let status = loop {
      if let Some(status) = child.try_wait()? {
        break status;
      }
      most = most.max(memory(child.id(), true).unwrap_or(0));
    };
    times.push(begun.elapsed().as_secs_f64() * 1e3);
    ensure!(status.success(), "{} {args:?}: {status}", program.display());
  }
  Ok((Sample::new(times), most))
}

fn size(ctl: &Path, report: &mut Report) -> Result<()> {
  let dir = tempfile::tempdir()?;
  let stripped = dir.path().join("ctl");
  let strip = Command::new("strip").arg("-o").arg(&stripped).arg(ctl).status();
  let measured = if strip.is_ok_and(|status| status.success()) { &stripped } else { ctl };
  let bytes = std::fs::metadata(measured).context("the binary")?.len();
  report.barred("binary, stripped", bytes as f64 / 1e6, "MB", Bar::AtMost(15.0), None);
  Ok(())
}
