//! What Tab offers in the line of a filter: fields, operators, values, names that are known.

use hetuflow_core::{Candidates, Filter, FilterField, FilterScope, Scope};

use super::model::Model;
use super::screen;
use super::store::{Row, View};

/// Words that are offered at most.
const OFFERED_MAX: usize = 40;

/// Words for the place of the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offered {
  /// First character of what they replace.
  pub from: usize,
  /// The words.
  pub words: Vec<String>,
  /// The one that stands in the line, while Tab goes through them.
  pub at: Option<usize>,
}

/// The filter language of a list.
fn language(scope: Scope) -> Option<FilterScope> {
  Some(match scope {
    Scope::Tasks => FilterScope::Tasks,
    Scope::Jobs => FilterScope::Jobs,
    Scope::Agents => FilterScope::Agents,
    Scope::Events => FilterScope::Events,
    _ => return None,
  })
}

/// Looks up what fits at the cursor; called when the line became another one by typing.
pub fn look_up(model: &mut Model) {
  model.offered = offer(model).unwrap_or_default();
}

fn offer(model: &Model) -> Option<Offered> {
  let input = model.typing.as_ref()?;
  let (_, scope) = model.screen.list()?;
  let language = language(scope)?;
  let Candidates { from, typed, field, mut words } =
    Filter::candidates(input.text(), input.at(), language);
  if let Some(field) = &field {
    let mut names = names(model, field, scope);
    names.retain(|name| name.starts_with(&*typed) && *name != typed);
    names.sort();
    names.dedup();
    words.extend(names);
  }
  words.truncate(OFFERED_MAX);
  Some(Offered { from, words, at: None })
}

/// Names that the screen knows of, as values of a field.
fn names(model: &Model, field: &FilterField, scope: Scope) -> Vec<String> {
  let mut names = Vec::new();
  for entry in model.store.views().flat_map(|view: &View| view.rows.values()) {
    let (job, agent, namespace) = match &entry.row {
      Row::Job(job) => (Some(job.name.clone()), None, Some(job.namespace_id.to_string())),
      Row::Agent(agent) => (None, Some(agent.id.to_string()), None),
      Row::Task(task) => (
        Some(task.job.clone()),
        task.agent_id.as_ref().map(ToString::to_string),
        Some(task.namespace_id.to_string()),
      ),
      _ => continue,
    };
    names.extend(match field {
      FilterField::Job => job,
      FilterField::Agent => agent,
      FilterField::Name if scope == Scope::Agents => agent,
      FilterField::Name => job,
      FilterField::Namespace => namespace,
      _ => None,
    });
  }
  names.iter().map(|name| screen::value(name)).collect()
}

/// Tab: the next word in place of what was typed; a common beginning first where there are several.
pub fn turn(model: &mut Model, back: bool) {
  if model.offered.words.is_empty() {
    look_up(model);
  }
  let (Some(input), offered) = (&mut model.typing, &mut model.offered) else { return };
  let count = offered.words.len();
  let Some(first) = offered.words.first() else { return };
  let typed = input.at().saturating_sub(offered.from);
  let common = common_beginning(&offered.words);
  if count > 1 && offered.at.is_none() && common.chars().count() > typed {
    input.replace(offered.from, &common);
    return;
  }
  if count == 1 {
    let word = first.clone();
    input.replace(offered.from, &word);
    return look_up(model);
  }
  let at = match (offered.at, back) {
    (None, false) => 0,
    (None, true) => count - 1,
    (Some(at), false) => (at + 1) % count,
    (Some(at), true) => (at + count - 1) % count,
  };
  offered.at = Some(at);
  input.replace(offered.from, &offered.words[at]);
}

fn common_beginning(words: &[String]) -> String {
  let Some(first) = words.first() else { return String::new() };
  let mut common = first.as_str();
  for word in words {
    while !word.starts_with(common) {
      let Some((at, _)) = common.char_indices().next_back() else { return String::new() };
      common = &common[..at];
    }
  }
  common.to_owned()
}
