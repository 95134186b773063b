//! Sessions in a file: what the link told, one JSON line each, with the time since the start.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::link::LinkNews;
use crate::client::CtlError;

#[derive(Serialize, Deserialize)]
struct Line<T> {
  at_ms: u64,
  news: T,
}

/// A recording that grows.
#[derive(Debug)]
pub struct Recorder {
  file: BufWriter<File>,
}

impl Recorder {
  /// Begins a recording in a new file that only its owner may read.
  ///
  /// # Errors
  /// When the file is there already or cannot be made.
  pub fn create(path: &Path) -> Result<Self, CtlError> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
      CtlError::failure(format!("cannot record into {}: {error}", path.display()))
    })?;
    Ok(Self { file: BufWriter::new(file) })
  }

  /// Adds what the link told.
  ///
  /// # Errors
  /// When the disk is full.
  pub fn add(&mut self, at: Duration, news: &LinkNews) -> std::io::Result<()> {
    let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    serde_json::to_writer(&mut self.file, &Line { at_ms, news })?;
    self.file.write_all(b"\n")?;
    if matches!(news, LinkNews::Tick(_)) {
      self.file.flush()?;
    }
    Ok(())
  }
}

/// Reads a recording.
///
/// # Errors
/// When the file cannot be read or is no recording; the line is named.
pub fn read(path: &Path) -> Result<Vec<(Duration, LinkNews)>, CtlError> {
  let told = |words: String| CtlError::usage(format!("cannot replay {}: {words}", path.display()));
  let file = File::open(path).map_err(|error| told(error.to_string()))?;
  let mut news = Vec::new();
  for (number, line) in BufReader::new(file).lines().enumerate() {
    let line = line.map_err(|error| told(error.to_string()))?;
    let line: Line<LinkNews> =
      serde_json::from_str(&line).map_err(|error| told(format!("line {}: {error}", number + 1)))?;
    news.push((Duration::from_millis(line.at_ms), line.news));
  }
  Ok(news)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_is_recorded_is_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.jsonl");
    let mut recorder = Recorder::create(&path).expect("created");
    let down = LinkNews::Down { error: "refused".into(), retry_ms: Some(250) };
    recorder.add(Duration::from_millis(7), &LinkNews::Up).expect("written");
    recorder.add(Duration::from_millis(9), &down).expect("written");
    drop(recorder);
    let lines = read(&path).expect("read");
    assert_eq!(lines, [(Duration::from_millis(7), LinkNews::Up), (Duration::from_millis(9), down)]);
    assert!(Recorder::create(&path).is_err());
    std::fs::write(&path, "{}\n").expect("written");
    assert!(read(&path).expect_err("no recording").message.contains("line 1"));
  }
}
