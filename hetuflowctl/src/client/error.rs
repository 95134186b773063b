//! What goes wrong, in the form that people and programs read (TERMINAL B7), with its exit code.

use std::fmt;
use std::ops::{Deref, DerefMut};

use hetuflow_core::{ErrorResponse, FieldError};

/// Exit codes (TERMINAL B3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
  /// Anything that has no code of its own.
  Failure = 1,
  /// The words typed make no sense, or we would have to ask.
  Usage = 2,
  /// No such thing.
  NotFound = 3,
  /// No token, or a bad one.
  Unauthorized = 4,
  /// Not allowed.
  Forbidden = 5,
  /// Moved, ambiguous, or there already.
  Conflict = 6,
  /// No server answers.
  Unreachable = 7,
  /// Refused as invalid.
  Invalid = 8,
  /// Too much at once.
  Overloaded = 9,
  /// Differences were found.
  Differences = 10,
  /// Some items of many failed.
  SomeFailed = 11,
  /// The awaited task did not succeed.
  TaskFailed = 12,
  /// Events or output are gone, and `--strict` was given.
  Incomplete = 13,
  /// `--timeout` passed.
  Timeout = 124,
  /// Ours, where the task's own code was wanted.
  Own = 125,
}

impl Exit {
  /// The word in JSON.
  pub const fn word(self) -> &'static str {
    match self {
      Self::Failure => "failure",
      Self::Usage => "usage",
      Self::NotFound => "not_found",
      Self::Unauthorized => "unauthorized",
      Self::Forbidden => "forbidden",
      Self::Conflict => "conflict",
      Self::Unreachable => "unreachable",
      Self::Invalid => "invalid",
      Self::Overloaded => "overloaded",
      Self::Differences => "differences",
      Self::SomeFailed => "some_failed",
      Self::TaskFailed => "task_failed",
      Self::Incomplete => "incomplete",
      Self::Timeout => "timeout",
      Self::Own => "own",
    }
  }
}

/// An error: what failed, then facts, then help; the last line is the most useful one.
///
/// Its parts are in a box, so that results stay small.
#[derive(Debug, Clone)]
pub struct CtlError(Box<Parts>);

/// The parts of an error.
#[derive(Debug, Clone)]
pub struct Parts {
  /// The exit code.
  pub exit: u8,
  /// What kind, for programs: a server's `code`, or ours.
  pub code: String,
  /// One sentence.
  pub message: String,
  /// One fact per line.
  pub facts: Vec<String>,
  /// Commands that can be pasted.
  pub help: Vec<String>,
  /// Each broken rule, as the server named them.
  pub fields: Vec<FieldError>,
  /// The id in the server's log.
  pub request_id: Option<String>,
}

impl Deref for CtlError {
  type Target = Parts;
  fn deref(&self) -> &Parts {
    &self.0
  }
}

impl DerefMut for CtlError {
  fn deref_mut(&mut self) -> &mut Parts {
    &mut self.0
  }
}

impl CtlError {
  /// An error of a kind.
  pub fn new(exit: Exit, message: impl Into<String>) -> Self {
    Self(Box::new(Parts {
      exit: exit as u8,
      code: exit.word().to_owned(),
      message: message.into(),
      facts: Vec::new(),
      help: Vec::new(),
      fields: Vec::new(),
      request_id: None,
    }))
  }

  /// Words that make no sense.
  pub fn usage(message: impl Into<String>) -> Self {
    Self::new(Exit::Usage, message)
  }

  /// Anything of our own that failed.
  pub fn failure(message: impl Into<String>) -> Self {
    Self::new(Exit::Failure, message)
  }

  /// Adds a fact.
  #[must_use]
  pub fn fact(mut self, fact: impl Into<String>) -> Self {
    self.facts.push(fact.into());
    self
  }

  /// Adds a line of help.
  #[must_use]
  pub fn help(mut self, help: impl Into<String>) -> Self {
    self.help.push(help.into());
    self
  }

  /// What a server answered.
  pub fn of_response(response: ErrorResponse, request_id: Option<String>) -> Self {
    let mut error = Self::new(Exit::Failure, response.err_msg);
    error.exit = response.code.exit_code();
    error.code = response.code.as_str().to_owned();
    if response.errors.len() > 1
      || response.errors.first().is_some_and(|one| one.message != error.message)
    {
      error.facts =
        response.errors.iter().map(|one| format!("{}: {}", one.field, one.message)).collect();
    }
    if let Some(candidates) =
      response.details.as_ref().and_then(|details| details.get("candidates")?.as_array())
    {
      error.facts.extend(candidates.iter().map(|one| match one.as_str() {
        Some(text) => text.to_owned(),
        None => one.to_string(),
      }));
    }
    error.help.extend(response.hint);
    let hints = response.errors.iter().filter_map(|one| one.hint.clone());
    for hint in hints {
      if !error.help.contains(&hint) {
        error.help.push(hint);
      }
    }
    error.fields = response.errors;
    error.request_id = response.trace_id.or(request_id);
    error
  }

  /// Whether nothing of that name is there.
  pub fn is_not_found(&self) -> bool {
    self.exit == Exit::NotFound as u8
  }

  /// Whether no server answered.
  pub fn is_unreachable(&self) -> bool {
    self.exit == Exit::Unreachable as u8
  }

  /// The same error where the exit code of a task was wanted: ours is 125, or 124 for a timeout.
  #[must_use]
  pub fn beside_a_task(mut self) -> Self {
    let kept = [Exit::Timeout as u8, Exit::Usage as u8];
    if !kept.contains(&self.exit) {
      let own = format!("exit code {} of hetuflowctl, given as 125", self.exit);
      self.facts.push(own);
      self.exit = Exit::Own as u8;
    }
    self
  }
}

impl fmt::Display for CtlError {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&self.message)
  }
}

impl std::error::Error for CtlError {}

impl From<std::io::Error> for CtlError {
  fn from(error: std::io::Error) -> Self {
    Self::failure(error.to_string())
  }
}
