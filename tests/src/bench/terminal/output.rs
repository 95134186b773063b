//! A log of a million lines: read, searched, written to a file.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{LIMIT, LOOK, Stage, memory};
use crate::bench::report::{Bar, Report};
use crate::fake_feed::LogScript;
use crate::terminal::Terminal;

const LINES: u32 = 1_000_000;
const SIZE: (u16, u16) = (40, 120);

async fn until(terminal: &Terminal, text: &str) -> Result<Duration> {
  let begun = Instant::now();
  while !terminal.screen().contains(text) {
    ensure!(begun.elapsed() < LIMIT, "no {text:?} on\n{}", terminal.screen());
    sleep(LOOK).await;
  }
  Ok(begun.elapsed())
}

async fn until_gone(terminal: &Terminal, text: &str) -> Result<()> {
  let begun = Instant::now();
  while terminal.screen().contains(text) {
    ensure!(begun.elapsed() < LIMIT, "still {text:?} on\n{}", terminal.screen());
    sleep(LOOK).await;
  }
  Ok(())
}

/// Numbered lines of about 120 bytes.
fn million() -> Vec<u8> {
  let mut bytes = Vec::with_capacity(130_000_000);
  for line in 0..LINES {
    let text = format!(
      "2026-01-02T03:04:05.678Z INFO  worker-{:03} wrote batch {line:07} of the day to its own part of the table in {} ms\n",
      line % 1000,
      line % 977
    );
    bytes.extend_from_slice(text.as_bytes());
  }
  bytes
}

/// Measures.
pub async fn run(report: &mut Report) -> Result<()> {
  let stage = Stage::new().await?;
  let bytes = million();
  stage.feed.set_log(LogScript::of(&bytes));
  let terminal = stage.tui(&["tasks"], SIZE)?;
  until(&terminal, "etl-job-059").await?;
  terminal.keys("\r").await?;
  let read = until(&terminal, "1,000,000 lines").await?;
  report.value(
    "log of a million lines, read",
    f64::from(LINES) / read.as_secs_f64() / 1e3,
    "klines/s",
  );
  report.value("log of a million lines, size", bytes.len() as f64 / 1e6, "MB");
  terminal.keys("g").await?;
  until(&terminal, "batch 0000000").await?;
  // A line that is not on the screen yet; all keys at once, so that each begins a search anew.
  terminal.keys("/batch 000020[0]\r").await?;
  let near = until(&terminal, "batch 0000200").await?;
  report.barred(
    "search, near match shown",
    near.as_secs_f64() * 1e3,
    "ms",
    Bar::AtMost(50.0),
    None,
  );
  terminal.keys("\x1b").await?;
  until_gone(&terminal, "searched").await?;
  let begun = Instant::now();
  terminal.keys("/worker-77\\d .* 05\\d+ of .* in (1|2)\\d+ ms\r").await?;
  // The caret stands while the pattern is still typed.
  until_gone(&terminal, "▏").await?;
  until(&terminal, "searched 1,000,000 of 1,000,000").await?;
  let whole = begun.elapsed();
  report.barred("regex over a million lines", whole.as_secs_f64(), "s", Bar::AtMost(1.0), None);
  let screen = terminal.screen();
  let said = screen.lines().find(|line| line.contains("matching lines")).unwrap_or_default();
  let count: String = said
    .split(" matching")
    .next()
    .unwrap_or_default()
    .chars()
    .rev()
    .take_while(|c| c.is_ascii_digit() || *c == ',')
    .filter(char::is_ascii_digit)
    .collect::<Vec<_>>()
    .into_iter()
    .rev()
    .collect();
  let expected = expected_matches();
  if count.parse() != Ok(expected) {
    report.problem(format!("the search counts {count:?}, there are {expected}: {said}"));
  }
  let path = stage.dir.path().join("whole.log");
  terminal.keys(format!("e\x15{}\r", path.display())).await?;
  let begun = Instant::now();
  while std::fs::metadata(&path).map_or(0, |about| about.len()) < bytes.len() as u64 {
    ensure!(begun.elapsed() < LIMIT, "no export; the screen:\n{}", terminal.screen());
    sleep(LOOK).await;
  }
  report.value("export of the whole log", begun.elapsed().as_secs_f64(), "s");
  let written = std::fs::read(&path).context("read the export")?;
  if Sha256::digest(&written) != Sha256::digest(&bytes) {
    report.problem(format!("the export differs: {} of {} bytes", written.len(), bytes.len()));
  }
  report.value("RSS with the log", memory(terminal.pid()?, false)? as f64 / 1e6, "MB");
  Ok(())
}

/// What the regular expression of the bench finds, counted without one.
fn expected_matches() -> u64 {
  let hit = |line: &u32| {
    let ms = (line % 977).to_string();
    line % 1000 / 10 == 77
      && (format!("{line:07}").starts_with("05"))
      && ms.len() > 1
      && (ms.starts_with('1') || ms.starts_with('2'))
  };
  (0..LINES).filter(hit).count() as u64
}
