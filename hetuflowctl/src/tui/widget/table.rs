//! Rows and columns: which columns fit is data, the cursor is on a thing and not on a line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::ListState;
use crate::tui::draw::{Ctx, put};
use crate::tui::look::Role;
use crate::tui::store::{Entry, Row, View};
use crate::tui::text::{clean, count, pad, pad_left, width};

/// A cell: words and what they are for.
pub type CellText = (String, Role);

/// One column of a list.
#[derive(Debug)]
pub struct Column {
  /// Its heading.
  pub name: &'static str,
  /// The field to sort by; empty where the server cannot.
  pub sort: &'static str,
  /// Cells that it needs.
  pub width: u16,
  /// Its share of the cells that are left over.
  pub grow: u16,
  /// The highest goes first when there is no room.
  pub priority: u8,
  /// Numbers stand at the right.
  pub right: bool,
  /// What stands in it.
  pub cell: fn(&Ctx<'_>, &Entry) -> CellText,
}

/// Where something was drawn, for the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableHit {
  /// A heading: the field to sort by.
  Head(&'static str),
  /// A row number.
  Row(u64),
}

/// Which columns fit, each with its cells.
pub fn layout(columns: &[Column], list: &ListState, room: u16) -> Vec<(usize, u16)> {
  let mut chosen: Vec<usize> =
    (0..columns.len()).filter(|at| !list.hidden.contains(columns[*at].name)).collect();
  if list.skipped > 0 && chosen.len() > 1 {
    let skipped = list.skipped.min(chosen.len() - 2);
    chosen.drain(1..=skipped);
  }
  let need = |chosen: &[usize]| -> u16 {
    chosen.iter().map(|at| columns[*at].width + 1).sum::<u16>().saturating_sub(1)
  };
  while chosen.len() > 1 && need(&chosen) > room {
    let worst = chosen.iter().copied().max_by_key(|at| columns[*at].priority);
    chosen.retain(|at| Some(*at) != worst);
  }
  let spare = room.saturating_sub(need(&chosen));
  let shares: u16 = chosen.iter().map(|at| columns[*at].grow).sum();
  let mut left = spare;
  let mut widths: Vec<(usize, u16)> = chosen
    .iter()
    .map(|at| {
      let column = &columns[*at];
      let more = (spare * column.grow).checked_div(shares).unwrap_or(0);
      left -= more.min(left);
      (*at, (column.width + more).min(room))
    })
    .collect();
  if let Some(last) = widths.iter_mut().rfind(|(at, _)| columns[*at].grow > 0) {
    last.1 += left;
  }
  widths
}

/// Where something of a table is.
type TablePlace = (Rect, TableHit);

/// A list as it is drawn.
#[derive(Debug)]
pub struct Table<'a> {
  /// All columns.
  pub columns: &'a [Column],
  /// Where the person is.
  pub list: &'a ListState,
  /// The rows.
  pub view: &'a View,
  /// Words where there are no rows.
  pub empty: &'a str,
}

