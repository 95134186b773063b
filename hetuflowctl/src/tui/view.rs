//! One frame: the header, the tabs, the screen, the lines below it, and what lies over it all.

use hetuflow_core::Ts;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::chrome;
use super::draw::Ctx;
use super::look::Look;
use super::model::{Hit, Model, Screen, TasksView};
use super::over;
use super::screen::{self, agents, dashboard, events, heat, jobs, preview, servers, task, tasks};
use super::widget::table::{Table, TableHit};

/// What a frame says besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
  /// Where the hardware cursor stands, in a line that is being typed.
  pub cursor: Option<Position>,
  /// When some text of the frame would be another one.
  pub next_change: Option<Ts>,
}

/// Below this the terminal shows only counters.
const WIDTH_MIN: u16 = 40;
const HEIGHT_MIN: u16 = 8;

/// Draws a frame into an empty buffer.
pub fn view(model: &mut Model, buf: &mut Buffer) -> Drawn {
  let look: Look = model.look;
  let now = model.link.server_now(model.now);
  let mut ctx = Ctx::new(&look, now, model.mode, model.zone.clone());
  let area = buf.area;
  model.hits.clear();
  if area.width == 0 || area.height == 0 {
    return Drawn { cursor: None, next_change: None };
  }
  if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
    chrome::tiny(model, &ctx, area, buf);
    let cursor = over::draw(model, &ctx, area, buf);
    return Drawn { cursor, next_change: ctx.next_change() };
  }
  let mut hits = Vec::new();
  let mut y = area.y;
  chrome::header(model, &ctx, Rect { height: 1, ..area }, buf);
  y += 1;
  if area.width >= 60 && area.height >= 12 {
    hits.extend(chrome::tabs(model, &ctx, Rect { y, height: 1, ..area }, buf));
    y += 1;
  }
  let body = Rect { y, height: area.bottom() - 2 - y, ..area };
  ctx.stale = model.condition().is_stale();
  hits.extend(body_of(model, &ctx, body, buf));
  ctx.stale = false;
  let lines = Rect { y: area.bottom() - 2, height: 2, ..area };
  let mut cursor = chrome::footer(model, &ctx, lines, buf);
  chrome::toasts(model, &ctx, body, buf);
  model.hits = hits;
  if !model.overlays.is_empty() {
    cursor = over::draw(model, &ctx, area, buf);
  }
  Drawn { cursor, next_change: ctx.next_change() }
}

fn body_of(model: &mut Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Vec<(Rect, Hit)> {
  match model.screen {
    Screen::Dash => dashboard::draw(model, ctx, area, buf),
    Screen::Task(_) => {
      let rest = if model.zoom { area } else { task::draw(model, ctx, area, buf) };
      match &mut model.log {
        Some((_, pane)) => pane.draw(rest, buf, ctx.look),
        None => task::no_output(model, ctx, rest, buf),
      }
      Vec::new()
    }
    Screen::Tasks if model.shows_board() => {
      tasks::board(model, ctx, area, buf);
      Vec::new()
    }
    Screen::Tasks if model.tasks_view == TasksView::Heat => {
      heat::draw(model, ctx, area, buf);
      Vec::new()
    }
    _ => list_of(model, ctx, area, buf),
  }
}

/// A list and its preview: beside it where there is room, else below it.
fn list_of(model: &mut Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Vec<(Rect, Hit)> {
  let beside = area.width >= 130 && !model.zoom;
  let below = !beside && area.width >= 60 && area.height >= 16 && !model.zoom;
  let (mut list, mut beside_or_below) = (area, None);
  if beside && model.screen == Screen::Tasks && area.height >= 30 {
    let height = area.height * 34 / 100;
    list.height -= height;
    let place = Rect { y: list.bottom(), height, ..area };
    preview::output(model, ctx, place, buf);
  }
  let area = list;
  if beside {
    let width = area.width / 3;
    list.width = area.width - width - 1;
    beside_or_below = Some(Rect { x: list.right() + 1, width, ..area });
  } else if below {
    let share = if model.screen == Screen::Tasks { 55 } else { 45 };
    let height = (area.height * share / 100).clamp(7, 14);
    list.height = area.height - height;
    beside_or_below = Some(Rect { y: list.bottom(), height, ..area });
  }
  let causes = model.list_view().map_or(0, |view| view.causes.len()).min(6);
  if model.screen == Screen::Tasks && causes > 0 && list.height >= 20 {
    let height = u16::try_from(causes).unwrap_or(0) + 1;
    let place = Rect { y: list.bottom() - height, height, ..list };
    list.height -= height;
    if let Some(view) = model.list_view() {
      tasks::causes(ctx, &view.causes, place, buf);
    }
  }
  let hits = rows_of(model, ctx, list, buf);
  if let Some(place) = beside_or_below {
    match model.screen {
      Screen::Tasks => preview::draw(model, ctx, place, buf),
      Screen::Jobs => jobs::preview(model, ctx, place, buf),
      Screen::Agents => agents::preview(model, ctx, place, buf),
      Screen::Events => events::preview(model, ctx, place, buf),
      Screen::Servers => servers::preview(model, ctx, place, buf),
      Screen::Dash | Screen::Task(_) => {}
    }
  }
  hits
}

fn rows_of(model: &mut Model, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Vec<(Rect, Hit)> {
  let columns = screen::columns(&model.screen);
  let Some((name, _)) = model.screen.list() else { return Vec::new() };
  if let Some(list) = model.lists.get_mut(name) {
    list.height = u64::from(area.height.saturating_sub(1));
  }
  let (Some(list), Some(view)) = (model.lists.get(name), model.list_view()) else {
    return Vec::new();
  };
  let empty = match (view.seen, list.filter.is_empty()) {
    _ if view.error.is_some() => "the server cannot answer this question; see below",
    (false, _) => "reading …",
    (true, false) => "nothing matches the filter; Esc clears it",
    (true, true) => "nothing here",
  };
  let hits = Table { columns, list, view, empty }.draw(ctx, area, buf);
  hits
    .into_iter()
    .map(|(place, hit)| match hit {
      TableHit::Head(field) => (place, Hit::Head(field)),
      TableHit::Row(index) => (place, Hit::Row(index)),
    })
    .collect()
}
