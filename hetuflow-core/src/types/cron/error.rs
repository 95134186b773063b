//! The one error of this module, shaped for a caret under the user's text.

use std::{fmt, ops::Range};

/// Why a cron expression, a time zone or an interval is refused.
///
/// The parts stay apart because every surface shows them differently: the API puts `code` and
/// `hint` into JSON, the terminal draws a caret under `span`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
  /// Stable, dotted, for programs: `cron.out_of_range`.
  pub code: &'static str,
  /// One line, already escaped and shortened: what is wrong, with the value that hurts.
  pub message: String,
  /// What would be accepted instead.
  pub hint: Option<String>,
  /// Bytes of the given text to underline, always inside it and on character borders; empty
  /// where something is missing, `None` when no place is to blame.
  pub span: Option<Range<usize>>,
}

impl CronError {
  /// An error at a place in the text.
  pub(super) fn at(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
    Self { code, message: message.into(), hint: None, span: Some(span) }
  }

  /// An error of the whole input.
  pub(in super::super) fn whole(code: &'static str, message: impl Into<String>) -> Self {
    Self { code, message: message.into(), hint: None, span: None }
  }

  /// Adds what would be accepted.
  pub(in super::super) fn hint(mut self, hint: impl Into<String>) -> Self {
    self.hint = Some(hint.into());
    self
  }
}

impl fmt::Display for CronError {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&self.message)
  }
}

impl std::error::Error for CronError {}

/// The value as it may appear in a message: one line, harmless to a terminal, at most 40
/// characters, because the text comes from a stranger.
pub(super) fn shorten(text: &str) -> String {
  const CHARS_MAX: usize = 40;
  let mut out: String =
    text.chars().take(CHARS_MAX).flat_map(|c| c.escape_debug().collect::<Vec<_>>()).collect();
  if text.chars().nth(CHARS_MAX).is_some() {
    out.push('…');
  }
  out
}
