//! The first screen: queue, throughput, what needs a person, what runs longest, what fires next.

use hetuflow_core::{
  Attention, FireRow, Overview, RATE_BUCKET_SECS, Severity, Subject, TaskStatus, Topic,
};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Ctx, Pane, put, put_cut, put_right};
use crate::tui::keys::Action;
use crate::tui::look::{Role, task_word};
use crate::tui::model::{Hit, Model};
use crate::tui::store::Row;
use crate::tui::text::{clean, count, pad, rate, took};
use crate::tui::widget::chart::{bar, per_second, spark};

/// Panes that can have the keys: attention, running, fires.
pub const PANES: usize = 3;

/// A row of a pane: its key, and what it is about.
type Line = (String, Subject, String);

fn lines(overview: &Overview, pane: usize) -> Vec<Line> {
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
fn soonest(overview: &Overview) -> Vec<(&FireRow, usize)> {
  let mut found: Vec<(&FireRow, usize)> = Vec::new();
  for fire in &overview.fires {
    match found.iter_mut().find(|(first, _)| first.schedule_id == fire.schedule_id) {
      Some((_, more)) => *more += 1,
      None => found.push((fire, 0)),
    }
  }
  found
}

fn cursor(model: &Model, lines: &[Line], pane: usize) -> usize {
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

fn queue(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
  let inside = Pane { title: "Queue", ..Pane::default() }.draw(ctx, area, buf);
  let shown = [
    TaskStatus::Pending,
    TaskStatus::Locked,
    TaskStatus::Dispatched,
    TaskStatus::Running,
    TaskStatus::WaitingRetry,
    TaskStatus::Blocked,
    TaskStatus::Paused,
    TaskStatus::Cancelling,
  ];
  let of = |status: &TaskStatus| overview.counts.get(status.as_str()).copied().unwrap_or(0);
  let top = shown.iter().map(of).max().unwrap_or(0).max(1);
  let always =
    [TaskStatus::Pending, TaskStatus::Dispatched, TaskStatus::Running, TaskStatus::WaitingRetry];
  let mut y = inside.y;
  let last = inside.bottom().saturating_sub(1);
  let roomy = inside.height >= 8;
  for status in shown.iter().filter(|status| always.contains(status) || of(status) > 0 && roomy) {
    if y >= last {
      break;
    }
    let (glyph, role) = ctx.look.task(*status);
    let head = format!("{glyph} {} {:>7} ", pad(task_word(*status), 9, ""), count(of(status)));
    let x = put(buf, (inside.x + 1, y), inside.right(), &head, ctx.style(role));
    let cells = usize::from(inside.right().saturating_sub(x + 1));
    put(
      buf,
      (x, y),
      inside.right(),
      &bar(ctx.look.glyphs, of(status) as f64, top as f64, cells),
      ctx.style(role),
    );
    y += 1;
  }
  let oldest = match overview.oldest_pending_at {
    Some(at) => format!("oldest pending {}", ctx.age(at)),
    None => "nothing waits".to_owned(),
  };
  let slots =
    format!("slots {}/{}", count(u64::from(overview.slots_used)), count(u64::from(overview.slots)));
  let words = format!("{oldest} {} {slots}", ctx.look.glyphs.dot);
  if y < inside.bottom() {
    put_cut(buf, (inside.x + 1, y), inside.right(), &words, (ctx.style(Role::Text), ctx.look));
    y += 1;
  }
  if y < inside.bottom() {
    let today = |name: &str| overview.today.get(name).copied().unwrap_or(0);
    let words = format!(
      "today {} done {} {} failed {} {} cancelled",
      count(today("succeeded")),
      ctx.look.glyphs.dot,
      count(today("failed") + today("lost")),
      ctx.look.glyphs.dot,
      count(today("cancelled"))
    );
    put_cut(buf, (inside.x + 1, y), inside.right(), &words, (ctx.style(Role::Dim), ctx.look));
  }
}

fn throughput(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
  let rates = &overview.rates;
  let roomy = area.height >= 9;
  let title = if roomy { "Throughput, last 15m" } else { "Throughput 15m" };
  let inside = Pane { title, ..Pane::default() }.draw(ctx, area, buf);
  let mut rows = vec![
    ("start/s", &rates.started, Role::Info),
    ("done/s ", &rates.done, Role::Good),
    ("fail/s ", &rates.failed, Role::Bad),
  ];
  if roomy {
    rows.push(("retry/s", &rates.retried, Role::Warn));
  }
  let mut y = inside.y;
  for (name, values, role) in rows {
    let now = per_second(values, 12, RATE_BUCKET_SECS);
    let head = format!("{name} {:>5} ", rate(now));
    let x = put(
      buf,
      (inside.x + 1, y),
      inside.bottom().max(inside.right()),
      &head,
      ctx.style(Role::Text),
    );
    let cells = usize::from(inside.right().saturating_sub(x + 1));
    if y < inside.bottom() {
      put(buf, (x, y), inside.right(), &spark(ctx.look.glyphs, values, cells), ctx.style(role));
    }
    y += 1;
  }
  if roomy {
    return;
  }
  for (name, quantiles) in [("wait", overview.wait), ("run ", overview.run)] {
    if y < inside.bottom() && quantiles.n > 0 {
      let text = format!("{name} p50 {}  p99 {}", took(quantiles.p50), took(quantiles.p99));
      put_cut(buf, (inside.x + 1, y), inside.right(), &text, (ctx.style(Role::Text), ctx.look));
    }
    y += 1;
  }
}

fn latency(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
  let inside = Pane { title: "Latency", ..Pane::default() }.draw(ctx, area, buf);
  let head = format!("{:<10} {:>7} {:>7} {:>7} {:>7}", "", "p50", "p95", "p99", "max");
  put(buf, (inside.x + 1, inside.y), inside.right(), &head, ctx.style(Role::Title));
  let rows = [("fire late", overview.fire_late), ("wait", overview.wait), ("run", overview.run)];
  for (y, (name, q)) in (inside.y + 1..inside.bottom()).zip(rows) {
    let words = [q.p50, q.p95, q.p99, q.max]
      .map(|it| if q.n == 0 { ctx.look.glyphs.none.to_owned() } else { took(it) });
    let text =
      format!("{name:<10} {:>7} {:>7} {:>7} {:>7}", words[0], words[1], words[2], words[3]);
    put(buf, (inside.x + 1, y), inside.right(), &text, ctx.style(Role::Text));
  }
}

fn cursor_style(
  model: &Model,
  ctx: &Ctx<'_>,
  (pane, here): (usize, bool),
  line: Rect,
  buf: &mut Buffer,
) {
  if here && model.pane == pane {
    put(buf, (line.x, line.y), line.right(), ctx.look.glyphs.cursor, ctx.style(Role::Focus));
    let rest = Rect { x: line.x + 1, width: line.width.saturating_sub(1), ..line };
    buf.set_style(rest.intersection(buf.area), ctx.look.style(Role::Selected));
  }
}

fn attention(
  model: &Model,
  ctx: &Ctx<'_>,
  overview: &Overview,
  (area, buf): (Rect, &mut Buffer),
) -> Vec<(Rect, Hit)> {
  let all = &overview.attention;
  let title = format!("Needs attention ({})", count(all.len() as u64));
  let note = format!("{} jump", ctx.look.glyphs.enter);
  let pane = Pane {
    title: &title,
    note: if all.is_empty() { "" } else { &note },
    focus: model.pane == 0,
    double: false,
  };
  let inside = pane.draw(ctx, area, buf);
  if all.is_empty() && inside.height > 0 {
    let jobs = overview.jobs.get("enabled").copied().unwrap_or(0);
    let words = format!(
      "quiet: {} jobs enabled {} {} agents known {} no stuck queue, no lost agent, no failing job",
      count(jobs),
      ctx.look.glyphs.dot,
      count(overview.agents.len() as u64),
      ctx.look.glyphs.dot
    );
    put_cut(
      buf,
      (inside.x + 1, inside.y),
      inside.right(),
      &words,
      (ctx.style(Role::Good), ctx.look),
    );
    return Vec::new();
  }
  let at = cursor(model, &lines(overview, 0), 0);
  let first = at.saturating_sub(usize::from(inside.height).saturating_sub(1));
  let mut hits = Vec::new();
  for (row, one) in all.iter().enumerate().skip(first).take(usize::from(inside.height)) {
    let y = inside.y + u16::try_from(row - first).unwrap_or(0);
    attention_line(ctx, one, Rect { y, height: 1, ..inside }, buf);
    cursor_style(model, ctx, (0, row == at), Rect { y, height: 1, ..inside }, buf);
    hits.push((Rect { y, height: 1, ..inside }, Hit::Dash(0, row)));
  }
  hits
}

fn attention_line(ctx: &Ctx<'_>, one: &Attention, line: Rect, buf: &mut Buffer) {
  let glyphs = ctx.look.glyphs;
  let (glyph, role) = match one.severity {
    Severity::Error => (glyphs.failed, Role::Bad),
    Severity::Warning => (glyphs.attention, Role::Warn),
  };
  let wide = line.width >= 100;
  let kind = match one.subject.kind {
    Topic::Schedule => "sched",
    Topic::TaskInstance => "task",
    other => other.as_str(),
  };
  let name = pad(&clean(&one.name), if wide { 20 } else { 13 }, glyphs.ellipsis);
  let head = format!("{glyph} {} {name} ", pad(kind, 6, ""));
  let x = put(buf, (line.x + 1, line.y), line.right(), &head, ctx.style(role));
  let age = ctx.ago(one.since);
  let end = put_right(buf, (x, line.y), line.right().saturating_sub(1), &age, ctx.style(Role::Dim));
  let risk = if one.at_risk > 0 && wide {
    format!(" {} {} at risk", glyphs.dot, count(one.at_risk))
  } else {
    String::new()
  };
  let text = format!("{}{risk}", one.message);
  put_cut(buf, (x, line.y), end.saturating_sub(1), &text, (ctx.style(Role::Text), ctx.look));
}

fn running(
  model: &Model,
  ctx: &Ctx<'_>,
  overview: &Overview,
  (area, buf): (Rect, &mut Buffer),
) -> Vec<(Rect, Hit)> {
  let total = overview.counts.get("running").copied().unwrap_or(overview.running.len() as u64);
  let title = format!("Running, longest first ({})", count(total));
  let inside =
    Pane { title: &title, focus: model.pane == 1, ..Pane::default() }.draw(ctx, area, buf);
  if inside.height < 2 {
    return Vec::new();
  }
  let room = usize::from(inside.width).saturating_sub(2);
  let wide = room >= 56;
  let job = room.saturating_sub(8 + 2 + 10 + 8 + if wide { 6 } else { 0 });
  let line = |cells: [&str; 5]| {
    let tries = if wide { format!(" {}", pad(cells[2], 5, "")) } else { String::new() };
    let ellipsis = ctx.look.glyphs.ellipsis;
    format!(
      "{} {}{tries} {} {:>8}",
      pad(cells[0], 8, ""),
      pad(&clean(cells[1]), job, ellipsis),
      pad(&clean(cells[3]), 9, ellipsis),
      cells[4]
    )
  };
  let head = line(["TASK", "JOB", "TRY", "AGENT", "RUNNING"]);
  put(buf, (inside.x + 1, inside.y), inside.right(), &head, ctx.style(Role::Title));
  let at = cursor(model, &lines(overview, 1), 1);
  let rows = usize::from(inside.height) - 1;
  let first = at.saturating_sub(rows.saturating_sub(1));
  let mut hits = Vec::new();
  for (row, task) in overview.running.iter().enumerate().skip(first).take(rows) {
    let y = inside.y + 1 + u16::try_from(row - first).unwrap_or(0);
    let agent = task.agent_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let tries = format!("{}/{}", task.attempt, task.attempts_max);
    let length = task.started_at.map(|at| ctx.age(at)).unwrap_or_default();
    let text = line([&task.id.short(), &task.job, &tries, &agent, &length]);
    put(buf, (inside.x + 1, y), inside.right(), &text, ctx.style(Role::Text));
    cursor_style(model, ctx, (1, row == at), Rect { y, height: 1, ..inside }, buf);
    hits.push((Rect { y, height: 1, ..inside }, Hit::Dash(1, row)));
  }
  hits
}

fn fires(
  model: &Model,
  ctx: &Ctx<'_>,
  overview: &Overview,
  (area, buf): (Rect, &mut Buffer),
) -> Vec<(Rect, Hit)> {
  let inside =
    Pane { title: "Next fires", focus: model.pane == 2, ..Pane::default() }.draw(ctx, area, buf);
  let at = cursor(model, &lines(overview, 2), 2);
  let rows = usize::from(inside.height);
  if overview.fires.is_empty() && rows > 0 {
    put(buf, (inside.x + 1, inside.y), inside.right(), "no fire is planned", ctx.style(Role::Dim));
  }
  let first = at.saturating_sub(rows.saturating_sub(1));
  let mut hits = Vec::new();
  for (row, (fire, more)) in soonest(overview).into_iter().enumerate().skip(first).take(rows) {
    let y = inside.y + u16::try_from(row - first).unwrap_or(0);
    let day = if ctx.format(fire.at, "%F") == ctx.format(ctx.now, "%F") { "" } else { "+" };
    let clock = format!("{}{day}", ctx.format(fire.at, "%H:%M:%S"));
    let more = if more > 0 { format!("  +{more}") } else { String::new() };
    let wait = pad(&ctx.in_words(fire.at), 9, "");
    let text = format!("{} {wait} {}{more}", pad(&clock, 9, ""), fire.job);
    put_cut(buf, (inside.x + 1, y), inside.right(), &text, (ctx.style(Role::Text), ctx.look));
    cursor_style(model, ctx, (2, row == at), Rect { y, height: 1, ..inside }, buf);
    hits.push((Rect { y, height: 1, ..inside }, Hit::Dash(2, row)));
  }
  hits
}

fn agents(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
  let title = format!("Agents ({})", overview.agents.len());
  let inside = Pane { title: &title, ..Pane::default() }.draw(ctx, area, buf);
  for (row, agent) in overview.agents.iter().take(usize::from(inside.height)).enumerate() {
    let y = inside.y + u16::try_from(row).unwrap_or(0);
    let (glyph, word, role) = ctx.look.agent(agent.status, agent.cordoned);
    let name = pad(agent.id.as_str(), 12, ctx.look.glyphs.ellipsis);
    let (slots, _) = super::agents::slots(ctx, agent);
    let last = match agent.cpu_percent {
      Some(cpu) if role == Role::Good => format!("cpu {cpu:.0}%"),
      _ => format!("{glyph} {word}"),
    };
    let text = format!("{name} {} {last}", pad(&slots, 17, ""));
    put_cut(
      buf,
      (inside.x + 1, y),
      inside.right(),
      &text,
      (ctx.style(if role == Role::Good { Role::Text } else { role }), ctx.look),
    );
  }
}

fn events(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
  let title = "Events (failures and changes; 6 for all)";
  let inside = Pane { title, ..Pane::default() }.draw(ctx, area, buf);
  for (row, event) in overview.events.iter().take(usize::from(inside.height)).enumerate() {
    let y = inside.y + u16::try_from(row).unwrap_or(0);
    let ellipsis = ctx.look.glyphs.ellipsis;
    let time = ctx.format(event.change.at, "%H:%M:%S%.3f");
    let kind = pad(&clean(&event.change.event_type), 18, ellipsis);
    let name = pad(&clean(&event.name), 24, ellipsis);
    let x = put(buf, (inside.x + 1, y), inside.right(), &format!("{time} "), ctx.style(Role::Dim));
    let x =
      put(buf, (x, y), inside.right(), &format!("{kind} "), ctx.style(super::events::role(event)));
    let text = format!("{name} {}", event.detail);
    put_cut(buf, (x, y), inside.right(), &text, (ctx.style(Role::Text), ctx.look));
  }
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
