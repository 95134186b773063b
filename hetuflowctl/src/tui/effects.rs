//! Carries out what the model wants done outside of it.

use futures_util::StreamExt as _;
use hetuflow_core::Ts;

use super::link::LinkOrder;
use super::log::{self, LogAsk};
use super::look::Role;
use super::memory;
use super::model::Model;
use super::outside;
use super::runtime::{Runtime, Source, connect};
use super::terminal::Screen;
use super::update::{Effect, Msg};
use super::widget::list::Target;
use crate::client::Call;

/// Requests of one action that are on their way together.
const ACTS_AT_ONCE: usize = 8;

/// What an effect means for the loop.
pub(super) enum Next {
  Leave,
  Back,
}

impl Runtime {
  pub(super) async fn effect(&mut self, effect: Effect, screen: &mut Screen) -> Option<Next> {
    match effect {
      Effect::Watch(watch) => self.order(LinkOrder::Watch(watch)).await,
      Effect::Unwatch(id) => self.order(LinkOrder::Unwatch(id)).await,
      Effect::Reconnect => self.order(LinkOrder::Retry).await,
      Effect::Act(plan) => self.act(plan),
      Effect::Namespaces => {
        if let Some(client) = self.client.clone() {
          self.tasks.spawn(async move { outside::namespaces(&client).await.map(Msg::Namespaces) });
        }
      }
      Effect::Why(task) => {
        if let Some(client) = self.client.clone() {
          self.tasks.spawn(async move {
            let answer = outside::why(&client, &task).await;
            Some(Msg::Why(task, answer))
          });
        }
      }
      Effect::Copy(text) => {
        let bytes = outside::clipboard(&text, std::env::var_os("TMUX").is_some());
        let words = match screen.say(&bytes) {
          Ok(()) => format!("copied {} characters (OSC 52)", text.chars().count()),
          Err(error) => format!("not copied: {error}"),
        };
        self.model.toast(Role::Good, words);
      }
      Effect::Export(name, text) => match outside::export(&name, &text) {
        Ok(path) => self.model.toast(Role::Good, format!("written: {}", path.display())),
        Err(error) => self.model.toast(Role::Bad, format!("not written: {error}")),
      },
      Effect::Pager(text) => return Some(self.aside(screen, || outside::pager(&text))),
      Effect::Log(ask) => return self.log(ask, screen),
      Effect::Suspend => {
        screen.leave();
        let _ =
          rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP);
        if screen.enter().is_err() {
          return Some(Next::Leave);
        }
        return Some(Next::Back);
      }
      Effect::Redraw => screen.draw_all(),
      Effect::Remember => {
        if let Some(path) = &self.plan.memory {
          memory::save(path, &self.model);
        }
      }
      Effect::Context(name) => self.switch(&name),
      Effect::Ask(words) => self.ask(words),
      Effect::Quit => return Some(Next::Leave),
    }
    None
  }

  /// Gives the terminal to another program until that has ended.
  fn aside(&mut self, screen: &mut Screen, work: impl FnOnce() -> std::io::Result<()>) -> Next {
    screen.leave();
    let done = work();
    if screen.enter().is_err() {
      return Next::Leave;
    }
    if let Err(error) = done {
      self.model.toast(Role::Bad, format!("that did not work: {error}"));
    }
    Next::Back
  }

  fn log(&mut self, ask: LogAsk, screen: &mut Screen) -> Option<Next> {
    match ask {
      LogAsk::Pager(log) => Some(self.aside(screen, || log::page(&log).map(drop))),
      LogAsk::Pipe(log, command) => Some(self.aside(screen, || {
        let done = log::pipe(&log, &command).map(drop);
        outside::wait_for_return()?;
        done
      })),
      LogAsk::Export(log, name) => {
        let written = tokio::task::spawn_blocking(move || {
          let path = std::path::PathBuf::from(name);
          log::export(&log, &path).map(|done| (path, done))
        });
        self.tasks.spawn(async move {
          let (role, words) = match written.await {
            Ok(Ok((path, done))) => {
              let bytes = super::text::count(done.bytes);
              (Role::Good, format!("{}: {bytes} bytes, sha256 {}", path.display(), done.sha256))
            }
            Ok(Err(error)) => (Role::Bad, format!("not written: {error}")),
            Err(error) => (Role::Bad, format!("not written: {error}")),
          };
          Some(Msg::Note(role, words))
        });
        None
      }
      LogAsk::Copy(_) => None,
    }
  }

  async fn order(&mut self, order: LinkOrder) {
    let _ = self.orders.send(order).await;
  }

  fn act(&mut self, plan: super::act::Plan) {
    let Some(mut client) = self.client.clone() else {
      self.model.acting = false;
      self.model.toast(Role::Warn, "this is a recording: nothing was sent");
      return;
    };
    // A protected context wants a word, and a person has typed it.
    client.place.protected &= plan.word.is_none();
    self.tasks.spawn(async move {
      let client = &client;
      let one = |(target, call): (Target, Call)| async move {
        let result = client.send(call).await.map_err(|error| error.message.clone());
        (target.label, result)
      };
      let calls = futures_util::stream::iter(plan.calls()).map(one);
      let results = calls.buffered(ACTS_AT_ONCE).collect().await;
      Some(Msg::Acted(plan, results))
    });
  }

  /// Runs words of the command line as a program of its own that may change nothing.
  fn ask(&mut self, words: Vec<String>) {
    let Some(client) = &self.client else {
      return self.model.toast(Role::Warn, "this is a recording: nobody can be asked");
    };
    let namespace = self.model.site.namespace.clone();
    let command = outside::Asking::new(&client.place, namespace.as_deref(), &words);
    self.model.toast(Role::Text, "asking");
    self.tasks.spawn(async move {
      let lines = command.answer().await;
      Some(Msg::Answered(words.join(" "), lines))
    });
  }

  /// Another context: another link, an empty store, the same screen.
  fn switch(&mut self, name: &str) {
    let (client, site) = match (self.plan.switch)(name) {
      Ok(found) => found,
      Err(error) => return self.model.toast(Role::Bad, error.message.clone()),
    };
    self.links.abort_all();
    (self.orders, self.news) = connect(&mut self.links, Source::Server(Box::new(client.clone())));
    self.client = Some(client);
    let model = &self.model;
    let mut fresh =
      Model::new(model.look, model.keys.clone(), site, Ts::now().minus(self.start.elapsed()));
    fresh.size = model.size;
    fresh.mode = model.mode;
    fresh.now = model.now;
    fresh.screen = match &model.screen {
      super::model::Screen::Task(_) => super::model::Screen::Tasks,
      other => other.clone(),
    };
    fresh.lists.clone_from(&model.lists);
    for list in fresh.lists.values_mut() {
      list.marks.clear();
      list.frozen = None;
      list.home();
    }
    fresh.recent.clone_from(&model.recent);
    fresh.done.clone_from(&model.done);
    self.model = fresh;
  }
}
