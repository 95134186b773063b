//! What lies over a screen: help, menus, the command line, dialogs, texts. How keys move them.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use super::act::{Plan, Verb};
use super::keys::Action;
use super::model::Screen;
use super::widget::input::{Input, Typed};
use super::widget::list::Target;
use super::widget::menu::{Item, search};

/// What a choice of a menu means.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
  /// Do what a key would do.
  Do(Action),
  /// Go to a screen.
  Go(Screen),
  /// The tasks of a job.
  JobTasks(String),
  /// The tasks on an agent.
  AgentTasks(String),
  /// Sort by this.
  Sort(String),
  /// Show or hide a column.
  Column(String),
  /// Another context.
  Context(String),
  /// Another namespace; none is all.
  Namespace(Option<String>),
  /// A line as if it was typed.
  Line(String),
  /// The job of a schedule.
  Schedule(String),
  /// Do this to that, once a person has said yes.
  Ask(Verb, Box<Target>),
}

/// Which menu it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MenuKind {
  /// Order of a list.
  Sort,
  /// Columns of a list; stays open.
  Columns,
  /// Context and namespace.
  Where,
  /// Everything that a row can do.
  Actions,
  /// Find anything.
  Find,
  /// The command line.
  Command,
}

/// Choices with a line to narrow them down.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
  /// Which.
  pub kind: MenuKind,
  /// Its title.
  pub title: String,
  /// All choices.
  pub items: Vec<Item<Choice>>,
  /// The line.
  pub input: Input,
  /// Which of the matching ones.
  pub at: usize,
}

impl Menu {
  /// A menu with nothing typed.
  pub fn new(kind: MenuKind, title: impl Into<String>, items: Vec<Item<Choice>>) -> Self {
    Self { kind, title: title.into(), items, input: Input::default(), at: 0 }
  }

  /// The choices that match, the best first.
  pub fn matching(&self) -> Vec<&Item<Choice>> {
    search(&self.items, self.input.text()).into_iter().filter_map(|at| self.items.get(at)).collect()
  }

  /// The choice under the cursor.
  pub fn chosen(&self) -> Option<&Item<Choice>> {
    let found = self.matching();
    found.get(self.at.min(found.len().saturating_sub(1))).copied()
  }
}

/// A text to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
  /// Its title.
  pub title: String,
  /// Its lines.
  pub lines: Vec<String>,
  /// The first visible line.
  pub top: usize,
  /// The JSON that it comes from, where it does.
  pub raw: Value,
  /// Shown as JSON rather than YAML.
  pub json: bool,
}

impl Reading {
  /// A text.
  pub fn new(title: impl Into<String>, lines: Vec<String>) -> Self {
    Self { title: title.into(), lines, top: 0, raw: Value::Null, json: false }
  }

  /// The fields of a thing.
  pub fn fields(title: impl Into<String>, raw: Value) -> Self {
    let mut reading = Self { raw, ..Self::new(title, Vec::new()) };
    reading.render();
    reading
  }

  fn render(&mut self) {
    let text = if self.json {
      serde_json::to_string_pretty(&self.raw).unwrap_or_default()
    } else {
      serde_saphyr::to_string(&self.raw).unwrap_or_default()
    };
    self.lines = text.lines().map(str::to_owned).collect();
    self.top = self.top.min(self.lines.len().saturating_sub(1));
  }
}

/// Something over the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
  /// The keys, and a line to search them.
  Help {
    /// What is searched.
    input: Input,
    /// The first visible line.
    top: usize,
  },
  /// Choices.
  Menu(Menu),
  /// Asks before something changes.
  Confirm {
    /// What would be done.
    plan: Plan,
    /// The word being typed.
    input: Input,
  },
  /// A text.
  Reading(Reading),
}

/// What a key meant for an overlay.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
  /// Nothing more.
  Kept,
  /// It goes away.
  Closed,
  /// A choice was made.
  Chosen(Choice),
  /// A line was typed that is no choice.
  Typed(String),
  /// A person said yes.
  Confirmed(Plan),
  /// Copy this.
  Copied(String),
  /// Copy this choice as a command, else its text.
  CopiedChoice(Choice, String),
}

