//! Reads a filter, one character at a time, and knows where it is.

use super::error::{FilterError, shown};
use super::field::{FilterScope, Shape};
use super::instant::parse_instant;
use super::suggest::did_you_mean;
use super::value::{FilterValue, Meaning};
use super::{FILTER_BYTES_MAX, FILTER_TERMS_MAX, FILTER_VALUES_MAX, Filter, Op, Term, Test};
use crate::types::{Version, parse_duration};

/// Longest regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 500;

/// Reads a filter over the fields of a scope.
pub(super) fn parse(text: &str, scope: FilterScope) -> Result<Filter, FilterError> {
  if text.len() > FILTER_BYTES_MAX {
    let message = format!("a filter of {} bytes, at most {FILTER_BYTES_MAX} are read", text.len());
    return Err(FilterError::new("filter.too_long", 0, message));
  }
  let mut reader = Reader { text: text.chars().collect(), at: 0, scope };
  reader.filter()
}

struct Reader {
  text: Vec<char>,
  at: usize,
  scope: FilterScope,
}

type Read<T> = Result<T, FilterError>;

impl Reader {
  fn peek(&self) -> Option<char> {
    self.text.get(self.at).copied()
  }

  fn skip_spaces(&mut self) {
    while self.peek().is_some_and(char::is_whitespace) {
      self.at += 1;
    }
  }

  fn filter(&mut self) -> Read<Filter> {
    let (mut groups, mut group) = (Vec::new(), Vec::new());
    let (mut terms, mut bar) = (0, None);
    loop {
      self.skip_spaces();
      match self.peek() {
        None => break,
        Some('|') => {
          if group.is_empty() {
            return Err(empty_group(self.at));
          }
          bar = Some(self.at);
          groups.push(std::mem::take(&mut group));
          self.at += 1;
        }
        Some(_) => {
          terms += 1;
          if terms > FILTER_TERMS_MAX {
            let message = format!("more than {FILTER_TERMS_MAX} conditions");
            return Err(FilterError::new("filter.too_long", self.at, message));
          }
          group.push(self.term()?);
        }
      }
    }
    match (group.is_empty(), bar) {
      (false, _) => groups.push(group),
      (true, Some(bar)) => return Err(empty_group(bar)),
      (true, None) => {}
    }
    Ok(Filter { groups })
  }

  fn term(&mut self) -> Read<Term> {
    let start = self.at;
    let mut negated = false;
    while let Some('!' | '-') = self.peek() {
      negated = !negated;
      self.at += 1;
    }
    let column = u32::try_from(start).unwrap_or(u32::MAX);
    match self.peek() {
      None => Err(nothing_to_negate(start)),
      Some(c) if c.is_whitespace() || c == '|' => Err(nothing_to_negate(start)),
      Some('"') => {
        let test = Test::Text(self.quoted()?);
        self.end_of_term()?;
        Ok(Term { negated, column, test })
      }
      Some(_) => {
        let name_at = self.at;
        let name = self.name();
        match self.operator()? {
          None => Ok(Term { negated, column, test: Test::Text(self.rest_of_word(name)) }),
          Some((op, turned)) => {
            let test = self.test((name_at, &name), op)?;
            Ok(Term { negated: negated != turned, column, test })
          }
        }
      }
    }
  }

  /// The letters before an operator, or a whole word.
  fn name(&mut self) -> String {
    let start = self.at;
    while let Some(c) = self.peek() {
      let ends = c.is_whitespace() || matches!(c, '=' | '~' | '<' | '>' | '|' | '"' | ',');
      let turned = c == '!' && matches!(self.text.get(self.at + 1), Some('=' | '~'));
      if ends || turned {
        break;
      }
      self.at += 1;
    }
    self.text[start..self.at].iter().collect()
  }

  /// A word without an operator goes on to the next space or bar.
  fn rest_of_word(&mut self, mut word: String) -> String {
    while let Some(c) = self.peek().filter(|c| !c.is_whitespace() && *c != '|') {
      word.push(c);
      self.at += 1;
    }
    word
  }

  /// An operator, and whether it says not.
  fn operator(&mut self) -> Read<Option<(Op, bool)>> {
    let turned = self.peek() == Some('!');
    let at = self.at + usize::from(turned);
    let next = |offset: usize| self.text.get(at + offset).copied();
    let (op, length) = match (next(0), next(1)) {
      (Some('='), _) => (Op::Equal, 1),
      (Some('~'), _) => (Op::Matches, 1),
      (Some('<'), Some('=')) => (Op::AtMost, 2),
      (Some('>'), Some('=')) => (Op::AtLeast, 2),
      (Some('<'), _) => (Op::Less, 1),
      (Some('>'), _) => (Op::Greater, 1),
      _ => return Ok(None),
    };
    self.at = at + length;
    Ok(Some((op, turned)))
  }

  fn test(&mut self, (name_at, name): (usize, &str), op: Op) -> Read<Test> {
    if name.is_empty() {
      let error =
        FilterError::new("filter.syntax", name_at, format!("no field before {}", op.as_str()));
      return Err(error.hint("write field=value, or quote the text"));
    }
    let (field, shape) = self.scope.field(name, (name_at, "filter.field"))?;
    check_op((name_at, name), op, shape)?;
    let mut values = Vec::new();
    loop {
      let at = self.at;
      let text = self.value(op)?;
      if text.is_empty() {
        let message = format!("{name}{} needs a value", op.as_str());
        return Err(FilterError::new("filter.value", at, message).hint(example(shape)));
      }
      values.push(meaning((at, name), text, (op, shape))?);
      if values.len() > FILTER_VALUES_MAX {
        let message = format!("more than {FILTER_VALUES_MAX} values");
        return Err(FilterError::new("filter.too_long", at, message));
      }
      if self.peek() != Some(',') {
        break;
      }
      self.at += 1;
    }
    self.end_of_term()?;
    Ok(Test::Field { field, op, values })
  }

