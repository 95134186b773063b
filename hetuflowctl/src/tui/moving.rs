//! Moving in lists: the cursor, the wheel, columns.

use super::actions::run;
use super::keys::Action;
use super::model::{Model, Screen};
use super::screen;
use super::store::View;
use super::update::Effect;
use super::widget::list::ListState;

pub(super) fn motion(model: &mut Model, action: Action) {
  if model.screen == Screen::Dash {
    return screen::dashboard::motion(model, action);
  }
  model.moved_at = model.now;
  with_list(model, |list, view| {
    let page = i64::try_from(list.height.max(2)).unwrap_or(10);
    match action {
      Action::Up => list.step(-1, view),
      Action::Down => list.step(1, view),
      Action::HalfUp => list.step(-page / 2, view),
      Action::HalfDown => list.step(page / 2, view),
      Action::PageUp => list.step(1 - page, view),
      Action::PageDown => list.step(page - 1, view),
      Action::Top => list.home(),
      _ => list.go(u64::MAX, view),
    }
  });
}

/// Works on the screen's list with the view that it shows.
pub(super) fn with_list(model: &mut Model, work: impl FnOnce(&mut ListState, &View)) {
  let Some((name, _)) = model.screen.list() else { return };
  let Model { lists, store, .. } = model;
  let Some(list) = lists.get_mut(name) else { return };
  let frozen = list.frozen.take();
  if let Some(view) = frozen.as_deref().or(store.view(name)) {
    work(list, view);
  }
  list.frozen = frozen;
}

/// Rolls the pane.
pub fn scroll(model: &mut Model, by: i64) {
  model.moved_at = model.now;
  with_list(model, |list, view| list.scroll(by, view));
}

/// A click selects; a click on the selected row opens it.
pub fn click_row(model: &mut Model, index: u64, effects: &mut Vec<Effect>) {
  let again = model.list().is_some_and(|list| list.cursor.is_some() && list.index == index);
  if again {
    return run(model, Action::Open, effects);
  }
  model.moved_at = model.now;
  with_list(model, |list, view| list.go(index, view));
}

pub(super) fn skip_columns(model: &mut Model, by: isize) {
  let most = screen::columns(&model.screen).len().saturating_sub(2);
  if let Some(list) = model.list_mut() {
    list.skipped = list.skipped.saturating_add_signed(by).min(most);
  }
}
