//! Marks: a set of things for one action. All that the filter lets through is asked of the server in
//! one answer, and the set stands from then on, whatever the list does.

use hetuflow_core::{Scope, WATCH_WINDOW_MAX};

use super::keys::Action;
use super::look::Role;
use super::model::Model;
use super::moving::with_list;
use super::store::View;
use super::text::count;
use super::widget::list::ListState;

/// Marks at most; a bulk of more is the CLI's work.
const MARKS_MAX: usize = WATCH_WINDOW_MAX as usize;
/// The name of the question for everything that matches.
pub const QUESTION: &str = "marks";

/// Everything that a list's filter lets through is being asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collecting {
  /// The list.
  pub list: &'static str,
  /// What it is of.
  pub scope: Scope,
  /// Its filter when the key was pressed.
  pub filter: String,
  /// Its order, which says what the first ones are.
  pub sort: String,
}

/// Marks rows, or clears the marks.
pub(super) fn mark(model: &mut Model, action: Action) {
  match action {
    Action::MarkAll => mark_all(model),
    Action::ClearMarks => model.collecting = None,
    _ => {}
  }
  with_list(model, |list, view| match action {
    Action::Mark => {
      let Some(key) = list.key(view).cloned() else { return };
      let index = view.index_of(&key).unwrap_or(list.index);
      if list.marks.remove(&key).is_none() {
        put(list, view, index);
      }
      list.anchor = Some(index);
      list.go(index + 1, view);
    }
    Action::MarkRange => {
      let anchor = list.anchor.unwrap_or(list.index);
      for index in anchor.min(list.index)..=anchor.max(list.index) {
        put(list, view, index);
      }
      list.anchor = Some(list.index);
    }
    Action::MarkAll => put_all(list, view),
    _ => {
      list.marks.clear();
      list.anchor = None;
    }
  });
}

fn put(list: &mut ListState, view: &View, index: u64) {
  if let Some((key, entry)) = view.entry_at(index)
    && list.marks.len() < MARKS_MAX
  {
    list.marks.insert(key.clone(), entry.row.clone());
  }
}

fn put_all(list: &mut ListState, view: &View) {
  for at in 0..view.order.len() {
    put(list, view, view.from + at as u64);
  }
}

/// Asks for what is not loaded; a held picture is all that its reader means.
fn mark_all(model: &mut Model) {
  let (Some((list, scope)), Some(view)) = (model.screen.list(), model.list_view()) else { return };
  let loaded = view.from == 0 && view.order.len() as u64 >= view.matched;
  let Some(state) = model.lists.get(list).filter(|state| state.frozen.is_none() && !loaded) else {
    return;
  };
  let (filter, sort) = (state.filter.clone(), state.sort.clone());
  model.collecting = Some(Collecting { list, scope, filter, sort });
}

/// Takes the answer, once it is here.
pub fn collect(model: &mut Model) {
  let Some(collecting) = &model.collecting else { return };
  let asked = model.lists.get(collecting.list);
  if !model.link.up || asked.is_none_or(|list| list.filter != collecting.filter) {
    model.collecting = None;
    return;
  }
  let Some(view) = model.store.view(QUESTION).filter(|view| view.synced) else { return };
  let (view, list) = (view.clone(), collecting.list);
  model.collecting = None;
  if let Some(error) = &view.error {
    return model.toast(Role::Bad, format!("not all are marked: {}", error.message));
  }
  let Some(list) = model.lists.get_mut(list) else { return };
  put_all(list, &view);
  let marked = list.marks.len() as u64;
  if (view.order.len() as u64) < view.matched {
    let first = count(view.order.len() as u64);
    let words = format!("only the first {first} of {} are marked", count(view.matched));
    model.toast(Role::Warn, words);
  } else {
    model.toast(Role::Text, format!("{} marked", count(marked)));
  }
}
