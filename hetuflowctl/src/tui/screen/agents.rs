//! Agents: how full, how loaded, how alive.

use hetuflow_core::AgentRow;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Ctx, Pane, put_cut};
use crate::tui::look::Role;
use crate::tui::model::Model;
use crate::tui::store::{Entry, Row};
use crate::tui::text::{count, pad};
use crate::tui::widget::chart::bar;
use crate::tui::widget::table::{CellText, Column};

fn agent(entry: &Entry) -> Option<&AgentRow> {
  match &entry.row {
    Row::Agent(agent) => Some(agent),
    _ => None,
  }
}

macro_rules! cell {
  (|$ctx:ident, $agent:ident| $body:expr) => {
    |$ctx, entry| match agent(entry) {
      Some($agent) => $body,
      None => (String::new(), Role::Text),
    }
  };
}

/// The columns, from left to right.
pub static COLUMNS: &[Column] = &[
  Column {
    name: "AGENT",
    sort: "name",
    width: 12,
    grow: 2,
    priority: 0,
    right: false,
    cell: cell!(|_ctx, agent| (agent.id.to_string(), Role::Text)),
  },
  Column {
    name: "STATE",
    sort: "state",
    width: 10,
    grow: 0,
    priority: 1,
    right: false,
    cell: cell!(|ctx, agent| state(ctx, agent)),
  },
  Column {
    name: "SLOTS",
    sort: "running",
    width: 17,
    grow: 0,
    priority: 2,
    right: false,
    cell: cell!(|ctx, agent| slots(ctx, agent)),
  },
  Column {
    name: "CPU",
    sort: "cpu",
    width: 4,
    grow: 0,
    priority: 4,
    right: true,
    cell: cell!(|ctx, agent| percent(ctx, agent.cpu_percent)),
  },
  Column {
    name: "MEM",
    sort: "memory",
    width: 4,
    grow: 0,
    priority: 5,
    right: true,
    cell: cell!(|ctx, agent| percent(ctx, agent.memory_percent)),
  },
  Column {
    name: "BEAT",
    sort: "age",
    width: 5,
    grow: 0,
    priority: 3,
    right: true,
    cell: cell!(|ctx, agent| beat(ctx, agent)),
  },
  Column {
    name: "VERSION",
    sort: "",
    width: 8,
    grow: 0,
    priority: 8,
    right: false,
    cell: cell!(|_ctx, agent| (agent.version.clone(), Role::Dim)),
  },
  Column {
    name: "LABELS",
    sort: "",
    width: 10,
    grow: 3,
    priority: 6,
    right: false,
    cell: cell!(|_ctx, agent| (labels(agent), Role::Dim)),
  },
  Column {
    name: "WHY",
    sort: "",
    width: 10,
    grow: 2,
    priority: 7,
    right: false,
    cell: cell!(|_ctx, agent| (agent.why.clone(), Role::Warn)),
  },
];

fn state(ctx: &Ctx<'_>, agent: &AgentRow) -> CellText {
  let (glyph, word, role) = ctx.look.agent(agent.status, agent.cordoned);
  (format!("{glyph} {word}"), role)
}

/// A bar of used slots and the numbers.
pub fn slots(ctx: &Ctx<'_>, agent: &AgentRow) -> CellText {
  let cells = bar(ctx.look.glyphs, f64::from(agent.running), f64::from(agent.slots), 10);
  (format!("{} {}/{}", pad(&cells, 10, ""), agent.running, agent.slots), Role::Text)
}

fn percent(ctx: &Ctx<'_>, value: Option<f64>) -> CellText {
  match value {
    Some(value) if value >= 90.0 => (format!("{value:.0}%"), Role::Warn),
    Some(value) => (format!("{value:.0}%"), Role::Text),
    None => (ctx.look.glyphs.none.to_owned(), Role::Dim),
  }
}

fn beat(ctx: &Ctx<'_>, agent: &AgentRow) -> CellText {
  match agent.last_heartbeat_at {
    Some(at) => (ctx.age_brief(at), Role::Text),
    None => (ctx.look.glyphs.none.to_owned(), Role::Dim),
  }
}

fn labels(agent: &AgentRow) -> String {
  let own = agent.labels.iter().filter(|(key, _)| !hetuflow_core::is_measured_label(key));
  let words: Vec<String> = own.map(|(key, value)| format!("{key}={value}")).collect();
  words.join(" ")
}

/// Draws all that is known of the agent under the cursor.
pub fn preview(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some(agent) = model.current().and_then(|(_, entry)| agent(entry)) else {
    Pane::default().draw(ctx, area, buf);
    return;
  };
  let dot = ctx.look.glyphs.dot;
  let title = format!(
    "{} {dot} v{} {dot} {} {dot} {}",
    agent.id, agent.version, agent.hostname, agent.os_info
  );
  let inside = Pane { title: &title, ..Pane::default() }.draw(ctx, area, buf);
  let (glyph, word, role) = ctx.look.agent(agent.status, agent.cordoned);
  let beat = agent
    .last_heartbeat_at
    .map(|at| format!("  last sign {} ago", ctx.age(at)))
    .unwrap_or_default();
  let mut lines: Vec<CellText> = vec![(format!("{glyph} {word}{beat}"), role)];
  for (name, value) in [("cpu", agent.cpu_percent), ("mem", agent.memory_percent)] {
    let Some(value) = value else { continue };
    let cells = usize::from(inside.width).saturating_sub(12).min(32);
    let role = if value >= 90.0 { Role::Warn } else { Role::Text };
    lines.push((
      format!("{name}  {} {value:.0}%", pad(&bar(ctx.look.glyphs, value, 100.0, cells), cells, "")),
      role,
    ));
  }
  let free = agent.slots.saturating_sub(agent.running);
  lines.push((format!("slots {}/{} {dot} {free} free", agent.running, agent.slots), Role::Text));
  if !agent.task_types.is_empty() {
    lines.push((format!("runs {}", agent.task_types.join(" ")), Role::Text));
  }
  let labels = labels(agent);
  if !labels.is_empty() {
    lines.push((format!("labels {labels}"), Role::Text));
  }
  let mut link = vec![format!("connections {}", count(agent.connections.max(0) as u64))];
  link.extend(agent.clock_offset_ms.map(|ms| format!("clock {:+}ms", ms.round() as i64)));
  link.extend(agent.server_id.as_ref().map(|id| format!("on {id}")));
  lines.push((link.join(&format!(" {dot} ")), Role::Dim));
  if !agent.why.is_empty() {
    lines.insert(1, (format!("why: {}", agent.why), Role::Warn));
  }
  for (at, (text, role)) in lines.into_iter().take(usize::from(inside.height)).enumerate() {
    let y = inside.y + u16::try_from(at).unwrap_or(0);
    put_cut(buf, (inside.x + 1, y), inside.right(), &text, (ctx.style(role), ctx.look));
  }
}

/// The line below the list.
pub fn status(model: &Model, ctx: &Ctx<'_>) -> String {
  let Some(view) = model.list_view() else { return String::new() };
  let dot = ctx.look.glyphs.dot;
  let mut text = format!("{} of {} agents", count(view.matched), count(view.total));
  if let Some(overview) = model.overview() {
    text.push_str(&format!(" {dot} slots {}/{}", overview.slots_used, overview.slots));
  }
  text
}
