//! Tasks: the list, what fails for the same cause, and a board for floods.

use std::collections::BTreeMap;

use hetuflow_core::{Cause, TaskRow, TaskStatus};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Ctx, Pane, put, put_cut};
use crate::tui::look::{Role, task_word};
use crate::tui::model::Model;
use crate::tui::store::{Entry, Row, View};
use crate::tui::text::{count, pad, took};
use crate::tui::widget::chart::{bar, spark};
use crate::tui::widget::table::{CellText, Column};

/// The task of a row.
pub fn task(entry: &Entry) -> Option<&TaskRow> {
  match &entry.row {
    Row::Task(task) => Some(task),
    _ => None,
  }
}

macro_rules! cell {
  (|$ctx:ident, $task:ident| $body:expr) => {
    |$ctx, entry| match task(entry) {
      Some($task) => $body,
      None => (String::new(), Role::Text),
    }
  };
}

/// The columns, from left to right.
pub static COLUMNS: &[Column] = &[
  Column {
    name: "TASK",
    sort: "id",
    width: 8,
    grow: 0,
    priority: 4,
    right: false,
    cell: cell!(|_ctx, task| (task.id.short(), Role::Text)),
  },
  Column {
    name: "STATE",
    sort: "state",
    width: 11,
    grow: 0,
    priority: 0,
    right: false,
    cell: cell!(|ctx, task| state(ctx, task)),
  },
  Column {
    name: "JOB",
    sort: "job",
    width: 12,
    grow: 2,
    priority: 1,
    right: false,
    cell: cell!(|_ctx, task| (task.job.clone(), Role::Text)),
  },
  Column {
    name: "TRY",
    sort: "attempt",
    width: 4,
    grow: 0,
    priority: 3,
    right: false,
    cell: cell!(|_ctx, task| (format!("{}/{}", task.attempt, task.attempts_max), Role::Text)),
  },
  Column {
    name: "AGENT",
    sort: "agent",
    width: 10,
    grow: 1,
    priority: 6,
    right: false,
    cell: cell!(|ctx, task| agent(ctx, task)),
  },
  Column {
    name: "QUEUED",
    sort: "wait",
    width: 6,
    grow: 0,
    priority: 8,
    right: true,
    cell: cell!(|ctx, task| queued(ctx, task)),
  },
  Column {
    name: "RUN",
    sort: "run",
    width: 6,
    grow: 0,
    priority: 5,
    right: true,
    cell: cell!(|ctx, task| ran(ctx, task)),
  },
  Column {
    name: "EXIT",
    sort: "exit",
    width: 4,
    grow: 0,
    priority: 7,
    right: true,
    cell: cell!(|_ctx, task| exit(task)),
  },
  Column {
    name: "WHY",
    sort: "",
    width: 9,
    grow: 3,
    priority: 2,
    right: false,
    cell: cell!(|ctx, task| why(ctx, task)),
  },
];

fn state(ctx: &Ctx<'_>, task: &TaskRow) -> CellText {
  let (glyph, role) = ctx.look.task(task.status);
  (format!("{glyph} {}", task_word(task.status)), role)
}

fn agent(ctx: &Ctx<'_>, task: &TaskRow) -> CellText {
  match &task.agent_id {
    Some(agent) => (agent.to_string(), Role::Text),
    None => (ctx.look.glyphs.none.to_owned(), Role::Dim),
  }
}

fn queued(ctx: &Ctx<'_>, task: &TaskRow) -> CellText {
  match task.wait_ms {
    Some(millis) => (took(millis as f64), Role::Text),
    None
      if task.started_at.is_none() && !task.status.is_final() && task.scheduled_at <= ctx.now =>
    {
      (ctx.age(task.scheduled_at), Role::Text)
    }
    None => (ctx.look.glyphs.none.to_owned(), Role::Dim),
  }
}

/// How long the newest attempt ran, or runs.
pub fn ran(ctx: &Ctx<'_>, task: &TaskRow) -> CellText {
  match (task.run_ms, task.started_at) {
    (Some(millis), _) => (took(millis as f64), Role::Text),
    (None, Some(since)) if !task.status.is_final() => (ctx.age(since), Role::Info),
    _ => (ctx.look.glyphs.none.to_owned(), Role::Dim),
  }
}

fn exit(task: &TaskRow) -> CellText {
  match (task.exit_code, task.signal) {
    (Some(0), _) => ("0".to_owned(), Role::Dim),
    (Some(code), _) => (code.to_string(), Role::Bad),
    (None, Some(signal)) => (format!("s{signal}"), Role::Bad),
    (None, None) => (String::new(), Role::Dim),
  }
}

/// Why it is where it is, and until when.
pub fn why(ctx: &Ctx<'_>, task: &TaskRow) -> CellText {
  if task.status == TaskStatus::Pending && task.scheduled_at > ctx.now {
    return (format!("due {}", ctx.in_words(task.scheduled_at)), Role::Dim);
  }
  if let (TaskStatus::WaitingRetry, Some(at)) = (task.status, task.eligible_at) {
    let more = if task.why.is_empty() {
      String::new()
    } else {
      format!(" {} {}", ctx.look.glyphs.dot, task.why)
    };
    return (format!("{}{more}", ctx.in_words(at)), Role::Text);
  }
  let text =
    if task.why.is_empty() { task.reason.clone().unwrap_or_default() } else { task.why.clone() };
  (text, Role::Text)
}