impl Overlay {
  /// Takes a key; `recent` are the lines of the command line.
  pub fn key(&mut self, key: KeyEvent, recent: &[String]) -> Told {
    match self {
      Self::Help { input, top } => help_key(input, top, key),
      Self::Menu(menu) => menu_key(menu, key, recent),
      Self::Confirm { plan, input } => confirm_key(plan, input, key),
      Self::Reading(reading) => reading_key(reading, key),
    }
  }

  /// Takes a pasted text.
  pub fn paste(&mut self, text: &str) {
    match self {
      Self::Help { input, .. } => input.insert(text),
      Self::Menu(menu) => {
        menu.input.insert(text);
        menu.at = 0;
      }
      // A word that guards something is typed, not pasted.
      Self::Confirm { .. } | Self::Reading(_) => {}
    }
  }
}

fn help_key(input: &mut Input, top: &mut usize, key: KeyEvent) -> Told {
  match key.code {
    KeyCode::Up => *top = top.saturating_sub(1),
    KeyCode::Down => *top += 1,
    KeyCode::PageUp => *top = top.saturating_sub(10),
    KeyCode::PageDown => *top += 10,
    KeyCode::Char('?') => return Told::Closed,
    _ => match input.key(key, &[]) {
      Typed::Left | Typed::Done => return Told::Closed,
      Typed::Changed => *top = 0,
      Typed::Moved | Typed::Ignored => {}
    },
  }
  Told::Kept
}

fn menu_key(menu: &mut Menu, key: KeyEvent, recent: &[String]) -> Told {
  let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
  let count = menu.matching().len();
  match key.code {
    KeyCode::Up | KeyCode::BackTab => menu.at = menu.at.saturating_sub(1),
    KeyCode::Down => menu.at = (menu.at + 1).min(count.saturating_sub(1)),
    KeyCode::Tab => {
      if let Some(text) = menu.chosen().map(|item| item.text.clone()) {
        menu.input = Input::of(&text);
        menu.at = 0;
      }
    }
    KeyCode::Char('y') if ctrl => {
      let copied = |item: &Item<Choice>| Told::CopiedChoice(item.value.clone(), item.text.clone());
      return menu.chosen().map_or(Told::Kept, copied);
    }
    _ => match menu.input.key(key, recent) {
      Typed::Left => return Told::Closed,
      Typed::Changed => menu.at = 0,
      Typed::Done => return menu_done(menu),
      Typed::Moved | Typed::Ignored => {}
    },
  }
  Told::Kept
}

fn menu_done(menu: &Menu) -> Told {
  let line = menu.input.text().trim();
  if menu.kind == MenuKind::Command && !line.is_empty() && menu.at == 0 {
    return Told::Typed(line.to_owned());
  }
  match menu.chosen() {
    Some(item) => Told::Chosen(item.value.clone()),
    None if line.is_empty() => Told::Closed,
    None => Told::Typed(line.to_owned()),
  }
}

fn confirm_key(plan: &Plan, input: &mut Input, key: KeyEvent) -> Told {
  let Some(word) = &plan.word else {
    return match key.code {
      KeyCode::Char('y' | 'Y') => Told::Confirmed(plan.clone()),
      KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => Told::Closed,
      _ => Told::Kept,
    };
  };
  match input.key(key, &[]) {
    Typed::Left => Told::Closed,
    Typed::Done if input.text() == word => Told::Confirmed(plan.clone()),
    _ => Told::Kept,
  }
}

fn reading_key(reading: &mut Reading, key: KeyEvent) -> Told {
  let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
  let last = reading.lines.len().saturating_sub(1);
  let top = reading.top;
  reading.top = match key.code {
    KeyCode::Char('u') if ctrl => top.saturating_sub(10),
    KeyCode::Char('d') if ctrl => top + 10,
    KeyCode::Char('k') | KeyCode::Up => top.saturating_sub(1),
    KeyCode::Char('j') | KeyCode::Down => top + 1,
    KeyCode::PageUp => top.saturating_sub(20),
    KeyCode::PageDown | KeyCode::Char(' ') => top + 20,
    KeyCode::Char('g') | KeyCode::Home => 0,
    KeyCode::Char('G') | KeyCode::End => last,
    KeyCode::Char('J') if !reading.raw.is_null() => {
      reading.json = !reading.json;
      reading.render();
      reading.top
    }
    KeyCode::Char('y') => return Told::Copied(reading.lines.join("\n")),
    KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'i') => return Told::Closed,
    _ => top,
  }
  .min(last);
  Told::Kept
}
