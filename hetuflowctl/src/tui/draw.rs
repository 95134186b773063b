//! Drawing into a buffer: text that never leaves its place, panes, and the clock of a frame.

use std::cell::Cell;
use std::time::Duration;

use hetuflow_core::Ts;
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::look::{Look, Role};
use super::text::{age, age_brief, clean, cut, width};

/// How instants are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeMode {
  /// `in 29s`, `2m ago`.
  #[default]
  Relative,
  /// The clock of this machine.
  Local,
  /// UTC.
  Utc,
}

impl TimeMode {
  /// The one after it.
  pub fn next(self) -> Self {
    match self {
      Self::Relative => Self::Local,
      Self::Local => Self::Utc,
      Self::Utc => Self::Relative,
    }
  }

  /// Its name.
  pub fn name(self) -> &'static str {
    match self {
      Self::Relative => "relative",
      Self::Local => "local",
      Self::Utc => "UTC",
    }
  }
}

/// What every piece of a frame needs: the look, the server's clock, and when the picture would
/// change by itself.
#[derive(Debug)]
pub struct Ctx<'a> {
  /// Glyphs and colours.
  pub look: &'a Look,
  /// The server's clock.
  pub now: Ts,
  /// How instants are shown.
  pub mode: TimeMode,
  /// The zone of this machine.
  pub zone: TimeZone,
  /// Old data: everything is drawn dim.
  pub stale: bool,
  next: Cell<Option<Ts>>,
}

impl<'a> Ctx<'a> {
  /// A frame's context.
  pub fn new(look: &'a Look, now: Ts, mode: TimeMode, zone: TimeZone) -> Self {
    Self { look, now, mode, zone, stale: false, next: Cell::new(None) }
  }

  /// The instant at which some text of this frame would be another one.
  pub fn next_change(&self) -> Option<Ts> {
    self.next.get()
  }

  fn changes_at(&self, at: Ts) {
    let sooner = self.next.get().is_none_or(|known| at < known);
    if sooner && at > self.now {
      self.next.set(Some(at));
    }
  }

  fn changes_after(&self, since: Ts, passed: Duration) {
    let step = match passed.as_secs() {
      ..3600 => 1,
      3600..86_400 => 60,
      _ => 3600,
    };
    let whole = passed.as_secs() / step * step + step;
    self.changes_at(since.plus(Duration::from_secs(whole)));
  }

  /// How long ago.
  pub fn age(&self, since: Ts) -> String {
    let passed = self.now.since(since);
    self.changes_after(since, passed);
    age(passed)
  }

  /// How long ago, in the largest unit.
  pub fn age_brief(&self, since: Ts) -> String {
    let passed = self.now.since(since);
    let step = match passed.as_secs() {
      ..60 => 1,
      60..3600 => 60,
      _ => 3600,
    };
    let whole = passed.as_secs() / step * step + step;
    self.changes_at(since.plus(Duration::from_secs(whole)));
    age_brief(passed)
  }

  /// How long until then; `now` where it is past.
  pub fn until(&self, at: Ts) -> String {
    let left = at.since(self.now);
    if left.is_zero() {
      return "now".to_owned();
    }
    let step = if left.as_secs() < 3600 { 1 } else { 60 };
    let over = left.as_micros() % (u128::from(step as u32) * 1_000_000);
    let wait = if over == 0 { u128::from(step as u32) * 1_000_000 } else { over };
    self.changes_at(self.now.plus(Duration::from_micros(u64::try_from(wait).unwrap_or(1) + 1)));
    age(left)
  }

  /// `in 29s`, `in 15m`, `now`: how long until then, in the largest unit.
  pub fn in_brief(&self, at: Ts) -> String {
    let left = at.since(self.now);
    let step = match left.as_secs() {
      0 if left.is_zero() => return "now".to_owned(),
      ..60 => 1_000_000,
      60..3600 => 60_000_000,
      _ => 3_600_000_000_u64,
    };
    let micros = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
    self.changes_at(self.now.plus(Duration::from_micros(micros % step + 1)));
    format!("in {}", age_brief(left))
  }

  /// `in 15m29s`, `now`.
  pub fn in_words(&self, at: Ts) -> String {
    match self.until(at).as_str() {
      "now" => "now".to_owned(),
      left => format!("in {left}"),
    }
  }

  /// `14:02:31`, that ticks.
  pub fn clock(&self) -> String {
    let second = self.now.micros().div_euclid(1_000_000);
    self.changes_at(Ts::from_micros((second + 1) * 1_000_000));
    self.format(self.now, "%H:%M:%S")
  }

  /// An instant in the zone of this frame.
  pub fn format(&self, at: Ts, form: &str) -> String {
    let zone = if self.mode == TimeMode::Utc { TimeZone::UTC } else { self.zone.clone() };
    at.instant().to_zoned(zone).strftime(form).to_string()
  }

  /// An instant as rows show it: `2m ago`, or the clock.
  pub fn ago(&self, at: Ts) -> String {
    match self.mode {
      TimeMode::Relative => format!("{} ago", self.age_brief(at)),
      _ => self.moment(at),
    }
  }

  /// `14:02:18`, with the day where it is not today's.
  pub fn moment(&self, at: Ts) -> String {
    let same = self.format(at, "%F") == self.format(self.now, "%F");
    self.format(at, if same { "%H:%M:%S" } else { "%m-%d %H:%M" })
  }

