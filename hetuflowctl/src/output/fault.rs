//! What an error looks like to people and programs (TERMINAL B7).

use hetuflow_core::FieldError;

/// Bad words.
const USAGE: u8 = 2;
/// Anything that has no code of its own.
const FAILURE: u8 = 1;

/// An error, ready to be shown; in a box, so that results stay small.
pub type Failure = Box<Fault>;

/// An error: what failed, then facts, then help; the last line is the most useful one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fault {
  /// The exit code.
  pub exit: u8,
  /// What kind, for programs.
  pub code: String,
  /// One sentence.
  pub message: String,
  /// One fact per line.
  pub facts: Vec<String>,
  /// Commands that can be pasted.
  pub help: Vec<String>,
  /// Each broken rule.
  pub fields: Vec<FieldError>,
  /// The id in the server's log.
  pub request_id: Option<String>,
}

impl Fault {
  /// Words that make no sense.
  pub fn usage(message: impl Into<String>) -> Failure {
    Box::new(Self {
      exit: USAGE,
      code: "usage".to_owned(),
      message: message.into(),
      ..Self::default()
    })
  }

  /// Anything of our own that failed.
  pub fn failure(message: impl Into<String>) -> Failure {
    Box::new(Self {
      exit: FAILURE,
      code: "failure".to_owned(),
      message: message.into(),
      ..Self::default()
    })
  }

  /// Adds a line of help.
  #[must_use]
  pub fn with_help(mut self: Box<Self>, help: impl Into<String>) -> Failure {
    self.help.push(help.into());
    self
  }
}

impl From<std::io::Error> for Failure {
  fn from(error: std::io::Error) -> Self {
    Fault::failure(error.to_string())
  }
}
