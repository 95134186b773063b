//! The line in which a pattern, a file or a command is typed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Characters in one line at most.
const CHARS_MAX: usize = 1000;
/// Lines that are remembered of each kind.
const REMEMBERED_MAX: usize = 50;

/// What is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
  /// A pattern to jump to.
  Search,
  /// A pattern that lines must match.
  Filter,
  /// A file to write.
  Export,
  /// A command to feed.
  Pipe,
}

impl Wanted {
  /// What stands before the text.
  pub fn sign(self) -> &'static str {
    match self {
      Self::Search => "/",
      Self::Filter => "&",
      Self::Export => "export to:",
      Self::Pipe => "|",
    }
  }
}

/// A line being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
  /// For what.
  pub wanted: Wanted,
  /// So far.
  pub text: String,
  back: usize,
}

/// What a key did to the line.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
  /// It changed.
  Changed,
  /// Nothing.
  Nothing,
  /// It is finished.
  Accepted,
  /// It is given up.
  GivenUp,
}

/// Lines typed before, newest last.
#[derive(Debug, Default)]
pub struct Remembered(Vec<(&'static str, String)>);

impl Remembered {
  /// Keeps a line.
  pub fn keep(&mut self, wanted: Wanted, text: &str) {
    self.0.retain(|(sign, old)| *sign != wanted.sign() || old != text);
    self.0.push((wanted.sign(), text.to_owned()));
    if self.0.len() > 4 * REMEMBERED_MAX {
      self.0.remove(0);
    }
  }

  fn nth_last(&self, wanted: Wanted, back: usize) -> Option<&str> {
    let own = self.0.iter().rev().filter(|(sign, _)| *sign == wanted.sign());
    own.map(|(_, text)| text.as_str()).nth(back.checked_sub(1)?)
  }
}

impl Prompt {
  /// A line that begins with a text.
  pub fn new(wanted: Wanted, text: String) -> Self {
    Self { wanted, text, back: 0 }
  }

  /// Takes a key.
  pub fn key(&mut self, key: KeyEvent, remembered: &Remembered) -> Typed {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
      KeyCode::Esc => return Typed::GivenUp,
      KeyCode::Char('c' | 'g') if control => return Typed::GivenUp,
      KeyCode::Enter => return Typed::Accepted,
      KeyCode::Backspace if self.text.is_empty() => return Typed::GivenUp,
      KeyCode::Backspace => drop(self.text.pop()),
      KeyCode::Char('u') if control => self.text.clear(),
      KeyCode::Char('w') if control => {
        let end = self.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
        self.text.truncate(end);
      }
      KeyCode::Up | KeyCode::Down => {
        let up = key.code == KeyCode::Up;
        let back = if up { self.back + 1 } else { self.back.saturating_sub(1) };
        match remembered.nth_last(self.wanted, back) {
          Some(text) => self.text = text.to_owned(),
          None if up => return Typed::Nothing,
          None => self.text.clear(),
        }
        self.back = back;
      }
      KeyCode::Char(c) if !control && !c.is_control() && self.text.len() < CHARS_MAX => {
        self.text.push(c);
      }
      _ => return Typed::Nothing,
    }
    Typed::Changed
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn typing_and_remembering() {
    let mut remembered = Remembered::default();
    remembered.keep(Wanted::Search, "one");
    remembered.keep(Wanted::Filter, "other");
    remembered.keep(Wanted::Search, "two");
    let mut prompt = Prompt::new(Wanted::Search, String::new());
    let press = |prompt: &mut Prompt, code| prompt.key(KeyEvent::from(code), &remembered);
    assert_eq!(press(&mut prompt, KeyCode::Char('进')), Typed::Changed);
    press(&mut prompt, KeyCode::Up);
    assert_eq!(prompt.text, "two");
    press(&mut prompt, KeyCode::Up);
    assert_eq!((press(&mut prompt, KeyCode::Up), prompt.text.as_str()), (Typed::Nothing, "one"));
    press(&mut prompt, KeyCode::Down);
    press(&mut prompt, KeyCode::Down);
    assert_eq!(prompt.text, "");
    assert_eq!(press(&mut prompt, KeyCode::Backspace), Typed::GivenUp);
    assert_eq!(press(&mut prompt, KeyCode::Enter), Typed::Accepted);
  }
}
