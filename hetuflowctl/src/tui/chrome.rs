//! What is around a screen: the header with the honest state of the link, tabs, the line of the
//! list, the keys, and short messages.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::draw::{Ctx, put, put_cut, put_right};
use super::keys::{Action, Binding, Group, TABLE};
use super::link_state::Condition;
use super::look::Role;
use super::model::{Hit, Model, Screen};
use super::screen::{agents, dashboard, events, jobs, servers, tasks};
use super::text::{age, count, width};

/// `● LIVE 14ms`, or what is wrong.
fn state(model: &Model, ctx: &Ctx<'_>) -> (String, Role) {
  let glyphs = ctx.look.glyphs;
  match model.condition() {
    Condition::Connecting => (format!("{} CONNECTING", glyphs.sync), Role::Warn),
    Condition::Live => {
      let rtt = model.link.rtt_ms.map(|ms| format!(" {ms:.0}ms")).unwrap_or_default();
      (format!("{} LIVE{rtt}", glyphs.live), Role::Good)
    }
    Condition::Lag(silence) => (format!("{} LAG {}", glyphs.lag, age(silence)), Role::Warn),
    Condition::Sync => (format!("{} SYNC", glyphs.sync), Role::Info),
    Condition::Offline(since) => (format!("{} OFFLINE {}", glyphs.offline, age(since)), Role::Bad),
  }
}

fn offline_words(model: &Model, ctx: &Ctx<'_>) -> String {
  let dot = ctx.look.glyphs.dot;
  let mut text = String::new();
  if let Some(heard) = model.link.heard_at {
    text.push_str(&format!(" {dot} showing {}", ctx.moment(model.link.server_now(heard))));
  }
  match model.link.retry_at {
    _ if model.link.given_up => text.push_str(&format!(" {dot} r tries again")),
    Some(at) => {
      let left = at.saturating_sub(model.now);
      text.push_str(&format!(" {dot} retry in {} (r now)", age(left)));
    }
    None => {}
  }
  text
}

/// Draws the first line. Parts go in a fixed order when there is no room, the state goes last.
pub fn header(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let y = area.y;
  let (words, role) = state(model, ctx);
  if area.width < 60 {
    let x = put(
      buf,
      (area.x, y),
      area.right(),
      model.site.namespace.as_deref().unwrap_or("*"),
      ctx.style(Role::Title),
    );
    let glyph = words.chars().next().map(String::from).unwrap_or_default();
    let shown = if role == Role::Good { glyph } else { words };
    let x = put(buf, (x + 1, y), area.right(), &shown, ctx.style(role));
    put_cut(
      buf,
      (x + 1, y),
      area.right(),
      &dashboard::counters(model, ctx),
      (ctx.style(Role::Text), ctx.look),
    );
    return;
  }
  let mut x = put(buf, (area.x + 1, y), area.right(), "hetuflow  ", ctx.style(Role::Dim));
  x = put(buf, (x, y), area.right(), &format!("{}  ", model.site.label()), ctx.style(Role::Title));
  for (flag, word) in [(model.site.protected, "[protected]"), (model.site.read_only, "[read-only]")]
  {
    if flag && area.width >= 80 {
      x = put(buf, (x, y), area.right(), &format!("{word}  "), ctx.style(Role::Warn));
    }
  }
  x = put(buf, (x, y), area.right(), &words, ctx.style(role));
  if !model.link.up {
    let words = offline_words(model, ctx);
    put_cut(buf, (x, y), area.right(), &words, (ctx.style(Role::Bad), ctx.look));
    return;
  }
  if area.width >= 110 {
    let lost = format!("  lost {}", count(model.store.holes));
    x = put(buf, (x, y), area.right(), &lost, ctx.style(Role::Dim));
  }
  if model.slow_tty {
    x = put(buf, (x, y), area.right(), "  tty slow", ctx.style(Role::Warn));
  }
  if held(model) {
    x = put(buf, (x, y), area.right(), "  FROZEN (f)", ctx.style(Role::Warn));
  }
  let clock = ctx.clock();
  let mut right = vec![clock];
  if let Some(overview) = model.overview() {
    right.insert(0, format!("{}/{} servers", overview.servers_up, overview.servers));
  }
  while !right.is_empty() {
    let text = format!("{} ", right.join("  "));
    if usize::from(area.right().saturating_sub(x)) > width(&text) + 1 {
      put_right(buf, (x, y), area.right(), &text, ctx.style(Role::Dim));
      break;
    }
    right.remove(0);
  }
}

fn held(model: &Model) -> bool {
  match model.screen {
    Screen::Dash => model.dash_frozen.is_some(),
    _ => model.list().is_some_and(|list| list.frozen.is_some()),
  }
}

