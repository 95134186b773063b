//! A problem in a manifest: where it is, what is wrong, with the line and a caret under it.

use std::ops::{Deref, DerefMut};

use super::files::Source;
use crate::client::{CtlError, Exit};

/// A place in a text; line and column count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pos {
  /// The line.
  pub line: usize,
  /// The column, in characters.
  pub column: usize,
  /// The byte, from 0.
  pub at: usize,
}

/// A problem in a manifest; in a box, so that results stay small.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Parts>);

/// The parts of a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
  /// The file.
  pub file: String,
  /// Where in it.
  pub pos: Option<Pos>,
  /// How many characters are wrong.
  pub width: usize,
  /// Stable dotted code.
  pub code: String,
  /// What is wrong.
  pub message: String,
  /// What would be accepted.
  pub hint: Option<String>,
  /// What the place belongs to, as `job etl-daily`.
  pub owner: Option<String>,
  /// More lines under the caret.
  pub facts: Vec<String>,
}

impl Deref for Problem {
  type Target = Parts;
  fn deref(&self) -> &Parts {
    &self.0
  }
}

impl DerefMut for Problem {
  fn deref_mut(&mut self) -> &mut Parts {
    &mut self.0
  }
}

impl Problem {
  /// A problem of a whole file.
  pub fn in_file(file: &str, code: &str, message: impl Into<String>) -> Self {
    Self(Box::new(Parts {
      file: file.to_owned(),
      pos: None,
      width: 1,
      code: code.to_owned(),
      message: message.into(),
      hint: None,
      owner: None,
      facts: Vec::new(),
    }))
  }

  /// A problem at a place.
  pub fn at(file: &str, pos: Pos, width: usize, code: &str, message: impl Into<String>) -> Self {
    let mut problem = Self::in_file(file, code, message);
    problem.pos = Some(pos);
    problem.width = width.max(1);
    problem
  }

  /// Says what would be accepted.
  #[must_use]
  pub fn hint(mut self, hint: impl Into<String>) -> Self {
    self.hint = Some(hint.into());
    self
  }

  fn show(&self, source: Option<&Source>) -> String {
    let owner = self.owner.as_ref().map(|owner| format!("  {owner}")).unwrap_or_default();
    let hint = self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    let (Some(pos), Some(source)) = (self.pos, source) else {
      return format!("{}{owner}\n  {}{hint}\n", self.file, self.message);
    };
    let (line, before) = window(source.line(pos.line), pos.column.saturating_sub(1));
    let room = line.chars().count().saturating_sub(before).max(1);
    let caret = "^".repeat(self.width.min(room));
    let number = pos.line;
    let margin = " ".repeat(number.to_string().len());
    let mut text = format!(
      "{}:{}:{}{owner}\n  {number} | {line}\n  {margin} | {}{caret} {}{hint}\n",
      self.file,
      pos.line,
      pos.column,
      " ".repeat(before),
      self.message,
    );
    for fact in &self.facts {
      text.push_str(&format!("  {margin}   {fact}\n"));
    }
    text
  }
}

/// The part of a line around a column: long lines are cut, tabs and control characters replaced.
fn window(line: &str, column: usize) -> (String, usize) {
  const BEFORE: usize = 60;
  const LENGTH: usize = 100;
  let skip = column.saturating_sub(BEFORE);
  let shown = line.chars().skip(skip).take(LENGTH).map(|c| if c.is_control() { ' ' } else { c });
  (shown.collect(), column - skip)
}

/// All problems as one error, exit 8.
pub fn refuse(mut problems: Vec<Problem>, sources: &[Source]) -> CtlError {
  problems
    .sort_by(|a, b| (&a.file, a.pos.map(|pos| pos.at)).cmp(&(&b.file, b.pos.map(|pos| pos.at))));
  problems.dedup();
  let mut files: Vec<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
  files.dedup();
  let count = match problems.len() {
    1 => "1 problem".to_owned(),
    many => format!("{many} problems"),
  };
  let place = match files.as_slice() {
    [one] => (*one).to_owned(),
    many => format!("{} files", many.len()),
  };
  let mut error = CtlError::new(Exit::Invalid, format!("{count} in {place}, nothing was applied"));
  if let [one] = problems.as_slice() {
    error.code = one.code.clone();
  }
  for problem in &problems {
    let source = sources.iter().find(|source| source.name == problem.file);
    error.facts.push(format!("\n{}", problem.show(source).trim_end()));
  }
  if problems.iter().any(|problem| problem.code.starts_with("cron.")) {
    error.help.push("try an expression:  hetuflowctl schedule next \"0 2 * * *\" --tz ZONE".into());
  }
  if problems.iter().any(|problem| problem.code == "manifest.unknown_field") {
    error.help.push("the fields of a job:  hetuflowctl schema job".into());
  }
  error
}
