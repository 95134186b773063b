//! From an acting key to its dialog: which rows are meant, whether they can be acted on, and the plan.

use super::act::{self, Plan, Verb};
use super::keys::Action;
use super::look::Role;
use super::model::{Model, Screen};
use super::overlay::Overlay;
use super::screen;
use super::store::Row;
use super::widget::input::Input;
use super::widget::list::Target;

/// Why nothing may be changed now.
pub fn why_not_now(model: &Model) -> Option<String> {
  if model.site.read_only {
    return Some("read-only: nothing can be changed from here".to_owned());
  }
  if !model.condition().may_act() {
    return Some("offline: nothing was sent, nothing waits to be sent".to_owned());
  }
  model.acting.then(|| "the last change is still on its way".to_owned())
}

/// The row that acts are about: of the list, or the task of the task screen.
pub(super) fn rows(model: &Model) -> Vec<Row> {
  if let Screen::Task(_) = model.screen {
    let task = model.task_detail("task").map(|detail| Row::Task(Box::new(detail.task.clone())));
    return task.into_iter().collect();
  }
  if model.screen == Screen::Dash {
    return screen::dashboard::row(model).into_iter().collect();
  }
  let (Some(view), Some(list)) = (model.list_view(), model.list()) else { return Vec::new() };
  if list.marks.is_empty() {
    return model.current().map(|(_, entry)| entry.row.clone()).into_iter().collect();
  }
  let newest = |(key, marked)| view.rows.get(key).map_or(marked, |entry| &entry.row);
  list.marks.iter().map(newest).cloned().collect()
}

pub(super) fn ask(model: &mut Model, action: Action) {
  if let Some(why) = why_not_now(model) {
    return model.toast(Role::Warn, why);
  }
  if model.collecting.is_some() {
    return model.toast(Role::Warn, "what matches is still being marked: press again");
  }
  if model.list().is_some_and(|list| list.moved && list.marks.is_empty()) {
    if let Some(list) = model.list_mut() {
      list.moved = false;
    }
    let words = "the row under the cursor has left the list: look, then press again";
    return model.toast(Role::Warn, words);
  }
  let (mut verb, mut targets, mut refused) = (None, Vec::<Target>::new(), None);
  let rows = rows(model);
  for row in &rows {
    match act::verb_for(action, row) {
      Ok((found, target)) if verb.is_none_or(|known| known == found) => {
        verb = Some(found);
        if !targets.iter().any(|known| known.id == target.id) {
          targets.push(target);
        }
      }
      Ok(_) => refused = Some("the marked rows are in different states: mark fewer"),
      Err(why) => refused = Some(why),
    }
  }
  match (verb, refused) {
    (_, Some(why))
      if targets.is_empty()
        || verb.is_some_and(|verb| {
          matches!(verb, Verb::Enable | Verb::Disable | Verb::Cordon | Verb::Uncordon)
        }) =>
    {
      model.toast(Role::Warn, why);
    }
    (Some(verb), _) => {
      let left_out = rows.len() - targets.len().min(rows.len());
      if left_out > 0 && verb != Verb::Run {
        model.toast(
          Role::Warn,
          format!("{left_out} of the marked rows do not apply and are left out"),
        );
      }
      let plan = Plan::new(verb, targets, model.site.protected);
      model.overlays.push(Overlay::Confirm { plan, input: Input::default() });
    }
    (None, _) => model.toast(Role::Warn, "there is no row here to act on"),
  }
}

/// Asks before one thing is changed, as chosen from a menu.
pub fn ask_one(model: &mut Model, verb: Verb, target: Target) {
  if let Some(why) = why_not_now(model) {
    return model.toast(Role::Warn, why);
  }
  let plan = Plan::new(verb, vec![target], model.site.protected);
  model.overlays.push(Overlay::Confirm { plan, input: Input::default() });
}
