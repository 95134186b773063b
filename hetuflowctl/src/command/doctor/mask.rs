//! What must not leave this machine: values of environments and parameters, and everything that is
//! called a secret.

use serde_json::Value;

const HIDDEN: &str = "***";
/// A value is hidden where its key contains one of these.
const PARTS: [&str; 7] =
  ["secret", "password", "passwd", "credential", "authorization", "apikey", "api_key"];
/// A value is hidden where its key is one of these.
const WHOLE: [&str; 9] =
  ["token", "environment", "env", "parameters", "payload", "outputs", "script", "command", "args"];

/// The same value without secrets.
pub fn masked(value: Value) -> Value {
  match value {
    Value::Object(fields) => {
      let hide = |(key, value): (String, Value)| {
        let shown =
          if is_secret(&key) && !is_empty(&value) { HIDDEN.into() } else { masked(value) };
        (key, shown)
      };
      Value::Object(fields.into_iter().map(hide).collect())
    }
    Value::Array(items) => Value::Array(items.into_iter().map(masked).collect()),
    Value::String(text) => Value::String(without_password(&text)),
    other => other,
  }
}

fn is_secret(key: &str) -> bool {
  let key = key.to_ascii_lowercase();
  WHOLE.contains(&key.as_str()) || PARTS.iter().any(|part| key.contains(part))
}

fn is_empty(value: &Value) -> bool {
  match value {
    Value::Null | Value::Bool(_) | Value::Number(_) => true,
    Value::String(text) => text.is_empty(),
    Value::Array(items) => items.is_empty(),
    Value::Object(fields) => fields.is_empty(),
  }
}

/// `postgres://me:pw@host/db` without `me:pw`.
fn without_password(text: &str) -> String {
  match (text.find("//"), text.rfind('@')) {
    (Some(from), Some(to)) if from < to => format!("{}//{HIDDEN}{}", &text[..from], &text[to..]),
    _ => text.to_owned(),
  }
}

#[cfg(test)]
mod tests {
  use serde_json::json;

  use super::*;

  #[test]
  fn secrets_are_hidden_wherever_they_stand() {
    let value = json!({
      "environment": { "PGPASSWORD": "hunter2" }, "env": {}, "token_file": "/home/a/token",
      "items": [{ "db_password": "hunter2", "url": "postgres://me:hunter2@host/db", "limit": 3 }],
      "config": { "script": "curl -H 'X: hunter2'", "timeout_secs": 5 },
    });
    let shown = masked(value);
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    assert_eq!(shown["token_file"], "/home/a/token");
    assert_eq!(shown["items"][0]["url"], "postgres://***@host/db");
    assert_eq!((&shown["items"][0]["limit"], &shown["env"]), (&json!(3), &json!({})));
  }
}
