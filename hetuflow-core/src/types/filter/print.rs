//! Writes a filter so that reading it gives the same filter.

use std::fmt;

use super::{Filter, FilterValue, Op, Term, Test};

impl fmt::Display for Filter {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, group) in self.groups.iter().enumerate() {
      f.write_str(if index > 0 { " | " } else { "" })?;
      for (index, term) in group.iter().enumerate() {
        f.write_str(if index > 0 { " " } else { "" })?;
        term.fmt(f)?;
      }
    }
    Ok(())
  }
}

impl fmt::Display for Term {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(if self.negated { "!" } else { "" })?;
    match &self.test {
      Test::Text(text) => write_text(f, text, |c| matches!(c, '=' | '~' | '<' | '>' | '!' | '-')),
      Test::Field { field, op, values } => {
        write!(f, "{}{}", field.name(), op.as_str())?;
        for (index, value) in values.iter().enumerate() {
          f.write_str(if index > 0 { "," } else { "" })?;
          write_value(f, value, *op)?;
        }
        Ok(())
      }
    }
  }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &FilterValue, op: Op) -> fmt::Result {
  // An expression is quoted always: a comma in it would begin another value.
  write_text(f, &value.text, |_| op == Op::Matches)
}

fn write_text(
  f: &mut fmt::Formatter<'_>,
  text: &str,
  special: impl Fn(char) -> bool,
) -> fmt::Result {
  let plain = |c: char| !(c.is_whitespace() || matches!(c, ',' | '|' | '"' | '\\') || special(c));
  if !text.is_empty() && text.chars().all(plain) {
    return f.write_str(text);
  }
  write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
