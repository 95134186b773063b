//! Draws what lies over a screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::act::Plan;
use super::draw::{Ctx, Pane, clear, put, put_cut, put_right};
use super::find;
use super::keys::{Group, TABLE};
use super::look::Role;
use super::model::{Hit, Model};
use super::overlay::{Menu, MenuKind, Overlay, Reading};
use super::text::{pad, width};
use super::widget::input::Input;

/// Draws the topmost overlay; where the cursor stands.
pub fn draw(model: &mut Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Option<Position> {
  let overlay = model.overlays.last().cloned()?;
  match &overlay {
    Overlay::Help { input, top } => Some(help(model, ctx, (input, *top), area, buf)),
    Overlay::Menu(menu) => {
      let shows = matches!(menu.kind, MenuKind::Find | MenuKind::Actions);
      let choice = menu.chosen().map(|item| item.value.clone()).filter(|_| shows);
      let command = choice.and_then(|choice| find::command(model, &choice));
      let (cursor, hits) = menu_box(ctx, (menu, command), area, buf);
      model.hits.extend(hits);
      Some(cursor)
    }
    Overlay::Confirm { plan, input } => confirm(model, ctx, (plan, input), area, buf),
    Overlay::Reading(reading) => {
      read(ctx, reading, area, buf);
      None
    }
  }
}

/// A box of a size in the middle of the screen, emptied.
fn center(area: Rect, width: u16, height: u16, buf: &mut Buffer) -> Rect {
  let (width, height) = (width.min(area.width), height.min(area.height));
  let place = Rect {
    x: area.x + (area.width - width) / 2,
    y: area.y + (area.height - height) / 2,
    width,
    height,
  };
  // A wide character half under the box would be torn.
  clear(buf, place);
  if place.x > area.x {
    for y in place.top()..place.bottom() {
      if let Some(cell) = buf.cell_mut((place.x - 1, y))
        && super::text::width(cell.symbol()) > 1
      {
        cell.reset();
      }
    }
  }
  place
}

fn line(ctx: &Ctx<'_>, input: &Input, place: Rect, buf: &mut Buffer) -> Position {
  let x = put(buf, (place.x, place.y), place.right(), "> ", ctx.style(Role::Key));
  let room = usize::from(place.right().saturating_sub(x)).max(1);
  let text = input.text();
  let skip = (input.cursor() + 1).saturating_sub(room);
  let mut gone = 0;
  let shown: String = text
    .chars()
    .skip_while(|c| {
      let cells = unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
      let skips = gone + cells <= skip && skip > 0;
      gone += if skips { cells } else { 0 };
      skips
    })
    .collect();
  put(buf, (x, place.y), place.right(), &shown, ctx.style(Role::Text));
  let cells = u16::try_from(input.cursor().saturating_sub(gone)).unwrap_or(0);
  Position::new((x + cells).min(place.right().saturating_sub(1)).max(place.x), place.y)
}

fn menu_box(
  ctx: &Ctx<'_>,
  (menu, command): (&Menu, Option<String>),
  area: Rect,
  buf: &mut Buffer,
) -> (Position, Vec<(Rect, Hit)>) {
  let found = menu.matching();
  let shows = matches!(menu.kind, MenuKind::Find | MenuKind::Actions);
  let around = if shows { 6 } else { 4 };
  let height = u16::try_from(menu.items.len()).unwrap_or(99).saturating_add(around).clamp(8, 22);
  let place = center(area, if area.width >= 120 { 100 } else { 68 }, height, buf);
  let note = match menu.kind {
    MenuKind::Command => "Tab complete · Ret run · ^Y copy · Esc",
    MenuKind::Find | MenuKind::Actions => "Tab complete · Ret choose · ^Y copy command · Esc",
    _ => "Tab complete · Ret choose · Esc",
  };
  let note = note.replace("Ret", ctx.look.glyphs.enter).replace('·', ctx.look.glyphs.dot);
  let pane = Pane { title: &menu.title, note: &note, focus: true, double: false };
  let inside = pane.draw(ctx, place, buf);
  let input = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
  let cursor = line(ctx, &menu.input, input, buf);
  let shows = shows && inside.height > 8;
  let rows = usize::from(inside.height.saturating_sub(if shows { 4 } else { 2 }));
  if let Some(command) = command.filter(|_| shows) {
    let place = (inside.x + 1, inside.bottom() - 1);
    let words = format!("same as: {command}");
    put_cut(buf, place, inside.right(), &words, (ctx.style(Role::Info), ctx.look));
  }
  let at = menu.at.min(found.len().saturating_sub(1));
  let first = (at + 1).saturating_sub(rows);
  let mut hits = Vec::new();
  if found.is_empty() && rows > 0 {
    put(buf, (inside.x + 1, inside.y + 2), inside.right(), "nothing matches", ctx.style(Role::Dim));
  }
  for (number, item) in found.iter().enumerate().skip(first).take(rows) {
    let y = inside.y + 2 + u16::try_from(number - first).unwrap_or(0);
    let row = Rect { y, height: 1, ..inside };
    let lead = if number == at { ctx.look.glyphs.cursor } else { " " };
    let x = put(buf, (inside.x, y), inside.right(), lead, ctx.style(Role::Focus));
    let note_at = put_right(
      buf,
      (x, y),
      inside.right().saturating_sub(1),
      &super::text::cut(&super::text::clean(&item.note), 40, ctx.look.glyphs.ellipsis),
      ctx.style(Role::Dim),
    );
    clear(buf, Rect { x, y, width: note_at.saturating_sub(x), height: 1 });
    put_cut(buf, (x, y), note_at.saturating_sub(1), &item.text, (ctx.style(Role::Text), ctx.look));
    if number == at {
      buf.set_style(row.intersection(buf.area), ctx.look.style(Role::Selected));
    }
    hits.push((row, Hit::Choice(number)));
  }
  (cursor, hits)
}

fn confirm(
  model: &Model,
  ctx: &Ctx<'_>,
  (plan, input): (&Plan, &Input),
  area: Rect,
  buf: &mut Buffer,
) -> Option<Position> {
  let targets = plan.targets.len().min(8);
  let height = u16::try_from(targets).unwrap_or(8) + 10;
  let title = plan.title(&model.site.title);
  let place = center(area, 78, height, buf);
  let inside = Pane { title: &title, note: "", focus: true, double: true }.draw(ctx, place, buf);
  let mut y = inside.y;
  let mut say = |text: &str, role: Role, buf: &mut Buffer| {
    if y < inside.bottom() {
      put_cut(buf, (inside.x + 1, y), inside.right(), text, (ctx.style(role), ctx.look));
    }
    y += 1;
  };
  for target in plan.targets.iter().take(8) {
    let label = pad(&super::text::clean(&target.label), 14, ctx.look.glyphs.ellipsis);
    say(&format!("{label} {}", target.detail), Role::Text, buf);
  }
  if plan.targets.len() > 8 {
    say(&format!("{} {} more", ctx.look.glyphs.ellipsis, plan.targets.len() - 8), Role::Text, buf);
  }
  say("", Role::Text, buf);
  say("The set is fixed since the key was pressed.", Role::Dim, buf);
  say(plan.verb.explains(), Role::Text, buf);
  say("", Role::Text, buf);
  say(&format!("same as: {}", plan.command()), Role::Info, buf);
  let last = Rect {
    x: inside.x + 1,
    y: inside.bottom().saturating_sub(1),
    width: inside.width.saturating_sub(2),
    height: 1,
  };
  if inside.height == 0 {
    return None;
  }
  clear(buf, last);
  match &plan.word {
    Some(word) => {
      let words = format!("type  {word}  and Return to go on, Esc to keep: ");
      let x = put(buf, (last.x, last.y), last.right(), &words, ctx.style(Role::Warn));
      put(buf, (x, last.y), last.right(), input.text(), ctx.style(Role::Text));
      let cells = u16::try_from(input.cursor()).unwrap_or(0);
      Some(Position::new(x.saturating_add(cells).min(last.right().saturating_sub(1)), last.y))
    }
    None => {
      put_right(
        buf,
        (last.x, last.y),
        last.right(),
        "[y] do it   [Esc] keep",
        ctx.style(Role::Key),
      );
      None
    }
  }
}

fn read(ctx: &Ctx<'_>, reading: &Reading, area: Rect, buf: &mut Buffer) {
  let longest = reading.lines.iter().map(|line| width(line)).max().unwrap_or(0) + 4;
  let cells = u16::try_from(longest).unwrap_or(u16::MAX).clamp(60, area.width.max(60));
  let rows = u16::try_from(reading.lines.len()).unwrap_or(u16::MAX).saturating_add(2);
  let place = center(area, cells, rows.clamp(6, area.height.saturating_sub(2).max(6)), buf);
  let shape = if reading.json { "J YAML" } else { "J JSON" };
  let dot = ctx.look.glyphs.dot;
  let shape = if reading.raw.is_null() { String::new() } else { format!("{shape} {dot} ") };
  let note = format!("{shape}y copy {dot} Esc");
  let inside =
    Pane { title: &reading.title, note: &note, focus: true, double: false }.draw(ctx, place, buf);
  for (at, text) in
    reading.lines.iter().skip(reading.top).take(usize::from(inside.height)).enumerate()
  {
    let y = inside.y + u16::try_from(at).unwrap_or(0);
    put_cut(buf, (inside.x + 1, y), inside.right(), text, (ctx.style(Role::Text), ctx.look));
  }
}

/// One line of the help.
type HelpLine = (String, Role);

fn help_lines(model: &Model, ctx: &Ctx<'_>, query: &str) -> Vec<HelpLine> {
  let place = model.screen.place();
  let enter = ctx.look.glyphs.enter;
  let wanted = query.to_lowercase();
  let mut lines: Vec<HelpLine> = Vec::new();
  for group in Group::ALL {
    if group == Group::Acting && model.site.read_only {
      continue;
    }
    let rows = TABLE.iter().filter(|row| row.group == group);
    let rows = rows.filter(|row| !wanted.is_empty() || row.place.meets(place));
    let found: Vec<HelpLine> = rows
      .map(|row| (pad(&model.keys.labels(row.action, enter), 12, ""), row))
      .filter(|(keys, row)| {
        let text = format!("{keys} {} {} {}", row.name, row.hint, row.help).to_lowercase();
        wanted.is_empty() || text.contains(&wanted)
      })
      .map(|(keys, row)| (format!("{keys} {}", row.help), Role::Text))
      .collect();
    if !found.is_empty() {
      lines.push((group.title().to_owned(), Role::Title));
      lines.extend(found);
      lines.push((String::new(), Role::Text));
    }
  }
  if wanted.is_empty() {
    lines.extend(closing_lines(ctx));
  }
  lines
}

fn closing_lines(ctx: &Ctx<'_>) -> Vec<HelpLine> {
  let states = hetuflow_core::TaskStatus::ALL
    .iter()
    .map(|status| format!("{} {}", ctx.look.task(*status).0, super::look::task_word(*status)));
  let states: Vec<String> = states.collect();
  let mut lines = vec![("STATES".to_owned(), Role::Title)];
  lines.extend(states.chunks(5).map(|row| (row.join("  "), Role::Text)));
  let texts = [
    "",
    "FILTER  state=failed,waiting_retry job~^etl agent=worker-* age<10m run>30s exit=137",
    "        label.tier=gold \"free text\" !word",
    "",
    "No lower-case key changes the server; every change asks, and its ids are fixed",
    "when the key is pressed. Keys: ~/.config/hetuflow/keys.toml, tui --print-keys",
  ];
  lines.extend(texts.map(|text| (text.to_owned(), Role::Dim)));
  lines
}

fn help(
  model: &Model,
  ctx: &Ctx<'_>,
  (input, top): (&Input, usize),
  area: Rect,
  buf: &mut Buffer,
) -> Position {
  let lines = help_lines(model, ctx, input.text());
  let columns: usize = if area.width >= 150 { 2 } else { 1 };
  let place = center(area, if columns == 2 { 140 } else { 76 }, area.height.saturating_sub(2), buf);
  let dot = ctx.look.glyphs.dot;
  let title = format!("Help {dot} {} {dot} type to search, Esc closes", model.screen.title());
  let note = format!("{} keys {dot} hetuflowctl tui --print-keys", TABLE.len());
  let inside =
    Pane { title: &title, note: &note, focus: true, double: false }.draw(ctx, place, buf);
  let search = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
  let cursor = line(ctx, input, search, buf);
  let rows = usize::from(inside.height.saturating_sub(2));
  let top = top.min(lines.len().saturating_sub(rows * columns));
  let wide = inside.width / u16::try_from(columns).unwrap_or(1);
  for (at, (text, role)) in lines.iter().skip(top).take(rows * columns).enumerate() {
    let column = u16::try_from(at / rows.max(1)).unwrap_or(0);
    let y = inside.y + 2 + u16::try_from(at % rows.max(1)).unwrap_or(0);
    let x = inside.x + 1 + column * wide;
    put_cut(
      buf,
      (x, y),
      (x + wide).saturating_sub(2).min(inside.right()),
      text,
      (ctx.style(*role), ctx.look),
    );
  }
  cursor
}
