//! The parsed expression: checks of the whole text, then seven bit sets.

use std::fmt;

use super::{
  civil::{CYCLE_YEARS, day_number},
  day_rule::{DayRule, MonthMasks},
  describe::MONTHS,
  error::{CronError, shorten},
  field::{Field, Slot, split},
  item::Items,
};
use crate::types::{DstGap, DstOverlap};

/// Longer texts are refused before anything looks at them.
const BYTES_MAX: usize = 256;

/// January to December, from bit 1 on.
pub(super) const ALL_MONTHS: u16 = 0b1_1111_1111_1110;

const NICKNAMES: [(&str, &str); 7] = [
  ("@yearly", "0 0 1 1 *"),
  ("@annually", "0 0 1 1 *"),
  ("@monthly", "0 0 1 * *"),
  ("@weekly", "0 0 * * 0"),
  ("@daily", "0 0 * * *"),
  ("@midnight", "0 0 * * *"),
  ("@hourly", "0 * * * *"),
];

/// A parsed cron expression.
///
/// It can only be built by [`CronExpression::parse`], so each one fires at least once in the
/// calendar (a year field may still lie in the past). It knows no time zone: the same expression
/// means different instants in different zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronExpression {
  text: String,
  pub(super) seconds: u64,
  pub(super) minutes: u64,
  pub(super) hours: u32,
  pub(super) months: u16,
  pub(super) days: DayRule,
  /// The matching days of each shape that a month can have.
  pub(super) masks: MonthMasks,
  /// Every date matches, so that no date has to be worked out.
  pub(super) every_day: bool,
  /// Sorted; `None` is every year.
  pub(super) years: Option<Vec<i16>>,
  /// Minute or hour starts with `*`: fires by the wall clock, twice in a repeated hour.
  pub(super) wall_pattern: bool,
  pub(super) dst_gap: DstGap,
  pub(super) dst_overlap: DstOverlap,
}

impl CronExpression {
  /// Parses 5, 6 (second first) or 7 (year last) fields, or a nickname such as `@daily`.
  ///
  /// `seed` is a hash of the schedule's identity and is used by `H` and `~` only. It must be the
  /// same on every server and in every version, or those schedules move.
  ///
  /// # Errors
  /// The `cron.*` codes, each with a message for people and the bytes to underline.
  pub fn parse(text: &str, seed: u64) -> Result<Self, CronError> {
    check_text(text)?;
    let expanded = expand_nickname(text)?;
    let slots = split(expanded)?;
    let mut items: [Items; 7] = Default::default();
    for slot in &slots {
      items[slot.field as usize] = Items::parse(slot, seed)?;
    }
    let [second, minute, hour, day, month, weekday, year] = items;
    let has = |field| slots.iter().any(|slot| slot.field == field);
    let every_year = !has(Field::Year) || slots[slots.len() - 1].text == "*";
    let (days, months) = (DayRule::new(&day, &weekday), month.bits(0) as u16);
    let (masks, wall_pattern) =
      (days.month_masks(), minute.starts_with_star || hour.starts_with_star);
    let expression = Self {
      text: text.trim_matches([' ', '\t']).to_owned(),
      seconds: if has(Field::Second) { second.bits(0) } else { 1 },
      minutes: minute.bits(0),
      hours: hour.bits(0) as u32,
      every_day: every_year && months == ALL_MONTHS && days.is_every_day(),
      months,
      days,
      masks,
      years: (!every_year).then(|| year.values.iter().map(|y| *y as i16).collect()),
      wall_pattern,
      dst_gap: DstGap::Auto,
      dst_overlap: DstOverlap::Auto,
    }
    .with_dst(DstGap::Auto, DstOverlap::Auto);
    if expression.has_a_day() { Ok(expression) } else { Err(never_fires(&slots, &expression)) }
  }

  /// The same expression with another rule for changes of the clocks. `auto` is what the text
  /// decides: a pattern (minute or hour starts with `*`) skips gaps and fires both times, a fixed
  /// time fires after the gap and the first time.
  #[must_use]
  pub fn with_dst(mut self, gap: DstGap, overlap: DstOverlap) -> Self {
    self.dst_gap = match (gap, self.wall_pattern) {
      (DstGap::Auto, true) => DstGap::Skip,
      (DstGap::Auto, false) => DstGap::Next,
      (told, _) => told,
    };
    self.dst_overlap = match (overlap, self.wall_pattern) {
      (DstOverlap::Auto, true) => DstOverlap::Both,
      (DstOverlap::Auto, false) => DstOverlap::First,
      (told, _) => told,
    };
    self
  }

  /// The rule for changes of the clocks that counts, never `auto`.
  pub fn dst(&self) -> (DstGap, DstOverlap) {
    (self.dst_gap, self.dst_overlap)
  }

  /// Minute or hour starts with `*`: it fires by the wall clock, and a change of the clocks is
  /// nothing special to it.
  pub fn is_pattern(&self) -> bool {
    self.wall_pattern
  }

  /// The expression as written, without blanks around it.
  pub fn as_str(&self) -> &str {
    &self.text
  }

