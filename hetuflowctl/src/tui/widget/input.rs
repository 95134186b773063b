//! One line that a person types, with earlier lines to come back to.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::text::{clean, width};

/// Longest line; what is pasted beyond it is dropped.
const CHARS_MAX: usize = 2000;

/// A line being typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
  text: String,
  /// Characters before the cursor.
  at: usize,
  recalled: Option<usize>,
}

/// What a key did to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed {
  /// The text is another one.
  Changed,
  /// Only the cursor moved.
  Moved,
  /// Return.
  Done,
  /// Escape.
  Left,
  /// Not a key of a line.
  Ignored,
}

impl Input {
  /// A line with a text in it.
  pub fn of(text: &str) -> Self {
    let text = clean(text).into_owned();
    let at = text.chars().count();
    Self { text, at, recalled: None }
  }

  /// The text.
  pub fn text(&self) -> &str {
    &self.text
  }

  /// Characters before the cursor.
  pub fn at(&self) -> usize {
    self.at
  }

  /// Puts a text in place of what stands between a character and the cursor.
  pub fn replace(&mut self, from: usize, text: &str) {
    if from < self.at {
      self.remove(from, self.at);
    }
    self.insert(text);
  }

  /// Cells before the cursor.
  pub fn cursor(&self) -> usize {
    width(&self.text[..self.byte(self.at)])
  }

  fn byte(&self, at: usize) -> usize {
    self.text.char_indices().nth(at).map_or(self.text.len(), |(byte, _)| byte)
  }

  fn count(&self) -> usize {
    self.text.chars().count()
  }

  /// Puts a text in at the cursor.
  pub fn insert(&mut self, text: &str) {
    let room = CHARS_MAX.saturating_sub(self.count());
    let text: String = clean(text).chars().take(room).collect();
    let byte = self.byte(self.at);
    self.text.insert_str(byte, &text);
    self.at += text.chars().count();
  }

  fn remove(&mut self, from: usize, to: usize) -> Typed {
    let (start, end) = (self.byte(from), self.byte(to));
    if start == end {
      return Typed::Moved;
    }
    self.text.replace_range(start..end, "");
    self.at = from;
    Typed::Changed
  }

  fn word_start(&self) -> usize {
    let chars: Vec<char> = self.text.chars().take(self.at).collect();
    let end = chars.iter().rposition(|c| !c.is_whitespace()).map_or(0, |at| at + 1);
    chars[..end].iter().rposition(|c| c.is_whitespace()).map_or(0, |at| at + 1)
  }

  /// Takes a key; `earlier` lines, the newest last, come back with up and down.
  pub fn key(&mut self, key: KeyEvent, earlier: &[String]) -> Typed {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
      KeyCode::Enter => Typed::Done,
      KeyCode::Esc => Typed::Left,
      KeyCode::Char(c) if ctrl => self.control(c),
      KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::ALT) => {
        self.insert(c.encode_utf8(&mut [0; 4]));
        Typed::Changed
      }
      KeyCode::Backspace => self.remove(self.at.saturating_sub(1), self.at),
      KeyCode::Delete => {
        let at = self.at;
        self.remove(at, (at + 1).min(self.count()))
      }
      KeyCode::Left => self.go(self.at.saturating_sub(1)),
      KeyCode::Right => self.go((self.at + 1).min(self.count())),
      KeyCode::Home => self.go(0),
      KeyCode::End => self.go(self.count()),
      KeyCode::Up => self.recall(earlier, true),
      KeyCode::Down => self.recall(earlier, false),
      _ => Typed::Ignored,
    }
  }

  fn go(&mut self, at: usize) -> Typed {
    self.at = at;
    Typed::Moved
  }

  fn control(&mut self, c: char) -> Typed {
    match c {
      'a' => self.go(0),
      'e' => self.go(self.count()),
      'u' => self.remove(0, self.at),
      'k' => {
        let at = self.at;
        self.remove(at, self.count())
      }
      'w' => self.remove(self.word_start(), self.at),
      'h' => self.remove(self.at.saturating_sub(1), self.at),
      _ => Typed::Ignored,
    }
  }

  fn recall(&mut self, earlier: &[String], back: bool) -> Typed {
    let at = match (self.recalled, back) {
      (None, true) => earlier.len().checked_sub(1),
      (Some(at), true) => Some(at.saturating_sub(1)),
      (Some(at), false) if at + 1 < earlier.len() => Some(at + 1),
      _ => return Typed::Ignored,
    };
    let Some((at, text)) = at.and_then(|at| Some((at, earlier.get(at)?))) else {
      return Typed::Ignored;
    };
    *self = Self { recalled: Some(at), ..Self::of(text) };
    Typed::Changed
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  fn press(input: &mut Input, code: KeyCode) -> Typed {
    input.key(KeyEvent::new(code, KeyModifiers::NONE), &["one".into(), "two".into()])
  }

  #[test]
  fn typing_moving_and_recalling() {
    let mut input = Input::default();
    for c in "状态 failed".chars() {
      assert_eq!(press(&mut input, KeyCode::Char(c)), Typed::Changed);
    }
    assert_eq!((input.text(), input.cursor()), ("状态 failed", 11));
    press(&mut input, KeyCode::Home);
    press(&mut input, KeyCode::Delete);
    assert_eq!((input.text(), input.cursor()), ("态 failed", 0));
    press(&mut input, KeyCode::End);
    let ctrl_w = KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL);
    assert_eq!(input.key(ctrl_w, &[]), Typed::Changed);
    assert_eq!(input.text(), "态 ");
    press(&mut input, KeyCode::Up);
    assert_eq!(input.text(), "two");
    press(&mut input, KeyCode::Up);
    assert_eq!(input.text(), "one");
    assert_eq!(press(&mut input, KeyCode::Enter), Typed::Done);
  }

  #[test]
  fn pasted_text_is_bounded_and_harmless() {
    let mut input = Input::default();
    input.insert(&"x\n\x1b".repeat(5000));
    assert_eq!(input.text().chars().count(), CHARS_MAX);
    assert!(!input.text().contains(['\n', '\x1b']));
  }
}