  /// The style of a role, dim where the data is old.
  pub fn style(&self, role: Role) -> Style {
    match (self.stale, role) {
      (true, Role::Selected) => self.look.style(Role::Selected),
      (true, _) => self.look.style(Role::Dim),
      _ => self.look.style(role),
    }
  }
}

/// Writes a harmless text from `x` on, never beyond `end`; the column after it.
pub fn put(buf: &mut Buffer, (x, y): (u16, u16), end: u16, text: &str, style: Style) -> u16 {
  let area = buf.area;
  let end = end.min(area.right());
  if y < area.top() || y >= area.bottom() || x >= end || x < area.left() {
    return x;
  }
  let (after, _) = buf.set_stringn(x, y, clean(text), usize::from(end - x), style);
  after
}

/// Writes a text with an ellipsis where it does not fit.
pub fn put_cut(
  buf: &mut Buffer,
  (x, y): (u16, u16),
  end: u16,
  text: &str,
  (style, look): (Style, &Look),
) -> u16 {
  let text = clean(text);
  let shown = cut(&text, usize::from(end.saturating_sub(x)), look.glyphs.ellipsis);
  put(buf, (x, y), end, &shown, style)
}

/// Writes a text that ends at `end`; the column where it begins.
pub fn put_right(
  buf: &mut Buffer,
  (start, y): (u16, u16),
  end: u16,
  text: &str,
  style: Style,
) -> u16 {
  let cells = u16::try_from(width(text)).unwrap_or(u16::MAX);
  let x = end.saturating_sub(cells).max(start);
  put(buf, (x, y), end, text, style);
  x
}

/// Fills an area with blanks.
pub fn clear(buf: &mut Buffer, area: Rect) {
  let area = area.intersection(buf.area);
  for y in area.top()..area.bottom() {
    for x in area.left()..area.right() {
      if let Some(cell) = buf.cell_mut((x, y)) {
        cell.reset();
      }
    }
  }
}

/// The frame of a pane and what its borders say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pane<'a> {
  /// In the upper border.
  pub title: &'a str,
  /// In the lower border, at the right.
  pub note: &'a str,
  /// Has the keys.
  pub focus: bool,
  /// A dialog that wants an answer.
  pub double: bool,
}

impl Pane<'_> {
  /// Draws the frame; the area inside.
  pub fn draw(&self, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Rect {
    let area = area.intersection(buf.area);
    if area.width < 2 || area.height < 2 {
      return Rect { width: 0, height: 0, ..area };
    }
    let glyphs = ctx.look.glyphs;
    let set = if self.double { &glyphs.double } else { &glyphs.frame };
    let style = ctx.style(if self.focus || self.double { Role::Focus } else { Role::Border });
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    for x in area.left() + 1..right {
      put(buf, (x, area.top()), right, set[0], style);
      put(buf, (x, bottom), right, set[0], style);
    }
    for y in area.top() + 1..bottom {
      put(buf, (area.left(), y), area.right(), set[1], style);
      put(buf, (right, y), area.right(), set[1], style);
    }
    let corners =
      [(area.left(), area.top()), (right, area.top()), (area.left(), bottom), (right, bottom)];
    for (at, corner) in corners.into_iter().zip(&set[2..]) {
      put(buf, at, area.right(), corner, style);
    }
    self.words(ctx, area, buf);
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
  }

  fn words(&self, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let room = usize::from(area.width).saturating_sub(4);
    if !self.title.is_empty() && room > 1 {
      let title = clean(self.title);
      let title = format!(" {} ", cut(&title, room.saturating_sub(1), ctx.look.glyphs.ellipsis));
      put(buf, (area.x + 1, area.y), area.right() - 1, &title, ctx.style(Role::Title));
    }
    if !self.note.is_empty() && room > 1 {
      let note = clean(self.note);
      let note = format!(" {} ", cut(&note, room.saturating_sub(1), ctx.look.glyphs.ellipsis));
      let y = area.bottom() - 1;
      put_right(buf, (area.x + 1, y), area.right() - 1, &note, ctx.style(Role::Dim));
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn ctx(look: &Look, millis: i64) -> Ctx<'_> {
    Ctx::new(look, Ts::from_millis(millis), TimeMode::Relative, TimeZone::UTC)
  }

  #[test]
  fn the_next_change_is_when_the_text_would_change() {
    let look = Look::default();
    let frame = ctx(&look, 90_500);
    assert_eq!(frame.age(Ts::from_millis(60_000)), "30s");
    assert_eq!(frame.next_change(), Some(Ts::from_millis(91_000)));
    let frame = ctx(&look, 7_260_000);
    assert_eq!(frame.age(Ts::from_millis(0)), "2h01m");
    assert_eq!(frame.next_change(), Some(Ts::from_millis(7_320_000)));
    let frame = ctx(&look, 1_000);
    assert_eq!(frame.until(Ts::from_millis(30_500)), "29s");
    assert!(frame.next_change().is_some_and(|at| at > Ts::from_millis(1_499)));
    assert_eq!(ctx(&look, 1_000).next_change(), None);
  }

  #[test]
  fn nothing_is_drawn_outside() {
    let look = Look::default();
    let frame = ctx(&look, 0);
    for (width, height) in [(0, 0), (1, 1), (2, 2), (3, 1), (9, 3)] {
      let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
      let pane = Pane { title: "清洗", note: "1 of 2", focus: true, double: false };
      pane.draw(&frame, Rect::new(0, 0, 40, 40), &mut buf);
      put(&mut buf, (50, 50), 60, "x", Style::new());
    }
  }
}
