//! One check and its outcome.

use serde::Serialize;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
  /// As it should be.
  Ok,
  /// Works, and will bite one day.
  Warn,
  /// Does not work.
  Fail,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
  /// Stable dotted name.
  pub id: &'static str,
  /// How it went.
  pub status: Status,
  /// What was seen.
  pub detail: String,
  /// What to do, where something is to be done.
  pub fix: Option<String>,
  /// Where it is explained.
  pub doc: String,
}

/// All checks, in the order of the looks.
#[derive(Debug, Default)]
pub struct Checks {
  /// The checks.
  pub all: Vec<Check>,
}

impl Checks {
  /// As it should be.
  pub fn ok(&mut self, id: &'static str, detail: impl Into<String>) {
    self.add(id, (Status::Ok, detail.into()), None);
  }

  /// Works, and will bite one day.
  pub fn warn(&mut self, id: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
    self.add(id, (Status::Warn, detail.into()), Some(fix.into()));
  }

  /// Does not work.
  pub fn fail(&mut self, id: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
    self.add(id, (Status::Fail, detail.into()), Some(fix.into()));
  }

  fn add(&mut self, id: &'static str, (status, detail): (Status, String), fix: Option<String>) {
    let doc = format!("docs/reference/doctor.md#{}", id.replace('.', ""));
    self.all.push(Check { id, status, detail, fix, doc });
  }
}
