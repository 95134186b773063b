//! The children's log lines, merged, each with the name of its child before it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::task::JoinSet;

use crate::output::{Look, visible};

/// Lines of each child that are kept for an error report.
const KEPT: usize = 20;
const COLORS: [AnsiColor; 4] =
  [AnsiColor::Blue, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Cyan];

/// Which pipe a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
  /// Standard output.
  Out,
  /// Standard error.
  Err,
}

/// Where lines go.
#[derive(Debug, Clone)]
pub struct Lines {
  look: Look,
  width: usize,
  readers: Arc<Mutex<JoinSet<()>>>,
  last: Arc<Mutex<VecDeque<(String, String)>>>,
  /// Where they go while somebody else has the terminal.
  aside: Arc<Mutex<Option<File>>>,
}

impl Lines {
  /// `width` is that of the longest name.
  pub fn new(look: &Look, width: usize) -> Self {
    let (readers, last, aside) = (Arc::default(), Arc::default(), Arc::default());
    Self { look: look.clone(), width, readers, last, aside }
  }

  /// From now on they go into this file; with none to the terminal again.
  pub fn put_aside(&self, file: Option<File>) {
    *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = file;
  }

  /// A line of our own among the others.
  pub fn say(&self, line: impl AsRef<str>) {
    match &mut *self.aside.lock().unwrap_or_else(PoisonError::into_inner) {
      // A full disk must not end what runs.
      Some(file) => _ = writeln!(file, "{}", line.as_ref()),
      None => self.look.say(line),
    }
  }

  /// Reads a pipe to its end. The task ends with the pipe, which ends with the child's group.
  pub fn read(&self, name: &str, source: Source, pipe: impl AsyncRead + Send + Unpin + 'static) {
    let (lines, name) = (self.clone(), name.to_owned());
    let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
    // Readers of children that are gone are forgotten here.
    while readers.try_join_next().is_some() {}
    readers.spawn(async move {
      let mut pipe = BufReader::new(pipe);
      let mut line = Vec::new();
      while pipe.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        lines.take(&name, source, String::from_utf8_lossy(&line).trim_end());
        line.clear();
      }
    });
  }

  fn take(&self, name: &str, _source: Source, line: &str) {
    if line.is_empty() {
      return;
    }
    let line = visible(line);
    let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
    last.push_back((name.to_owned(), line.clone()));
    if last.iter().filter(|(other, _)| other == name).count() > KEPT
      && let Some(first) = last.iter().position(|(other, _)| other == name)
    {
      last.remove(first);
    }
    drop(last);
    let aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    let style = if self.look.err_color && !aside {
      let number = name.bytes().map(usize::from).sum::<usize>();
      Style::new().fg_color(Some(COLORS[number % COLORS.len()].into()))
    } else {
      Style::new()
    };
    self.say(format!("{style}{name:<0$}{style:#} | {line}", self.width));
  }

  /// The last lines of a child.
  pub fn last_of(&self, name: &str) -> Vec<String> {
    let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
    last.iter().filter(|(other, _)| other == name).map(|(_, line)| line.clone()).collect()
  }
}
