//! Failures by job and minute: where it burns, and since when.

use std::collections::BTreeMap;

use hetuflow_core::{TaskRow, TaskStatus, Ts};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::tasks::{causes, task};
use crate::tui::draw::{Ctx, Pane, put, put_cut};
use crate::tui::look::Role;
use crate::tui::model::Model;
use crate::tui::text::{clean, count, pad};
use crate::tui::widget::chart::spark;

/// Minutes that are shown.
const MINUTES: usize = 20;

/// Failures of each job in each minute before `now`, oldest first; the worst job first.
fn failures<'a>(tasks: impl Iterator<Item = &'a TaskRow>, now: Ts) -> Vec<(&'a str, Vec<u32>)> {
  let mut jobs: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
  for task in tasks.filter(|it| matches!(it.status, TaskStatus::Failed | TaskStatus::Lost)) {
    let Some(ended) = task.completed_at else { continue };
    let ago = usize::try_from(now.since(ended).as_secs() / 60).unwrap_or(MINUTES);
    if ago < MINUTES {
      jobs.entry(&task.job).or_insert_with(|| vec![0; MINUTES])[MINUTES - 1 - ago] += 1;
    }
  }
  let mut jobs: Vec<_> = jobs.into_iter().collect();
  jobs.sort_by_key(|(name, minutes)| (std::cmp::Reverse(minutes.iter().sum::<u32>()), *name));
  jobs
}

/// Draws it in place of the rows, of the rows that are loaded.
pub fn draw(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let Some(view) = model.list_view() else { return };
  let title = "Heat: failures per job and minute, last 20m, of the rows that are loaded";
  let inside = Pane { title, note: "v shows rows", ..Pane::default() }.draw(ctx, area, buf);
  let tasks = view.order.iter().filter_map(|key| view.rows.get(key)).filter_map(task);
  let jobs = failures(tasks, ctx.now);
  if jobs.is_empty() && inside.height > 0 {
    let words = "nothing has failed in the last 20 minutes";
    put_cut(
      buf,
      (inside.x + 1, inside.y),
      inside.right(),
      words,
      (ctx.style(Role::Good), ctx.look),
    );
  }
  let half = if view.causes.is_empty() { inside.height } else { inside.height.div_ceil(2) };
  let mut y = inside.y;
  for (name, minutes) in jobs.iter().take(usize::from(half)) {
    let name = pad(&clean(name), 24, ctx.look.glyphs.ellipsis);
    let x = put(buf, (inside.x + 1, y), inside.right(), &format!("{name} "), ctx.style(Role::Text));
    let x = put(
      buf,
      (x, y),
      inside.right(),
      &spark(ctx.look.glyphs, minutes, MINUTES),
      ctx.style(Role::Bad),
    );
    let failed = minutes.iter().map(|n| u64::from(*n)).sum();
    let last = minutes[MINUTES - 1];
    let words = format!("  {:>7} failed  {last} in the last minute", count(failed));
    put_cut(buf, (x, y), inside.right(), &words, (ctx.style(Role::Dim), ctx.look));
    y += 1;
  }
  let rest = Rect { y: y + 1, height: inside.bottom().saturating_sub(y + 1), ..inside };
  if !view.causes.is_empty() {
    causes(ctx, &view.causes, rest, buf);
  }
}

#[cfg(test)]
mod tests {
  use std::time::Duration;

  use super::*;
  use crate::tui::test_data as data;

  #[test]
  fn failures_stand_in_their_minute() {
    let now = data::now();
    let ended = |number: u32, job: &str, status: &str, ago: u64| {
      let at = now.minus(Duration::from_secs(ago));
      TaskRow { completed_at: Some(at), ..data::task(number, job, status) }
    };
    let tasks = [
      ended(1, "a", "failed", 5),
      ended(2, "b", "failed", 5),
      ended(3, "b", "lost", 65),
      ended(4, "b", "failed", 20 * 60),
      ended(5, "c", "succeeded", 5),
    ];
    let jobs = failures(tasks.iter(), now);
    let names: Vec<&str> = jobs.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(jobs[0].1[18..], [1, 1]);
    assert_eq!(jobs[0].1.iter().sum::<u32>(), 2);
  }
}
