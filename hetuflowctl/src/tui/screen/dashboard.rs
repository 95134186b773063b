//! The first screen: queue, throughput, what needs a person, what runs longest, what fires next.

use hetuflow_core::{FireRow, Overview, Subject, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::dash_figures::{latency, queue, throughput};
use super::dash_lists::{agents, attention, events, fires, running};
use crate::tui::draw::{Ctx, put_cut};
use crate::tui::keys::Action;
use crate::tui::look::Role;
use crate::tui::model::{Hit, Model};
use crate::tui::store::Row;
use crate::tui::text::count;

/// Panes that can have the keys: attention, running, fires.
pub const PANES: usize = 3;

/// A row of a pane: its key, and what it is about.
pub(super) type Line = (String, Subject, String);

pub(super) fn lines(overview: &Overview, pane: usize) -> Vec<Line> {
  match pane {
    0 => overview
      .attention
      .iter()
      .map(|one| {
        (format!("{} {}", one.code, one.subject.id), one.subject.clone(), one.name.clone())
      })
      .collect(),
    1 => overview
      .running
      .iter()
      .map(|task| {
        let subject = Subject { kind: Topic::Task, id: task.id.to_string() };
        (task.id.to_string(), subject, task.job.clone())
      })
      .collect(),
    _ => soonest(overview)
      .into_iter()
      .map(|(fire, _)| {
        let subject = Subject { kind: Topic::Schedule, id: fire.schedule_id.to_string() };
        (fire.schedule_id.to_string(), subject, fire.job.clone())
      })
      .collect(),
  }
}

/// The next fire of each schedule, and how many more of it are near: one that fires each second
/// would leave no room for the others.
pub(super) fn soonest(overview: &Overview) -> Vec<(&FireRow, usize)> {
  let mut found: Vec<(&FireRow, usize)> = Vec::new();
  for fire in &overview.fires {
    match found.iter_mut().find(|(first, _)| first.schedule_id == fire.schedule_id) {
      Some((_, more)) => *more += 1,
      None => found.push((fire, 0)),
    }
  }
  found
}

pub(super) fn cursor(model: &Model, lines: &[Line], pane: usize) -> usize {
  let held = model.dash.get(pane).and_then(Option::as_ref);
  held.and_then(|key| lines.iter().position(|line| line.0 == *key)).unwrap_or(0)
}

/// Moves the cursor of the pane.
pub fn motion(model: &mut Model, action: Action) {
  let pane = model.pane;
  let Some(lines) = model.overview().map(|overview| lines(overview, pane)) else { return };
  let at = cursor(model, &lines, pane);
  let last = lines.len().saturating_sub(1);
  let to = match action {
    Action::Up => at.saturating_sub(1),
    Action::Down => at + 1,
    Action::HalfUp | Action::PageUp => at.saturating_sub(5),
    Action::HalfDown | Action::PageDown => at + 5,
    Action::Top => 0,
    _ => last,
  };
  hold(model, &lines, to.min(last));
}

fn hold(model: &mut Model, lines: &[Line], row: usize) {
  if let Some(held) = model.dash.get_mut(model.pane) {
    *held = lines.get(row).map(|line| line.0.clone());
  }
}

/// A click selects a row; a click on the selected one opens it.
pub fn click(model: &mut Model, pane: usize, row: usize) {
  let Some(lines) = model.overview().map(|overview| lines(overview, pane)) else { return };
  let again = model.pane == pane && cursor(model, &lines, pane) == row;
  model.pane = pane;
  if again {
    return open(model);
  }
  hold(model, &lines, row);
}

/// Goes to what the cursor is on.
pub fn open(model: &mut Model) {
  let pane = model.pane;
  let Some(lines) = model.overview().map(|overview| lines(overview, pane)) else { return };
  let Some((_, subject, name)) = lines.get(cursor(model, &lines, pane)).cloned() else { return };
  super::open_subject(model, &subject, &name);
}

/// The task or the fire that the cursor is on; none once it has left the list.
pub fn row(model: &Model) -> Option<Row> {
  let overview = model.overview()?;
  let found = lines(overview, model.pane);
  let held = model.dash.get(model.pane).and_then(Option::as_ref);
  let at = match held {
    Some(key) => found.iter().position(|line| line.0 == *key)?,
    None => 0,
  };
  match model.pane {
    1 => overview.running.get(at).map(|task| Row::Task(Box::new(task.clone()))),
    2 => soonest(overview).get(at).map(|(fire, _)| Row::Fire(Box::new((*fire).clone()))),
    _ => None,
  }
}

/// What the cursor is on, with its name.
pub fn subject(model: &Model) -> Option<(Subject, String)> {
  let found = lines(model.overview()?, model.pane);
  let (_, subject, name) = found.get(cursor(model, &found, model.pane))?.clone();
  Some((subject, name))
}

/// Draws the screen; where its rows are.
pub fn draw(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Vec<(Rect, Hit)> {
  let Some(overview) = model.overview() else {
    let words = match &model.store.view("overview").and_then(|view| view.error.as_ref()) {
      Some(error) => error.message.clone(),
      None => "waiting for the first picture …".to_owned(),
    };
    put_cut(buf, (area.x + 1, area.y), area.right(), &words, (ctx.style(Role::Dim), ctx.look));
    return Vec::new();
  };
  let mut hits = Vec::new();
  let mut one = |pane: usize, area: Rect, buf: &mut Buffer| {
    let rows = match pane {
      0 => attention(model, ctx, overview, (area, buf)),
      1 => running(model, ctx, overview, (area, buf)),
      _ => fires(model, ctx, overview, (area, buf)),
    };
    hits.extend(rows);
  };
  if model.zoom {
    one(model.pane, area, buf);
    return hits;
  }
  if area.width >= 140 && area.height >= 34 {
    wide(ctx, overview, area, (buf, &mut one));
  } else if area.width >= 60 {
    medium(ctx, overview, area, (buf, &mut one));
  } else {
    one(0, area, buf);
  }
  hits
}

type DrawPane<'a> = &'a mut dyn FnMut(usize, Rect, &mut Buffer);

fn medium(ctx: &Ctx<'_>, overview: &Overview, area: Rect, (buf, one): (&mut Buffer, DrawPane<'_>)) {
  let left = area.width / 2;
  let top = area.height.min(7);
  queue(ctx, overview, Rect { width: left, height: top, ..area }, buf);
  let right = Rect { x: area.x + left, width: area.width - left, height: top, ..area };
  throughput(ctx, overview, right, buf);
  let rest = Rect { y: area.y + top, height: area.height - top, ..area };
  let wanted = u16::try_from(overview.attention.len()).unwrap_or(99).clamp(1, 12) + 2;
  let middle = wanted.min(rest.height).min((rest.height / 2).max(4)).min(rest.height);
  one(0, Rect { height: middle, ..rest }, buf);
  let below = Rect { y: rest.y + middle, height: rest.height - middle, ..rest };
  if below.height < 3 {
    return;
  }
  let first = area.width * 56 / 100;
  let height = if below.height >= 20 { below.height * 6 / 10 } else { below.height };
  one(1, Rect { width: first, height, ..below }, buf);
  one(2, Rect { x: below.x + first, width: below.width - first, height, ..below }, buf);
  let last = Rect { y: below.y + height, height: below.height - height, ..below };
  if last.height >= 3 {
    events(ctx, overview, last, buf);
  }
}

fn wide(ctx: &Ctx<'_>, overview: &Overview, area: Rect, (buf, one): (&mut Buffer, DrawPane<'_>)) {
  let third = area.width / 3;
  let columns = [third, third + 6, area.width - 2 * third - 6];
  let row = |x: u16, width: u16, y: u16, height: u16| Rect { x, y, width, height };
  let top = 11.min(area.height);
  queue(ctx, overview, row(area.x, columns[0], area.y, top), buf);
  throughput(ctx, overview, row(area.x + columns[0], columns[1], area.y, top), buf);
  latency(ctx, overview, row(area.x + columns[0] + columns[1], columns[2], area.y, top), buf);
  let needs = u16::try_from(overview.attention.len()).unwrap_or(99).clamp(2, 8) + 2;
  one(0, row(area.x, area.width, area.y + top, needs), buf);
  let y = area.y + top + needs;
  let left = area.bottom().saturating_sub(y);
  let middle = (left * 6 / 10).max(left.min(6));
  let first = area.width * 44 / 100;
  let second = area.width * 29 / 100;
  one(1, row(area.x, first, y, middle), buf);
  agents(ctx, overview, row(area.x + first, second, y, middle), buf);
  one(2, row(area.x + first + second, area.width - first - second, y, middle), buf);
  events(ctx, overview, row(area.x, area.width, y + middle, left - middle), buf);
}

/// The line below the panes.
pub fn status(model: &Model, ctx: &Ctx<'_>) -> String {
  let dot = ctx.look.glyphs.dot;
  format!("watching {} {dot} {} lost", model.site.label(), count(model.store.holes))
}

/// The few numbers of a terminal too small for anything else.
pub fn counters(model: &Model, ctx: &Ctx<'_>) -> String {
  let Some(overview) = model.overview() else { return String::new() };
  let of = |name: &str| crate::tui::text::brief(overview.counts.get(name).copied().unwrap_or(0));
  let glyphs = ctx.look.glyphs;
  let failed: u64 = overview.rates.failed.iter().rev().take(12).map(|n| u64::from(*n)).sum();
  format!(
    "P{} R{} {}{} {}{failed}/1m",
    of("pending"),
    of("running"),
    glyphs.retry,
    of("waiting_retry"),
    glyphs.failed
  )
}