  /// Each field with its text as written, for explanations and beside an error: `minute` → `30`.
  /// A nickname is shown as the fields it stands for.
  pub fn fields(&self) -> Vec<(&'static str, String)> {
    cron_fields(&self.text)
  }

  /// Some day of the calendar cycle matches.
  fn has_a_day(&self) -> bool {
    let year = self.years.as_ref().map_or(2000, |years| years.first().copied().unwrap_or(0).into());
    self.day_at_or_after(day_number(year, 1, 1)).is_some()
  }
}

impl fmt::Display for CronExpression {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&self.text)
  }
}

/// The fields of any text with 5, 6 or 7 of them, valid or not, so that an error report can show
/// what we took for what. Empty when the text has no such shape.
pub fn cron_fields(text: &str) -> Vec<(&'static str, String)> {
  let expanded = expand_nickname(text).unwrap_or_default();
  let slots = split(expanded).unwrap_or_default();
  slots.iter().map(|slot| (slot.field.name(), slot.text.to_owned())).collect()
}

/// What no field could report well: length, foreign characters, prefixes of other dialects.
fn check_text(text: &str) -> Result<(), CronError> {
  if text.len() > BYTES_MAX {
    let message = format!("{} bytes (limit {BYTES_MAX})", text.len());
    return Err(CronError::whole("cron.too_long", message).hint("split it into several schedules"));
  }
  let start = text.len() - text.trim_start_matches([' ', '\t']).len();
  let rest = text[start..].to_ascii_uppercase();
  if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
    let length = rest.find([' ', '\t']).unwrap_or(rest.len());
    let message = "a time zone inside the expression is not supported";
    return Err(
      CronError::at("cron.tz_prefix", start..start + length, message)
        .hint("use the timezone field"),
    );
  }
  let allowed = |c: char| c.is_ascii_alphanumeric() || " \t*,-/?#~()@".contains(c);
  for (column, (at, c)) in text.char_indices().enumerate() {
    if !allowed(c) {
      let message = format!(
        "character U+{:04X} '{}' at column {} does not belong in a cron expression",
        u32::from(c),
        c.escape_debug(),
        column + 1
      );
      return Err(CronError::at("cron.bad_char", at..at + c.len_utf8(), message));
    }
  }
  Ok(())
}

/// `@daily` as its fields; any other text as it is.
fn expand_nickname(text: &str) -> Result<&str, CronError> {
  let trimmed = text.trim_matches([' ', '\t']);
  if !trimmed.starts_with('@') {
    return Ok(text);
  }
  let start = text.len() - text.trim_start_matches([' ', '\t']).len();
  let span = start..start + trimmed.len();
  let (word, rest) = trimmed.split_once([' ', '\t']).unwrap_or((trimmed, ""));
  if let Some((_, fields)) = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
    if rest.is_empty() {
      return Ok(fields);
    }
    let message = format!("{word} stands for all fields, but more text follows");
    return Err(CronError::at("cron.field_count", span, message));
  }
  let hint = match word.to_ascii_lowercase().as_str() {
    "@every" => "use kind: interval",
    "@reboot" => "use kind: interval, or kind: daemon for something that always runs",
    _ => "use @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually",
  };
  let message = format!("'{}' is not supported in a cron expression", shorten(word));
  Err(CronError::at("cron.unsupported", span, message).hint(hint))
}

/// Says which date does not exist, when it is as simple as 30 February.
fn never_fires(slots: &[Slot<'_>], expression: &CronExpression) -> CronError {
  let span_of = |field| slots.iter().find(|s| s.field == field).map_or(0..0, Slot::span);
  let span = span_of(Field::Day).start..span_of(Field::Month).end;
  let rule = &expression.days;
  let plain = rule.any_weekday() && rule.days.count_ones() == 1 && rule.nearest == 0;
  let months: Vec<_> =
    (1..=12).filter(|m| expression.months >> m & 1 == 1).map(|m| MONTHS[m as usize - 1]).collect();
  let message = if plain {
    let day = rule.days.trailing_zeros() + 1;
    let years = if expression.years.is_some() { " in those years" } else { "" };
    format!("never fires: {day} {} does not exist{years}", months.join(" or "))
  } else {
    format!(
      "never fires: no date of the {CYCLE_YEARS}-year calendar matches day, month and weekday"
    )
  };
  CronError::at("cron.never_fires", span, message)
    .hint("L in the day field is the last day of a month")
}

/// Times and months as bits, then the matching days of each month of 28 years.
#[cfg(test)]
pub(super) type Meaning = ((u64, u64, u32, u16), Vec<(i16, i8, u32)>);

#[cfg(test)]
impl CronExpression {
  /// What the expression means apart from its text.
  pub(super) fn meaning(&self) -> Meaning {
    let months = (2000..2028).flat_map(|year| (1..=12).map(move |month| (year, month)));
    let days = months.map(|(y, m)| (y, m, self.days.mask(y, m))).collect();
    ((self.seconds, self.minutes, self.hours, self.months), days)
  }
}
