//! Calendars by name: days and hours that a namespace keeps, and windows in which nothing fires.

use serde::{Deserialize, Serialize};

use super::job::check_text;
use super::schedule::{DEFAULT_TIMEZONE, cron_field_error};
use crate::types::{
  CalendarItem, CalendarRule, CronError, FieldError, NamespaceId, Ts, parse_time_zone, read_ics,
};

/// Most calendars of one namespace.
pub const CALENDARS_MAX: i64 = 50;
/// Events of a file that an answer names as left out.
const LEFT_OUT_MAX: usize = 100;

/// A calendar of a namespace, in `sched_calendar`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct CalendarEntity {
  /// Its namespace.
  pub namespace_id: NamespaceId,
  /// Its name.
  pub name: String,
  /// What it is for.
  #[serde(default)]
  pub description: String,
  /// The zone of its rules.
  pub timezone: String,
  /// What it covers: all that any rule covers.
  #[cfg_attr(feature = "with-db", sqlx(json))]
  pub rules: Vec<String>,
  /// No schedule of the namespace fires while it covers.
  pub blackout: bool,
  /// Grows with each change.
  pub version: i64,
  /// Who has set it last.
  #[serde(default, skip_serializing_if = "Option::is_none")]
  pub updated_by: Option<String>,
  /// When it was made.
  pub created_at: Ts,
  /// When it was set.
  pub updated_at: Ts,
  /// Only in the answer to a change: events of its `ics` that are no rules, with the reason.
  #[cfg_attr(feature = "with-db", sqlx(skip))]
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub left_out: Vec<String>,
  /// Only in the answer about one: schedules that name it, 100 at most.
  #[cfg_attr(feature = "with-db", sqlx(skip))]
  #[serde(default, skip_serializing_if = "Vec::is_empty")]
  pub used_by: Vec<String>,
}

/// What a calendar is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct CalendarForPut {
  /// What it is for.
  #[serde(skip_serializing_if = "String::is_empty")]
  pub description: String,
  /// The zone of its rules; UTC where none is said.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub timezone: Option<String>,
  /// Rules, as in `exclude` of schedules.
  pub rules: Vec<String>,
  /// The text of an iCalendar file; its events become rules, after those of `rules`.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub ics: Option<String>,
  /// No schedule of the namespace fires while it covers.
  pub blackout: bool,
}

/// What a checked request says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalendarRules {
  /// The rules in their normal form, each once.
  pub rules: Vec<String>,
  /// Events that are no rules, with the reason.
  pub left_out: Vec<String>,
}

impl CalendarForPut {
  /// The zone of its rules.
  pub fn zone(&self) -> &str {
    self.timezone.as_deref().unwrap_or(DEFAULT_TIMEZONE)
  }

  /// Checks every rule, names each that is broken, and reads the file.
  pub fn check(&self, errors: &mut Vec<FieldError>) -> CalendarRules {
    let before = errors.len();
    check_text(&self.description, "/description", errors);
    check_rules(&self.rules, "/rules", errors);
    let mut read = CalendarRules::default();
    let mut keep = |rule: &CalendarRule| {
      let text = rule.to_string();
      if !read.rules.contains(&text) {
        read.rules.push(text);
      }
    };
    for rule in self.rules.iter().take(EXCLUDE_MAX).filter_map(|text| text.parse().ok()) {
      keep(&rule);
    }
    match (parse_time_zone(self.zone()), &self.ics) {
      (Err(error), _) => errors.push(cron_field_error(error, "/timezone")),
      (Ok(_), None) => {}
      (Ok(zone), Some(text)) => match read_ics(text, &zone) {
        Ok(found) if found.rules.len() + self.rules.len() <= EXCLUDE_MAX => {
          found.rules.iter().for_each(keep);
          read.left_out = shortened(found.left_out);
        }
        Ok(found) => {
          let message =
            format!("{} rules in the file (at most {} in all)", found.rules.len(), EXCLUDE_MAX);
          errors.push(FieldError::new("number.range", "/ics", message));
        }
        Err(error) => errors.push(cron_field_error(error, "/ics")),
      },
    }
    if errors.len() == before && read.rules.is_empty() {
      let rule = FieldError::new("calendar.empty", "/rules", "it covers nothing");
      errors.push(rule.with_hint("give rules, as 12-25 or SAT-SUN, or an iCalendar text as ics"));
    }
    read
  }
}

fn shortened(mut left_out: Vec<String>) -> Vec<String> {
  let more = left_out.len().saturating_sub(LEFT_OUT_MAX);
  if more > 0 {
    left_out.truncate(LEFT_OUT_MAX);
    left_out.push(format!("and {more} more"));
  }
  left_out
}

/// Most rules of one schedule, and of one calendar.
pub const EXCLUDE_MAX: usize = 1000;

/// Names each text that is no rule of a calendar.
pub(super) fn check_rules(rules: &[String], field: &str, errors: &mut Vec<FieldError>) {
  check_each::<CalendarRule>(rules, field, errors);
}

/// Names each text that is neither a rule nor a name.
pub(super) fn check_items(items: &[String], field: &str, errors: &mut Vec<FieldError>) {
  check_each::<CalendarItem>(items, field, errors);
}

fn check_each<T: std::str::FromStr<Err = CronError>>(
  rules: &[String],
  field: &str,
  errors: &mut Vec<FieldError>,
) {
  if rules.len() > EXCLUDE_MAX {
    let message = format!("{} rules (at most {EXCLUDE_MAX})", rules.len());
    errors.push(FieldError::new("number.range", field, message));
  }
  for (index, text) in rules.iter().take(EXCLUDE_MAX).enumerate() {
    if let Err(error) = text.parse::<T>() {
      errors.push(cron_field_error(error, &format!("{field}/{index}")));
    }
  }
}

/// Checked texts as rules.
pub fn calendar_rules(texts: &[String]) -> Vec<CalendarRule> {
  texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Checked texts as rules and names.
pub fn calendar_items(texts: &[String]) -> Vec<CalendarItem> {
  texts.iter().filter_map(|text| text.parse().ok()).collect()
}
