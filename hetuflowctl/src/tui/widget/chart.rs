//! Bars and small charts made of text.

use crate::tui::look::Glyphs;

/// A bar of at most so many cells: `value` of `full`, with eighths of a cell.
pub fn bar(glyphs: &Glyphs, value: f64, full: f64, cells: usize) -> String {
  if full <= 0.0 || value <= 0.0 || cells == 0 {
    return String::new();
  }
  let eighths = ((value / full).clamp(0.0, 1.0) * cells as f64 * 8.0).round() as usize;
  let eighths = eighths.max(1);
  let mut out = glyphs.eighths[7].repeat(eighths / 8);
  if !eighths.is_multiple_of(8) {
    out.push_str(glyphs.eighths[eighths % 8 - 1]);
  }
  out
}

/// The newest values as columns, scaled to the highest of them; buckets are joined where there
/// are more than cells.
pub fn spark(glyphs: &Glyphs, values: &[u32], cells: usize) -> String {
  if values.is_empty() || cells == 0 {
    return String::new();
  }
  let per = values.len().div_ceil(cells).max(1);
  let start = values.len() % per;
  let joined: Vec<u64> = values[start..]
    .chunks(per)
    .map(|chunk| chunk.iter().map(|value| u64::from(*value)).sum())
    .collect();
  let top = joined.iter().copied().max().unwrap_or(0).max(1);
  let column = |value: &u64| {
    let at = if *value == 0 { 0 } else { (*value * 7).div_ceil(top) as usize };
    glyphs.sparks[at.min(7)]
  };
  joined.iter().map(column).collect()
}

/// The mean of the newest buckets as a rate per second.
pub fn per_second(values: &[u32], buckets: usize, bucket_secs: u32) -> f64 {
  let newest = &values[values.len().saturating_sub(buckets)..];
  if newest.is_empty() {
    return 0.0;
  }
  let sum: u64 = newest.iter().map(|value| u64::from(*value)).sum();
  sum as f64 / (newest.len() as f64 * f64::from(bucket_secs))
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::tui::look::UNICODE;
  use crate::tui::text::width;

  #[test]
  fn bars_fit() {
    assert_eq!(bar(&UNICODE, 33.0, 40.0, 10), "████████▎");
    assert_eq!(bar(&UNICODE, 40.0, 40.0, 10), "██████████");
    assert_eq!(bar(&UNICODE, 0.001, 40.0, 10), "▏");
    assert_eq!(bar(&UNICODE, 0.0, 40.0, 10), "");
    assert_eq!(bar(&UNICODE, 5.0, 0.0, 10), "");
    assert_eq!(width(&bar(&UNICODE, 90.0, 40.0, 10)), 10);
  }

  #[test]
  fn sparks_have_a_column_for_each_bucket_or_join_them() {
    assert_eq!(spark(&UNICODE, &[0, 1, 4, 7], 10), "▁▂▅█");
    assert_eq!(width(&spark(&UNICODE, &[1; 180], 20)), 20);
    assert_eq!(spark(&UNICODE, &[], 10), "");
    assert_eq!(spark(&UNICODE, &[0, 0], 2), "▁▁");
    assert!((per_second(&[0, 0, 10, 20], 2, 5) - 3.0).abs() < 1e-9);
  }
}
