//! One condition on one label.

use std::fmt;

use super::labels::{LABEL_BYTES_MAX, Labels};
use super::version::Version;

/// Most values of one condition.
pub const SELECTOR_VALUES_MAX: usize = 64;

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
  /// The label.
  pub key: String,
  /// What is asked of it.
  pub test: LabelTest,
}

/// What is asked of a label. Values are patterns: one `*` in them stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LabelTest {
  /// It is there, and is one of these.
  In(Vec<String>),
  /// It is none of these; also met where it is not there.
  NotIn(Vec<String>),
  /// It is there.
  Exists,
  /// It is not there.
  Absent,
  /// It is there, is a version, and compares so with this one.
  Compare(Comparison, String),
}

/// How two versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
  /// `<`
  Less,
  /// `<=`
  AtMost,
  /// `>`
  Greater,
  /// `>=`
  AtLeast,
}

impl Comparison {
  /// As it is written.
  pub const fn as_str(self) -> &'static str {
    match self {
      Self::Less => "<",
      Self::AtMost => "<=",
      Self::Greater => ">",
      Self::AtLeast => ">=",
    }
  }

  /// Takes one from the beginning of a text.
  pub(super) fn strip(text: &str) -> Option<(Self, &str)> {
    [Self::AtMost, Self::AtLeast, Self::Less, Self::Greater]
      .into_iter()
      .find_map(|one| Some((one, text.strip_prefix(one.as_str())?)))
  }

  fn holds(self, left: &Version, right: &Version) -> bool {
    match self {
      Self::Less => left < right,
      Self::AtMost => left <= right,
      Self::Greater => left > right,
      Self::AtLeast => left >= right,
    }
  }
}

impl Condition {
  /// Whether labels meet it.
  pub fn matches(&self, labels: &Labels) -> bool {
    let value = labels.get(&self.key);
    match &self.test {
      LabelTest::In(wanted) => value.is_some_and(|value| any_matches(wanted, value)),
      LabelTest::NotIn(unwanted) => !value.is_some_and(|value| any_matches(unwanted, value)),
      LabelTest::Exists => value.is_some(),
      LabelTest::Absent => value.is_none(),
      LabelTest::Compare(how, wanted) => {
        let pair = value.and_then(|value| Version::parse(value)).zip(Version::parse(wanted));
        pair.is_some_and(|(value, wanted)| how.holds(&value, &wanted))
      }
    }
  }

  /// Reads the short form of a value: `x`, `a|b`, `*`, `!x`, `!*`, `>=1.2`.
  pub(super) fn short(key: &str, text: &str) -> Option<Self> {
    let test = if let Some((how, version)) = Comparison::strip(text) {
      LabelTest::Compare(how, version.trim().to_owned())
    } else {
      let split = |text: &str| text.split('|').map(str::to_owned).collect();
      match text.strip_prefix('!') {
        Some(unwanted) => none_of(split(unwanted)),
        None => one_of(split(text)),
      }
    };
    let condition = Self { key: key.to_owned(), test };
    (text.len() <= LABEL_BYTES_MAX && condition.has_good_values()).then_some(condition)
  }

  /// The short form of its value, where there is one.
  pub(super) fn to_short(&self) -> Option<String> {
    let plain = |values: &[String]| {
      let text = values.join("|");
      (text.len() < LABEL_BYTES_MAX && !text.starts_with(['<', '>'])).then_some(text)
    };
    match &self.test {
      LabelTest::In(values) => plain(values),
      LabelTest::NotIn(values) => plain(values).map(|text| format!("!{text}")),
      LabelTest::Exists => Some("*".to_owned()),
      LabelTest::Absent => Some("!*".to_owned()),
      LabelTest::Compare(how, version) => Some(format!("{}{version}", how.as_str())),
    }
  }

  pub(super) fn has_good_values(&self) -> bool {
    match &self.test {
      LabelTest::In(values) | LabelTest::NotIn(values) => {
        (1..=SELECTOR_VALUES_MAX).contains(&values.len())
          && values.iter().all(|one| is_pattern(one))
      }
      LabelTest::Exists | LabelTest::Absent => true,
      LabelTest::Compare(_, version) => is_version(version),
    }
  }
}

/// The test for one of these; any value at all is no list.
pub(super) fn one_of(values: Vec<String>) -> LabelTest {
  if values == ["*"] { LabelTest::Exists } else { LabelTest::In(values) }
}

/// The test for none of these.
pub(super) fn none_of(values: Vec<String>) -> LabelTest {
  if values == ["*"] { LabelTest::Absent } else { LabelTest::NotIn(values) }
}

pub(super) fn is_pattern(text: &str) -> bool {
  !text.is_empty()
    && text.len() <= LABEL_BYTES_MAX
    && !text.contains(['!', '|'])
    && !text.chars().any(char::is_control)
    && text.matches('*').count() <= 1
}

pub(super) fn is_version(text: &str) -> bool {
  text.len() <= LABEL_BYTES_MAX
    && !text.chars().any(|c| c.is_control() || c.is_whitespace())
    && Version::parse(text).is_some()
}

fn any_matches(wanted: &[String], value: &str) -> bool {
  wanted.iter().any(|part| match part.split_once('*') {
    None => part == value,
    Some((head, tail)) => {
      value.len() >= head.len() + tail.len() && value.starts_with(head) && value.ends_with(tail)
    }
  })
}

/// A value as it is read back: in quotes where it holds more than plain characters.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let special = |c: char| c.is_whitespace() || ",()=<>!|\"\\".contains(c);
    if !self.0.is_empty() && !self.0.contains(special) {
      return f.write_str(self.0);
    }
    f.write_str("\"")?;
    for c in self.0.chars() {
      if matches!(c, '"' | '\\') {
        f.write_str("\\")?;
      }
      write!(f, "{c}")?;
    }
    f.write_str("\"")
  }
}

fn list(f: &mut fmt::Formatter<'_>, values: &[String]) -> fmt::Result {
  f.write_str("(")?;
  for (index, value) in values.iter().enumerate() {
    f.write_str(if index > 0 { "," } else { "" })?;
    write!(f, "{}", Quoted(value))?;
  }
  f.write_str(")")
}

impl fmt::Display for Condition {
  /// As it is written in the text form.
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let key = &self.key;
    match &self.test {
      LabelTest::In(values) => match values.as_slice() {
        [one] => write!(f, "{key}={}", Quoted(one)),
        many => write!(f, "{key} in ").and_then(|()| list(f, many)),
      },
      LabelTest::NotIn(values) => match values.as_slice() {
        [one] => write!(f, "{key}!={}", Quoted(one)),
        many => write!(f, "{key} notin ").and_then(|()| list(f, many)),
      },
      LabelTest::Exists => f.write_str(key),
      LabelTest::Absent => write!(f, "!{key}"),
      LabelTest::Compare(how, version) => write!(f, "{key}{}{}", how.as_str(), Quoted(version)),
    }
  }
}
