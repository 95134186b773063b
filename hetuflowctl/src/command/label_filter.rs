//! `-l`: conditions on labels, as terms of the filter language.

use hetuflow_core::{Condition, LabelTest, Selector};

use crate::client::CtlError;

/// `tier=gold, zone notin (b,c), owner` as terms of the filter language.
///
/// # Errors
/// Usage, with the first byte that cannot be read.
pub fn label_filter(text: &str) -> Result<String, CtlError> {
  let selector = Selector::parse(text)
    .map_err(|error| CtlError::usage(format!("-l: {error}")).help(error.hint))?;
  Ok(selector.conditions().iter().map(term).collect::<Vec<_>>().join(" "))
}

fn term(condition: &Condition) -> String {
  let key = condition.key.trim_start_matches("label.");
  let quoted = |value: &String| {
    let plain = |c: char| c.is_alphanumeric() || "*._-/".contains(c);
    if value.chars().all(plain) {
      return value.clone();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
  };
  let list = |values: &[String]| values.iter().map(quoted).collect::<Vec<_>>().join(",");
  match &condition.test {
    LabelTest::In(values) => format!("label.{key}={}", list(values)),
    LabelTest::NotIn(values) => format!("!label.{key}={}", list(values)),
    LabelTest::Exists => format!("label.{key}=*"),
    LabelTest::Absent => format!("!label.{key}=*"),
    LabelTest::Compare(how, version) => format!("label.{key}{}{}", how.as_str(), quoted(version)),
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{Filter, FilterScope};

  use super::*;

  #[test]
  fn conditions_become_terms() {
    for (text, filter) in [
      ("tier=gold,zone!=b,owner", "label.tier=gold !label.zone=b label.owner=*"),
      ("zone in (a, \"b c\"), !spot", "label.zone=a,\"b c\" !label.spot=*"),
      ("zone notin (a,b), cuda>=12.2", "!label.zone=a,b label.cuda>=12.2"),
      ("note=\"say \\\"x\\\"\"", "label.note=\"say \\\"x\\\"\""),
    ] {
      let terms = label_filter(text).unwrap_or_else(|error| panic!("{text}: {}", error.message));
      assert_eq!(terms, filter);
      assert!(Filter::parse(&terms, FilterScope::Agents).is_ok(), "{terms}");
    }
    let error = label_filter("tier==gold").expect_err("two signs");
    assert_eq!((error.exit, error.message.contains("byte 5")), (2, true), "{}", error.message);
  }
}
