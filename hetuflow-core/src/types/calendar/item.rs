//! An entry of a schedule's `include` or `exclude`: a rule of its own, or the name of a calendar.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rule::CalendarRule;
use crate::types::cron::CronError;
use crate::types::{FieldError, check_name};

/// A rule, or a calendar by name. What can be read as a rule is one: no calendar is called so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum CalendarItem {
  /// A rule of the schedule itself, in its zone.
  Rule(CalendarRule),
  /// A calendar of the namespace.
  Named(String),
}

impl CalendarItem {
  /// The rule, where it is one.
  pub fn rule(&self) -> Option<&CalendarRule> {
    match self {
      Self::Rule(rule) => Some(rule),
      Self::Named(_) => None,
    }
  }

  /// The calendar's name, where it is one.
  pub fn name(&self) -> Option<&str> {
    match self {
      Self::Rule(_) => None,
      Self::Named(name) => Some(name),
    }
  }
}

/// Checks the name of a calendar: a name that is no rule, and does not look like a date.
///
/// # Errors
/// `name.invalid`; `calendar.name` for what a schedule would read as a rule.
pub fn check_calendar_name(name: &str, field: &str) -> Result<String, FieldError> {
  let name = check_name(name, field)?;
  if name.parse::<CalendarRule>().is_err() && !is_numbers(&name) {
    return Ok(name);
  }
  let message = format!("\"{name}\" would be read as a rule");
  Err(FieldError::new("calendar.name", field, message).with_hint("begin it with another word"))
}

/// A date that was mistyped is no name.
fn is_numbers(text: &str) -> bool {
  text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

impl FromStr for CalendarItem {
  type Err = CronError;

  fn from_str(text: &str) -> Result<Self, CronError> {
    match text.parse() {
      Ok(rule) => Ok(Self::Rule(rule)),
      Err(error) => match check_calendar_name(text.trim(), "") {
        Ok(name) => Ok(Self::Named(name)),
        Err(_) => Err(error),
      },
    }
  }
}

impl fmt::Display for CalendarItem {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match self {
      Self::Rule(rule) => rule.fmt(f),
      Self::Named(name) => f.write_str(name),
    }
  }
}

impl From<CalendarItem> for String {
  fn from(item: CalendarItem) -> Self {
    item.to_string()
  }
}

impl TryFrom<String> for CalendarItem {
  type Error = CronError;

  fn try_from(text: String) -> Result<Self, CronError> {
    text.parse()
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn rules_come_before_names() {
    let read = |text: &str| text.parse::<CalendarItem>();
    for rule in ["12-25", "SAT-SUN", "mon", "easter", "easter+39", "2026-12-24", "22:00-06:00"] {
      assert!(read(rule).expect(rule).rule().is_some(), "{rule}");
      assert!(check_calendar_name(rule, "/name").is_err(), "{rule}");
    }
    for name in ["holidays", "easter-holidays", "2027-closed", "weekend", "Büro", "monday"] {
      let item = read(name).expect(name);
      assert_eq!((item.name(), item.to_string()), (Some(name), name.to_owned()));
      assert_eq!(check_calendar_name(name, "/name").as_deref(), Ok(name));
      let text = serde_json::to_string(&item).expect("JSON");
      assert_eq!(serde_json::from_str::<CalendarItem>(&text).ok(), Some(item));
    }
    for bad in ["12-35", "2026-13-01", "", "a b", "25:00-26:00", "01-MON#9", "../x"] {
      assert_eq!(read(bad).expect_err(bad).code, "calendar.rule", "{bad}");
    }
  }
}
