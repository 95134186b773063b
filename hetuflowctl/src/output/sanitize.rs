//! Task output and server text on a terminal: everything that could move the cursor, write to
//! the clipboard or answer back is shown as a visible escape (RELIABILITY §10.7).

/// Longest colour sequence that is let through.
const SGR_BYTES_MAX: usize = 64;

/// Makes a stream of bytes harmless, in pieces of any size; memory stays small.
#[derive(Debug, Default)]
pub struct Sanitizer {
  keep_sgr: bool,
  pending: Vec<u8>,
  colored: bool,
}

impl Sanitizer {
  /// `keep_sgr` lets colours through.
  pub fn new(keep_sgr: bool) -> Self {
    Self { keep_sgr, ..Self::default() }
  }

  /// The harmless form of the next bytes; half a character or sequence waits for its rest.
  pub fn push(&mut self, bytes: &[u8], out: &mut String) {
    if self.pending.is_empty() {
      self.run(bytes, false, out);
    } else {
      let mut whole = std::mem::take(&mut self.pending);
      whole.extend_from_slice(bytes);
      self.run(&whole, false, out);
    }
  }

  /// The rest, and an end to colours.
  pub fn finish(&mut self, out: &mut String) {
    let rest = std::mem::take(&mut self.pending);
    self.run(&rest, true, out);
    if std::mem::take(&mut self.colored) {
      out.push_str("\x1b[0m");
    }
  }

  fn run(&mut self, bytes: &[u8], last: bool, out: &mut String) {
    let mut at = 0;
    while at < bytes.len() {
      let rest = &bytes[at..];
      if rest[0] == 0x1b && self.keep_sgr {
        match sgr(rest) {
          Sgr::Whole(length) => {
            out.push_str(&String::from_utf8_lossy(&rest[..length]));
            self.colored = true;
            at += length;
            continue;
          }
          Sgr::Begun if !last => {
            self.pending = rest.to_vec();
            return;
          }
          Sgr::Begun | Sgr::Other => {}
        }
      }
      match character(rest) {
        Next::Char(c, length) => {
          push_visible(c, out);
          at += length;
        }
        Next::Half if !last => {
          self.pending = rest.to_vec();
          return;
        }
        Next::Half | Next::Bad => {
          out.push_str(&format!("\\x{:02x}", rest[0]));
          at += 1;
        }
      }
    }
  }
}

enum Sgr {
  Whole(usize),
  Begun,
  Other,
}

fn sgr(bytes: &[u8]) -> Sgr {
  if bytes.len() > 1 && bytes[1] != b'[' {
    return Sgr::Other;
  }
  let parameters = bytes.get(2..).unwrap_or_default();
  match parameters.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':')) {
    Some(end) if end <= SGR_BYTES_MAX && parameters[end] == b'm' => Sgr::Whole(end + 3),
    None if parameters.len() <= SGR_BYTES_MAX => Sgr::Begun,
    _ => Sgr::Other,
  }
}

enum Next {
  Char(char, usize),
  Half,
  Bad,
}

fn character(bytes: &[u8]) -> Next {
  let head = &bytes[..bytes.len().min(4)];
  let valid = match std::str::from_utf8(head) {
    Ok(text) => text,
    Err(error) if error.valid_up_to() > 0 => {
      std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
    }
    Err(error) if error.error_len().is_none() => return Next::Half,
    Err(_) => return Next::Bad,
  };
  valid.chars().next().map_or(Next::Bad, |c| Next::Char(c, c.len_utf8()))
}

fn push_visible(c: char, out: &mut String) {
  match c {
    '\n' | '\t' => out.push(c),
    '\r' => out.push_str("\\r"),
    '\0'..='\x1f' | '\x7f'..='\u{9f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
    c if is_deceiving(c) => out.push_str(&format!("<U+{:04X}>", u32::from(c))),
    c => out.push(c),
  }
}

