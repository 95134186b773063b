//! Jobs: when they fire, how their last runs went, and the next fires of the one under the cursor.

use hetuflow_core::{JobDetail, JobRow};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::preview::command_of;
use crate::tui::draw::{Ctx, Pane, put_cut};
use crate::tui::look::Role;
use crate::tui::model::Model;
use crate::tui::store::{Entry, Row};
use crate::tui::text::{count, pad, took};
use crate::tui::widget::chart::spark;
use crate::tui::widget::table::{CellText, Column};

fn job(entry: &Entry) -> Option<&JobRow> {
  match &entry.row {
    Row::Job(job) => Some(job),
    _ => None,
  }
}

macro_rules! cell {
  (|$ctx:ident, $job:ident| $body:expr) => {
    |$ctx, entry| match job(entry) {
      Some($job) => $body,
      None => (String::new(), Role::Text),
    }
  };
}

/// The columns, from left to right.
pub static COLUMNS: &[Column] = &[
  Column {
    name: "JOB",
    sort: "name",
    width: 14,
    grow: 2,
    priority: 0,
    right: false,
    cell: cell!(|_ctx, job| name(job)),
  },
  Column {
    name: "KIND",
    sort: "",
    width: 8,
    grow: 0,
    priority: 6,
    right: false,
    cell: cell!(|ctx, job| kind(ctx, job)),
  },
  Column {
    name: "SCHEDULE",
    sort: "",
    width: 14,
    grow: 2,
    priority: 3,
    right: false,
    cell: cell!(|ctx, job| schedule(ctx, job)),
  },
  Column {
    name: "NEXT FIRE",
    sort: "",
    width: 12,
    grow: 1,
    priority: 2,
    right: false,
    cell: cell!(|ctx, job| next_fire(ctx, job)),
  },
  Column {
    name: "LAST 16 RUNS",
    sort: "",
    width: 16,
    grow: 0,
    priority: 1,
    right: false,
    cell: cell!(|ctx, job| last_runs(ctx, job)),
  },
  Column {
    name: "P95",
    sort: "",
    width: 6,
    grow: 0,
    priority: 4,
    right: true,
    cell: cell!(|ctx, job| p95(ctx, job)),
  },
  Column {
    name: "LIVE",
    sort: "",
    width: 4,
    grow: 0,
    priority: 7,
    right: true,
    cell: cell!(|_ctx, job| (count(job.live), if job.live > 0 { Role::Info } else { Role::Dim })),
  },
  Column {
    name: "TZ",
    sort: "",
    width: 10,
    grow: 0,
    priority: 8,
    right: false,
    cell: cell!(|_ctx, job| (
      job.schedules.first().map(|one| one.timezone.clone()).unwrap_or_default(),
      Role::Dim
    )),
  },
  Column {
    name: "CHANGED",
    sort: "age",
    width: 14,
    grow: 0,
    priority: 9,
    right: false,
    cell: cell!(|ctx, job| changed(ctx, job)),
  },
];

fn name(job: &JobRow) -> CellText {
  (job.name.clone(), if job.enabled { Role::Text } else { Role::Dim })
}

fn kind(ctx: &Ctx<'_>, job: &JobRow) -> CellText {
  match job.schedules.as_slice() {
    [] => (ctx.look.glyphs.none.to_owned(), Role::Dim),
    [one] => (one.kind.clone(), Role::Text),
    many => (format!("{} kinds", many.len()), Role::Text),
  }
}

fn schedule(ctx: &Ctx<'_>, job: &JobRow) -> CellText {
  match job.schedules.as_slice() {
    [] => ("by hand".to_owned(), Role::Dim),
    [one] => (one.text.clone(), Role::Text),
    [one, rest @ ..] => {
      (format!("{} {}+{}", one.text, ctx.look.glyphs.dot, rest.len()), Role::Text)
    }
  }
}

fn next_fire(ctx: &Ctx<'_>, job: &JobRow) -> CellText {
  if !job.enabled {
    return ("disabled".to_owned(), Role::Dim);
  }
  if let Some(problem) = job.schedules.iter().map(|one| &one.problem).find(|text| !text.is_empty())
  {
    return (format!("! {problem}"), Role::Warn);
  }
  match job.next_fire_at {
    Some(at) => (format!("{} {}", ctx.format(at, "%H:%M"), ctx.in_brief(at)), Role::Text),
    None => match job.schedules.first() {
      Some(one) if one.status != "enabled" => (one.status.clone(), Role::Dim),
      _ => (ctx.look.glyphs.none.to_owned(), Role::Dim),
    },
  }
}

fn last_runs(ctx: &Ctx<'_>, job: &JobRow) -> CellText {
  let text = job.last_runs.iter().map(|status| ctx.look.task(*status).0).collect::<String>();
  let role = job.last_runs.last().map_or(Role::Dim, |status| ctx.look.task(*status).1);
  (text, role)
}

fn p95(ctx: &Ctx<'_>, job: &JobRow) -> CellText {
  match job.duration.n {
    0 => (ctx.look.glyphs.none.to_owned(), Role::Dim),
    _ => (took(job.duration.p95), Role::Text),
  }
}

