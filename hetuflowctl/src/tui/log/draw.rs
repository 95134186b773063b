//! The pane as cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::glyph::{Glyph, glyphs, text_of};
use super::layout::LineView;
use super::pane::{LogPane, Seen, State, size};
use super::prompt::Wanted;
use super::target::Which;
use super::times::{Clockwork, TimeMode};
use crate::tui::{Depth, Look, Role, text};

/// Narrower panes have no numbers, and no times.
const NUMBERS_FROM: u16 = 60;
const TIMES_FROM: u16 = 36;

/// Columns before the text.
struct Gutter {
  number: u16,
  time: TimeMode,
  width: u16,
}

impl LogPane {
  /// Draws; also settles where the picture begins, because only now its size is known.
  pub fn draw(&mut self, area: Rect, buf: &mut Buffer, look: &Look) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
      return;
    }
    let inner = if area.height >= 4 && area.width >= 20 {
      Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
    } else {
      area
    };
    for position in inner.positions() {
      buf[position].reset();
    }
    let gutter = self.gutter(inner.width);
    self.draw_inside(inner, buf, look, &gutter);
    if inner != area {
      self.draw_frame(area, buf, look);
    }
  }

  /// Draws the newest lines only: no frame, no numbers.
  pub fn draw_tail(&mut self, area: Rect, buf: &mut Buffer, look: &Look) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
      return;
    }
    for position in area.positions() {
      buf[position].reset();
    }
    let full = self.gutter(area.width);
    let numbers = if full.number > 0 { full.number + 1 } else { 0 };
    let gutter = Gutter { number: 0, time: full.time, width: full.width - numbers };
    self.draw_inside(area, buf, look, &gutter);
  }

  fn draw_inside(&mut self, inner: Rect, buf: &mut Buffer, look: &Look, gutter: &Gutter) {
    let width = inner.width.saturating_sub(gutter.width).max(1);
    self.settle(width, usize::from(inner.height));
    self.draw_lines(inner, buf, look, gutter);
  }

  fn gutter(&self, width: u16) -> Gutter {
    let number = if width >= NUMBERS_FROM {
      text::count(self.store.lines().end.max(999)).len() as u16
    } else {
      0
    };
    let time = if width >= TIMES_FROM { self.options.time } else { TimeMode::None };
    let column = |cells: u16| if cells > 0 { cells + 1 } else { 0 };
    Gutter { number, time, width: 1 + column(number) + column(time.width()) }
  }

  fn draw_lines(&mut self, inner: Rect, buf: &mut Buffer, look: &Look, gutter: &Gutter) {
    let width = inner.width.saturating_sub(gutter.width).max(1);
    let bottom = inner.bottom();
    let first = if self.shown_count() == 0 { self.tail_line() } else { Some(self.top.line) };
    let (mut y, mut skip, mut line) = (inner.y, self.top.row, first);
    let mut seen = Seen { height: inner.height, last: self.top.line, cut_below: false };
    while let Some(number) = line.filter(|_| y < bottom) {
      let view = self.lay_out(number, width);
      let fits = usize::from(bottom - y) >= view.height().saturating_sub(skip);
      if number == self.cursor {
        seen.cut_below = !fits;
      }
      for row in skip..view.height() {
        if y >= bottom {
          break;
        }
        let place = Rect { y, height: 1, ..inner };
        self.draw_row(place, buf, look, &RowOf { number, row, view: &view, gutter });
        y += 1;
      }
      // What stands half in the picture is not yet seen.
      if fits {
        seen.last = number.min(self.store.lines().end.saturating_sub(1));
      }
      (skip, line) = (0, self.after(number));
    }
    self.seen = seen;
    let below = self.new_below();
    if below > 0 && inner.height >= 3 {
      let glyph = look.glyphs.more[1];
      let words =
        format!(" {glyph} {} new lines {} G or F to follow", text::count(below), look.glyphs.dot);
      let place = Rect { y: bottom - 1, height: 1, ..inner };
      for position in place.positions() {
        buf[position].reset();
      }
      put(buf, place, &glyphs(words.as_bytes()), look, |_| look.style(Role::Warn));
    }
    if self.shown_count() == 0 {
      let words = self.why_empty();
      put(buf, Rect { height: 1, ..inner }, &glyphs(words.as_bytes()), look, |_| {
        look.style(Role::Dim)
      });
    }
  }

  fn why_empty(&self) -> String {
    match &self.state {
      _ if self.target.attempts.is_empty() => " no attempt has begun".to_owned(),
      _ if self.filter.is_some() && self.store.lines().end > 0 => {
        " no line passes the filter (Esc clears it)".to_owned()
      }
      State::Reading => " waiting for output".to_owned(),
      State::Offline(why) => format!(" no link: {why}"),
      State::Ended => " no output".to_owned(),
      State::Failed(why) => format!(" {why}"),
    }
  }

  fn draw_row(&self, place: Rect, buf: &mut Buffer, look: &Look, row: &RowOf<'_>) {
    let view = row.view;
    let Some(nth) = row.row.checked_sub(view.notes.len()) else {
      let note = view.notes.get(row.row).map_or(&[][..], |note| note);
      let cells: u16 = note.iter().map(|glyph| u16::from(glyph.width)).sum();
      let room = place.width.saturating_sub(cells).max(1);
      let place = shifted(place, row.gutter.width.min(room));
      return put(buf, place, note, look, |_| look.style(Role::Info));
    };
    let Some(span) = view.span else { return };
    let selected = self.is_selected(row.number);
    let text_place = shifted(place, row.gutter.width);
    if nth == 0 {
      self.draw_gutter(place, buf, look, row);
    } else if row.number == self.cursor {
      put(buf, place, &glyphs(look.glyphs.cursor.as_bytes()), look, |_| look.style(Role::Focus));
    }
    let Some(cells) = view.rows.get(nth) else {
      let after = view.after.as_deref().unwrap_or_default();
      return put(buf, text_place, after, look, |_| look.style(Role::Dim));
    };
    let error = span.stream != hetuflow_core::Stream::Stdout;
    let base = if error { look.style(Role::Bad) } else { look.style(Role::Text) };
    put(
      buf,
      shifted(text_place, cells.indent),
      &view.glyphs[cells.glyphs.clone()],
      look,
      |glyph| {
        let own = fit(glyph.style, look);
        let found = view.found.iter().any(|range| range.contains(&glyph.at));
        match (found, selected) {
          (true, _) => look.style(Role::Match),
          (false, true) => base.patch(own).add_modifier(Modifier::REVERSED),
          (false, false) => base.patch(own),
        }
      },
    );
  }

  fn draw_gutter(&self, place: Rect, buf: &mut Buffer, look: &Look, row: &RowOf<'_>) {
    let Some(span) = row.view.span else { return };
    let (sign, role) = if row.number == self.cursor {
      (look.glyphs.cursor, Role::Focus)
    } else if self.mark == Some(row.number) {
      (look.glyphs.marked, Role::Key)
    } else {
      match span.stream {
        hetuflow_core::Stream::Stdout => (" ", Role::Text),
        hetuflow_core::Stream::Stderr => ("E", Role::Bad),
        hetuflow_core::Stream::System => ("S", Role::Info),
      }
    };
    put(buf, place, &glyphs(sign.as_bytes()), look, |_| look.style(role));
    let mut words = String::new();
    if row.gutter.number > 0 {
      words = text::pad_left(&text::count(row.number + 1), usize::from(row.gutter.number), "");
      words.push(' ');
    }
    if row.gutter.time != TimeMode::None {
      let first_us = self.store.span(self.store.lines().start).map_or(0, |first| first.at_us);
      let before = row.number.checked_sub(1).and_then(|line| self.store.span(line));
      let clockwork = Clockwork { zone: self.zone.clone(), first_us };
      let before_us = before.map_or(span.at_us, |before| before.at_us);
      words.push_str(&clockwork.text(row.gutter.time, span.at_us, before_us));
    }
    put(buf, shifted(place, 1), &glyphs(words.as_bytes()), look, |_| look.style(Role::Dim));
  }

  fn is_selected(&self, line: u64) -> bool {
    self
      .selected_from
      .is_some_and(|from| (from.min(self.cursor)..=from.max(self.cursor)).contains(&line))
  }

  fn draw_frame(&self, area: Rect, buf: &mut Buffer, look: &Look) {
    let [flat, upright, corners @ ..] = look.glyphs.frame;
    let style = look.style(Role::Border);
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    for x in area.x..area.right() {
      buf[(x, area.y)].set_symbol(flat).set_style(style);
      buf[(x, bottom)].set_symbol(flat).set_style(style);
    }
    for y in area.y..area.bottom() {
      buf[(area.x, y)].set_symbol(upright).set_style(style);
      buf[(right, y)].set_symbol(upright).set_style(style);
    }
    let places = [(area.x, area.y), (right, area.y), (area.x, bottom), (right, bottom)];
    for (place, corner) in places.into_iter().zip(corners) {
      buf[place].set_symbol(corner);
    }
    let dot = look.glyphs.dot;
    let title = format!(" {} ", self.title().join(&format!(" {dot} ")));
    let inside = Rect { x: area.x + 1, width: area.width - 2, height: 1, y: area.y };
    put(buf, inside, &glyphs(title.as_bytes()), look, |_| look.style(Role::Title));
    let sums = format!(" {} ", self.sums().join(&format!(" {dot} ")));
    let cells = text::width(&sums) as u16;
    if cells <= inside.width {
      let place = Rect { x: right - cells, width: cells, height: 1, y: bottom };
      put(buf, place, &glyphs(sums.as_bytes()), look, |_| look.style(Role::Dim));
    }
  }

  fn title(&self) -> Vec<String> {
    let mut words = vec!["log".to_owned()];
    match self.which {
      Which::All => words.push("all attempts".to_owned()),
      which => {
        let chosen = self.target.chosen(which).first();
        words.extend(chosen.map(|attempt| format!("attempt {}", attempt.number)));
      }
    }
    words.push(
      self
        .options
        .stream
        .map_or("both", |stream| match stream {
          hetuflow_core::Stream::Stdout => "stdout",
          _ => "stderr",
        })
        .to_owned(),
    );
    words.extend(self.options.level.map(|level| format!("{} and worse", level.name())));
    if let (Some(text), Some(filter)) = (&self.options.filter, &self.filter) {
      words.push(format!("& {text} ±{}", filter.context()));
    }
    let below = self.new_below();
    words.push(match &self.state {
      _ if below > 0 => format!("follow off, {} new below", text::count(below)),
      _ if !self.options.follow => "follow off".to_owned(),
      State::Reading => "following".to_owned(),
      State::Offline(_) => "no link, trying again".to_owned(),
      State::Ended => "ended".to_owned(),
      State::Failed(_) => "broken off".to_owned(),
    });
    words
  }

  fn sums(&self) -> Vec<String> {
    let lines = self.store.lines();
    let mut words = match &self.filter {
      Some(filter) => vec![format!(
        "{} of {} lines",
        text::count(filter.shown().len() as u64),
        text::count(lines.end - lines.start)
      )],
      None => vec![format!("{} lines", text::count(lines.end - lines.start))],
    };
    let index = self.store.index();
    words.push(size(index.end() - index.begin()));
    words.push(if self.lost == 0 {
      "0 lost".to_owned()
    } else {
      format!("{} LOST", size(self.lost))
    });
    if index.begin() > 0 {
      words.push(format!("oldest {} let go here", size(index.begin())));
    }
    words
  }

  /// The line above the footer: what is typed, what was found, what was said.
  pub fn status(&self) -> String {
    if let Some(prompt) = &self.prompt {
      let found = if prompt.wanted == Wanted::Search { self.found() } else { String::new() };
      return shown(&format!("{} {}▏ {found}", prompt.wanted.sign(), prompt.text));
    }
    if let Some(message) = &self.message {
      return shown(message);
    }
    match &self.search {
      Some((text, _)) => shown(&format!("/ {text}  {}", self.found())),
      None => self.where_we_are(),
    }
  }

  fn where_we_are(&self) -> String {
    let Some(span) = self.store.span(self.cursor) else { return String::new() };
    let stream = match span.stream {
      hetuflow_core::Stream::Stdout => "stdout",
      hetuflow_core::Stream::Stderr => "stderr",
      hetuflow_core::Stream::System => "agent",
    };
    format!("line {} · {stream} · {}", text::count(self.cursor + 1), size(span.len()))
  }

  fn found(&self) -> String {
    let Some((_, find)) = &self.search else { return String::new() };
    let all = self.store.lines().end - self.store.lines().start;
    let count = text::count(find.count() as u64);
    let nth = match find.has(self.cursor) {
      true => format!(" · {} of {count}", text::count(find.rank(self.cursor) as u64 + 1)),
      false => String::new(),
    };
    let progress = match (find.is_done(), find.took()) {
      (true, Some(took)) => format!(
        "searched {} of {} lines in {:.1}s",
        text::count(find.searched()),
        text::count(all),
        took.as_secs_f64()
      ),
      _ => format!("{} % searched", find.searched() * 100 / all.max(1)),
    };
    format!("{count} matching lines{nth} · {progress}")
  }

  /// The keys that matter now.
  pub fn footer(&self) -> String {
    if self.prompt.is_some() {
      return "↵ take  Esc give up  ↑ earlier".to_owned();
    }
    let mut keys =
      vec![if self.options.wrap { "←→ attempt" } else { "←→ sideways  <> attempt" }];
    keys.push("F follow");
    keys.push("/ search");
    if self.search.is_some() {
      keys.push("n N next");
    }
    if self.options.filter.is_some() {
      keys.push("+ - context");
    }
    if self.selected_from.is_some() {
      keys.push("y copy");
    }
    keys.extend([
      "& filter", "t time", "w wrap", "S L J", "v select", "e export", "| pipe", "o pager",
    ]);
    keys.join("  ")
  }
}

