//! One field: a comma list of values, ranges, steps and the special forms of the day fields.

use std::collections::BTreeSet;

use super::{
  error::{CronError, shorten},
  field::{Field, Slot},
  value::{self, missing, question, unexpected, value},
};

/// Everything a field can say; the forms of the day fields stay empty elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
  /// Plain values; Sunday is 0 here.
  pub values: BTreeSet<u16>,
  /// The field starts with `*` or is `?`: this decides AND against OR, and wall patterns.
  pub starts_with_star: bool,
  /// `15W`: the weekday nearest these days.
  pub nearest: BTreeSet<u16>,
  /// `L` in the day field.
  pub last_day: bool,
  /// `LW` in the day field.
  pub last_workday: bool,
  /// `MON#2`: (weekday, which one).
  pub nth: BTreeSet<(u16, u16)>,
  /// `5L`: the last such weekday of the month.
  pub last_weekdays: BTreeSet<u16>,
}

impl Items {
  /// Plain values as bits, bit `v - base` for value `v`.
  pub fn bits(&self, base: u16) -> u64 {
    self.values.iter().fold(0, |bits, v| bits | 1 << (v - base))
  }

  /// Parses one field. `seed` feeds `H` and `~` only.
  ///
  /// # Errors
  /// Any `cron.*` code that belongs to a field, with the bytes to blame.
  pub fn parse(slot: &Slot<'_>, seed: u64) -> Result<Self, CronError> {
    let mut items = Items::default();
    if slot.text == "?" && slot.field.is_day() {
      (items.starts_with_star, items.values) = (true, all(slot.field));
      return Ok(items);
    }
    items.starts_with_star = slot.text.starts_with('*');
    let mut start = slot.start;
    for (index, text) in slot.text.split(',').enumerate() {
      let item = Slot { field: slot.field, text, start };
      start += text.len() + 1;
      if !items.special(&item)? {
        items.plain(&item, mix(seed, slot.field, index))?;
      }
    }
    Ok(items)
  }

  /// The forms that only a day field has. `false`: not one of them.
  fn special(&mut self, item: &Slot<'_>) -> Result<bool, CronError> {
    let upper = item.text.to_ascii_uppercase();
    match item.field {
      Field::Day if upper == "L" => self.last_day = true,
      Field::Day if upper == "LW" => self.last_workday = true,
      Field::Day if upper.starts_with("L-") => {
        let message = format!("'{}': days before the last are not supported", shorten(item.text));
        let error = CronError::at("cron.unsupported", item.span(), message);
        return Err(error.hint("use L (last day), LW (last weekday of the month) or a day number"));
      }
      Field::Day if is_number_then(&upper, 'W') => {
        self.nearest.insert(value(&part(item, 0, item.text.len() - 1))?);
      }
      Field::Weekday if upper.contains('#') => {
        self.nth.insert(nth(item)?);
      }
      Field::Weekday if upper.len() > 1 && upper.ends_with('L') => {
        let day = part(item, 0, item.text.len() - 1);
        if value(&day).is_err() && !is_number_then(&upper, 'L') {
          return Ok(false);
        }
        self.last_weekdays.insert(value(&day)? % 7);
      }
      _ => return Ok(false),
    }
    Ok(true)
  }

  /// `*`, `a`, `a-b`, `H`, `H(a-b)`, `a~b`, each with an optional `/step`.
  fn plain(&mut self, item: &Slot<'_>, hash: u64) -> Result<(), CronError> {
    let (base, step) = match item.text.find('/') {
      None => (item.clone(), None),
      Some(at) => (part(item, 0, at), Some(value::step(&part(item, at + 1, item.text.len()))?)),
    };
    let (field, every) = (item.field, step.unwrap_or(1));
    let (first, last) = if base.text.is_empty() {
      return Err(missing(&base));
    } else if base.text.contains('?') {
      return Err(question(&base));
    } else if base.text.starts_with('*') {
      if base.text.len() > 1 {
        return Err(unexpected(&base, 1, "'*' stands alone"));
      }
      field.bounds()
    } else if let Some((low, high)) = hash_range(&base)? {
      let span = u64::from(high - low) + 1;
      let choices = if step.is_some() { span.min(u64::from(every)) } else { span };
      let first = low + (hash % choices) as u16;
      (first, if step.is_some() { high } else { first })
    } else if let Some(dash) = base.text.find('-') {
      range(&base, dash, step)?
    } else {
      let first = value(&base)?;
      (first, if step.is_some() { field.bounds().1 } else { first })
    };
    let sunday = |v: u16| if field == Field::Weekday { v % 7 } else { v };
    self.values.extend((first..=last).step_by(usize::from(every)).map(sunday));
    Ok(())
  }
}

/// Every value of a field.
fn all(field: Field) -> BTreeSet<u16> {
  let (min, max) = field.hash_bounds();
  (min..=if field == Field::Day { 31 } else { max }).collect()
}

/// A piece of an item that keeps its place in the text.
fn part<'t>(item: &Slot<'t>, from: usize, to: usize) -> Slot<'t> {
  Slot { field: item.field, text: &item.text[from..to], start: item.start + from }
}

