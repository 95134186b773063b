//! Conditions on one object, checked here: `--until`, `--for`, `--object`, `--type`.
//!
//! The same form as the server's filters: `state=failed,lost job~^etl exit>1 !agent=web-* word`;
//! a blank is "and", a comma "or" inside a field, ` | ` "or" between groups, `!` or `-` "not".

use hetuflow_core::{Ts, parse_duration};
use regex::Regex;
use serde_json::Value;

use crate::client::CtlError;

/// Short words for fields.
const ALIASES: [(&str, &[&str]); 14] = [
  ("state", &["status", "data.status", "task.status"]),
  ("job", &["job_name", "job", "data.job", "name"]),
  ("agent", &["agent_id", "data.agent_id"]),
  ("exit", &["exit_code", "data.exit_code"]),
  ("signal", &["signal", "data.signal"]),
  ("reason", &["reason", "data.reason"]),
  ("prio", &["priority", "data.priority"]),
  ("try", &["attempt", "data.attempt"]),
  ("type", &["type"]),
  ("object", &["name", "subject.id"]),
  ("kind", &["subject.kind"]),
  ("ns", &["namespace_id"]),
  ("by", &["trigger_source", "data.trigger_source"]),
  ("age", &["created_at", "scheduled_at", "at"]),
];

/// A condition.
#[derive(Debug, Clone)]
pub struct Expression {
  groups: Vec<Vec<Term>>,
}

#[derive(Debug, Clone)]
struct Term {
  not: bool,
  field: Option<String>,
  test: Test,
}

#[derive(Debug, Clone)]
enum Test {
  /// Any of these, each with `*` for anything.
  Any(Vec<String>),
  Finds(Regex),
  Compare(Order, f64),
  /// A word anywhere in the object.
  Word(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
  Less,
  LessOrEqual,
  More,
  MoreOrEqual,
}

impl Expression {
  /// Reads a condition.
  ///
  /// # Errors
  /// Invalid (exit 8), with a caret under what is wrong.
  pub fn parse(text: &str) -> Result<Self, CtlError> {
    let mut groups = vec![Vec::new()];
    for (column, word) in words(text)? {
      if word == "|" {
        groups.push(Vec::new());
        continue;
      }
      let term = term(&word).map_err(|why| wrong(text, column, word.chars().count(), &why))?;
      groups.last_mut().expect("there is one").push(term);
    }
    if groups.iter().any(Vec::is_empty) {
      return Err(wrong(
        text,
        0,
        text.chars().count(),
        "nothing stands on one side of |, or at all",
      ));
    }
    Ok(Self { groups })
  }

  /// Whether an object meets it.
  pub fn matches(&self, value: &Value) -> bool {
    self.groups.iter().any(|terms| terms.iter().all(|term| term.matches(value) != term.not))
  }
}

/// Words with the column where each begins; quotes hold blanks together.
fn words(text: &str) -> Result<Vec<(usize, String)>, CtlError> {
  let (mut all, mut open, mut quoted) = (Vec::new(), None::<(usize, String)>, None);
  for (column, c) in text.chars().enumerate() {
    match (c, quoted) {
      ('"', None) => {
        quoted = Some(column);
        open.get_or_insert_with(|| (column, String::new()));
      }
      ('"', Some(_)) => quoted = None,
      (c, None) if c.is_whitespace() => all.extend(open.take()),
      (c, _) => open.get_or_insert_with(|| (column, String::new())).1.push(c),
    }
  }
  if let Some(column) = quoted {
    return Err(wrong(text, column, 1, "this quote is not closed"));
  }
  all.extend(open);
  Ok(all)
}

fn wrong(text: &str, column: usize, width: usize, why: &str) -> CtlError {
  CtlError::new(crate::client::Exit::Invalid, format!("the expression is refused: {why}"))
    .fact(format!("{text}\n{}{}", " ".repeat(column), "^".repeat(width.max(1))))
    .help("hetuflowctl help filters")
}

fn term(word: &str) -> Result<Term, String> {
  let (not, body) = match word.strip_prefix(['!', '-']) {
    Some(body) => (true, body),
    None => (false, word),
  };
  if body.is_empty() {
    return Err("nothing follows the \"not\"".to_owned());
  }
  let Some(at) = body.find(['=', '~', '<', '>', '!']) else {
    let test = Test::Word(body.to_lowercase());
    return Ok(Term { not, field: None, test });
  };
  let (field, rest) = body.split_at(at);
  if field.is_empty() {
    return Err("no field stands before the sign".to_owned());
  }
  let (not, rest) = match rest.strip_prefix('!') {
    Some(rest) => (!not, rest),
    None => (not, rest),
  };
  let field = Some(field.to_owned());
  let test = match rest.split_at(rest.chars().next().map_or(0, char::len_utf8)) {
    (_, "") => return Err("nothing follows the sign".to_owned()),
    ("=", values) => Test::Any(values.split(',').map(str::to_owned).collect()),
    ("~", expression) => {
      Test::Finds(Regex::new(expression).map_err(|_| "this is no regular expression".to_owned())?)
    }
    (sign @ ("<" | ">"), value) => {
      let (or_equal, value) = match value.strip_prefix('=') {
        Some(value) => (true, value),
        None => (false, value),
      };
      let order = match (sign, or_equal) {
        ("<", false) => Order::Less,
        ("<", true) => Order::LessOrEqual,
        (_, false) => Order::More,
        (_, true) => Order::MoreOrEqual,
      };
      Test::Compare(order, number(value).ok_or("this is no number and no duration")?)
    }
    _ => return Err("a sign is one of = ~ < >".to_owned()),
  };
  Ok(Term { not, field, test })
}

/// A number; durations count as seconds.
fn number(text: &str) -> Option<f64> {
  text.parse().ok().or_else(|| parse_duration(text).ok().map(|length| length.as_secs_f64()))
}

impl Term {
  fn matches(&self, value: &Value) -> bool {
    let Some(field) = &self.field else {
      let Test::Word(word) = &self.test else { return false };
      return value.to_string().to_lowercase().contains(word);
    };
    let found = lookup(value, field);
    match &self.test {
      Test::Any(values) => {
        let text = found.map(plain);
        values.iter().any(|wanted| match &text {
          Some(text) => glob(wanted, text),
          None => wanted == "none" || wanted.is_empty(),
        })
      }
      Test::Finds(regex) => found.is_some_and(|found| regex.is_match(&plain(found))),
      Test::Compare(order, wanted) => found.and_then(as_number).is_some_and(|have| match order {
        Order::Less => have < *wanted,
        Order::LessOrEqual => have <= *wanted,
        Order::More => have > *wanted,
        Order::MoreOrEqual => have >= *wanted,
      }),
      Test::Word(_) => false,
    }
  }
}

fn lookup<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
  if let Some(label) = field.strip_prefix("label.") {
    return value.get("labels")?.get(label);
  }
  let paths = ALIASES.iter().find(|(word, _)| *word == field).map(|(_, paths)| *paths);
  let own = [field];
  paths.unwrap_or(&own).iter().find_map(|path| {
    let found = path.split('.').try_fold(value, |value, part| value.get(part))?;
    (!found.is_null()).then_some(found)
  })
}

