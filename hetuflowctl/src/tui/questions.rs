//! The questions that a screen asks of the server, and when it asks others.

use std::time::Duration;

use hetuflow_core::{NamespaceId, Scope, WATCH_WINDOW_MAX, Watch};

use super::find;
use super::marks;
use super::model::{Model, Screen};
use super::store::View;

/// How long a screen that was left keeps its questions.
const LINGER: Duration = Duration::from_secs(10);
/// How long the cursor rests before its preview is asked for.
const PREVIEW_AFTER: Duration = Duration::from_millis(150);

/// What a sync of questions wants sent.
#[derive(Debug, Default)]
pub struct Asked {
  /// Questions.
  pub watch: Vec<Watch>,
  /// Ids that are no longer of interest.
  pub unwatch: Vec<String>,
}

impl Model {
  /// A question about all that this place has.
  pub(super) fn question(&self, name: &str, scope: Scope) -> Watch {
    let namespace_id =
      self.site.namespace.as_ref().and_then(|name| NamespaceId::new(name.clone()).ok());
    Watch {
      id: name.to_owned(),
      scope,
      namespace_id,
      filter: String::new(),
      sort: String::new(),
      from: 0,
      len: 0,
      max_hz: 4,
      target: None,
    }
  }

  /// The questions that this screen asks.
  fn wanted(&mut self) -> Vec<Watch> {
    let mut wanted = vec![Watch { max_hz: 2, ..self.question("overview", Scope::Overview) }];
    if let Some((name, scope)) = self.screen.list() {
      let asked = self.store.view(name).map(|view| (view.watch.from, u64::from(view.watch.len)));
      let list = &self.lists[name];
      let (from, len) = list.window(asked);
      let mut watch = self.question(name, scope);
      watch.filter.clone_from(&list.filter);
      watch.sort.clone_from(&list.sort);
      (watch.from, watch.len, watch.max_hz) = (from, u32::try_from(len).unwrap_or(u32::MAX), 10);
      wanted.push(watch);
    }
    if let Some(all) = self.collecting.clone() {
      let watch = self.question(marks::QUESTION, all.scope);
      let (len, max_hz) = (WATCH_WINDOW_MAX, 1);
      wanted.push(Watch { filter: all.filter, sort: all.sort, len, max_hz, ..watch });
    }
    wanted.extend(find::questions(self));
    if let Screen::Task(id) = &self.screen {
      let watch = self.question("task", Scope::Task);
      wanted.push(Watch { target: Some(id.clone()), namespace_id: None, ..watch });
    }
    let (name, scope) = match self.screen {
      Screen::Tasks => ("preview", Scope::Task),
      Screen::Jobs => ("job", Scope::Job),
      _ => return wanted,
    };
    let current = self.current().map(|(key, _)| key.clone());
    if current != self.preview
      && (self.preview.is_none() || self.now >= self.moved_at + PREVIEW_AFTER)
    {
      self.preview = current;
      self.moved_at = self.now;
    }
    if let Some(id) = &self.preview {
      let watch = self.question(name, scope);
      wanted.push(Watch { target: Some(id.clone()), namespace_id: None, ..watch });
    }
    wanted
  }

  /// Brings the questions in line with the screen.
  pub fn sync_watches(&mut self) -> Asked {
    let mut asked = Asked::default();
    let wanted = self.wanted();
    for watch in &wanted {
      self.leaving.remove(&watch.id);
      let former = self.store.view(&watch.id).map(View::wire_id);
      if self.store.ask(watch.clone()) && self.link.up {
        asked.unwatch.extend(former);
        asked.watch.extend(self.store.view(&watch.id).map(View::question));
      }
    }
    let others: Vec<String> = self
      .store
      .views()
      .map(|view| view.watch.id.clone())
      .filter(|id| wanted.iter().all(|watch| watch.id != *id))
      .collect();
    for name in others {
      let since = *self.leaving.entry(name.clone()).or_insert(self.now);
      let linger = if name == marks::QUESTION { Duration::ZERO } else { LINGER };
      if self.now >= since + linger {
        self.leaving.remove(&name);
        asked.unwatch.extend(self.store.forget(&name));
      }
    }
    asked
  }

  /// When something has to be done without any message.
  pub fn next_wake(&self) -> Option<Duration> {
    let toasts = self.toasts.iter().map(|toast| toast.until);
    let leaving = self.leaving.values().map(|since| *since + LINGER);
    let preview =
      (self.now < self.moved_at + PREVIEW_AFTER).then_some(self.moved_at + PREVIEW_AFTER);
    let link = self.link.next_change(self.now);
    let flood = self.flood.then(|| self.now + Duration::from_secs(1));
    let find = find::next_wake(self);
    toasts
      .chain(find)
      .chain(super::waiting::next_wake(self))
      .chain(flood)
      .chain(leaving)
      .chain(preview)
      .chain(link)
      .filter(|at| *at > self.now)
      .min()
  }

  /// Whether the preview is of the row under the cursor.
  pub fn is_settled(&self) -> bool {
    match self.screen {
      Screen::Tasks | Screen::Jobs => self.current().map(|(key, _)| key) == self.preview.as_ref(),
      _ => true,
    }
  }
}
