//! Figures, and the file that keeps them.

use std::path::Path;
use std::time::Duration;

use hetuflow_core::Ts;
use serde::{Deserialize, Serialize};

use crate::cli::BenchReport;
use crate::client::{CtlError, Exit};
use crate::output::{Cell, Column, Outcome, Rows, TableRow, View};

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
  /// The form of this file.
  pub version: u32,
  /// The version of the server.
  pub server: String,
  /// When it began.
  pub at: Ts,
  /// The figures.
  pub figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
  /// What it is.
  pub name: String,
  /// How much.
  pub value: f64,
  /// Of what.
  pub unit: String,
  /// The same of another report.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub other: Option<f64>,
}

impl Figure {
  /// A figure.
  pub fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
    let value = (value * 100.0).round() / 100.0;
    Self { name: name.into(), value, unit: unit.to_owned(), other: None }
  }
}

impl TableRow for Figure {
  const KIND: &'static str = "figure";
  const COLUMNS: &'static [Column] =
    &[Column::new("FIGURE"), Column::new("VALUE"), Column::new("UNIT"), Column::new("OTHER")];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::text(&self.name),
      Cell::text(format!("{:.2}", self.value)),
      Cell::text(&self.unit),
      Cell::maybe(self.other, |other| Cell::text(format!("{other:.2}"))),
    ]
  }
}

/// Half, nearly all, and the worst of some lengths of time, in milliseconds.
pub fn spread(name: &str, mut all: Vec<Duration>) -> Vec<Figure> {
  if all.is_empty() {
    return Vec::new();
  }
  all.sort_unstable();
  let at = |percent: usize| all[(all.len() - 1) * percent / 100].as_secs_f64() * 1e3;
  vec![
    Figure::new(format!("{name}, p50"), at(50), "ms"),
    Figure::new(format!("{name}, p99"), at(99), "ms"),
    Figure::new(format!("{name}, worst"), at(100), "ms"),
  ]
}

/// Shows a report, with another one beside it.
///
/// # Errors
/// When a file is no report.
pub fn show(args: &BenchReport) -> Result<Outcome, CtlError> {
  let mut report = read(&args.file)?;
  let mut note = format!("server {}, {}", report.server, report.at);
  if let Some(other) = args.other.as_deref().map(read).transpose()? {
    for figure in &mut report.figures {
      let same = other.figures.iter().find(|one| one.name == figure.name);
      figure.other = same.map(|one| one.value);
    }
    note.push_str(&format!("; other: server {}, {}", other.server, other.at));
  }
  Ok(Outcome::from(View::List(Rows::ready(&report.figures))).note(note))
}

fn read(path: &Path) -> Result<Report, CtlError> {
  let bytes = std::fs::read(path).map_err(|error| match error.kind() {
    std::io::ErrorKind::NotFound => {
      CtlError::new(Exit::NotFound, format!("no file {}", path.display()))
    }
    _ => CtlError::failure(format!("cannot read {}: {error}", path.display())),
  });
  let help = "hetuflowctl bench run --out FILE";
  serde_json::from_slice(&bytes.map_err(|error| error.help(help))?).map_err(|error| {
    CtlError::new(Exit::Invalid, format!("{} is no report: {error}", path.display())).help(help)
  })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_spread_is_sorted() {
    let all = (1..=100).rev().map(Duration::from_millis).collect();
    let told: Vec<f64> = spread("late", all).into_iter().map(|one| one.value).collect();
    assert_eq!(told, [50.0, 99.0, 100.0]);
    assert_eq!(spread("late", Vec::new()), Vec::new());
  }
}