/// Digits followed by this one letter.
fn is_number_then(upper: &str, letter: char) -> bool {
  upper.strip_suffix(letter).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// `MON#2`: the weekday and which one of the month.
fn nth(item: &Slot<'_>) -> Result<(u16, u16), CronError> {
  let at = item.text.find('#').unwrap_or(item.text.len());
  let weekday = value(&part(item, 0, at))? % 7;
  let count = part(item, at + 1, item.text.len());
  match count.text.parse::<u16>() {
    Ok(k @ 1..=5) if count.text.len() == 1 => Ok((weekday, k)),
    _ => {
      let message = format!("'{}': after '#' stands 1–5", shorten(item.text));
      let error = CronError::at("cron.nth", item.span(), message);
      Err(error.hint("MON#1 is the first Monday of the month; the last one is MONL or 1L"))
    }
  }
}

/// `a-b`, not wrapping around. Sunday closes a week as well as it opens one: `FRI-SUN` is 5-7.
fn range(base: &Slot<'_>, dash: usize, step: Option<u16>) -> Result<(u16, u16), CronError> {
  if dash == 0 {
    return Err(unexpected(base, 0, "values are not negative"));
  }
  let (low, high) = (part(base, 0, dash), part(base, dash + 1, base.text.len()));
  let (first, mut last) = (value(&low)?, value(&high)?);
  if base.field == Field::Weekday && last == 0 && first > 0 {
    last = 7;
  }
  if first <= last {
    return Ok((first, last));
  }
  let message = format!("{} range {} is reversed", base.field.name(), shorten(base.text));
  let named = !low.text.as_bytes()[0].is_ascii_digit();
  let hint = unwrapped(base.field, (first, last), step, named);
  Err(CronError::at("cron.range_reversed", base.span(), message).hint(format!("write {hint}")))
}

/// What a range around the end of a field must be written as.
fn unwrapped(field: Field, (first, last): (u16, u16), step: Option<u16>, named: bool) -> String {
  let (min, max) = (field.bounds().0, if field == Field::Weekday { 6 } else { field.bounds().1 });
  if first > max {
    return format!("{min}-{last}");
  }
  if named || step.is_some() {
    let around = (first..=max).chain(min..=last).step_by(usize::from(step.unwrap_or(1)));
    let word = |v: u16| match field.names().get(usize::from(v - min)) {
      Some(name) if named => (*name).to_owned(),
      _ => v.to_string(),
    };
    return around.map(word).collect::<Vec<_>>().join(",");
  }
  let side = |a: u16, b: u16| if a == b { a.to_string() } else { format!("{a}-{b}") };
  format!("{},{}", side(first, max), side(min, last))
}

/// The range `H` or `~` chooses from, `None` when the item is neither.
fn hash_range(base: &Slot<'_>) -> Result<Option<(u16, u16)>, CronError> {
  let field = base.field;
  let (low, high) = if let Some(tilde) = base.text.find('~') {
    let (low, high) = (part(base, 0, tilde), part(base, tilde + 1, base.text.len()));
    if low.text.is_empty() && high.text.is_empty() {
      return no_year(base, field.hash_bounds());
    }
    let or = |side: &Slot<'_>, other| if side.text.is_empty() { Ok(other) } else { value(side) };
    (or(&low, field.bounds().0)?, or(&high, field.hash_bounds().1)?)
  } else if base.text.eq_ignore_ascii_case("h") {
    return no_year(base, field.hash_bounds());
  } else if base.text.len() > 1 && base.text[..2].eq_ignore_ascii_case("h(") {
    let Some(inner) = base.text[2..].strip_suffix(')') else {
      return Err(unexpected(base, 1, "write H(0-29)"));
    };
    let Some(dash) = inner.find('-') else {
      return Err(unexpected(base, 1, "write H(0-29)"));
    };
    (value(&part(base, 2, 2 + dash))?, value(&part(base, 3 + dash, base.text.len() - 1))?)
  } else {
    return Ok(None);
  };
  if low > high {
    let message = format!("{} range {} is reversed", field.name(), shorten(base.text));
    let error = CronError::at("cron.range_reversed", base.span(), message);
    return Err(error.hint("the smaller value stands first"));
  }
  no_year(base, (low, high))
}

/// A year chosen by hash would mean "some day, or never": refused.
fn no_year(base: &Slot<'_>, bounds: (u16, u16)) -> Result<Option<(u16, u16)>, CronError> {
  if base.field == Field::Year {
    let error = CronError::at("cron.unsupported", base.span(), "a year cannot be left to a hash");
    return Err(error.hint("write the year, or '*'"));
  }
  Ok(Some(bounds))
}

/// SplitMix64 over seed, field and place in the list. Stored schedules depend on it: changing it
/// moves every `H` schedule of every user.
fn mix(seed: u64, field: Field, index: usize) -> u64 {
  let place = (field as u64 + 1) << 32 | index as u64;
  let mut z = seed.wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15));
  z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
  z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
  z ^ (z >> 31)
}