/// What a row of the screen belongs to.
struct RowOf<'a> {
  number: u64,
  row: usize,
  view: &'a LineView,
  gutter: &'a Gutter,
}

fn shifted(place: Rect, cells: u16) -> Rect {
  let cells = cells.min(place.width);
  Rect { x: place.x + cells, width: place.width - cells, ..place }
}

fn shown(text: &str) -> String {
  text_of(&glyphs(text.as_bytes()))
}

/// Puts characters into one row; what does not fit is left out.
fn put(
  buf: &mut Buffer,
  place: Rect,
  glyphs: &[Glyph],
  look: &Look,
  style: impl Fn(&Glyph) -> Style,
) {
  let mut x = place.x;
  for glyph in glyphs {
    let width = u16::from(glyph.width);
    if width == 0 {
      continue;
    }
    if x + width > place.right() {
      // Half of a wide character would push everything behind it.
      if x < place.right() {
        buf[(x, place.y)].set_char(' ').set_style(style(glyph));
      }
      return;
    }
    let base = if look.is_ascii() { plain(glyph.base) } else { glyph.base };
    let cell = &mut buf[(x, place.y)];
    match &glyph.marks {
      Some(marks) => cell.set_symbol(&format!("{base}{marks}")),
      None => cell.set_char(base),
    };
    cell.set_style(style(glyph));
    if width == 2 {
      buf[(x + 1, place.y)].reset();
    }
    x += width;
  }
}

/// Our own signs for terminals that have none of them.
fn plain(c: char) -> char {
  match c {
    '␛' | '␍' => '^',
    '·' => '.',
    '…' => '~',
    '─' => '-',
    '±' => '+',
    c => c,
  }
}

/// The task's colours, as far as the terminal has them.
fn fit(style: Style, look: &Look) -> Style {
  let keep = |color: Color| match (look.depth, color) {
    (Depth::None, _) => None,
    (Depth::Ansi, Color::Indexed(16..) | Color::Rgb(..)) => None,
    (Depth::Indexed, Color::Rgb(r, g, b)) => {
      let six = |part: u8| (u16::from(part) * 5 + 127) / 255;
      Some(Color::Indexed((16 + 36 * six(r) + 6 * six(g) + six(b)) as u8))
    }
    (_, color) => Some(color),
  };
  Style { fg: style.fg.and_then(keep), bg: style.bg.and_then(keep), ..style }
}
