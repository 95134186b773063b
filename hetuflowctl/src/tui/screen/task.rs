//! One task: its attempts, the phases of the chosen one, and its output.

use hetuflow_core::{AttemptRow, TaskDetail, TaskMetrics, Ts};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::preview::command_of;
use super::tasks::ran;
use crate::tui::draw::{Ctx, Pane, put, put_cut};
use crate::tui::log::{LogAttempt, LogPane, LogTarget};
use crate::tui::look::{Role, task_word};
use crate::tui::model::{Model, Screen};
use crate::tui::text::{count, pad, took, width};
use crate::tui::waiting::{self, Fit};
use crate::tui::widget::table::CellText;

/// One attempt on one line.
pub fn attempt_line(ctx: &Ctx<'_>, attempt: &AttemptRow) -> CellText {
  let (glyph, role) = ctx.look.attempt(attempt.status);
  let start = attempt.started_at.or(attempt.dispatched_at);
  let start = start.map_or_else(|| ctx.look.glyphs.none.to_owned(), |at| ctx.moment(at));
  let agent = attempt.agent_id.as_ref().map(ToString::to_string).unwrap_or_default();
  let exit = exit_words(attempt);
  let length = run_words(ctx, attempt);
  (format!("#{} {glyph} {start} {length:>6} {exit} {agent}", attempt.attempt), role)
}

fn exit_words(attempt: &AttemptRow) -> String {
  match (attempt.exit_code, attempt.signal) {
    (Some(code), _) => format!("exit {code}"),
    (None, Some(signal)) => format!("signal {signal}"),
    (None, None) => attempt.status.as_str().to_owned(),
  }
}

fn run_words(ctx: &Ctx<'_>, attempt: &AttemptRow) -> String {
  match (attempt.started_at, attempt.completed_at) {
    (Some(start), Some(end)) => took(end.since(start).as_secs_f64() * 1e3),
    (Some(start), None) if !attempt.status.is_final() => ctx.age(start),
    _ => ctx.look.glyphs.none.to_owned(),
  }
}

/// The number of the attempt that is shown.
pub fn chosen(model: &Model, detail: &TaskDetail) -> Option<usize> {
  let last = detail.attempts.len().checked_sub(1)?;
  Some(model.attempt.unwrap_or(last).min(last))
}

/// Goes to the attempt before or after.
pub fn turn(model: &mut Model, by: isize) {
  let Some(detail) = model.task_detail("task") else { return };
  let Some(at) = chosen(model, detail) else { return };
  let last = detail.attempts.len() - 1;
  let to = at.saturating_add_signed(by).min(last);
  // The newest is followed, also when there is a newer one later.
  model.attempt = (to < last).then_some(to);
}

/// Bytes of output that a preview reads.
const TAIL_BYTES: u64 = 32 << 10;

/// Brings the output in line with the task that the screen is about: all of it on the task's own
/// screen, the end of it in the preview of the list.
pub fn sync_log(model: &mut Model) {
  let (name, tail) = match &model.screen {
    Screen::Task(_) => ("task", None),
    Screen::Tasks if model.shows_preview() => ("preview", Some(TAIL_BYTES)),
    _ => {
      model.log = None;
      return;
    }
  };
  let Some(detail) = model.task_detail(name) else { return };
  let id = log_id(name, detail);
  let attempts: Vec<LogAttempt> = detail
    .attempts
    .iter()
    .map(|one| LogAttempt {
      instance_id: one.id,
      number: one.attempt,
      agent: one.agent_id.as_ref().map(ToString::to_string),
      from: tail.map_or(0, |tail| u64::try_from(one.log_bytes).unwrap_or(0).saturating_sub(tail)),
    })
    .collect();
  let target = LogTarget { name: file_name(detail), attempts };
  match &mut model.log {
    Some((known, pane)) if *known == id => pane.set_attempts(target.attempts),
    _ if target.attempts.is_empty() => model.log = None,
    _ => match LogPane::new(target) {
      Ok(pane) => model.log = Some((id, pane)),
      Err(error) => model.toast(Role::Bad, format!("no room for the output: {error}")),
    },
  }
}

/// The output's name among those that the model may hold.
pub fn log_id(view: &str, detail: &TaskDetail) -> String {
  format!("{view} {}", detail.task.id)
}

fn file_name(detail: &TaskDetail) -> String {
  let plain = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
  let job: String = detail.task.job.chars().map(plain).collect();
  format!("{job}-{}", detail.task.id.short())
}

