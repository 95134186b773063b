//! One line as it stands in the picture: words before it, its rows, and what is said after it.

use std::ops::Range;

use super::glyph::{Glyph, glyphs};
use super::index::Span;
use super::pane::{LogPane, Place, size};
use super::pretty::pretty;
use super::wrap::{Row, slide, wrap};

/// Bytes of a line that are shown.
const SHOWN_BYTES: usize = 8 << 10;
/// The same for a line that slides: so much more for each cell, up to a bound.
const SLID_BYTES_MAX: usize = 256 << 10;

/// A line of the picture.
#[derive(Debug)]
pub(super) struct LineView {
  /// Where it lies; none for the place after the last line.
  pub span: Option<Span>,
  /// Said before it.
  pub notes: Vec<Vec<Glyph>>,
  /// Its characters.
  pub glyphs: Vec<Glyph>,
  /// Its rows.
  pub rows: Vec<Row>,
  /// Matches of the search, as bytes of what the characters come from.
  pub found: Vec<Range<u32>>,
  /// Said after it.
  pub after: Option<Vec<Glyph>>,
}

impl LineView {
  /// How many rows of the screen it takes.
  pub fn height(&self) -> usize {
    self.notes.len() + self.rows.len() + usize::from(self.after.is_some())
  }
}

impl LogPane {
  /// Lays out a line for a text of this width.
  pub(super) fn lay_out(&mut self, line: u64, width: u16) -> LineView {
    let notes = self.store.notes_at(line).map(|note| glyphs(note.as_bytes())).collect();
    let mut view = LineView {
      span: self.store.span(line),
      notes,
      glyphs: Vec::new(),
      rows: Vec::new(),
      found: Vec::new(),
      after: None,
    };
    let Some(span) = view.span else { return view };
    let slid = if self.options.wrap { 0 } else { self.options.sideways * 4 };
    let bytes_max = (SHOWN_BYTES + slid).min(SLID_BYTES_MAX);
    let raw = self.store.head(&span, bytes_max);
    let cut = span.len() > bytes_max as u64 + 2;
    let set_out = if self.options.json && !cut { pretty(&raw) } else { None };
    let bytes = set_out.as_deref().unwrap_or(&raw);
    view.glyphs = match &set_out {
      Some(document) => parts(document),
      None => glyphs(bytes),
    };
    view.rows = if self.options.wrap {
      wrap(&view.glyphs, width)
    } else {
      slide(&view.glyphs, self.options.sideways, width)
    };
    if let Some(regex) = self.search.as_ref().and_then(|(_, find)| find.question().regex.as_ref()) {
      let ranges = regex.find_iter(bytes).map(|found| found.start() as u32..found.end() as u32);
      view.found = ranges.collect();
    }
    if cut {
      let words = format!(
        "… {} of {} shown · o opens the whole line",
        size(bytes_max as u64),
        size(span.len())
      );
      view.after = Some(glyphs(words.as_bytes()));
    }
    view
  }

  /// The place after the last shown line counts when something is said there.
  pub(super) fn tail_line(&self) -> Option<u64> {
    let end = self.store.lines().end;
    self.store.notes_at(end).next().map(|_| end)
  }

  /// The shown line after this one, the tail included.
  pub(super) fn after(&self, line: u64) -> Option<u64> {
    if line >= self.store.lines().end {
      return None;
    }
    self.nth_shown(self.shown_before(line + 1)).or_else(|| self.tail_line())
  }

  /// The shown line before this one.
  pub(super) fn before(&self, line: u64) -> Option<u64> {
    self.nth_shown(self.shown_before(line).checked_sub(1)?)
  }

  /// The place from which the picture ends with the last row of a line.
  pub(super) fn top_for_bottom(&mut self, line: u64, width: u16, height: usize) -> Place {
    let (mut line, mut left) = (line, height);
    loop {
      let rows = self.lay_out(line, width).height();
      if rows >= left {
        return Place { line, row: rows - left };
      }
      left -= rows;
      match self.before(line) {
        Some(before) => line = before,
        None => return Place { line, row: 0 },
      }
    }
  }

  /// Settles where the picture begins, so that the cursor is in it.
  pub(super) fn settle(&mut self, width: u16, height: usize) {
    let lines = self.store.lines();
    let nearest = |pane: &Self, line: u64| {
      let last = pane.shown_count().saturating_sub(1);
      pane.nth_shown(pane.shown_before(line).min(last)).unwrap_or(lines.start)
    };
    if self.options.follow {
      let last = nearest(self, u64::MAX);
      self.cursor = last;
      let bottom = self.tail_line().unwrap_or(last);
      self.top = self.top_for_bottom(bottom, width, height);
      return;
    }
    self.cursor = nearest(self, self.cursor);
    let top = if self.top.line == lines.end { lines.end } else { nearest(self, self.top.line) };
    if top != self.top.line {
      self.top = Place { line: top, row: 0 };
    }
    let top_height = self.lay_out(self.top.line, width).height();
    self.top.row = self.top.row.min(top_height.saturating_sub(1));
    if self.cursor < self.top.line {
      self.top = Place { line: self.cursor, row: 0 };
      return;
    }
    if self.cursor == self.top.line {
      return;
    }
    // A cursor far below need not be walked to.
    let far = self.shown_before(self.cursor) - self.shown_before(self.top.line) > height as u64;
    let tall = self.lay_out(self.cursor, width).height() >= height;
    if tall && (far || self.bottom_of(width, height) < self.cursor) {
      self.top = Place { line: self.cursor, row: 0 };
    } else if far || self.bottom_of(width, height) < self.cursor {
      self.top = self.top_for_bottom(self.cursor, width, height);
    }
  }

  /// The last line that stands whole in the picture.
  fn bottom_of(&mut self, width: u16, height: usize) -> u64 {
    let mut line = self.top.line;
    let mut used = self.lay_out(line, width).height() - self.top.row;
    while let Some(next) = self.after(line) {
      used += self.lay_out(next, width).height();
      if used > height {
        break;
      }
      line = next;
    }
    line
  }
}

/// A document of several rows, which are breaks between characters.
fn parts(document: &[u8]) -> Vec<Glyph> {
  let mut out = Vec::new();
  let mut at = 0;
  for row in document.split(|byte| *byte == b'\n') {
    if at > 0 {
      let mut end = glyphs(b" ");
      for glyph in &mut end {
        (glyph.base, glyph.width, glyph.at) = (super::glyph::BREAK, 0, at - 1);
      }
      out.extend(end);
    }
    out.extend(glyphs(row).into_iter().map(|mut glyph| {
      glyph.at += at;
      glyph
    }));
    at += row.len() as u32 + 1;
  }
  out
}