  fn value(&mut self, op: Op) -> Read<String> {
    if self.peek() == Some('"') {
      return self.quoted();
    }
    let start = self.at;
    while let Some(c) = self.peek() {
      if c.is_whitespace() || (op != Op::Matches && matches!(c, ',' | '|')) {
        break;
      }
      self.at += 1;
    }
    Ok(self.text[start..self.at].iter().collect())
  }

  fn quoted(&mut self) -> Read<String> {
    let start = self.at;
    self.at += 1;
    let mut text = String::new();
    loop {
      match self.peek() {
        None => {
          let error = FilterError::new("filter.syntax", start, "the quote is never closed");
          return Err(error.hint("end the text with \""));
        }
        Some('"') => {
          self.at += 1;
          return Ok(text);
        }
        Some('\\') if matches!(self.text.get(self.at + 1), Some('"' | '\\')) => {
          text.push(self.text[self.at + 1]);
          self.at += 2;
        }
        Some(c) => {
          text.push(c);
          self.at += 1;
        }
      }
    }
  }

  fn end_of_term(&self) -> Read<()> {
    match self.peek() {
      Some(c) if !c.is_whitespace() && c != '|' => {
        let error = FilterError::new(
          "filter.syntax",
          self.at,
          format!("\"{}\" after a value", shown(&c.to_string())),
        );
        Err(error.hint("put a space between two conditions"))
      }
      _ => Ok(()),
    }
  }
}

fn empty_group(at: usize) -> FilterError {
  FilterError::new("filter.syntax", at, "nothing stands beside the bar")
    .hint("a bar stands between two groups: state=failed | state=lost")
}

fn nothing_to_negate(at: usize) -> FilterError {
  FilterError::new("filter.syntax", at, "nothing follows the not").hint("write !word or !state=ok")
}

fn check_op((at, name): (usize, &str), op: Op, shape: Shape) -> Read<()> {
  let fits = match shape {
    Shape::Words(_) | Shape::Instant => op == Op::Equal,
    Shape::Text => matches!(op, Op::Equal | Op::Matches),
    Shape::Label => true,
    Shape::Whole | Shape::Number | Shape::Duration => op != Op::Matches,
    Shape::Order => false,
  };
  if fits {
    return Ok(());
  }
  let hint = match shape {
    Shape::Order => format!("{name} is for sorting only"),
    Shape::Text => format!("{name} takes = != ~ !~"),
    Shape::Words(_) | Shape::Instant => format!("{name} takes = and !="),
    _ => format!("{name} takes = != < <= > >="),
  };
  let message = format!("{name} cannot be compared by {}", op.as_str());
  Err(FilterError::new("filter.op", at + name.chars().count(), message).hint(hint))
}

fn example(shape: Shape) -> &'static str {
  match shape {
    Shape::Words(_) => "one of its words, as failed",
    Shape::Text | Shape::Order => "a text; * stands for any characters",
    Shape::Label => "a text; after < and > a version, as 1.2",
    Shape::Whole => "a whole number",
    Shape::Number => "a number",
    Shape::Duration => "a duration, as 30s, 10m, 1h30m",
    Shape::Instant => "an instant, as 1h, today, 2026-11-21, \"2026-11-21 14:00\", @1763733600",
  }
}

fn meaning((at, name): (usize, &str), text: String, (op, shape): (Op, Shape)) -> Read<FilterValue> {
  let bad = || {
    let message = format!("\"{}\" is no value of {name}", shown(&text));
    FilterError::new("filter.value", at, message).hint(example(shape))
  };
  let meaning = match shape {
    Shape::Words(words) => {
      let lower = text.to_ascii_lowercase();
      match words.iter().find(|(word, _)| *word == lower) {
        Some((_, stands_for)) => Meaning::Words(stands_for.to_vec()),
        None => {
          let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
          let near = did_you_mean(&lower, all.iter().copied());
          let near = near.map(|hint| format!("{hint} ")).unwrap_or_default();
          return Err(bad().hint(format!("{near}words are {}", all.join(", "))));
        }
      }
    }
    Shape::Text | Shape::Label | Shape::Order if op == Op::Matches => {
      if text.len() > REGEX_BYTES_MAX {
        let message = format!("a regular expression of more than {REGEX_BYTES_MAX} bytes");
        return Err(FilterError::new("filter.regex", at, message));
      }
      Meaning::Regex
    }
    Shape::Label if op != Op::Equal => Meaning::Version(Version::parse(&text).ok_or_else(bad)?),
    Shape::Text | Shape::Label | Shape::Order => Meaning::Glob,
    Shape::Whole => Meaning::Whole(text.parse().map_err(|_| bad())?),
    Shape::Number => {
      let number: f64 = text.trim_end_matches('%').parse().map_err(|_| bad())?;
      if !number.is_finite() {
        return Err(bad());
      }
      Meaning::Number(number)
    }
    Shape::Duration => Meaning::Duration(parse_duration(&text).map_err(|_| bad())?),
    Shape::Instant => Meaning::Instant(parse_instant(&text).ok_or_else(bad)?),
  };
  Ok(FilterValue { text, meaning })
}