fn changed(ctx: &Ctx<'_>, job: &JobRow) -> CellText {
  let who = job.updated_by.as_ref().map(|who| format!(" {who}")).unwrap_or_default();
  (format!("{}{who}", ctx.ago(job.updated_at)), Role::Dim)
}

/// Draws the next fires and the history of the job under the cursor.
pub fn preview(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some(detail) = model.job_detail() else {
    Pane::default().draw(ctx, area, buf);
    return;
  };
  let dot = ctx.look.glyphs.dot;
  let zone =
    detail.job.schedules.first().map(|one| format!(" ({})", one.timezone)).unwrap_or_default();
  let title = format!("{} {dot} v{} {dot} next fires{zone}", detail.job.name, detail.job.version);
  let inside = Pane { title: &title, ..Pane::default() }.draw(ctx, area, buf);
  let facts = facts(ctx, detail);
  let fires = fires(ctx, detail);
  let wide = inside.width >= 70;
  let lines: Vec<CellText> = if wide {
    let half = usize::from(inside.width) / 2;
    let rows = fires.len().max(facts.len());
    let text =
      |list: &[CellText], at: usize| list.get(at).map(|it| it.0.clone()).unwrap_or_default();
    (0..rows)
      .map(|at| {
        (
          format!("{}{}", pad(&text(&fires, at), half, ctx.look.glyphs.ellipsis), text(&facts, at)),
          Role::Text,
        )
      })
      .collect()
  } else {
    fires.into_iter().chain([(String::new(), Role::Text)]).chain(facts).collect()
  };
  for (at, (text, role)) in lines.into_iter().take(usize::from(inside.height)).enumerate() {
    let y = inside.y + u16::try_from(at).unwrap_or(0);
    put_cut(buf, (inside.x + 1, y), inside.right(), &text, (ctx.style(role), ctx.look));
  }
}

fn fires(ctx: &Ctx<'_>, detail: &JobDetail) -> Vec<CellText> {
  if !detail.job.enabled {
    return vec![("the job is disabled: nothing fires".to_owned(), Role::Warn)];
  }
  if detail.fires.is_empty() {
    let problem =
      detail.job.schedules.iter().map(|one| one.problem.clone()).find(|it| !it.is_empty());
    return vec![(problem.unwrap_or_else(|| "no fire is planned".to_owned()), Role::Dim)];
  }
  let line = |fire: &hetuflow_core::FireRow| {
    let note = if fire.note.is_empty() { String::new() } else { format!("  ! {}", fire.note) };
    (
      format!("{}  {}{note}", ctx.format(fire.at, "%a %d %b %H:%M:%S"), ctx.in_words(fire.at)),
      Role::Text,
    )
  };
  detail.fires.iter().take(8).map(line).collect()
}

fn facts(ctx: &Ctx<'_>, detail: &JobDetail) -> Vec<CellText> {
  let (job, dot) = (&detail.job, ctx.look.glyphs.dot);
  let mut lines = Vec::new();
  let days: Vec<u32> =
    detail.days.iter().map(|day| u32::try_from(day.failed).unwrap_or(u32::MAX)).collect();
  if !days.is_empty() {
    let runs: u64 = detail.days.iter().map(|day| day.done).sum();
    let failed: u64 = detail.days.iter().map(|day| day.failed).sum();
    lines.push((
      format!("last {}d  {} fail", days.len(), spark(ctx.look.glyphs, &days, 20)),
      Role::Text,
    ));
    lines.push((
      format!("runs      {} ended {dot} {} failed", count(runs), count(failed)),
      Role::Text,
    ));
  }
  if job.duration.n > 0 {
    let d = &job.duration;
    lines.push((
      format!("duration  p50 {} p95 {} max {}", took(d.p50), took(d.p95), took(d.max)),
      Role::Text,
    ));
  }
  let who = job.updated_by.as_ref().map(|who| format!(" by {who}")).unwrap_or_default();
  lines.push((format!("v{}{who} {}", job.version, ctx.ago(job.updated_at)), Role::Text));
  for schedule in &job.schedules {
    let text = format!(
      "{} {} {} {dot} {}",
      schedule.kind, schedule.text, schedule.timezone, schedule.status
    );
    lines.push((text, Role::Dim));
  }
  if let Some(command) = command_of(&detail.config) {
    lines.push((format!("command   {command}"), Role::Dim));
  }
  if !detail.description.is_empty() {
    lines.push((detail.description.clone(), Role::Dim));
  }
  lines
}

/// The line below the list.
pub fn status(model: &Model, ctx: &Ctx<'_>) -> String {
  let Some(view) = model.list_view() else { return String::new() };
  let dot = ctx.look.glyphs.dot;
  let mut text = format!("{} of {} jobs", count(view.matched), count(view.total));
  if let Some(overview) = model.overview() {
    let of = |name: &str| overview.jobs.get(name).copied().unwrap_or(0);
    text.push_str(&format!(
      " {dot} {} enabled {dot} {} disabled",
      count(of("enabled")),
      count(of("disabled"))
    ));
    if let Some(fire) = overview.fires.first() {
      text.push_str(&format!(" {dot} next fire {}", ctx.in_words(fire.at)));
    }
  }
  text
}
