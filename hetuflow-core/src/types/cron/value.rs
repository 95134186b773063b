//! Single values: a number or a name, checked against its field.

use super::{
  error::{CronError, shorten},
  field::{Field, Slot},
};

/// The largest step we accept. A step beyond its field is legal in Debian cron (only the first
/// value remains), so the bound is there to stop overflow and typing accidents, not to judge.
const STEP_MAX: u64 = 9999;

/// A number or a name inside its field.
///
/// # Errors
/// `cron.out_of_range`, `cron.bad_name`, `cron.unsupported`, `cron.bad_char` (nothing there).
pub(super) fn value(slot: &Slot<'_>) -> Result<u16, CronError> {
  let (field, token) = (slot.field, slot.text);
  if token.is_empty() {
    return Err(missing(slot));
  }
  if token.bytes().all(|b| b.is_ascii_digit()) {
    let (min, max) = field.bounds();
    return match number(token) {
      Some(n) if (u64::from(min)..=u64::from(max)).contains(&n) => Ok(n as u16),
      _ => Err(out_of_range(slot)),
    };
  }
  field.value_of_name(token).ok_or_else(|| bad_token(slot))
}

/// The number after `/`.
///
/// # Errors
/// `cron.step_zero`, `cron.out_of_range`, `cron.bad_char`.
pub(super) fn step(slot: &Slot<'_>) -> Result<u16, CronError> {
  if slot.text.is_empty() {
    return Err(missing(slot));
  }
  if let Some(bad) = slot.text.find(|c: char| !c.is_ascii_digit()) {
    return Err(unexpected(slot, bad, "a step is a number"));
  }
  match number(slot.text) {
    Some(0) => Err(
      CronError::at("cron.step_zero", slot.span(), format!("{} step is 0", slot.field.name()))
        .hint("a step is 1 or more"),
    ),
    Some(n) if n <= STEP_MAX => Ok(n as u16),
    _ => {
      let step = shorten(slot.text);
      let message = format!("{} step {step} (allowed 1–{STEP_MAX})", slot.field.name());
      Err(CronError::at("cron.out_of_range", slot.span(), message))
    }
  }
}

/// Digits as a number, `None` when too large for any field.
fn number(digits: &str) -> Option<u64> {
  let significant = digits.trim_start_matches('0');
  if significant.len() > 9 { None } else { Some(significant.parse().unwrap_or(0)) }
}

/// A value is missing here.
pub(super) fn missing(slot: &Slot<'_>) -> CronError {
  let message = format!("a value is missing in the {} field", slot.field.name());
  CronError::at("cron.bad_char", slot.start..slot.start, message)
    .hint("write values like 5, 1-5, 1,5, */5 or *")
}

/// A character that cannot stand at this byte of the token.
pub(super) fn unexpected(slot: &Slot<'_>, offset: usize, why: &str) -> CronError {
  let found = slot.text[offset..].chars().next().unwrap_or(' ');
  let start = slot.start + offset;
  let message = format!("unexpected '{found}' in the {} field: {why}", slot.field.name());
  CronError::at("cron.bad_char", start..start + found.len_utf8(), message)
}

/// Names field, value and range, and guesses what was meant.
fn out_of_range(slot: &Slot<'_>) -> CronError {
  let (field, token) = (slot.field, slot.text);
  let (min, max) = field.bounds();
  let message = format!("{} {} (allowed {min}–{max})", field.name(), shorten(token));
  let error = |m: String| CronError::at("cron.out_of_range", slot.span(), m);
  match (field, number(token)) {
    (Field::Second, Some(60)) => error(format!("{message}: leap seconds are not scheduled")),
    (Field::Minute, Some(60)) => error(message).hint("the next full hour is minute 0"),
    (Field::Hour, Some(24)) => error(message).hint("midnight is hour 0"),
    (Field::Day, Some(0)) => error(message).hint("days count from 1"),
    (Field::Month, Some(0)) => error(message).hint("months count from 1"),
    (Field::Day, Some(32..)) => error(message).hint("the last day of the month is L"),
    (Field::Weekday, Some(1970..=2099)) => {
      error(message).hint("six fields start with the second; a year needs seven fields")
    }
    (Field::Weekday, _) => error(message).hint("Sunday is 0 or 7, Saturday is 6"),
    _ => error(message),
  }
}

/// A token with letters that means nothing in this field.
fn bad_token(slot: &Slot<'_>) -> CronError {
  let (field, token) = (slot.field, slot.text);
  let upper = token.to_ascii_uppercase();
  let shown = shorten(token);
  let digits = upper.trim_end_matches(|c: char| !c.is_ascii_digit());
  let unsupported = |message: String| CronError::at("cron.unsupported", slot.span(), message);
  if let Some(bad) = token.find(|c: char| !c.is_ascii_alphanumeric()) {
    return match &token[bad..bad + 1] {
      "?" => question(slot),
      "#" => unsupported(format!("'{shown}': '#' belongs to the weekday field"))
        .hint("MON#2 in the weekday field is the second Monday of the month"),
      _ => unexpected(slot, bad, "expected a number or a name"),
    };
  }
  match upper.strip_prefix(digits).unwrap_or(&upper) {
    "W" | "LW" => {
      return unsupported(format!("'{shown}': W belongs to the day field, with one day or L"))
        .hint("15W is the weekday nearest the 15th, LW the last weekday of the month");
    }
    "L" if field == Field::Weekday => {
      return unsupported("L alone has no meaning in the weekday field".into())
        .hint("5L or FRIL is the last Friday of the month; Saturday is SAT");
    }
    "L" => {
      return unsupported(format!("'{shown}': L belongs to the day fields")).hint(
        "L in the day field is the last day of the month, 5L in the weekday field the last Friday",
      );
    }
    _ => {}
  }
  let error = CronError::at(
    "cron.bad_name",
    slot.span(),
    format!("'{shown}' is not a {} value", field.name()),
  );
  let other = [Field::Month, Field::Weekday].into_iter().find_map(|other| {
    let known = other.names().iter().find(|name| upper.starts_with(**name))?;
    Some((other, *known))
  });
  match other {
    Some((other, known)) if other == field => error.hint(format!("write {known}")),
    Some((other, known)) => error.hint(format!("{known} belongs to the {} field", other.name())),
    None if field.names().is_empty() => error.hint("this field takes numbers"),
    None => error.hint(format!("names are {}", field.names().join(", "))),
  }
}

/// `?` where it has no meaning.
pub(super) fn question(slot: &Slot<'_>) -> CronError {
  let why = if slot.field.is_day() {
    "'?' stands alone in a day field"
  } else {
    "'?' is Quartz syntax for the day fields"
  };
  CronError::at("cron.unsupported", slot.span(), why).hint("use '*'")
}
