//! Text for cells: harmless, measured in cells, and short forms of numbers and times.

use std::borrow::Cow;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character could act on a terminal, hide, or turn the text around.
fn acts(c: char) -> bool {
  c.is_control()
    || matches!(c,
      '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
      | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// One line in which nothing acts: control characters become visible, line ends become blanks.
pub fn clean(text: &str) -> Cow<'_, str> {
  if !text.chars().any(acts) {
    return Cow::Borrowed(text);
  }
  let shown = text.chars().map(|c| match c {
    '\n' | '\t' | '\r' => ' ',
    '\x1b' => '␛',
    c if acts(c) => '\u{fffd}',
    c => c,
  });
  Cow::Owned(shown.collect())
}

/// Cells that a text fills.
pub fn width(text: &str) -> usize {
  text.width()
}

/// The beginning of a text that fills at most so many cells, with an ellipsis where it was cut.
pub fn cut<'a>(text: &'a str, cells: usize, ellipsis: &str) -> Cow<'a, str> {
  if text.len() <= cells || width(text) <= cells {
    return Cow::Borrowed(text);
  }
  let room = cells.saturating_sub(width(ellipsis));
  let (mut used, mut out) = (0, String::new());
  for c in text.chars() {
    let wide = c.width().unwrap_or(0);
    if used + wide > room {
      break;
    }
    used += wide;
    out.push(c);
  }
  if cells >= width(ellipsis) {
    out.push_str(ellipsis);
  }
  Cow::Owned(out)
}

/// A text cut or filled up with blanks to exactly so many cells.
pub fn pad(text: &str, cells: usize, ellipsis: &str) -> String {
  let mut out = cut(text, cells, ellipsis).into_owned();
  let used = width(&out);
  out.extend(std::iter::repeat_n(' ', cells.saturating_sub(used)));
  out
}

/// The same with the text at the right.
pub fn pad_left(text: &str, cells: usize, ellipsis: &str) -> String {
  let shown = cut(text, cells, ellipsis);
  format!("{}{shown}", " ".repeat(cells.saturating_sub(width(&shown))))
}

/// `1204` as `1,204`.
pub use hetuflow_core::grouped as count;

/// A count in at most five cells: `1,204`, `18.4M`.
pub fn brief(number: u64) -> String {
  const STEPS: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e4, "k")];
  for (step, unit) in STEPS {
    if number as f64 >= step {
      let shown = number as f64 / if unit == "k" { 1e3 } else { step };
      return if shown < 99.95 { format!("{shown:.1}{unit}") } else { format!("{shown:.0}{unit}") };
    }
  }
  count(number)
}

/// A rate per second: `412`, `1.2`, `0`.
pub fn rate(per_second: f64) -> String {
  if per_second >= 10.0 {
    brief(per_second.round() as u64)
  } else if per_second > 0.0 {
    format!("{per_second:.1}")
  } else {
    "0".to_owned()
  }
}

/// How long something took: `9ms`, `1.2s`, `41.2s`, `4m02s`, `3h07m`, `6d`.
pub fn took(millis: f64) -> String {
  if !millis.is_finite() || millis < 0.0 {
    return "0ms".to_owned();
  }
  let secs = millis / 1e3;
  match secs {
    ..1.0 => format!("{millis:.0}ms"),
    ..60.0 => format!("{secs:.1}s"),
    _ => long(secs as u64),
  }
}

/// An age or a wait in whole seconds: `3s`, `41m12s`, `11h57m`, `2d`.
pub fn age(time: Duration) -> String {
  match time.as_secs() {
    secs @ ..60 => format!("{secs}s"),
    secs => long(secs),
  }
}

fn long(secs: u64) -> String {
  match secs {
    0..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
    3600..86_400 => format!("{}h{:02}m", secs / 3600, secs % 3600 / 60),
    86_400..864_000 => format!("{}d{:02}h", secs / 86_400, secs % 86_400 / 3600),
    _ => format!("{}d", secs / 86_400),
  }
}

/// An age in its largest unit only: `3s`, `41m`, `11h`, `2d`.
pub fn age_brief(time: Duration) -> String {
  match time.as_secs() {
    secs @ ..60 => format!("{secs}s"),
    secs @ ..3600 => format!("{}m", secs / 60),
    secs @ ..86_400 => format!("{}h", secs / 3600),
    secs => format!("{}d", secs / 86_400),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn cutting_and_filling_count_cells() {
    assert_eq!(pad("etl-清洗-订单", 10, "…"), "etl-清洗-…");
    assert_eq!(pad("etl-清洗-订单", 12, "…"), "etl-清洗-订…");
    assert_eq!(pad("etl-清洗-订单", 11, "…"), "etl-清洗-… ");
    assert_eq!(width(&pad("etl-清洗-订单", 9, "…")), 9);
    assert_eq!(pad("abc", 5, "…"), "abc  ");
    assert_eq!(pad_left("12", 4, "…"), "  12");
    assert_eq!(cut("abc", 0, "…"), "");
    for cells in 0..14 {
      assert_eq!(width(&pad("a清b洗c订d单", cells, "…")), cells);
    }
  }

  #[test]
  fn nothing_acts() {
    assert_eq!(clean("a\x1b[2Jb\nc\u{202e}d"), "a␛[2Jb c\u{fffd}d");
    assert_eq!(clean("进度"), "进度");
  }

  #[test]
  fn numbers_and_times_are_short() {
    assert_eq!(count(1_204), "1,204");
    assert_eq!(count(10_000_000), "10,000,000");
    assert_eq!((brief(1_204), brief(18_400_000)), ("1,204".into(), "18.4M".into()));
    assert_eq!(brief(12_345), "12.3k");
    assert_eq!((rate(412.3), rate(1.21), rate(0.0)), ("412".into(), "1.2".into(), "0".into()));
    let shown: Vec<String> =
      [9.0, 999.0, 12_100.0, 242_000.0, 2_472_000.0, 11_220_000.0].map(took).to_vec();
    assert_eq!(shown, ["9ms", "999ms", "12.1s", "4m02s", "41m12s", "3h07m"]);
    assert_eq!(age(Duration::from_secs(48)), "48s");
    assert_eq!(age(Duration::from_secs(43_020)), "11h57m");
    assert_eq!(age_brief(Duration::from_secs(43_020)), "11h");
    assert_eq!(took(f64::NAN), "0ms");
  }
}
