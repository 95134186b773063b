//! Any JSON as indented text for people.

use serde_json::Value;

use super::sanitize::visible;

/// `Key:  value` lines; nested things are indented; nulls and empty things are left out.
pub fn describe(value: &Value) -> String {
  let mut out = String::new();
  write_value(&mut out, value, 0);
  out
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
  match value {
    Value::Object(fields) => {
      let shown: Vec<_> = fields.iter().filter(|(_, value)| !is_empty(value)).collect();
      let width =
        shown.iter().filter(|(_, v)| !is_nested(v)).map(|(key, _)| key.len()).max().unwrap_or(0);
      for (key, value) in shown {
        let key = visible(key);
        if is_nested(value) {
          out.push_str(&format!("{}{key}:\n", indent(depth)));
          write_value(out, value, depth + 1);
        } else {
          out.push_str(&format!(
            "{}{:<2$}  {3}\n",
            indent(depth),
            format!("{key}:"),
            width + 1,
            scalar(value)
          ));
        }
      }
    }
    Value::Array(items) => {
      for item in items {
        if is_nested(item) {
          out.push_str(&format!("{}-\n", indent(depth)));
          write_value(out, item, depth + 1);
        } else {
          out.push_str(&format!("{}- {}\n", indent(depth), scalar(item)));
        }
      }
    }
    Value::String(text) if text.contains('\n') => {
      for line in text.lines() {
        out.push_str(&format!("{}{}\n", indent(depth), visible(line)));
      }
    }
    other => out.push_str(&format!("{}{}\n", indent(depth), scalar(other))),
  }
}

fn is_nested(value: &Value) -> bool {
  match value {
    Value::Object(_) => true,
    Value::Array(items) => {
      items.iter().any(is_nested) || items.iter().map(|item| scalar(item).len()).sum::<usize>() > 72
    }
    Value::String(text) => text.contains('\n'),
    _ => false,
  }
}

fn is_empty(value: &Value) -> bool {
  match value {
    Value::Null => true,
    Value::String(text) => text.is_empty(),
    Value::Array(items) => items.is_empty(),
    Value::Object(fields) => fields.values().all(is_empty),
    _ => false,
  }
}

fn scalar(value: &Value) -> String {
  match value {
    Value::String(text) => visible(text),
    Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
    other => other.to_string(),
  }
}

fn indent(depth: usize) -> String {
  "  ".repeat(depth)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn nested_things_are_indented() {
    let value = serde_json::json!({
      "name": "a", "longer_name": 7, "none": null, "config": { "args": ["x", "y"], "script": "one\ntwo" }
    });
    insta::assert_snapshot!(describe(&value));
  }
}
