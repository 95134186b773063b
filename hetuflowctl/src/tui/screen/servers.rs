//! Servers: who serves, how many agents each holds, and the figures of the one that answers.

use hetuflow_core::{ServerRow, ServerStatus};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Ctx, Pane, put_cut};
use crate::tui::look::Role;
use crate::tui::model::Model;
use crate::tui::store::{Entry, Row};
use crate::tui::text::{count, pad};
use crate::tui::widget::table::{CellText, Column};

fn server(entry: &Entry) -> Option<&ServerRow> {
  match &entry.row {
    Row::Server(server) => Some(server),
    _ => None,
  }
}

macro_rules! cell {
  (|$ctx:ident, $server:ident| $body:expr) => {
    |$ctx, entry| match server(entry) {
      Some($server) => $body,
      None => (String::new(), Role::Text),
    }
  };
}

/// The columns, from left to right.
pub static COLUMNS: &[Column] = &[
  Column {
    name: "SERVER",
    sort: "",
    width: 14,
    grow: 1,
    priority: 0,
    right: false,
    cell: cell!(|ctx, server| name(ctx, server)),
  },
  Column {
    name: "STATE",
    sort: "",
    width: 10,
    grow: 0,
    priority: 1,
    right: false,
    cell: cell!(|ctx, server| state(ctx, server)),
  },
  Column {
    name: "VERSION",
    sort: "",
    width: 9,
    grow: 0,
    priority: 4,
    right: false,
    cell: cell!(|_ctx, server| (server.version.clone(), Role::Text)),
  },
  Column {
    name: "UP",
    sort: "",
    width: 7,
    grow: 0,
    priority: 3,
    right: true,
    cell: cell!(|ctx, server| (ctx.age(server.started_at), Role::Text)),
  },
  Column {
    name: "BEAT",
    sort: "",
    width: 5,
    grow: 0,
    priority: 5,
    right: true,
    cell: cell!(|ctx, server| (ctx.age_brief(server.last_heartbeat_at), Role::Text)),
  },
  Column {
    name: "AGENTS",
    sort: "",
    width: 6,
    grow: 0,
    priority: 2,
    right: true,
    cell: cell!(|_ctx, server| (count(u64::from(server.agents)), Role::Text)),
  },
  Column {
    name: "ADDRESS",
    sort: "",
    width: 16,
    grow: 2,
    priority: 6,
    right: false,
    cell: cell!(|_ctx, server| (server.address.clone(), Role::Dim)),
  },
];

fn name(ctx: &Ctx<'_>, server: &ServerRow) -> CellText {
  let star = if server.figures.is_empty() { " " } else { ctx.look.glyphs.star };
  (format!("{star} {}", server.id), Role::Text)
}

fn state(ctx: &Ctx<'_>, server: &ServerRow) -> CellText {
  let glyphs = ctx.look.glyphs;
  match server.status {
    ServerStatus::Active => (format!("{} ok", glyphs.succeeded), Role::Good),
    ServerStatus::Draining => (format!("{} draining", glyphs.paused), Role::Warn),
    ServerStatus::Inactive => (format!("{} lost", glyphs.attention), Role::Bad),
  }
}

/// Draws the figures of the server under the cursor, and what is known of the link.
pub fn preview(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let current = model.current().and_then(|(_, entry)| server(entry));
  let title = current.map(|server| server.id.to_string()).unwrap_or_default();
  let inside = Pane { title: &title, ..Pane::default() }.draw(ctx, area, buf);
  let mut lines: Vec<CellText> = Vec::new();
  if let Some(server) = current {
    if server.figures.is_empty() {
      lines.push(("no figures: another server answers here".to_owned(), Role::Dim));
    }
    let cells: Vec<String> = server
      .figures
      .iter()
      .map(|(name, value)| format!("{} {}", pad(name, 24, ""), figure(*value)))
      .collect();
    let per = (usize::from(inside.width) / 40).max(1);
    lines.extend(cells.chunks(per).map(|row| {
      let row: Vec<String> = row.iter().map(|cell| pad(cell, 38, "")).collect();
      (row.join("  ").trim_end().to_owned(), Role::Text)
    }));
  }
  let dot = ctx.look.glyphs.dot;
  let mut link = vec![
    format!("link: {} frames", count(model.store.frames)),
    format!("{} gaps", count(model.store.holes)),
  ];
  link.extend(model.link.rtt_ms.map(|ms| format!("{ms:.0}ms there and back")));
  if let Some(skew) = model.link.skew().filter(|skew| skew.abs() > 500_000) {
    link.push(format!("the clock of this machine is {:+.1}s off", -(skew as f64) / 1e6));
  }
  link.extend(
    model
      .link
      .journal
      .as_ref()
      .map(|(_, seq)| format!("journal at {}", count((*seq).max(0) as u64))),
  );
  lines.push((link.join(&format!(" {dot} ")), Role::Dim));
  for (at, (text, role)) in lines.into_iter().take(usize::from(inside.height)).enumerate() {
    let y = inside.y + u16::try_from(at).unwrap_or(0);
    put_cut(buf, (inside.x + 1, y), inside.right(), &text, (ctx.style(role), ctx.look));
  }
}

fn figure(value: f64) -> String {
  if value.fract() == 0.0 && value.abs() < 1e15 {
    let sign = if value < 0.0 { "-" } else { "" };
    return format!("{sign}{}", count(value.abs() as u64));
  }
  format!("{value:.2}")
}

/// The line below the list.
pub fn status(model: &Model, ctx: &Ctx<'_>) -> String {
  let dot = ctx.look.glyphs.dot;
  let servers = model
    .overview()
    .map(|overview| format!("{} of {} servers up", overview.servers_up, overview.servers));
  let epoch = model.link.journal.as_ref().map(|(epoch, _)| format!("epoch {epoch}"));
  let parts: Vec<String> = servers.into_iter().chain(epoch).collect();
  parts.join(&format!(" {dot} "))
}
