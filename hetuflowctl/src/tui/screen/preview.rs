//! The task under the cursor of the list: its attempts, why it is where it is, the end of its output.

use hetuflow_core::TaskDetail;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::task::{attempt_line, log_id};
use super::tasks::why;
use crate::tui::draw::{Ctx, Pane, put, put_cut};
use crate::tui::look::Role;
use crate::tui::model::Model;
use crate::tui::text::{count, pad};
use crate::tui::widget::table::CellText;

/// Rows that the output gets at least where it is below the facts.
const OUTPUT_ROWS: u16 = 4;

/// Draws what is beside or below the list; below it, the output as well.
pub fn draw(model: &mut Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some(detail) = model.task_detail("preview") else {
    Pane::default().draw(ctx, area, buf);
    return;
  };
  let (task, dot) = (&detail.task, ctx.look.glyphs.dot);
  let tries = format!("attempt {} of {}", task.attempt, task.attempts_max);
  let title = format!("{} {dot} {} {dot} {tries}", task.id.short(), task.job);
  let inside = Pane { title: &title, ..Pane::default() }.draw(ctx, area, buf);
  let wide = inside.width >= 70;
  let half = usize::from(inside.width).saturating_sub(4) / 2;
  let lines = facts(ctx, detail, wide.then_some(half));
  // Beside the list there is room for all facts, and the output has a place of its own.
  let below = buf.area.width < 130;
  let rows = if below { inside.height.saturating_sub(OUTPUT_ROWS + 1) } else { inside.height };
  let mut y = inside.y;
  for (text, role) in lines.into_iter().take(usize::from(rows)) {
    put_cut(buf, (inside.x + 1, y), inside.right(), &text, (ctx.style(role), ctx.look));
    y += 1;
  }
  if below && inside.bottom() > y + 1 {
    let rule = ctx.look.glyphs.frame[0].repeat(usize::from(inside.width));
    put(buf, (inside.x, y), inside.right(), &rule, ctx.style(Role::Border));
    let place = Rect { y: y + 1, height: inside.bottom() - y - 1, ..inside };
    tail(model, ctx, place, buf);
  }
}

/// Draws the end of the output in a pane of its own.
pub fn output(model: &mut Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some(detail) = model.task_detail("preview") else {
    Pane { title: "log", ..Pane::default() }.draw(ctx, area, buf);
    return;
  };
  let (dot, newest) = (ctx.look.glyphs.dot, detail.attempts.last());
  let title = match newest {
    Some(one) => format!("log {} {dot} attempt {}", detail.task.id.short(), one.attempt),
    None => format!("log {}", detail.task.id.short()),
  };
  let bytes = newest.and_then(|one| u64::try_from(one.log_bytes).ok()).unwrap_or(0);
  let note = format!("l all of it {dot} {} bytes", count(bytes));
  let inside = Pane { title: &title, note: &note, ..Pane::default() }.draw(ctx, area, buf);
  tail(model, ctx, inside, buf);
}

fn tail(model: &mut Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let id = model.task_detail("preview").map(|detail| log_id("preview", detail));
  match &mut model.log {
    Some((known, pane)) if Some(&*known) == id.as_ref() => pane.draw_tail(area, buf, ctx.look),
    _ if area.height > 0 => {
      let words = "no attempt was made yet";
      put(buf, (area.x + 1, area.y), area.right(), words, ctx.style(Role::Dim));
    }
    _ => {}
  }
}

/// `half`: the cells of each of two attempts on one line; none where each has its own.
fn facts(ctx: &Ctx<'_>, detail: &TaskDetail, half: Option<usize>) -> Vec<CellText> {
  let task = &detail.task;
  let mut lines = if half.is_none() { head(ctx, detail) } else { Vec::new() };
  let skip = detail.attempts.len().saturating_sub(8);
  let attempts: Vec<CellText> =
    detail.attempts[skip..].iter().map(|one| attempt_line(ctx, one)).collect();
  for pair in attempts.chunks(if half.is_some() { 2 } else { 1 }) {
    let role = pair.last().map_or(Role::Text, |(_, role)| *role);
    let cell = |text: &str| {
      half.map_or_else(|| text.to_owned(), |cells| pad(text, cells, ctx.look.glyphs.ellipsis))
    };
    let cells: Vec<String> = pair.iter().map(|(text, _)| cell(text)).collect();
    lines.push((cells.join("  "), role));
  }
  let why = why(ctx, task).0;
  if !why.is_empty() {
    lines.push((format!("why: {why}"), Role::Warn));
  }
  if let Some(error) = detail.attempts.iter().rev().find_map(|one| one.error_message.as_ref()) {
    lines.push((error.clone(), Role::Dim));
  }
  if let Some(command) = command_of(&detail.config) {
    lines.push((format!("command {command}"), Role::Dim));
  }
  lines
}

fn head(ctx: &Ctx<'_>, detail: &TaskDetail) -> Vec<CellText> {
  let (task, dot) = (&detail.task, ctx.look.glyphs.dot);
  let (glyph, role) = ctx.look.task(task.status);
  let version = detail.job_version.map(|v| format!(" v{v}")).unwrap_or_default();
  vec![
    (format!("id      {}", task.id), Role::Text),
    (format!("state   {glyph} {}", task.status), role),
    (format!("job     {}{version} {dot} {}", task.job, task.trigger_source), Role::Text),
    (format!("due     {}", ctx.moment(task.scheduled_at)), Role::Text),
    (format!("prio {} {dot} namespace {}", task.priority, task.namespace_id), Role::Text),
    (String::new(), Role::Text),
  ]
}

/// The command of a task, as far as its config says one.
pub fn command_of(config: &serde_json::Value) -> Option<String> {
  let words = |value: &serde_json::Value| match value {
    serde_json::Value::String(text) => Some(text.clone()),
    serde_json::Value::Array(list) => {
      let words: Vec<&str> = list.iter().filter_map(|word| word.as_str()).collect();
      (!words.is_empty()).then(|| words.join(" "))
    }
    _ => None,
  };
  let command = words(config.get("command")?)?;
  let rest = ["args", "arguments"].iter().find_map(|key| words(config.get(key)?));
  let script = config.get("script").and_then(words);
  Some([Some(command), rest.or(script)].into_iter().flatten().collect::<Vec<_>>().join(" "))
}
