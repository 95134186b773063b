//! The lists of the first screen: what needs a person, runs, fires, agents, events.

use hetuflow_core::{Attention, Overview, Severity, Topic};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::dashboard::{cursor, lines, soonest};
use crate::tui::draw::{Ctx, Pane, put, put_cut, put_right};
use crate::tui::look::Role;
use crate::tui::model::{Hit, Model};
use crate::tui::text::{clean, count, pad};

pub(super) fn cursor_style(
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

pub(super) fn attention(
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
    let agents = overview.agents.len() as u64;
    let words = format!(
      "quiet: {} {} enabled {} {} {} known {} no stuck queue, no lost agent, no failing job",
      count(jobs),
      if jobs == 1 { "job" } else { "jobs" },
      ctx.look.glyphs.dot,
      count(agents),
      if agents == 1 { "agent" } else { "agents" },
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

pub(super) fn attention_line(ctx: &Ctx<'_>, one: &Attention, line: Rect, buf: &mut Buffer) {
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

pub(super) fn running(
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

pub(super) fn fires(
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

pub(super) fn agents(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
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

pub(super) fn events(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
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
