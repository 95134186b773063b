//! The text form: `zone in (a,b), gpu, !spot, tier!=gold, cuda>=12.2`.

use super::condition::{
  Comparison, Condition, LabelTest, SELECTOR_VALUES_MAX, is_pattern, is_version, none_of, one_of,
};
use super::labels::{LABEL_BYTES_MAX, LABELS_MAX, is_key_char};

/// Longest selector in text form, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 16 << 10;

const FORMS: &str = "k=v, k!=v, k in (a,b), k notin (a,b), k, !k, k>=1.2, joined by commas";

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("at byte {}: {message}", .span.0)]
pub struct SelectorError {
  /// The wrong bytes, first and behind the last.
  pub span: (usize, usize),
  /// What is wrong.
  pub message: String,
  /// What would be accepted.
  pub hint: String,
}

type Read<T> = Result<T, SelectorError>;

struct Reader<'a> {
  text: &'a str,
  at: usize,
}

/// Reads a text; an empty one has no conditions.
pub(super) fn parse(text: &str) -> Read<Vec<Condition>> {
  let mut reader = Reader { text, at: 0 };
  if text.len() > SELECTOR_BYTES_MAX {
    let message = format!("a text of {} bytes, at most {SELECTOR_BYTES_MAX} are read", text.len());
    return Err(reader.wrong(SELECTOR_BYTES_MAX, message, FORMS));
  }
  reader.spaces();
  let mut conditions = Vec::new();
  while reader.peek().is_some() {
    conditions.push(reader.condition()?);
    reader.spaces();
    match reader.peek() {
      None => return Ok(conditions),
      Some(',') if conditions.len() == LABELS_MAX => {
        let message = format!("more than {LABELS_MAX} conditions");
        return Err(reader.wrong(reader.at, message, "take fewer"));
      }
      Some(',') => reader.at += 1,
      Some(c) => return Err(reader.unexpected(c)),
    }
    reader.spaces();
    if reader.peek().is_none() {
      return Err(reader.wrong(reader.at, "no condition follows the comma", FORMS));
    }
  }
  Ok(conditions)
}

impl Reader<'_> {
  fn peek(&self) -> Option<char> {
    self.rest().chars().next()
  }

  fn rest(&self) -> &str {
    &self.text[self.at..]
  }

  fn spaces(&mut self) {
    self.at += self.rest().len() - self.rest().trim_start().len();
  }

  /// An error over the character at a place.
  fn wrong(&self, at: usize, message: impl Into<String>, hint: &str) -> SelectorError {
    let width = self.text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    SelectorError { span: (at, at + width), message: message.into(), hint: hint.to_owned() }
  }

  fn unexpected(&self, c: char) -> SelectorError {
    let hint = match c {
      '=' => "one = alone, as in k=v; a value with = in it stands in double quotes",
      _ => FORMS,
    };
    self.wrong(self.at, format!("\"{}\" is not expected here", c.escape_debug()), hint)
  }

  fn condition(&mut self) -> Read<Condition> {
    if self.peek() == Some('!') {
      self.at += 1;
      return Ok(Condition { key: self.key()?, test: LabelTest::Absent });
    }
    let key = self.key()?;
    self.spaces();
    let test = self.test()?;
    Ok(Condition { key, test })
  }

  fn key(&mut self) -> Read<String> {
    let rest = self.rest();
    let end = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
    let key = rest[..end].to_owned();
    if key.is_empty() {
      let hint = "label names are letters, digits and . _ - /";
      return Err(self.wrong(self.at, "a label name is missing", hint));
    }
    if key.len() > LABEL_BYTES_MAX {
      let message = format!("a label name of {} bytes", key.len());
      return Err(self.wrong(self.at, message, "at most 128 bytes"));
    }
    self.at += end;
    Ok(key)
  }

  fn test(&mut self) -> Read<LabelTest> {
    if let Some((how, rest)) = Comparison::strip(self.rest()) {
      self.at = self.text.len() - rest.len();
      return Ok(LabelTest::Compare(how, self.version()?));
    }
    if self.take("!=") {
      return Ok(none_of(self.choice()?));
    }
    if self.take("=") {
      return Ok(one_of(self.choice()?));
    }
    if self.take_word("notin") {
      return Ok(none_of(self.list()?));
    }
    if self.take_word("in") {
      return Ok(one_of(self.list()?));
    }
    Ok(LabelTest::Exists)
  }

  fn take(&mut self, text: &str) -> bool {
    let taken = self.rest().starts_with(text);
    self.at += if taken { text.len() } else { 0 };
    taken
  }

  /// A word before a list.
  fn take_word(&mut self, word: &str) -> bool {
    let follows = |rest: &str| !rest.starts_with(is_key_char);
    let taken = self.rest().strip_prefix(word).is_some_and(follows);
    self.at += if taken { word.len() } else { 0 };
    taken
  }

  fn version(&mut self) -> Read<String> {
    self.spaces();
    let at = self.at;
    let version = self.value()?;
    if is_version(&version) {
      return Ok(version);
    }
    let message = format!("\"{}\" is no version", super::labels::shorten(&version));
    Err(self.wrong(at, message, "a version begins with a digit, or with v and a digit"))
  }

  /// One value, or several with bars between them.
  fn choice(&mut self) -> Read<Vec<String>> {
    self.spaces();
    let mut values = vec![self.pattern()?];
    while self.take("|") {
      values.push(self.pattern()?);
    }
    Ok(values)
  }

  fn list(&mut self) -> Read<Vec<String>> {
    self.spaces();
    if !self.take("(") {
      return Err(self.wrong(self.at, "a list is missing", "k in (a,b)"));
    }
    let mut values = Vec::new();
    loop {
      self.spaces();
      values.push(self.pattern()?);
      self.spaces();
      if values.len() > SELECTOR_VALUES_MAX {
        let message = format!("more than {SELECTOR_VALUES_MAX} values");
        return Err(self.wrong(self.at, message, "take fewer, or a * in one"));
      }
      if self.take(")") {
        return Ok(values);
      }
      if !self.take(",") {
        return Err(self.wrong(self.at, "the list is not closed", "k in (a,b)"));
      }
    }
  }

  fn pattern(&mut self) -> Read<String> {
    let at = self.at;
    let value = self.value()?;
    if is_pattern(&value) {
      return Ok(value);
    }
    let message = format!("\"{}\" cannot be a label's value", super::labels::shorten(&value));
    Err(self.wrong(at, message, "printable text of at most 128 bytes without ! and |, one * in it"))
  }

  fn value(&mut self) -> Read<String> {
    if self.peek() == Some('"') {
      return self.quoted();
    }
    let rest = self.rest();
    let ends = |c: char| c.is_whitespace() || ",()=<>!|\"".contains(c);
    let value = rest[..rest.find(ends).unwrap_or(rest.len())].to_owned();
    if value.is_empty() {
      return Err(match self.peek() {
        Some(c) if !matches!(c, ',' | ')') => self.unexpected(c),
        _ => self.wrong(self.at, "a value is missing", FORMS),
      });
    }
    self.at += value.len();
    Ok(value)
  }

  fn quoted(&mut self) -> Read<String> {
    let start = self.at;
    let mut value = String::new();
    let mut chars = self.rest().char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
      match c {
        '"' => {
          self.at = start + at + 1;
          return Ok(value);
        }
        '\\' => value.extend(chars.next().map(|(_, c)| c)),
        c => value.push(c),
      }
    }
    Err(self.wrong(start, "the quote is never closed", "end the value with \""))
  }
}
