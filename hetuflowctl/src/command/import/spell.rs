//! Sets of numbers as fields of our cron.

use std::collections::BTreeSet;

/// A set as a field: `*`, `*/5`, `1-5`, `1,3,8-10`.
pub fn spell(values: &BTreeSet<i16>, (min, max): (i16, i16)) -> String {
  let all: Vec<i16> = values.iter().copied().collect();
  let Some(first) = all.first() else { return String::new() };
  if all.len() == usize::try_from(max - min + 1).unwrap_or(0) {
    return "*".to_owned();
  }
  if let [_, second, _, ..] = all.as_slice() {
    let step = second - first;
    let steady = all.windows(2).all(|pair| pair[1] - pair[0] == step);
    if step > 1 && steady && *first == min && all[all.len() - 1] + step > max {
      return format!("*/{step}");
    }
  }
  list(&all)
}

/// A set as a field that begins with `*`, so that day and weekday must both match. Only a set
/// with the lowest value has such a spelling.
pub fn spell_starred(values: &BTreeSet<i16>, (min, max): (i16, i16)) -> Option<String> {
  let plain = spell(values, (min, max));
  if plain.starts_with('*') {
    return Some(plain);
  }
  if !values.contains(&min) {
    return None;
  }
  let rest: Vec<i16> = values.iter().copied().filter(|value| *value != min).collect();
  let star = format!("*/{}", max - min + 1);
  Some(if rest.is_empty() { star } else { format!("{star},{}", list(&rest)) })
}

/// Two day fields that must both match; `None` where our cron cannot say it.
pub fn spell_both(days: &BTreeSet<i16>, weekdays: &BTreeSet<i16>) -> Option<(String, String)> {
  let (day, weekday) = (spell(days, (1, 31)), spell(weekdays, (0, 6)));
  if day.starts_with('*') || weekday.starts_with('*') {
    return Some((day, weekday));
  }
  if let Some(day) = spell_starred(days, (1, 31)) {
    return Some((day, weekday));
  }
  spell_starred(weekdays, (0, 6)).map(|weekday| (day, weekday))
}

fn list(values: &[i16]) -> String {
  let mut parts: Vec<String> = Vec::new();
  let mut at = 0;
  while at < values.len() {
    let mut end = at;
    while end + 1 < values.len() && values[end + 1] == values[end] + 1 {
      end += 1;
    }
    match end - at {
      0 => parts.push(values[at].to_string()),
      1 => parts.push(format!("{},{}", values[at], values[end])),
      _ => parts.push(format!("{}-{}", values[at], values[end])),
    }
    at = end + 1;
  }
  parts.join(",")
}

#[cfg(test)]
mod tests {
  use hetuflow_core::CronExpression;

  use super::*;

  #[test]
  fn fields() {
    let set = |values: &[i16]| values.iter().copied().collect::<BTreeSet<i16>>();
    for (values, bounds, text) in [
      (set(&(0..60).collect::<Vec<_>>()), (0, 59), "*"),
      (set(&[0, 15, 30, 45]), (0, 59), "*/15"),
      (set(&[5, 20, 35, 50]), (0, 59), "5,20,35,50"),
      (set(&[1, 2, 3, 9]), (1, 31), "1-3,9"),
      (set(&[1, 2]), (0, 6), "1,2"),
    ] {
      assert_eq!(spell(&values, bounds), text);
    }
    assert_eq!(spell_both(&set(&[1, 2]), &set(&[1])), Some(("*/31,2".into(), "1".into())));
    assert_eq!(spell_both(&set(&[2]), &set(&[0, 6])), Some(("2".into(), "*/7,6".into())));
    assert_eq!(spell_both(&set(&[2]), &set(&[1])), None);
    // Our cron reads the trick as it is meant.
    CronExpression::parse("0 0 */31,2 * 1", 0).expect("valid");
    CronExpression::parse("0 0 2 * */7,6", 0).expect("valid");
  }
}
