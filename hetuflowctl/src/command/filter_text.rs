//! Filters put together as text: the command's own flags, `-l` and `-F`. The server reads them.

use hetuflow_core::filter::{Filter, FilterScope};

use crate::client::CtlError;

/// Puts a caret under what the server did not understand of a filter. The server decides what a
/// filter is; here it is only read once more for the place.
pub fn with_caret(path: &str, filter: &str, mut error: CtlError) -> CtlError {
  let scope = match path {
    "/tasks" => FilterScope::Tasks,
    "/jobs" => FilterScope::Jobs,
    "/schedules" => FilterScope::Schedules,
    "/agents" => FilterScope::Agents,
    _ => return error,
  };
  if !error.fields.iter().any(|field| field.code.starts_with("filter.")) {
    return error;
  }
  if let Err(wrong) = Filter::parse(filter, scope) {
    error.facts.push(format!("{filter}\n{}^", " ".repeat(wrong.column as usize)));
    error.help.push("hetuflowctl help filters".to_owned());
  }
  error
}

/// The groups of a filter, cut at bars that are neither quoted nor in a regular expression.
fn groups(text: &str) -> Vec<String> {
  let (mut groups, mut open) = (Vec::new(), String::new());
  let (mut quoted, mut escaped, mut regex) = (false, false, false);
  for c in text.chars() {
    match c {
      '|' if !quoted && !regex => {
        groups.push(std::mem::take(&mut open));
        continue;
      }
      '"' if !escaped => quoted = !quoted,
      '~' if !quoted => regex = true,
      c if c.is_whitespace() && !quoted => regex = false,
      _ => {}
    }
    escaped = c == '\\' && !escaped;
    open.push(c);
  }
  groups.push(open);
  groups
}

/// A filter that holds where all terms and the given filter hold.
pub fn combine(terms: &[String], filter: Option<&str>) -> String {
  let terms = terms.join(" ");
  let Some(filter) = filter.filter(|text| !text.trim().is_empty()) else { return terms };
  let groups: Vec<String> = groups(filter)
    .iter()
    .map(|group| format!("{terms} {}", group.trim()).trim().to_owned())
    .collect();
  groups.join(" | ")
}

/// A term of the filter language; what holds a sign of it is quoted.
pub fn term(field: &str, value: Option<impl ToString>) -> Option<String> {
  let value = value?.to_string();
  let plain = !value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '|' | '\\'));
  Some(if plain {
    format!("{field}={value}")
  } else {
    format!("{field}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
  })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_was_refused_is_pointed_at() {
    let refused = |code: &str| {
      let mut error = CtlError::new(crate::client::Exit::Invalid, "refused");
      error.fields.push(hetuflow_core::FieldError::new(code, "filter", "no such field"));
      error
    };
    let told = with_caret("/tasks", "state=failed stat=x", refused("filter.field"));
    assert_eq!(told.facts, ["state=failed stat=x\n             ^"]);
    assert!(with_caret("/tasks", "stat=x", refused("page.limit")).facts.is_empty());
    assert!(with_caret("/tokens", "stat=x", refused("filter.field")).facts.is_empty());
  }

  #[test]
  fn terms_hold_in_every_group() {
    let terms = ["job=a".to_owned(), "state=failed".to_owned()];
    for (filter, wanted) in [
      (None, "job=a state=failed"),
      (Some(" "), "job=a state=failed"),
      (Some("exit=1"), "job=a state=failed exit=1"),
      (Some("x|y"), "job=a state=failed x | job=a state=failed y"),
      (Some("job~a|b \"c|d\""), "job=a state=failed job~a|b \"c|d\""),
      (Some("job~a|b | e"), "job=a state=failed job~a|b | job=a state=failed e"),
      (Some(r#""a\"|b""#), r#"job=a state=failed "a\"|b""#),
    ] {
      assert_eq!(combine(&terms, filter), wanted, "{filter:?}");
    }
    assert_eq!(combine(&[], Some("a|b")), "a | b");
    assert_eq!(term("job", Some("a b")), Some("job=\"a b\"".to_owned()));
    assert_eq!(term("job", Some("a")), Some("job=a".to_owned()));
    assert_eq!(term("job", None::<&str>), None);
  }
}