/// Draws the screen; the place of the output.
pub fn draw(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Rect {
  let Some(detail) = model.task_detail("task") else {
    let error = model.store.view("task").and_then(|view| view.error.as_ref());
    let words = error.map_or("reading the task …".to_owned(), |error| error.message.clone());
    let role = if error.is_some() { Role::Bad } else { Role::Dim };
    put_cut(buf, (area.x + 1, area.y), area.right(), &words, (ctx.style(role), ctx.look));
    return Rect { height: 0, ..area };
  };
  let mut y = area.y;
  let mut line = |buf: &mut Buffer, draw: &dyn Fn(&mut Buffer, u16)| {
    if y < area.bottom() {
      draw(buf, y);
      y += 1;
    }
  };
  line(buf, &|buf, y| {
    head(ctx, detail, Rect { y, height: 1, ..area }, buf);
  });
  if let Some(reason) = waiting::reason(model, ctx) {
    line(buf, &|buf, y| {
      let words = format!("why  {}", reason.words(ctx));
      let style = ctx.style(Role::Warn);
      put_cut(buf, (area.x + 1, y), area.right(), &words, (style, ctx.look));
    });
  }
  let at = chosen(model, detail);
  line(buf, &|buf, y| {
    attempts(ctx, (detail, at), Rect { y, height: 1, ..area }, buf);
  });
  if let Some(attempt) = at.and_then(|at| detail.attempts.get(at)) {
    line(buf, &|buf, y| {
      phases(ctx, (detail, attempt), Rect { y, height: 1, ..area }, buf);
    });
    if let Some(used) = attempt.metrics.as_ref().filter(|_| area.height >= 16) {
      line(buf, &|buf, y| {
        let words = used_words(ctx, used);
        put_cut(buf, (area.x + 1, y), area.right(), &words, (ctx.style(Role::Dim), ctx.look));
      });
    }
    let words = ended_words(ctx, detail, attempt);
    if area.height >= 16 && !words.is_empty() {
      line(buf, &|buf, y| {
        let style = ctx.style(Role::Warn);
        put_cut(buf, (area.x + 1, y), area.right(), &words, (style, ctx.look));
      });
    }
  }
  if let Some(command) = command_of(&detail.config).filter(|_| area.height >= 16) {
    line(buf, &|buf, y| {
      let text = format!("command  {command}");
      put_cut(buf, (area.x + 1, y), area.right(), &text, (ctx.style(Role::Dim), ctx.look));
    });
  }
  Rect { y, height: area.bottom().saturating_sub(y), ..area }
}

fn head(ctx: &Ctx<'_>, detail: &TaskDetail, area: Rect, buf: &mut Buffer) {
  let (task, dot) = (&detail.task, ctx.look.glyphs.dot);
  let (glyph, role) = ctx.look.task(task.status);
  let start =
    format!("Task {} {dot} {} {dot} {} {dot} ", task.id.short(), task.job, task.namespace_id);
  let x = put(buf, (area.x + 1, area.y), area.right(), &start, ctx.style(Role::Title));
  let state = format!("{glyph} {} {}", task_word(task.status), ran(ctx, task).0);
  let x = put(buf, (x, area.y), area.right(), &state, ctx.style(role));
  let agent = task.agent_id.as_ref().map(|id| format!(" {dot} {id}")).unwrap_or_default();
  let rest = format!(" {dot} prio {}{agent} {dot} {}", task.priority, task.trigger_source);
  put_cut(buf, (x, area.y), area.right(), &rest, (ctx.style(Role::Text), ctx.look));
}

fn attempts(
  ctx: &Ctx<'_>,
  (detail, at): (&TaskDetail, Option<usize>),
  area: Rect,
  buf: &mut Buffer,
) {
  let mut x = put(buf, (area.x + 1, area.y), area.right(), "Attempt ", ctx.style(Role::Title));
  let words: Vec<(String, Role)> = detail
    .attempts
    .iter()
    .map(|one| {
      let (glyph, role) = ctx.look.attempt(one.status);
      let end = if one.status.is_final() { exit_words(one) } else { one.status.to_string() };
      (format!("{} {glyph} {end} {}", one.attempt, run_words(ctx, one)), role)
    })
    .collect();
  if words.is_empty() {
    put(buf, (x, area.y), area.right(), "none yet", ctx.style(Role::Dim));
    return;
  }
  // The chosen one is always visible: earlier ones go first.
  let room = usize::from(area.right().saturating_sub(x));
  let cells =
    |range: &[(String, Role)]| range.iter().map(|(text, _)| width(text) + 3).sum::<usize>();
  let chosen = at.unwrap_or(0);
  let mut first = 0;
  while first < chosen && cells(&words[first..=chosen]) > room {
    first += 1;
  }
  for (number, (text, role)) in words.iter().enumerate().skip(first) {
    let shown = if at == Some(number) { format!("[{text}]") } else { format!(" {text} ") };
    x = put(buf, (x, area.y), area.right(), &format!("{shown} "), ctx.style(*role));
  }
}

fn phases(
  ctx: &Ctx<'_>,
  (detail, attempt): (&TaskDetail, &AttemptRow),
  area: Rect,
  buf: &mut Buffer,
) {
  let glyphs = ctx.look.glyphs;
  let due =
    if attempt.attempt <= 1 { Some(detail.task.scheduled_at) } else { detail.task.eligible_at };
  let taken = attempt.dispatched_at.or(attempt.started_at);
  let between = |from: Option<Ts>, to: Option<Ts>| Some(to?.since(from?));
  let waits = [
    ("queued", between(due, taken)),
    ("dispatch", between(attempt.dispatched_at, attempt.started_at)),
  ];
  let mut x = area.x + 1;
  for (at, (name, time)) in waits.into_iter().enumerate() {
    let Some(time) = time else { continue };
    let text = format!("{name} {} {}  ", glyphs.phases[at], took(time.as_secs_f64() * 1e3));
    x = put(buf, (x, area.y), area.right(), &text, ctx.style(Role::Dim));
  }
  let (glyph, role) = ctx.look.attempt(attempt.status);
  let length = format!("{glyph} {}", run_words(ctx, attempt));
  let x = put(buf, (x, area.y), area.right(), "run ", ctx.style(Role::Dim));
  let room = usize::from(area.right().saturating_sub(x)).saturating_sub(width(&length) + 2);
  let bar =
    if attempt.started_at.is_some() { glyphs.phases[2].repeat(room) } else { String::new() };
  let x = put(buf, (x, area.y), area.right(), &bar, ctx.style(role));
  put(buf, (x, area.y), area.right(), &length, ctx.style(role));
}

/// `3.0M`: bytes in few cells.
fn byte_words(bytes: u64) -> String {
  let (mut value, mut at) = (bytes as f64, 0);
  while value >= 1024.0 && at < 4 {
    value /= 1024.0;
    at += 1;
  }
  format!("{value:.1}{}", ["B", "K", "M", "G", "T"][at])
}

/// What an ended attempt used; what was not measured is left out.
fn used_words(ctx: &Ctx<'_>, used: &TaskMetrics) -> String {
  let mut parts = vec![format!("cpu {}", took(used.cpu_time * 1e3))];
  for (name, bytes) in
    [("mem", used.memory_peak), ("read", used.disk_read), ("written", used.disk_write)]
  {
    if bytes > 0 {
      parts.push(format!("{name} {}", byte_words(bytes)));
    }
  }
  format!("used  {}", parts.join(&format!(" {} ", ctx.look.glyphs.dot)))
}

fn ended_words(ctx: &Ctx<'_>, detail: &TaskDetail, attempt: &AttemptRow) -> String {
  let dot = format!(" {} ", ctx.look.glyphs.dot);
  let mut parts = Vec::new();
  if attempt.attempt == detail.task.attempt && !detail.task.why.is_empty() {
    parts.push(detail.task.why.clone());
  } else if let Some(reason) = &attempt.reason {
    parts.push(reason.clone());
  }
  parts.extend(attempt.error_message.clone());
  if parts.is_empty() { String::new() } else { format!("why  {}", parts.join(&dot)) }
}

/// Draws the place of the output while there is none to show.
pub fn no_output(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some(detail) = model.task_detail("task") else { return };
  let at = chosen(model, detail).and_then(|at| detail.attempts.get(at));
  let title = at.map_or_else(
    || "log".to_owned(),
    |one| format!("log {} attempt {}", ctx.look.glyphs.dot, one.attempt),
  );
  let note =
    at.map_or_else(String::new, |one| format!("{} bytes", count(one.log_bytes.max(0) as u64)));
  let reason = waiting::reason(model, ctx).filter(|reason| !reason.agents.is_empty());
  let title =
    if reason.is_some() { "agents, and whether they can take it".to_owned() } else { title };
  let inside = Pane { title: &title, note: &note, ..Pane::default() }.draw(ctx, area, buf);
  if let Some(reason) = reason {
    agents(ctx, &reason.agents, inside, buf);
  } else if at.is_none() {
    let words = pad("no attempt was made yet", usize::from(inside.width), "");
    put(buf, (inside.x, inside.y), inside.right(), &words, ctx.style(Role::Dim));
  }
}

/// Each agent with what lets it take the task, or does not.
fn agents(ctx: &Ctx<'_>, agents: &[Fit], area: Rect, buf: &mut Buffer) {
  let name = agents.iter().map(|one| width(&one.agent_id)).max().unwrap_or(0).min(24);
  let rows = usize::from(area.height);
  for (at, one) in agents.iter().take(rows).enumerate() {
    let y = area.y + u16::try_from(at).unwrap_or(0);
    let more = agents.len() - at;
    if at + 1 == rows && more > 1 {
      let words = format!("{} {more} more agents", ctx.look.glyphs.ellipsis);
      put(buf, (area.x + 1, y), area.right(), &words, ctx.style(Role::Dim));
      return;
    }
    let (glyph, role) = match (one.is_free(), one.fits) {
      (true, _) => (ctx.look.glyphs.succeeded, Role::Good),
      (_, true) => (ctx.look.glyphs.pending, Role::Warn),
      _ => (ctx.look.glyphs.failed, Role::Dim),
    };
    let words =
      format!("{glyph} {}  {}", pad(&one.agent_id, name, ctx.look.glyphs.ellipsis), one.text);
    put_cut(buf, (area.x + 1, y), area.right(), &words, (ctx.style(role), ctx.look));
  }
}
