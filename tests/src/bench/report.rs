//! What a bench found out: a table for people, JSON for machines.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use super::args::{Bench, Options};
use super::target::Target;

/// Whether more or less is better, and from where on it is good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
  /// Good from here upwards.
  AtLeast(f64),
  /// Good up to here.
  AtMost(f64),
}

impl Bar {
  /// Whether a value is good.
  fn holds(self, value: f64) -> bool {
    match self {
      Self::AtLeast(bar) => value >= bar,
      Self::AtMost(bar) => value <= bar,
    }
  }
}

/// The part of the table that a line stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
  /// What was asked for.
  Result,
  /// What the machine does without server and agents.
  Limit,
  /// What it took.
  Cost,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
  /// Its part of the table.
  pub part: Part,
  /// What was measured.
  pub name: String,
  /// How much.
  pub value: f64,
  /// Of what.
  pub unit: &'static str,
  /// What is asked for now.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub bar: Option<Bar>,
  /// Whether it is reached.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub met: Option<bool>,
  /// Where it shall go.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub goal: Option<Bar>,
}

/// All lines of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
  bench: Bench,
  started_at: String,
  machine: String,
  database: String,
  notes: Vec<String>,
  lines: Vec<Line>,
  problems: Vec<String>,
}

impl Report {
  /// An empty report of this machine and database.
  ///
  /// # Errors
  /// When the database does not answer.
  pub async fn new(options: &Options, target: &Target) -> Result<Self> {
    Ok(Self {
      bench: options.bench,
      started_at: jiff::Timestamp::now().round(jiff::Unit::Second)?.to_string(),
      machine: machine(),
      database: target.describe().await?,
      notes: target.warnings(),
      lines: Vec::new(),
      problems: Vec::new(),
    })
  }

  /// Adds a value; the returned line can be given a bar and a goal.
  fn add(&mut self, part: Part, name: &str, value: f64, unit: &'static str) -> &mut Line {
    let line = Line { part, name: name.to_owned(), value, unit, bar: None, met: None, goal: None };
    let at = self.lines.len();
    self.lines.push(line);
    &mut self.lines[at]
  }

  /// A value without a bar.
  pub fn value(&mut self, name: &str, value: f64, unit: &'static str) {
    self.add(Part::Result, name, value, unit);
  }

  /// A value with the bar of today and the goal.
  pub fn barred(
    &mut self,
    name: &str,
    value: f64,
    unit: &'static str,
    bar: Bar,
    goal: Option<Bar>,
  ) {
    let line = self.add(Part::Result, name, value, unit);
    line.bar = Some(bar);
    line.met = Some(bar.holds(value));
    line.goal = goal;
  }

  /// What the machine does without us.
  pub fn limit(&mut self, name: &str, value: f64, unit: &'static str) {
    self.add(Part::Limit, name, value, unit);
  }

  /// What it took.
  pub fn cost(&mut self, name: &str, value: f64, unit: &'static str) {
    self.add(Part::Cost, name, value, unit);
  }

  /// Something a reader of the figures should know.
  pub fn note(&mut self, text: impl Into<String>) {
    self.notes.push(text.into());
  }

  /// Work that was lost, done twice or wrong.
  pub fn problem(&mut self, text: impl Into<String>) {
    self.problems.push(text.into());
  }

  /// Whether no work was lost, done twice or wrong.
  pub fn is_correct(&self) -> bool {
    self.problems.is_empty()
  }

  /// The table.
  pub fn table(&self) -> String {
    let bench = format!("{:?}", self.bench).to_lowercase();
    let mut out = format!("{bench} · {} · {} · {}\n", self.database, self.machine, self.started_at);
    let titles = [
      (Part::Result, "measured"),
      (Part::Limit, "the machine without hetuflow, same run"),
      (Part::Cost, "cost"),
    ];
    for (part, title) in titles {
      let lines: Vec<&Line> = self.lines.iter().filter(|line| line.part == part).collect();
      if lines.is_empty() {
        continue;
      }
      let _ = writeln!(out, "\n  {title}");
      lines.iter().for_each(|line| out.push_str(&row(line)));
    }
    out.push('\n');
    self.notes.iter().for_each(|note| out.push_str(&format!("  note: {note}\n")));
    match self.problems.as_slice() {
      [] => out.push_str("  correct: nothing lost, doubled or wrong\n"),
      problems => problems.iter().for_each(|text| out.push_str(&format!("  WRONG: {text}\n"))),
    }
    out
  }

  /// The same as JSON.
  ///
  /// # Errors
  /// Never in practice: everything in it has a JSON form.
  pub fn json(&self) -> Result<String> {
    let mut text = serde_json::to_string_pretty(self)?;
    text.push('\n');
    Ok(text)
  }
}

/// One row of the table.
fn row(line: &Line) -> String {
  let bar = |bar: Option<Bar>| match bar {
    None => String::new(),
    Some(Bar::AtLeast(at)) => format!("≥ {} {}", figure(at), line.unit),
    Some(Bar::AtMost(at)) => format!("≤ {} {}", figure(at), line.unit),
  };
  let verdict = match line.met {
    None => "",
    Some(true) => "ok",
    Some(false) => "below",
  };
  let goal = line.goal.map(|goal| format!("goal {}", bar(Some(goal)))).unwrap_or_default();
  let row = format!(
    "    {:<56} {:>10} {:<8} {:<16} {verdict:<6} {goal}",
    line.name,
    figure(line.value),
    line.unit,
    bar(line.bar)
  );
  format!("{}\n", row.trim_end())
}

/// A number with as many digits as mean something, and commas between thousands.
fn figure(value: f64) -> String {
  let digits = match value.abs() {
    size if size >= 100.0 || value == value.trunc() => 0,
    size if size >= 10.0 => 1,
    size if size >= 1.0 => 2,
    _ => 3,
  };
  let text = format!("{value:.digits$}");
  let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
  let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
  let mut out = String::from(sign);
  for (i, digit) in whole.chars().enumerate() {
    if i > 0 && (whole.len() - i) % 3 == 0 {
      out.push(',');
    }
    out.push(digit);
  }
  if !rest.is_empty() {
    out.push('.');
    out.push_str(rest);
  }
  out
}

/// Cores, processor and kernel in one line.
fn machine() -> String {
  let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
  let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
  let model = info.lines().find(|line| line.starts_with("model name"));
  let model = model.and_then(|line| line.split_once(':')).map_or("", |(_, name)| name.trim());
  let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
  format!("{cores} cores {model}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn figures_keep_what_means_something() {
    let cases =
      [(46_012.4, "46,012"), (0.1416, "0.142"), (3.0, "3"), (12.345, "12.3"), (-1234.5, "-1,234")];
    for (value, text) in cases {
      assert_eq!(figure(value), text);
    }
  }

  #[test]
  fn a_row_shows_bar_verdict_and_goal() {
    let line = Line {
      part: Part::Result,
      name: "rate".to_owned(),
      value: 9_999.0,
      unit: "/s",
      bar: Some(Bar::AtLeast(10_000.0)),
      met: Some(false),
      goal: Some(Bar::AtLeast(20_000.0)),
    };
    let words = row(&line).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words, "rate 9,999 /s ≥ 10,000 /s below goal ≥ 20,000 /s");
    assert!(Bar::AtMost(3.0).holds(3.0) && !Bar::AtMost(3.0).holds(3.1));
  }
}
