//! A line as rows of the screen: wrapped with its indent kept, or one row that slides sideways.

use std::ops::Range;

use super::glyph::{BREAK, Glyph};

/// One row of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
  /// Its glyphs.
  pub glyphs: Range<usize>,
  /// Empty cells before them.
  pub indent: u16,
}

/// Wraps at the width; rows after the first keep the indent of the line, up to half the width.
pub fn wrap(glyphs: &[Glyph], width: u16) -> Vec<Row> {
  let width = usize::from(width.max(1));
  let mut rows = Vec::new();
  let mut begin = 0;
  // A line of no characters is still a row.
  loop {
    let end = begin + glyphs[begin..].iter().take_while(|glyph| glyph.base != BREAK).count();
    wrap_one(glyphs, begin..end, width, &mut rows);
    if end >= glyphs.len() {
      return rows;
    }
    begin = end + 1;
  }
}

fn wrap_one(glyphs: &[Glyph], line: Range<usize>, width: usize, rows: &mut Vec<Row>) {
  let leading = glyphs[line.clone()].iter().take_while(|glyph| glyph.base == ' ').count();
  let kept = if leading == line.len() { 0 } else { leading.min(width / 2) };
  let (mut from, mut used, mut indent) = (line.start, 0, 0);
  for at in line.clone() {
    let cells = usize::from(glyphs[at].width).min(width);
    if indent + used + cells > width && at > from {
      rows.push(Row { glyphs: from..at, indent: indent as u16 });
      (from, used) = (at, 0);
      // An indent that leaves no room for a wide character is none.
      indent = if kept + 2 > width { 0 } else { kept };
    }
    used += cells;
  }
  rows.push(Row { glyphs: from..line.end, indent: indent as u16 });
}

/// One row for each part of the line, begun so many cells from its left end.
pub fn slide(glyphs: &[Glyph], skip: usize, width: u16) -> Vec<Row> {
  let mut rows = Vec::new();
  let mut begin = 0;
  loop {
    let end = begin + glyphs[begin..].iter().take_while(|glyph| glyph.base != BREAK).count();
    rows.push(slide_one(glyphs, begin..end, skip, width));
    if end >= glyphs.len() {
      return rows;
    }
    begin = end + 1;
  }
}

fn slide_one(glyphs: &[Glyph], line: Range<usize>, skip: usize, width: u16) -> Row {
  let (mut from, mut passed) = (line.start, 0);
  while from < line.end && passed < skip {
    passed += usize::from(glyphs[from].width);
    from += 1;
  }
  // Half of a wide character is an empty cell.
  let indent = passed.saturating_sub(skip).min(usize::from(width));
  let (mut to, mut used) = (from, indent);
  while to < line.end && used + usize::from(glyphs[to].width) <= usize::from(width) {
    used += usize::from(glyphs[to].width);
    to += 1;
  }
  Row { glyphs: from..to, indent: indent as u16 }
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;

  use super::super::glyph::{glyphs, text_of};
  use super::*;

  fn rows(text: &str, width: u16) -> Vec<String> {
    let line = glyphs(text.as_bytes());
    let row = |row: Row| " ".repeat(usize::from(row.indent)) + &text_of(&line[row.glyphs.clone()]);
    wrap(&line, width).into_iter().map(row).collect()
  }

  #[test]
  fn the_indent_is_kept() {
    assert_eq!(rows("  File \"load.py\"", 9), ["  File \"l", "  oad.py\""]);
    assert_eq!(rows("", 9), [""]);
    assert_eq!(rows("    ", 9), ["    "]);
    assert_eq!(rows("进度进度", 5), ["进度", "进度"]);
    assert_eq!(rows("进度", 1), ["进", "度"]);
    assert_eq!(rows("        deep", 6), ["      ", "     d", "   eep"]);
  }

  #[test]
  fn sideways() {
    let line = glyphs("ab进度cd".as_bytes());
    let one = |skip, width| {
      let row = slide(&line, skip, width).remove(0);
      " ".repeat(usize::from(row.indent)) + &text_of(&line[row.glyphs])
    };
    assert_eq!((one(0, 3), one(1, 4), one(3, 4)), ("ab".into(), "b进".into(), " 度c".into()));
    assert_eq!(one(99, 4), "");
  }

  proptest! {
    #[test]
    fn no_row_is_too_wide_and_nothing_is_left_out(text in "[ a-c进度é\\x00-\\x1f]{0,120}", width in 1_u16..40) {
      let line = glyphs(text.as_bytes());
      let rows = wrap(&line, width);
      let mut next = 0;
      for row in &rows {
        prop_assert_eq!(row.glyphs.start, next);
        next = row.glyphs.end;
        let cells: usize =
          line[row.glyphs.clone()].iter().map(|glyph| usize::from(glyph.width).min(usize::from(width))).sum();
        prop_assert!(cells + usize::from(row.indent) <= usize::from(width));
      }
      prop_assert_eq!(next, line.len());
    }
  }
}
