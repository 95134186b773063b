//! Bytes of a line as what a terminal may be shown: every character with its width and its colour.

use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthChar as _;

use super::escape::{Escape, apply_sgr, escape};

/// Stands for a terminal sequence.
const ESCAPED: char = '␛';
/// Stands for a byte or a character that has no picture.
const HIDDEN: char = '·';
/// Stands for a carriage return inside a line.
const RETURN: char = '␍';
/// A break inside a line that we made ourselves.
pub const BREAK: char = '\n';
/// Marks above and below one character that are kept.
const MARKS_BYTES_MAX: usize = 12;
const TAB: usize = 8;

/// One character on the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Glyph {
  /// The character.
  pub base: char,
  /// Marks that combine with it.
  pub marks: Option<Box<str>>,
  /// Cells that it takes: 0 for [`BREAK`], else 1 or 2.
  pub width: u8,
  /// The task's own colours.
  pub style: Style,
  /// Its first byte in the line.
  pub at: u32,
}

impl Glyph {
  fn new(base: char, width: u8, style: Style, at: usize) -> Self {
    Self { base, marks: None, width, style, at: at as u32 }
  }
}

/// The characters of a line.
pub fn glyphs(line: &[u8]) -> Vec<Glyph> {
  let mut out: Vec<Glyph> = Vec::with_capacity(line.len().min(512));
  let (mut at, mut style, mut column) = (0, Style::new(), 0_usize);
  while at < line.len() {
    let rest = &line[at..];
    let (glyph, taken) = if rest[0] == 0x1b {
      match escape(rest) {
        Escape::Sgr(bytes) => {
          style = apply_sgr(style, &rest[..bytes]);
          (None, bytes)
        }
        Escape::Harmless(bytes) => (None, bytes),
        Escape::Other(bytes) => (Some(stand_in(ESCAPED, at)), bytes),
      }
    } else {
      match character(rest) {
        Some(('\t', bytes)) => {
          for _ in 0..TAB - column % TAB {
            out.push(Glyph::new(' ', 1, style, at));
          }
          column += TAB - column % TAB;
          (None, bytes)
        }
        Some((c, bytes)) => (shown(c, style, at, &mut out), bytes),
        None => (Some(stand_in(HIDDEN, at)), 1),
      }
    };
    if let Some(glyph) = glyph {
      column += usize::from(glyph.width);
      out.push(glyph);
    }
    at += taken;
  }
  out
}

fn stand_in(base: char, at: usize) -> Glyph {
  Glyph::new(base, 1, Style::new().add_modifier(Modifier::DIM), at)
}

/// The picture of a character; marks go to the one before.
fn shown(c: char, style: Style, at: usize, before: &mut [Glyph]) -> Option<Glyph> {
  match c {
    '\r' => return Some(stand_in(RETURN, at)),
    '\0'..='\x1f' | '\x7f'..='\u{9f}' => return Some(stand_in(HIDDEN, at)),
    // They choose between pictures of another width, and terminals do not agree on it.
    '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => return None,
    _ if is_deceiving(c) => return Some(stand_in(HIDDEN, at)),
    _ => {}
  }
  match c.width() {
    Some(width @ 1..=2) => Some(Glyph::new(c, width as u8, style, at)),
    // Wider than a cell can hold: terminals do not agree on these.
    Some(3..) | None => Some(stand_in(HIDDEN, at)),
    Some(0) => {
      if let Some(last) = before.last_mut().filter(|last| last.base.is_alphanumeric()) {
        let mut marks = last.marks.take().map(String::from).unwrap_or_default();
        if marks.len() + c.len_utf8() <= MARKS_BYTES_MAX {
          marks.push(c);
        }
        last.marks = Some(marks.into());
        return None;
      }
      Some(stand_in(HIDDEN, at))
    }
  }
}

/// Changes the direction or hides: bidi controls, zero-width characters, tags, line separators.
fn is_deceiving(c: char) -> bool {
  matches!(c,
    '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

fn character(bytes: &[u8]) -> Option<(char, usize)> {
  let head = &bytes[..bytes.len().min(4)];
  let valid = match std::str::from_utf8(head) {
    Ok(text) => text,
    Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
  };
  valid.chars().next().map(|c| (c, c.len_utf8()))
}

/// The characters as text, without colours.
pub fn text_of(glyphs: &[Glyph]) -> String {
  let mut text = String::with_capacity(glyphs.len());
  for glyph in glyphs {
    text.push(glyph.base);
    text.push_str(glyph.marks.as_deref().unwrap_or_default());
  }
  text
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;
  use ratatui::style::Color;
  use unicode_width::UnicodeWidthStr as _;

  use super::*;

  #[test]
  fn hostile_output_is_pictures() {
    for (bytes, expected) in [
      ("A\u{17d8}".as_bytes(), "A·"),
      (&b"a\x1b[2Jb"[..], "a␛b"),
      (b"a\x1b]0;title\x07b", "a␛b"),
      (b"a\x1b]52;c;aGk=\x1b\\b", "a␛b"),
      (b"\x1bP+q544e\x1b\\x", "␛x"),
      (b"\x1b[10;10Hx\x1bc", "␛x␛"),
      (b"nul\0 bell\x07 del\x7f", "nul· bell· del·"),
      (b"50%\r51%", "50%␍51%"),
      (b"caf\xe9 \xff\xfe", "caf· ··"),
      (b"\x9b31mx", "·31mx"),
      ("evil\u{202e}gnp.exe".as_bytes(), "evil·gnp.exe"),
      ("a\u{200b}b\u{feff}".as_bytes(), "a·b·"),
      ("\u{85}\u{9b}2J".as_bytes(), "··2J"),
      (b"a\tb", "a       b"),
      ("e\u{301}".as_bytes(), "e\u{301}"),
      ("进度 70%".as_bytes(), "进度 70%"),
      (b"\x1b[31mred\x1b[0m plain\x1b[K", "red plain"),
    ] {
      assert_eq!(text_of(&glyphs(bytes)), expected, "{}", bytes.escape_ascii());
    }
  }

  #[test]
  fn colours_stay() {
    let line = glyphs(b"\x1b[31mred\x1b[m.");
    assert_eq!(line[0].style.fg, Some(Color::Indexed(1)));
    assert_eq!(line[3].style, Style::new());
    assert_eq!((line[0].at, line[3].at), (5, 11));
  }

  proptest! {
    #[test]
    fn any_bytes_become_harmless(line in prop::collection::vec(any::<u8>(), 0..400)) {
      for glyph in glyphs(&line) {
        let one = text_of(std::slice::from_ref(&glyph));
        prop_assert!(!one.chars().any(|c| c.is_control() || is_deceiving(c)));
        prop_assert_eq!(one.width(), usize::from(glyph.width));
        prop_assert!((glyph.at as usize) < line.len());
      }
    }

    #[test]
    fn any_text_becomes_harmless(line in "\\PC{0,200}") {
      for glyph in glyphs(line.as_bytes()) {
        let one = text_of(std::slice::from_ref(&glyph));
        prop_assert!(!one.chars().any(|c| c.is_control() || is_deceiving(c)));
        prop_assert_eq!(one.width(), usize::from(glyph.width), "{:?}", one);
      }
    }
  }
}
