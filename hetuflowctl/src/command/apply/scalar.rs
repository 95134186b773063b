//! What an unquoted YAML word is. Words that YAML 1.1 and 1.2 read differently are refused where
//! text is due, so that `no` and `012` never change their meaning in silence.

/// What an unquoted word looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Word {
  /// `~`, `null`, nothing.
  Null,
  /// `true` and `false`.
  Bool(bool),
  /// A whole number.
  Int(i64),
  /// A whole number beyond i64.
  Big(u64),
  /// A number with a fraction.
  Float(f64),
  /// `yes`, `no`, `on`, `off`: booleans of YAML 1.1, text in YAML 1.2.
  OldBool,
  /// `0o17`, `1_000`, `12:30:45`, `0x1F`: numbers to some readers.
  OddNumber,
  /// Text.
  Text,
}

impl Word {
  /// Reads a word.
  pub fn read(text: &str) -> Self {
    match text {
      "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
      "true" | "True" | "TRUE" => return Self::Bool(true),
      "false" | "False" | "FALSE" => return Self::Bool(false),
      _ => {}
    }
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "yes" | "no" | "on" | "off" | "y" | "n") {
      return Self::OldBool;
    }
    let digits = lower.trim_start_matches(['-', '+']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
      return Self::Text;
    }
    let leading_zero = digits.len() > 1
      && digits.starts_with('0')
      && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    let plus = text.starts_with('+');
    if !leading_zero && !plus {
      if let Ok(number) = text.parse() {
        return Self::Int(number);
      }
      if let Ok(number) = text.parse() {
        return Self::Big(number);
      }
      let plain =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
      if plain
        && let Ok(number) = text.parse::<f64>()
        && number.is_finite()
      {
        return Self::Float(number);
      }
    }
    let number =
      |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let odd = digits.starts_with("0x")
      && digits[2..].bytes().all(|b| b.is_ascii_hexdigit() || b == b'_')
      || digits.starts_with("0o") && number(&digits[2..])
      || digits.starts_with("0b") && number(&digits[2..])
      || number(digits)
      || digits.contains(':') && digits.split(':').all(number);
    if odd { Self::OddNumber } else { Self::Text }
  }

  /// What to call it where text is due; `None` is text.
  pub fn not_text(self) -> Option<&'static str> {
    match self {
      Self::Null => Some("null"),
      Self::Bool(_) | Self::OldBool => Some("boolean"),
      Self::Int(_) | Self::Big(_) | Self::Float(_) | Self::OddNumber => Some("number"),
      Self::Text => None,
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn words() {
    for (text, word) in [
      ("no", Word::OldBool),
      ("On", Word::OldBool),
      ("~", Word::Null),
      ("true", Word::Bool(true)),
      ("7", Word::Int(7)),
      ("-7", Word::Int(-7)),
      ("1.50", Word::Float(1.5)),
      ("18446744073709551615", Word::Big(u64::MAX)),
      ("0o17", Word::OddNumber),
      ("017", Word::OddNumber),
      ("0x1F", Word::OddNumber),
      ("1_000", Word::OddNumber),
      ("12:30:45", Word::OddNumber),
      ("5m", Word::Text),
      ("1.2.3", Word::Text),
      ("2025-11-21", Word::Text),
      (".inf", Word::Text),
      ("1e999", Word::Text),
      ("heartbeat", Word::Text),
    ] {
      assert_eq!(Word::read(text), word, "{text}");
    }
  }
}