/// Draws the tabs; where they are.
pub fn tabs(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Vec<(Rect, Hit)> {
  let mut hits = Vec::new();
  let mut x = area.x + 1;
  for (key, screen, name) in Screen::TABS {
    let here = model.screen == screen
      || matches!((&model.screen, &screen), (Screen::Task(_), Screen::Tasks));
    let text = if here { format!("[{key} {name}]") } else { format!(" {key} {name} ") };
    let role = if here { Role::Focus } else { Role::Dim };
    let after = put(buf, (x, area.y), area.right(), &text, ctx.style(role));
    hits.push((Rect { x, y: area.y, width: after - x, height: 1 }, Hit::Tab(screen)));
    x = after;
  }
  let words = if area.width >= 120 { ": command   ^P find   @ where   ? help " } else { ": ^P ? " };
  if usize::from(area.right().saturating_sub(x)) > width(words) {
    put_right(buf, (x, area.y), area.right(), words, ctx.style(Role::Dim));
  }
  hits
}

/// What Tab offers, in place of the keys.
fn offered(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let offered = &model.offered;
  let mut x = put(buf, (area.x + 1, area.y), area.right(), "Tab ", ctx.style(Role::Key));
  // The one that stands in the line stays in sight.
  let first = offered.at.unwrap_or(0).saturating_sub(3);
  for (at, word) in offered.words.iter().enumerate().skip(first) {
    if usize::from(area.right().saturating_sub(x)) < width(word) + 2 {
      put(buf, (x, area.y), area.right(), ctx.look.glyphs.ellipsis, ctx.style(Role::Dim));
      return;
    }
    let role = if offered.at == Some(at) { Role::Focus } else { Role::Dim };
    x = put(buf, (x, area.y), area.right(), word, ctx.style(role)) + 2;
  }
}

/// Draws the line of the list and the line of keys; where the cursor stands in a typed filter.
pub fn footer(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Option<Position> {
  let keys = Rect { y: area.y + 1, height: 1, ..area };
  match model.typing.is_some() && !model.offered.words.is_empty() {
    true => offered(model, ctx, keys, buf),
    false => hints(model, ctx, keys, buf),
  }
  let y = area.y;
  let status = status(model, ctx);
  if let Some(input) = &model.typing {
    let x = put(buf, (area.x + 1, y), area.right(), "/ ", ctx.style(Role::Key));
    put(buf, (x, y), area.right(), input.text(), ctx.style(Role::Text));
    let cells = u16::try_from(input.cursor()).unwrap_or(u16::MAX);
    return Some(Position::new(x.saturating_add(cells).min(area.right() - 1), y));
  }
  if let Some(error) = filter_error(model) {
    filter_problem(model, ctx, Rect { height: 1, ..area }, (buf, &error));
    return None;
  }
  if !model.link.up && !model.link.error.is_empty() {
    let dot = ctx.look.glyphs.dot;
    let words = format!("{} {dot} actions off while offline {dot} @ contexts", model.link.error);
    put_cut(buf, (area.x + 1, y), area.right(), &words, (ctx.style(Role::Bad), ctx.look));
    return None;
  }
  let Some(list) = model.list().filter(|list| !list.filter.is_empty() || !list.marks.is_empty())
  else {
    put_cut(buf, (area.x + 1, y), area.right(), &status, (ctx.style(Role::Dim), ctx.look));
    return None;
  };
  let marks = if list.marks.is_empty() {
    String::new()
  } else {
    format!("{} marked {} ", count(list.marks.len() as u64), ctx.look.glyphs.dot)
  };
  let right = format!("{marks}{status} ");
  let end = put_right(buf, (area.x + 1, y), area.right(), &right, ctx.style(Role::Dim));
  if !list.filter.is_empty() {
    let text = format!("/ {}", list.filter);
    put_cut(buf, (area.x + 1, y), end.saturating_sub(1), &text, (ctx.style(Role::Info), ctx.look));
  }
  None
}

fn filter_error(model: &Model) -> Option<hetuflow_core::WatchError> {
  let (name, _) = model.screen.list()?;
  model.store.view(name)?.error.clone()
}

/// The filter with a mark under what the server could not read.
fn filter_problem(
  model: &Model,
  ctx: &Ctx<'_>,
  area: Rect,
  (buf, error): (&mut Buffer, &hetuflow_core::WatchError),
) {
  let filter = model.list().map(|list| list.filter.clone()).unwrap_or_default();
  let x = put(buf, (area.x + 1, area.y), area.right(), "/ ", ctx.style(Role::Key));
  let column = error.column.and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
  let (mut x, mut after) = (x, x);
  for (at, c) in filter.chars().enumerate() {
    let style = if at == column { ctx.look.style(Role::Match) } else { ctx.style(Role::Text) };
    after = put(buf, (x, area.y), area.right(), c.encode_utf8(&mut [0; 4]), style);
    x = after;
  }
  let hint = if error.hint.is_empty() { String::new() } else { format!("; {}", error.hint) };
  let place = error.column.map(|at| format!("column {}: ", at + 1)).unwrap_or_default();
  let words = format!("  {} {place}{}{hint}", ctx.look.glyphs.failed, error.message);
  put_cut(buf, (after, area.y), area.right(), &words, (ctx.style(Role::Bad), ctx.look));
}

fn status(model: &Model, ctx: &Ctx<'_>) -> String {
  match model.screen {
    Screen::Dash => dashboard::status(model, ctx),
    Screen::Tasks => tasks::status(model, ctx),
    Screen::Task(_) => model.log.as_ref().map(|(_, pane)| pane.status()).unwrap_or_default(),
    Screen::Jobs => jobs::status(model, ctx),
    Screen::Agents => agents::status(model, ctx),
    Screen::Events => events::status(model, ctx),
    Screen::Servers => servers::status(model, ctx),
  }
}

/// The keys that this screen has, from the table, as far as they fit.
fn hints(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let place = model.screen.place();
  // First what is done most: open and read, then act, then the rest.
  let first = |row: &&Binding| matches!(row.action, Action::Open | Action::Logs);
  let mut x = area.x + 1;
  if let (Screen::Task(_), Some((_, pane))) = (&model.screen, &model.log) {
    x =
      put_cut(buf, (x, area.y), area.right(), &pane.footer(), (ctx.style(Role::Dim), ctx.look)) + 2;
  }
  let acting = |row: &&Binding| row.group == Group::Acting;
  let rest = |row: &&Binding| !first(row) && !acting(row);
  let rows =
    TABLE.iter().filter(first).chain(TABLE.iter().filter(acting)).chain(TABLE.iter().filter(rest));
  for row in rows.filter(|row| row.place.meets(place) && !row.hint.is_empty()) {
    if row.group == Group::Acting && (model.site.read_only || model.screen == Screen::Dash) {
      continue;
    }
    let key = model.keys.label(row.action, ctx.look.glyphs.enter);
    let cells = width(&key) + width(row.hint) + 3;
    if key.is_empty() || usize::from(area.right().saturating_sub(x)) < cells {
      continue;
    }
    x = put(buf, (x, area.y), area.right(), &key, ctx.style(Role::Key));
    x = put(buf, (x + 1, area.y), area.right(), row.hint, ctx.style(Role::Dim)) + 2;
  }
}

/// Draws short messages in the lower right corner of the screen.
pub fn toasts(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  for (at, toast) in model.toasts.iter().rev().enumerate() {
    let y = area.bottom().saturating_sub(1 + u16::try_from(at).unwrap_or(0));
    if y < area.top() {
      return;
    }
    let text = format!(" {} ", super::text::clean(&toast.text));
    let text =
      super::text::cut(&text, usize::from(area.width).saturating_sub(2), ctx.look.glyphs.ellipsis);
    let style = ctx.look.style(toast.role).add_modifier(ratatui::style::Modifier::REVERSED);
    put_right(buf, (area.x, y), area.right().saturating_sub(1), &text, style);
  }
}

/// Draws counters only, for a terminal that is too small for a screen.
pub fn tiny(model: &Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
  let (words, role) = state(model, ctx);
  let needs = model.overview().map_or(0, |overview| overview.attention.len());
  let place = model.site.namespace.as_deref().unwrap_or("*");
  let x = put(buf, (area.x, area.y), area.right(), &format!("{place} "), ctx.style(Role::Title));
  put_cut(buf, (x, area.y), area.right(), &words, (ctx.style(role), ctx.look));
  let lines = [
    dashboard::counters(model, ctx),
    if needs == 0 { "nothing needs you".to_owned() } else { format!("{needs} need you") },
  ];
  for (at, line) in lines.iter().enumerate() {
    let y = area.y + 1 + u16::try_from(at).unwrap_or(0);
    put_cut(buf, (area.x, y), area.right(), line, (ctx.style(Role::Text), ctx.look));
  }
  if let Some(toast) = model.toasts.last() {
    let y = area.bottom() - 1;
    put_cut(buf, (area.x, y), area.right(), &toast.text, (ctx.style(toast.role), ctx.look));
  }
}