/// Changes the direction or hides: bidi controls, zero-width characters, tags, line separators.
fn is_deceiving(c: char) -> bool {
  matches!(c,
    '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A short text on one line, with nothing in it that acts.
pub fn visible(text: &str) -> String {
  let mut out = String::with_capacity(text.len());
  for c in text.chars() {
    match c {
      '\n' => out.push_str("\\n"),
      '\t' => out.push(' '),
      c => push_visible(c, &mut out),
    }
  }
  out
}

#[cfg(test)]
mod tests {
  use super::*;

  fn clean(keep_sgr: bool, bytes: &[u8]) -> String {
    let mut sanitizer = Sanitizer::new(keep_sgr);
    let mut out = String::new();
    sanitizer.push(bytes, &mut out);
    sanitizer.finish(&mut out);
    out
  }

  /// RELIABILITY §10.7, B111 to B120.
  #[test]
  fn bytes_that_could_hurt_are_visible() {
    let rows: &[(&str, &[u8], &str)] = &[
      ("B111", b"\x1b[2J\x1b[1;1H", "\\x1b[2J\\x1b[1;1H"),
      ("B112 title", b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
      ("B112 clipboard", b"\x1b]52;c;QQ==\x07", "\\x1b]52;c;QQ==\\x07"),
      ("B112 link", b"\x1b]8;;http://x\x1b\\", "\\x1b]8;;http://x\\x1b\\"),
      ("B113 screen", b"\x1b[?1049h\x1b[?1000h", "\\x1b[?1049h\\x1b[?1000h"),
      ("B113 reset", b"\x1bc\x1b[6n", "\\x1bc\\x1b[6n"),
      ("B113 decrqss", b"\x1bP$qm\x1b\\", "\\x1bP$qm\\x1b\\"),
      ("B114 raw", b"\x9b31m", "\\x9b31m"),
      ("B114 utf-8", b"\xc2\x9b31m", "\\x9b31m"),
      ("B115", b"failed\rOK: all tests passed", "failed\\rOK: all tests passed"),
      ("B116", b"ab\x08\x08\x0b\x0c\x7f\x07", "ab\\x08\\x08\\x0b\\x0c\\x7f\\x07"),
      ("B117 bidi", "a\u{202e}b\u{2066}c".as_bytes(), "a<U+202E>b<U+2066>c"),
      ("B117 joiner", "a\u{200d}b\u{e0041}".as_bytes(), "a<U+200D>b<U+E0041>"),
      ("B118 lone", b"\x80a\xffb", "\\x80a\\xffb"),
      ("B118 overlong", b"\xc0\xaf", "\\xc0\\xaf"),
      ("B118 surrogate", b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
      ("B118 half", b"a\xe4\xb8", "a\\xe4\\xb8"),
      ("B119 nul", b"a\0b", "a\\x00b"),
      ("plain", "tab\there\n进度\n".as_bytes(), "tab\there\n进度\n"),
    ];
    for (row, bytes, expected) in rows {
      for keep_sgr in [false, true] {
        assert_eq!(clean(keep_sgr, bytes), *expected, "{row}");
        assert!(!clean(keep_sgr, bytes).contains('\x1b'), "{row}");
      }
    }
  }

  #[test]
  fn b120_colours_and_nothing_else() {
    let red = b"\x1b[31mred\x1b[0m";
    assert_eq!(clean(false, red), "\\x1b[31mred\\x1b[0m");
    assert_eq!(clean(true, red), "\x1b[31mred\x1b[0m\x1b[0m");
    assert_eq!(clean(true, b"\x1b[38;2;1;2;3mx\x1b[2K"), "\x1b[38;2;1;2;3mx\\x1b[2K\x1b[0m");
    let endless = [b"\x1b[".as_slice(), &[b'1'; 500], b"m"].concat();
    assert!(!clean(true, &endless).contains('\x1b'));
  }

  #[test]
  fn the_cut_between_chunks_does_not_matter() {
    let bytes = "进\u{202e}度\x1b[31mred\x1b[0m\x1b[2J\r\n".as_bytes();
    let whole = clean(true, bytes);
    for cut in 0..bytes.len() {
      let mut sanitizer = Sanitizer::new(true);
      let mut out = String::new();
      sanitizer.push(&bytes[..cut], &mut out);
      sanitizer.push(&bytes[cut..], &mut out);
      sanitizer.finish(&mut out);
      assert_eq!(out, whole, "cut at {cut}");
    }
  }
}