impl Table<'_> {
  /// Draws the headings and the rows; where each is.
  pub fn draw(&self, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Vec<(Rect, TableHit)> {
    let mut hits = Vec::new();
    if area.height == 0 || area.width < 2 {
      return hits;
    }
    let widths = layout(self.columns, self.list, area.width - 1);
    self.heads(ctx, area, buf, (&widths, &mut hits));
    let rows = area.height - 1;
    for line in 0..rows {
      let index = self.list.top + u64::from(line);
      let y = area.y + 1 + line;
      if index >= self.view.matched.max(self.view.from + self.view.order.len() as u64) {
        break;
      }
      match self.view.entry_at(index) {
        Some((key, entry)) => self.row(ctx, (area, y, index), (key, entry), (&widths, buf)),
        None => {
          put(buf, (area.x + 1, y), area.right(), ctx.look.glyphs.ellipsis, ctx.style(Role::Dim));
        }
      }
      hits.push((Rect::new(area.x, y, area.width, 1), TableHit::Row(index)));
    }
    if self.view.order.is_empty() && rows > 0 {
      put(buf, (area.x + 1, area.y + 1), area.right(), self.empty, ctx.style(Role::Dim));
    }
    self.newer(ctx, area, buf);
    hits
  }

  fn heads(
    &self,
    ctx: &Ctx<'_>,
    area: Rect,
    buf: &mut Buffer,
    (widths, hits): (&[(usize, u16)], &mut Vec<TablePlace>),
  ) {
    let style = ctx.style(Role::Title);
    let mut x = area.x + 1;
    for (at, cells) in widths {
      let column = &self.columns[*at];
      let sorted = self.list.sort.trim_start_matches('-') == column.sort && !column.sort.is_empty();
      let arrow = ctx.look.glyphs.more[usize::from(self.list.sort.starts_with('-'))];
      let name = if sorted { format!("{}{arrow}", column.name) } else { column.name.to_owned() };
      let cells_wide = usize::from(*cells);
      let text =
        if column.right { pad_left(&name, cells_wide, "") } else { pad(&name, cells_wide, "") };
      put(buf, (x, area.y), area.right(), &text, style);
      if !column.sort.is_empty() {
        hits.push((Rect::new(x, area.y, *cells, 1), TableHit::Head(column.sort)));
      }
      x += cells + 1;
    }
  }

  fn row(
    &self,
    ctx: &Ctx<'_>,
    (area, y, index): (Rect, u16, u64),
    (key, entry): (&String, &Entry),
    (widths, buf): (&[(usize, u16)], &mut Buffer),
  ) {
    let glyphs = ctx.look.glyphs;
    let here = match &self.list.cursor {
      Some(cursor) => cursor == key,
      None => index == self.list.index,
    };
    let marked = self.list.marks.contains_key(key);
    let lead = match (here, marked) {
      (true, _) => glyphs.cursor,
      (_, true) => glyphs.marked,
      _ if matches!(&entry.row, Row::Job(job) if !job.enabled) => glyphs.paused,
      _ => " ",
    };
    put(
      buf,
      (area.x, y),
      area.right(),
      lead,
      ctx.style(if here { Role::Focus } else { Role::Warn }),
    );
    let mut x = area.x + 1;
    for (at, cells) in widths {
      let column = &self.columns[*at];
      let (text, role) = (column.cell)(ctx, entry);
      let text = clean(&text);
      let cells_wide = usize::from(*cells);
      let fitted = if column.right && width(&text) <= cells_wide {
        pad_left(&text, cells_wide, glyphs.ellipsis)
      } else {
        pad(&text, cells_wide, glyphs.ellipsis)
      };
      put(buf, (x, y), area.right(), &fitted, ctx.style(role));
      x += cells + 1;
    }
    if here {
      let line = Rect::new(area.x + 1, y, area.width - 1, 1);
      buf.set_style(line.intersection(buf.area), ctx.look.style(Role::Selected));
    }
  }

  fn newer(&self, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    if self.list.newer == 0 || area.height < 3 {
      return;
    }
    let words = format!(" {} {} newer ", ctx.look.glyphs.more[0], count(self.list.newer));
    let cells = u16::try_from(width(&words)).unwrap_or(0);
    let x = area.right().saturating_sub(cells + 1).max(area.x);
    put(buf, (x, area.y + 1), area.right(), &words, ctx.style(Role::Warn));
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn column(name: &'static str, width: u16, grow: u16, priority: u8) -> Column {
    let cell: fn(&Ctx<'_>, &Entry) -> CellText = |_, _| (String::new(), Role::Text);
    Column { name, sort: "", width, grow, priority, right: false, cell }
  }

  #[test]
  fn columns_go_by_priority_and_the_rest_grows() {
    let columns = [column("ID", 8, 0, 0), column("JOB", 10, 1, 1), column("EXIT", 4, 0, 9)];
    let list = ListState::default();
    assert_eq!(layout(&columns, &list, 30), [(0, 8), (1, 16), (2, 4)]);
    assert_eq!(layout(&columns, &list, 20), [(0, 8), (1, 11)]);
    assert_eq!(layout(&columns, &list, 9), [(0, 8)]);
    assert_eq!(layout(&columns, &list, 3), [(0, 3)]);
    let mut list = ListState { skipped: 9, ..ListState::default() };
    assert_eq!(layout(&columns, &list, 30), [(0, 8), (2, 4)]);
    list.hidden.insert("EXIT".to_owned());
    assert_eq!(layout(&columns, &list, 30).len(), 2);
  }
}
