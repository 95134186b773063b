//! The figures of the first screen: queue, throughput, waits.

use hetuflow_core::{Overview, RATE_BUCKET_SECS, TaskStatus};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Ctx, Pane, put, put_cut};
use crate::tui::look::{Role, task_word};
use crate::tui::text::{count, pad, rate, took};
use crate::tui::widget::chart::{bar, per_second, spark};

pub(super) fn queue(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
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

pub(super) fn throughput(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
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

pub(super) fn latency(ctx: &Ctx<'_>, overview: &Overview, area: Rect, buf: &mut Buffer) {
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
