//! Terminal sequences in task output: colours are understood, everything else is only measured.

use ratatui::style::{Color, Modifier, Style};

/// Longest sequence that is looked for.
const CSI_BYTES_MAX: usize = 64;
const STRING_BYTES_MAX: usize = 4096;

/// What an escape byte begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
  /// A colour sequence of so many bytes.
  Sgr(usize),
  /// So many bytes that nobody misses.
  Harmless(usize),
  /// So many bytes that would have done something: one mark stands for them.
  Other(usize),
}

/// Looks at bytes that begin with ESC.
pub fn escape(bytes: &[u8]) -> Escape {
  match bytes.get(1) {
    Some(b'[') => csi(bytes),
    Some(b']' | b'P' | b'X' | b'^' | b'_') => string(bytes),
    // Character sets, as `tput sgr0` sends them.
    Some(0x20..=0x2f) if matches!(bytes.get(2), Some(0x30..=0x7e)) => Escape::Harmless(3),
    Some(0x30..=0x7e) => Escape::Other(2),
    _ => Escape::Other(1),
  }
}

fn csi(bytes: &[u8]) -> Escape {
  let body = &bytes[2..bytes.len().min(CSI_BYTES_MAX)];
  let Some(end) = body.iter().position(|byte| !matches!(byte, 0x20..=0x3f)) else {
    return Escape::Other(1);
  };
  let plain = body[..end].iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
  match body[end] {
    b'm' if plain => Escape::Sgr(end + 3),
    // Erasing the line is what progress bars do; there is nothing to erase here.
    b'K' if plain => Escape::Harmless(end + 3),
    0x40..=0x7e => Escape::Other(end + 3),
    _ => Escape::Other(1),
  }
}

/// OSC, DCS, SOS, PM, APC: up to their end, where it is near; else the text stays visible.
fn string(bytes: &[u8]) -> Escape {
  let body = &bytes[..bytes.len().min(STRING_BYTES_MAX)];
  for at in 2..body.len() {
    let end = match (body[at], body.get(at + 1)) {
      (0x07, _) => at + 1,
      (0x1b, Some(b'\\')) => at + 2,
      (0x1b, _) => return Escape::Other(1),
      _ => continue,
    };
    let link = body.starts_with(b"\x1b]8;");
    return if link { Escape::Harmless(end) } else { Escape::Other(end) };
  }
  Escape::Other(1)
}

/// Applies the numbers of a colour sequence. Blinking is quiet here, and nothing is concealed.
pub fn apply_sgr(style: Style, sequence: &[u8]) -> Style {
  let body = sequence.get(2..sequence.len().saturating_sub(1)).unwrap_or_default();
  let mut numbers = body
    .split(|byte| matches!(byte, b';' | b':'))
    .map(|digits| std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0));
  let mut style = style;
  while let Some(number) = numbers.next() {
    style = match number {
      0 => Style::new(),
      1 => style.add_modifier(Modifier::BOLD),
      2 => style.add_modifier(Modifier::DIM),
      3 => style.add_modifier(Modifier::ITALIC),
      4 | 21 => style.add_modifier(Modifier::UNDERLINED),
      7 => style.add_modifier(Modifier::REVERSED),
      9 => style.add_modifier(Modifier::CROSSED_OUT),
      22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
      23 => style.remove_modifier(Modifier::ITALIC),
      24 => style.remove_modifier(Modifier::UNDERLINED),
      27 => style.remove_modifier(Modifier::REVERSED),
      29 => style.remove_modifier(Modifier::CROSSED_OUT),
      30..=37 => style.fg(Color::Indexed((number - 30) as u8)),
      90..=97 => style.fg(Color::Indexed((number - 90 + 8) as u8)),
      40..=47 => style.bg(Color::Indexed((number - 40) as u8)),
      100..=107 => style.bg(Color::Indexed((number - 100 + 8) as u8)),
      38 => wide(&mut numbers).map_or(style, |color| style.fg(color)),
      48 => wide(&mut numbers).map_or(style, |color| style.bg(color)),
      39 => Style { fg: None, ..style },
      49 => Style { bg: None, ..style },
      _ => style,
    };
  }
  style
}

/// The colour after 38 or 48.
fn wide(numbers: &mut impl Iterator<Item = u32>) -> Option<Color> {
  let byte = |number: u32| u8::try_from(number).ok();
  match numbers.next()? {
    5 => Some(Color::Indexed(byte(numbers.next()?)?)),
    2 => {
      let (red, green, blue) = (numbers.next()?, numbers.next()?, numbers.next()?);
      Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?))
    }
    _ => None,
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_an_escape_begins() {
    for (bytes, expected) in [
      (&b"\x1b[31mx"[..], Escape::Sgr(5)),
      (b"\x1b[m", Escape::Sgr(3)),
      (b"\x1b[38;2;1;2;3m", Escape::Sgr(13)),
      (b"\x1b[>4;1m", Escape::Other(7)),
      (b"\x1b[2J", Escape::Other(4)),
      (b"\x1b[K", Escape::Harmless(3)),
      (b"\x1b[31", Escape::Other(1)),
      (b"\x1b]0;title\x07x", Escape::Other(10)),
      (b"\x1b]52;c;AAAA\x1b\\x", Escape::Other(13)),
      (b"\x1b]8;;http://x\x1b\\x", Escape::Harmless(15)),
      (b"\x1b]0;no end", Escape::Other(1)),
      (b"\x1bP1$r\x1b\\", Escape::Other(7)),
      (b"\x1b(B", Escape::Harmless(3)),
      (b"\x1bc", Escape::Other(2)),
      (b"\x1b", Escape::Other(1)),
      (b"\x1b\x07", Escape::Other(1)),
    ] {
      assert_eq!(escape(bytes), expected, "{:?}", bytes.escape_ascii().to_string());
    }
  }

  #[test]
  fn colours() {
    let of = |sequence: &[u8]| apply_sgr(Style::new(), sequence);
    assert_eq!(of(b"\x1b[1;31m").fg, Some(Color::Indexed(1)));
    assert_eq!(of(b"\x1b[38;5;208m").fg, Some(Color::Indexed(208)));
    assert_eq!(of(b"\x1b[48;2;1;2;3m").bg, Some(Color::Rgb(1, 2, 3)));
    assert_eq!(of(b"\x1b[38;5;999m").fg, None);
    assert_eq!(apply_sgr(of(b"\x1b[31;1m"), b"\x1b[m"), Style::new());
    assert_eq!(of(b"\x1b[8m"), Style::new());
  }
}
