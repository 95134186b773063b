//! Menus: what can be done to a row, order and columns, the command line, places to go to.

use super::act::Verb;
use super::asking::why_not_now;
use super::keys::{Action, Group, TABLE};
use super::look::Role;
use super::model::Model;
use super::overlay::{Choice, Menu, MenuKind, Overlay};
use super::screen;
use super::store::Row;
use super::update::Effect;
use super::widget::list::Target;
use super::widget::menu::Item;

pub(super) fn action_menu(model: &mut Model) {
  let place = model.screen.place();
  let may_act = why_not_now(model).is_none();
  let enter = model.look.glyphs.enter;
  let items = TABLE.iter().filter(|row| row.place.meets(place)).filter(|row| {
    row.group == Group::Screen && row.action != Action::RowMenu
      || row.group == Group::Acting && may_act
  });
  let items = items.map(|row| {
    let note = model.keys.label(row.action, enter);
    Item::new(format!("{}: {}", row.name, row.help), note, Choice::Do(row.action))
  });
  let mut items: Vec<Item<Choice>> = items.collect();
  if may_act {
    items.extend(schedule_items(model));
  }
  let title = match model.chosen().as_slice() {
    [] => "Actions".to_owned(),
    [one] => format!("Actions on {}", one.label),
    many => format!("Actions on {} marked rows", many.len()),
  };
  let menu = Menu::new(MenuKind::Actions, title, items);
  model.overlays.push(Overlay::Menu(menu));
}

/// What can be done to each schedule of the job under the cursor.
fn schedule_items(model: &Model) -> Vec<Item<Choice>> {
  let Some(Row::Job(job)) = model.current().map(|(_, entry)| &entry.row) else {
    return Vec::new();
  };
  let verb = |status: &str| match status {
    "paused" => Verb::ResumeSchedule,
    "disabled" => Verb::EnableSchedule,
    _ => Verb::PauseSchedule,
  };
  let item = |one: &hetuflow_core::ScheduleBrief| {
    let verb = verb(&one.status);
    let target = Target {
      id: one.id.to_string(),
      label: one.name.clone(),
      detail: format!("{} {}  {}", one.kind, one.text, one.status),
      namespace: Some(job.namespace_id.to_string()),
    };
    let text = format!("{} schedule {}", verb.title().0.to_lowercase(), one.name);
    Item::new(text, one.text.clone(), Choice::Ask(verb, Box::new(target)))
  };
  job.schedules.iter().map(item).collect()
}

pub(super) fn sort_menu(model: &mut Model) {
  let columns = screen::columns(&model.screen).iter().filter(|column| !column.sort.is_empty());
  let mut items = vec![Item::new("the server's own order", "", Choice::Sort(String::new()))];
  for column in columns {
    let name = column.name.to_lowercase();
    let glyphs = model.look.glyphs;
    let up = Choice::Sort(column.sort.to_owned());
    let down = Choice::Sort(format!("-{}", column.sort));
    items.push(Item::new(format!("{name} {}", glyphs.more[0]), "lowest first", up));
    items.push(Item::new(format!("{name} {}", glyphs.more[1]), "highest first", down));
  }
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Sort, "Sort by", items)));
}

/// Sorts by a field; again turns it around. A field with `-` is taken as it is.
pub fn sort_by(model: &mut Model, field: &str) {
  if let Some(list) = model.list_mut() {
    list.sort =
      if !field.is_empty() && list.sort == field { format!("-{field}") } else { field.to_owned() };
    list.frozen = None;
    list.home();
  }
}

fn column_items(model: &Model) -> Vec<Item<Choice>> {
  let Some(list) = model.list() else { return Vec::new() };
  let columns = screen::columns(&model.screen).iter();
  columns
    .map(|column| {
      let shown = !list.hidden.contains(column.name);
      let mark = if shown { model.look.glyphs.succeeded } else { " " };
      Item::new(format!("{mark} {}", column.name), "", Choice::Column(column.name.to_owned()))
    })
    .collect()
}

pub(super) fn column_menu(model: &mut Model) {
  let items = column_items(model);
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Columns, "Columns", items)));
}

/// Shows or hides a column; the first one stays.
pub fn toggle_column(model: &mut Model, name: &str) {
  let first = screen::columns(&model.screen).first().map(|column| column.name);
  if let Some(list) = model.list_mut()
    && !list.hidden.remove(name)
    && first != Some(name)
  {
    list.hidden.insert(name.to_owned());
  }
  let items = column_items(model);
  if let Some(Overlay::Menu(menu)) = model.overlays.last_mut() {
    menu.items = items;
  }
}

pub(super) fn command_line(model: &mut Model) {
  let words = super::command_line::WORDS.iter();
  let mut items: Vec<Item<Choice>> =
    words.map(|(word, note)| Item::new(*word, *note, Choice::Line((*word).to_owned()))).collect();
  for line in model.recent.iter().rev().take(10) {
    items.push(Item::new(line.clone(), "recent", Choice::Line(line.clone())));
  }
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Command, "Command", items)));
}

pub(super) fn find(model: &mut Model, effects: &mut Vec<Effect>) {
  effects.push(Effect::Namespaces);
  let items = super::find::findable(model);
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Find, "Find", items)));
}

pub(super) fn ask_where(model: &mut Model, effects: &mut Vec<Effect>) {
  effects.push(Effect::Namespaces);
  let items = places(model);
  let title = format!("Where · {}", model.site.label());
  model.overlays.push(Overlay::Menu(Menu::new(MenuKind::Where, title, items)));
}

/// Namespaces and contexts to go to.
pub fn places(model: &Model) -> Vec<Item<Choice>> {
  let site = &model.site;
  let here = |yes: bool| if yes { "here" } else { "" };
  let all = Item::new("namespace *", here(site.namespace.is_none()), Choice::Namespace(None));
  let mut items = vec![all];
  for name in &site.namespaces {
    let note = here(site.namespace.as_ref() == Some(name));
    items.push(Item::new(format!("namespace {name}"), note, Choice::Namespace(Some(name.clone()))));
  }
  for name in &site.contexts {
    let note = here(*name == site.title);
    items.push(Item::new(format!("context {name}"), note, Choice::Context(name.clone())));
  }
  items
}

/// Another namespace: other lists.
pub fn change_namespace(model: &mut Model, name: Option<String>) {
  model.site.namespace = name;
  for list in model.lists.values_mut() {
    list.frozen = None;
    list.marks.clear();
    list.home();
  }
  model.toast(Role::Text, format!("now at {}", model.site.label()));
}
