//! hetuflowctl on a real terminal: how soon it shows, what it costs, whether a flood drowns it.
//!
//! The server is the [`FakeFeed`], so that what is measured is the terminal's side alone; the list
//! of 50 comes from a real one.

mod commands;
mod output;
mod screen;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::args::Options;
use super::report::Report;
use crate::binaries::Binaries;
use crate::fake_feed::FakeFeed;
use crate::terminal::{Recipe, Terminal};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at the screen.
const LOOK: Duration = Duration::from_millis(1);

/// A server, a home and the program.
struct Stage {
  feed: FakeFeed,
  dir: TempDir,
  ctl: PathBuf,
}

impl Stage {
  async fn new() -> Result<Self> {
    let (feed, dir) = (FakeFeed::start().await?, tempfile::tempdir()?);
    Ok(Self { feed, dir, ctl: Binaries::find()?.ctl })
  }

  fn tui(&self, args: &[&str], size: (u16, u16)) -> Result<Terminal> {
    let recipe = Recipe::new(&self.ctl, &[&["tui"], args].concat(), self.dir.path())
      .environment("HETUFLOW_SERVER", self.feed.url())
      .environment("HETUFLOW_TOKEN", "hf_bench")
      .size(size.0, size.1);
    Terminal::spawn(&recipe)
  }
}

/// Measures the full screen and the command line.
///
/// # Errors
/// When something does not start, or does not show what it should.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
  let seconds = options.seconds.unwrap_or(60);
  screen::first_data(report).await?;
  screen::changes(report).await?;
  screen::idle(seconds, report).await?;
  screen::flood(seconds, report).await?;
  output::run(report).await?;
  commands::run(report).await?;
  report.note(format!("idle and flood for {seconds} s each; 80x24, the log on 120x40"));
  Ok(())
}

/// Resident memory of a program, in bytes; with `peak` the most that it ever had.
fn memory(pid: u32, peak: bool) -> Result<u64> {
  let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
  let name = if peak { "VmHWM:" } else { "VmRSS:" };
  let line = status.lines().find_map(|line| line.strip_prefix(name)).context("memory")?;
  Ok(line.split_whitespace().next().context("a number")?.parse::<u64>()? * 1024)
}
