//! Which lines of output are printed: by time, by a regular expression with context, by level.

use std::collections::VecDeque;

use hetuflow_core::Ts;
use regex::bytes::{Regex, RegexBuilder};

use crate::cli::{Level, LogOptions};
use crate::client::CtlError;
use crate::output::LogLine;

/// Only the begin of a line is looked at for its level.
const LEVEL_BYTES: usize = 120;

/// What was asked for, and how far it is.
#[derive(Debug)]
pub struct LinePick {
  since: Option<Ts>,
  until: Option<Ts>,
  grep: Option<Regex>,
  invert: bool,
  context: usize,
  level: Option<Level>,
  left: u64,
  /// Lines before the next hit.
  before: VecDeque<LogLine>,
  /// Lines after the last hit that are still wanted.
  after: usize,
  last_level: Level,
}

impl LinePick {
  /// From the flags.
  ///
  /// # Errors
  /// Usage, where the expression cannot be read.
  pub fn new(options: &LogOptions) -> Result<Self, CtlError> {
    let pick = &options.pick;
    let grep = match &pick.grep {
      Some(text) => Some(
        RegexBuilder::new(text)
          .case_insensitive(pick.ignore_case)
          .build()
          .map_err(|error| CtlError::usage("--grep is refused").fact(error.to_string()))?,
      ),
      None => None,
    };
    Ok(Self {
      since: options.since,
      until: options.until,
      grep,
      invert: pick.invert,
      context: pick.context_lines.unwrap_or(0),
      level: pick.level,
      left: options.head.unwrap_or(u64::MAX),
      before: VecDeque::new(),
      after: 0,
      last_level: Level::Info,
    })
  }

  /// Whether anything is asked about lines at all.
  pub fn asks(options: &LogOptions) -> bool {
    options.since.is_some()
      || options.until.is_some()
      || options.head.is_some()
      || options.pick.grep.is_some()
      || options.pick.level.is_some()
  }

  /// Whether no further line can be wanted.
  pub fn is_over(&self) -> bool {
    self.left == 0
  }

  /// The lines to print now that this one is known.
  pub fn push(&mut self, line: LogLine) -> Vec<LogLine> {
    if self.is_over() || !self.in_time(&line) || !self.loud_enough(&line) {
      return Vec::new();
    }
    let mut out = Vec::new();
    match &self.grep {
      None => out.push(line),
      Some(grep) if grep.is_match(&line.bytes) != self.invert => {
        out.extend(self.before.drain(..));
        out.push(line);
        self.after = self.context;
      }
      Some(_) => {
        let line = LogLine { context: true, ..line };
        if self.after > 0 {
          self.after -= 1;
          out.push(line);
        } else if self.context > 0 {
          self.before.push_back(line);
          if self.before.len() > self.context {
            self.before.pop_front();
          }
        }
      }
    }
    out.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
    self.left -= out.len() as u64;
    out
  }

  fn in_time(&self, line: &LogLine) -> bool {
    self.since.is_none_or(|since| line.at >= since)
      && self.until.is_none_or(|until| line.at <= until)
  }

  /// A line without a level belongs to the one before it: a stack trace to its error.
  fn loud_enough(&mut self, line: &LogLine) -> bool {
    let Some(wanted) = self.level else { return true };
    if let Some(level) = level_of(&line.bytes) {
      self.last_level = level;
    }
    self.last_level >= wanted
  }
}

/// The level that a line names, as a word of its own or in a field.
fn level_of(bytes: &[u8]) -> Option<Level> {
  let head = String::from_utf8_lossy(&bytes[..bytes.len().min(LEVEL_BYTES)]).to_ascii_lowercase();
  head.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| match word {
    "trace" | "trc" => Some(Level::Trace),
    "debug" | "dbg" => Some(Level::Debug),
    "info" | "inf" | "notice" => Some(Level::Info),
    "warn" | "warning" | "wrn" => Some(Level::Warn),
    "error" | "err" | "fatal" | "critical" | "crit" | "panic" | "panicked" => Some(Level::Error),
    _ => None,
  })
}

#[cfg(test)]
mod tests {
  use hetuflow_core::Stream;

  use super::*;
  use crate::cli;

  fn run(options: &LogOptions, lines: &[&str]) -> String {
    let mut pick = LinePick::new(options).expect("fine");
    let lines = lines.iter().enumerate().flat_map(|(at, text)| {
      pick.push(LogLine {
        at: Ts::from_millis(at as i64 * 1000),
        stream: Stream::Stdout,
        task: String::new(),
        label: String::new(),
        attempt: 1,
        offset: 0,
        bytes: text.as_bytes().to_vec(),
        context: false,
      })
    });
    lines.map(|line| String::from_utf8_lossy(&line.bytes).into_owned() + ";").collect()
  }

  fn grep(text: &str) -> LogOptions {
    let pick = cli::LinePick { grep: Some(text.into()), ..cli::LinePick::default() };
    LogOptions { pick, ..LogOptions::default() }
  }

  #[test]
  fn expressions_with_context() {
    let lines = ["a", "b", "Hit", "c", "d", "e", "hit", "f"];
    let mut options = grep("hit");
    assert_eq!(run(&options, &lines), "hit;");
    options.pick.ignore_case = true;
    assert_eq!(run(&options, &lines), "Hit;hit;");
    options.pick.context_lines = Some(1);
    assert_eq!(run(&options, &lines), "b;Hit;c;e;hit;f;");
    options.head = Some(2);
    assert_eq!(run(&options, &lines), "b;Hit;");
    let mut options = grep("[a-e]");
    options.pick.invert = true;
    assert_eq!(run(&options, &lines), "Hit;hit;f;");
    assert_eq!(LinePick::new(&grep("(")).expect_err("no expression").exit, 2);
  }

  #[test]
  fn levels_and_times() {
    let lines = ["x", "WARN a", "  more", "info b", r#"{"level":"error"}"#, "  trace of it"];
    let pick = cli::LinePick { level: Some(Level::Warn), ..cli::LinePick::default() };
    let options = LogOptions { pick, ..LogOptions::default() };
    assert_eq!(run(&options, &lines[..5]), "WARN a;  more;{\"level\":\"error\"};");
    let options = LogOptions {
      since: Some(Ts::from_millis(1000)),
      until: Some(Ts::from_millis(2000)),
      ..LogOptions::default()
    };
    assert_eq!(run(&options, &lines), "WARN a;  more;");
  }
}
