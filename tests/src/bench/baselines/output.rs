//! How fast text is made, packed and kept, each on its own.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::bench::payload::Lines;
use crate::bench::report::Report;

/// Bytes of text for each.
const BYTES: usize = 100_000_000;

/// Bytes packed at a time, as much as a chunk of output holds.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes between two waits for the disk.
const SYNC_BYTES: usize = 1 << 20;

/// The text through a pipe, through zstd, and onto the disk.
///
/// # Errors
/// When the payload or the disk fails.
pub fn output(report: &mut Report) -> Result<()> {
  report.limit("the payload's text through a pipe", pipe()?, "MB/s");
  let text: Vec<u8> = Lines::new(BYTES).flatten().collect();
  let started = Instant::now();
  let mut packed = 0;
  let mut packer = zstd::bulk::Compressor::new(1)?;
  for chunk in text.chunks(CHUNK_BYTES) {
    packed += packer.compress(chunk)?.len();
  }
  report.limit("zstd level 1, one thread", rate(started), "MB/s");
  report.limit("zstd level 1, ratio", BYTES as f64 / packed as f64, "x");
  report.limit("writes of 1 MiB, each synced", disk(&text)?, "MB/s");
  Ok(())
}

/// Reads what the payload writes.
fn pipe() -> Result<f64> {
  let mut command = Command::new(std::env::current_exe()?);
  command.args(["lines", &BYTES.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
  let started = Instant::now();
  let mut child = command.spawn()?;
  let mut out = child.stdout.take().context("the payload has no standard output")?;
  let mut buffer = vec![0; CHUNK_BYTES];
  let mut total = 0;
  loop {
    match out.read(&mut buffer)? {
      0 => break,
      bytes => total += bytes,
    }
  }
  ensure!(child.wait()?.success() && total == BYTES, "the payload wrote {total} of {BYTES} bytes");
  Ok(rate(started))
}

/// Writes the text to a file, waiting for the disk again and again.
fn disk(text: &[u8]) -> Result<f64> {
  let mut file = tempfile::tempfile()?;
  let started = Instant::now();
  for piece in text.chunks(SYNC_BYTES) {
    file.write_all(piece)?;
    file.sync_data()?;
  }
  Ok(rate(started))
}

/// Megabytes per second for [`BYTES`] since then.
fn rate(started: Instant) -> f64 {
  BYTES as f64 / 1e6 / started.elapsed().as_secs_f64()
}