fn plain(value: &Value) -> String {
  match value {
    Value::String(text) => text.clone(),
    other => other.to_string(),
  }
}

/// Numbers as they are, instants as their age in seconds.
fn as_number(value: &Value) -> Option<f64> {
  match value {
    Value::Number(number) => number.as_f64(),
    Value::String(text) => match text.parse::<Ts>() {
      Ok(at) => Some(Ts::now().since(at).as_secs_f64()),
      Err(_) => text.parse().ok(),
    },
    _ => None,
  }
}

/// `*` is anything, any number of times.
pub fn glob(pattern: &str, text: &str) -> bool {
  let mut parts = pattern.split('*');
  let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else { return false };
  let mut parts: Vec<&str> = parts.collect();
  let Some(last) = parts.pop() else { return rest.is_empty() };
  for part in parts {
    let Some(at) = rest.find(part) else { return false };
    rest = &rest[at + part.len()..];
  }
  rest.ends_with(last)
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  #[test]
  fn conditions() {
    let value = json!({
      "job_name": "etl-daily", "status": "failed", "exit_code": 137, "agent_id": "worker-3",
      "labels": { "tier": "gold" }, "reason": null, "type": "task.failed",
      "created_at": Ts::now().minus(std::time::Duration::from_secs(60)),
    });
    for yes in [
      "state=failed",
      "state=lost,failed",
      "job~^etl",
      "agent=worker-*",
      "exit=137",
      "exit>=137",
      "label.tier=gold",
      "!state=running",
      "-state=running",
      "state!=running",
      "gold",
      "\"task.failed\"",
      "state=running | exit>1 job=etl-daily",
      "type=task.*",
      "age<10m",
      "age>30s",
      "reason=none",
    ] {
      assert!(Expression::parse(yes).expect(yes).matches(&value), "{yes}");
    }
    for no in
      ["state=running", "job~daily$ exit<5", "!gold", "age<10s", "label.tier=silver", "agent=*-4"]
    {
      assert!(!Expression::parse(no).expect(no).matches(&value), "{no}");
    }
  }

  #[test]
  fn what_is_wrong_is_pointed_at() {
    for (bad, caret) in [
      ("state=", "^^^^^^"),
      ("a=b | ", "^"),
      ("job~(", "^^^^^"),
      ("x \"y", "  ^"),
      ("exit>abc", "^"),
      ("=a", "^^"),
    ] {
      let error = Expression::parse(bad).expect_err(bad);
      assert_eq!(error.exit, 8, "{bad}");
      assert!(error.facts[0].contains(&format!("\n{caret}")), "{bad}: {:?}", error.facts);
    }
    assert_eq!(Expression::parse("").expect_err("empty").exit, 8);
  }

  #[test]
  fn globs() {
    assert!(glob("a*c*e", "abcde") && glob("*", "") && glob("a", "a") && glob("a*", "a"));
    assert!(!glob("a", "ab") && !glob("a*b*c", "acb") && !glob("*x", "xy"));
  }
}
