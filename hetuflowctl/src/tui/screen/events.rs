//! Events: what happened, newest first, and the JSON of the one under the cursor.

use hetuflow_core::EventRow;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Ctx, Pane, put_cut};
use crate::tui::look::Role;
use crate::tui::model::Model;
use crate::tui::store::{Entry, Row};
use crate::tui::text::count;
use crate::tui::widget::table::Column;

fn event(entry: &Entry) -> Option<&EventRow> {
  match &entry.row {
    Row::Event(event) => Some(event),
    _ => None,
  }
}

macro_rules! cell {
  (|$ctx:ident, $event:ident| $body:expr) => {
    |$ctx, entry| match event(entry) {
      Some($event) => $body,
      None => (String::new(), Role::Text),
    }
  };
}

/// The columns, from left to right.
pub static COLUMNS: &[Column] = &[
  Column {
    name: "SEQ",
    sort: "",
    width: 9,
    grow: 0,
    priority: 4,
    right: true,
    cell: cell!(|_ctx, event| (count(event.seq.max(0) as u64), Role::Dim)),
  },
  Column {
    name: "TIME",
    sort: "",
    width: 12,
    grow: 0,
    priority: 2,
    right: false,
    cell: cell!(|ctx, event| (ctx.format(event.change.at, "%H:%M:%S%.3f"), Role::Text)),
  },
  Column {
    name: "TYPE",
    sort: "",
    width: 17,
    grow: 0,
    priority: 0,
    right: false,
    cell: cell!(|_ctx, event| (event.change.event_type.clone(), role(event))),
  },
  Column {
    name: "OBJECT",
    sort: "",
    width: 14,
    grow: 1,
    priority: 1,
    right: false,
    cell: cell!(|_ctx, event| (event.name.clone(), Role::Text)),
  },
  Column {
    name: "DETAIL",
    sort: "",
    width: 12,
    grow: 2,
    priority: 3,
    right: false,
    cell: cell!(|_ctx, event| (event.detail.clone(), Role::Text)),
  },
];

/// How an event is coloured.
pub fn role(event: &EventRow) -> Role {
  let kind = event.change.event_type.as_str();
  let ends = |words: &[&str]| words.iter().any(|word| kind.ends_with(word));
  if ends(&[".failed", ".lost", ".timeout", ".error", ".offline"]) {
    Role::Bad
  } else if ends(&[".retry", ".waiting_retry", ".cancelled", ".late", ".cordoned", ".unreachable"])
  {
    Role::Warn
  } else if ends(&[".succeeded", ".online", ".connected"]) {
    Role::Good
  } else {
    Role::Info
  }
}

/// Draws the JSON of the event under the cursor.
pub fn preview(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some((_, entry)) = model.current() else {
    Pane::default().draw(ctx, area, buf);
    return;
  };
  let title = event(entry)
    .map(|event| format!("{} {}", count(event.seq.max(0) as u64), event.change.event_type))
    .unwrap_or_default();
  let inside = Pane { title: &title, ..Pane::default() }.draw(ctx, area, buf);
  let text = serde_json::to_string_pretty(&entry.raw).unwrap_or_default();
  let lines: Vec<&str> = text.lines().collect();
  let fits = lines.len() <= usize::from(inside.height);
  let compact = entry.raw.to_string();
  let wrapped = wrap(&compact, usize::from(inside.width).saturating_sub(2));
  let shown: Vec<&str> = if fits { lines } else { wrapped.iter().map(String::as_str).collect() };
  for (at, line) in shown.into_iter().take(usize::from(inside.height)).enumerate() {
    let y = inside.y + u16::try_from(at).unwrap_or(0);
    put_cut(buf, (inside.x + 1, y), inside.right(), line, (ctx.style(Role::Text), ctx.look));
  }
}

fn wrap(text: &str, cells: usize) -> Vec<String> {
  let mut lines = vec![String::new()];
  let mut used = 0;
  for c in text.chars() {
    let wide = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
    if used + wide > cells.max(1) {
      lines.push(String::new());
      used = 0;
    }
    used += wide;
    if let Some(line) = lines.last_mut() {
      line.push(c);
    }
  }
  lines
}

/// The line below the list.
pub fn status(model: &Model, ctx: &Ctx<'_>) -> String {
  let Some(view) = model.list_view() else { return String::new() };
  let dot = ctx.look.glyphs.dot;
  let held =
    match (model.list().is_some_and(|list| list.frozen.is_some()), model.store.view("events")) {
      (true, Some(live)) => {
        format!(" {dot} {} waiting", count(live.merged.saturating_sub(view.merged)))
      }
      _ => String::new(),
    };
  let holes = count(model.store.holes);
  format!("{} of {} events {dot} {holes} gaps{held}", count(view.matched), count(view.total))
}