/// Draws failures by cause.
pub fn causes(ctx: &Ctx<'_>, causes: &[Cause], area: Rect, buf: &mut Buffer) {
  if area.height == 0 {
    return;
  }
  let line = ctx.look.glyphs.frame[0];
  let title = format!(" {line}{line} same cause {}", line.repeat(usize::from(area.width)));
  put(buf, (area.x, area.y), area.right(), &title, ctx.style(Role::Border));
  let room = usize::from(area.width).saturating_sub(2);
  for (at, cause) in causes.iter().take(usize::from(area.height) - 1).enumerate() {
    let y = area.y + 1 + u16::try_from(at).unwrap_or(0);
    let tasks =
      format!("{} {}", count(cause.tasks), if cause.tasks == 1 { "task" } else { "tasks" });
    let text_cells = (room / 3).clamp(12, 40);
    let head = format!(
      "{} {}",
      pad(&crate::tui::text::clean(&cause.text), text_cells, ctx.look.glyphs.ellipsis),
      pad(&tasks, 10, "")
    );
    let x = put(buf, (area.x + 1, y), area.right(), &head, ctx.style(Role::Text));
    let jobs = cause.jobs.join(", ");
    let jobs =
      pad(&crate::tui::text::clean(&jobs), (room / 5).clamp(8, 24), ctx.look.glyphs.ellipsis);
    let x = put(buf, (x, y), area.right(), &format!("{jobs} "), ctx.style(Role::Dim));
    let times = format!("{} to {}  ", ctx.moment(cause.first_at), ctx.moment(cause.last_at));
    let x = put(buf, (x, y), area.right(), &times, ctx.style(Role::Dim));
    put(buf, (x, y), area.right(), &spark(ctx.look.glyphs, &cause.spark, 8), ctx.style(Role::Bad));
  }
}

/// Draws counters in place of rows: state by job, of the rows that are loaded.
pub fn board(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some(view) = model.list_view() else { return };
  let pane = Pane { title: "Board", note: "v shows rows", ..Pane::default() };
  let inside = pane.draw(ctx, area, buf);
  if inside.height == 0 {
    return;
  }
  let mut y = inside.y;
  if model.flood {
    let words = "too fast to read: board view (v shows rows, f holds them)";
    put_cut(buf, (inside.x + 1, y), inside.right(), words, (ctx.style(Role::Warn), ctx.look));
    y += 1;
  }
  y = states(model, ctx, Rect { y, height: inside.bottom().saturating_sub(y), ..inside }, buf);
  y = movers(view, ctx, Rect { y, height: inside.bottom().saturating_sub(y), ..inside }, buf);
  let rest = Rect { y, height: inside.bottom().saturating_sub(y), ..inside };
  causes(ctx, &view.causes, rest, buf);
}

fn states(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> u16 {
  let Some(overview) = model.overview() else { return area.y };
  let top = overview.counts.values().copied().max().unwrap_or(1).max(1);
  let mut y = area.y;
  for status in
    TaskStatus::ALL.iter().filter(|status| overview.counts.contains_key(status.as_str()))
  {
    if y >= area.bottom() {
      break;
    }
    let number = overview.counts.get(status.as_str()).copied().unwrap_or(0);
    let (glyph, role) = ctx.look.task(*status);
    let head = format!("{glyph} {} {:>10} ", pad(task_word(*status), 9, ""), count(number));
    let x = put(buf, (area.x + 1, y), area.right(), &head, ctx.style(role));
    let cells = usize::from(area.right().saturating_sub(x + 1)).min(40);
    put(
      buf,
      (x, y),
      area.right(),
      &bar(ctx.look.glyphs, number as f64, top as f64, cells),
      ctx.style(role),
    );
    y += 1;
  }
  y
}

fn movers(view: &View, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> u16 {
  let mut jobs: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
  for task in view.order.iter().filter_map(|key| view.rows.get(key)).filter_map(task) {
    let entry = jobs.entry(&task.job).or_default();
    entry.0 += 1;
    entry.1 += u64::from(matches!(task.status, TaskStatus::Failed | TaskStatus::Lost));
  }
  let mut jobs: Vec<_> = jobs.into_iter().collect();
  jobs.sort_by_key(|(name, (tasks, _))| (std::cmp::Reverse(*tasks), *name));
  let mut y = area.y;
  if y + 1 < area.bottom() {
    put(
      buf,
      (area.x + 1, y),
      area.right(),
      "jobs, of the rows that are loaded",
      ctx.style(Role::Title),
    );
    y += 1;
  }
  for (name, (tasks, failed)) in jobs.into_iter().take(8).take_while(|_| area.height > 0) {
    if y >= area.bottom() {
      break;
    }
    let name = pad(&crate::tui::text::clean(name), 24, ctx.look.glyphs.ellipsis);
    let role = if failed > 0 { Role::Bad } else { Role::Text };
    let text = format!("{name} {:>8} tasks  {:>6} failed", count(tasks), count(failed));
    put(buf, (area.x + 1, y), area.right(), &text, ctx.style(role));
    y += 1;
  }
  y
}

/// The line below the list.
pub fn status(model: &Model, ctx: &Ctx<'_>) -> String {
  let Some(view) = model.list_view() else { return String::new() };
  let dot = ctx.look.glyphs.dot;
  let mut text = format!("{} of {}", count(view.matched), count(view.total));
  if let Some(list) = model.list().filter(|list| !list.sort.is_empty()) {
    let down = list.sort.starts_with('-');
    let field = list.sort.trim_start_matches('-');
    text.push_str(&format!(" {dot} sorted {field} {}", ctx.look.glyphs.more[usize::from(down)]));
  }
  text
}
