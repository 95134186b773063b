//! Keys of limits: text with values of parameters in it.

use serde_json::Value;

use super::limit::LIMIT_KEY_CHARS_MAX;

/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 1024;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
  Text(String),
  /// The path of a parameter.
  Parameter(Vec<String>),
}

/// A template that was read: text and `{{ params.NAME }}`, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyTemplate(Vec<Piece>);

impl KeyTemplate {
  /// Reads one.
  ///
  /// # Errors
  /// What is wrong with it, for people.
  pub fn parse(text: &str) -> Result<Self, String> {
    if text.is_empty() || text.len() > TEMPLATE_BYTES_MAX {
      return Err(format!("{} bytes; 1 to {TEMPLATE_BYTES_MAX} are allowed", text.len()));
    }
    if text.chars().any(char::is_control) {
      return Err("a control character has no place in a key".to_owned());
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(open) = rest.find("{{") {
      let (before, after) = rest.split_at(open);
      let close = after.find("}}").ok_or("{{ without }}")?;
      check_text(before)?;
      pieces.push(Piece::Text(before.to_owned()));
      pieces.push(Piece::Parameter(path(after[2..close].trim())?));
      rest = &after[close + 2..];
    }
    check_text(rest)?;
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(Self(pieces))
  }

  /// Its value with these parameters.
  ///
  /// # Errors
  /// Which parameter is missing or no plain value, or that the value is too long.
  pub fn render(&self, parameters: Option<&Value>) -> Result<String, String> {
    let mut value = String::new();
    for piece in &self.0 {
      match piece {
        Piece::Text(text) => value.push_str(text),
        Piece::Parameter(path) => value.push_str(&look_up(parameters, path)?),
      }
    }
    if value.chars().count() > LIMIT_KEY_CHARS_MAX {
      return Err(format!("the key is longer than {LIMIT_KEY_CHARS_MAX} characters"));
    }
    if value.chars().any(char::is_control) {
      return Err("the key holds a control character".to_owned());
    }
    Ok(value)
  }
}

fn check_text(text: &str) -> Result<(), String> {
  match ["}}", "{%", "{#"].iter().find(|mark| text.contains(**mark)) {
    Some(mark) => Err(format!("{mark} stands alone")),
    None => Ok(()),
  }
}

fn path(text: &str) -> Result<Vec<String>, String> {
  let plain = |part: &&str| {
    !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
  };
  let parts: Vec<&str> = text.split('.').collect();
  if parts.len() < 2 || parts[0] != "params" || !parts.iter().all(plain) {
    let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
    return Err(format!("\"{shown}\" is not a parameter"));
  }
  Ok(parts[1..].iter().map(|part| (*part).to_owned()).collect())
}

fn look_up(parameters: Option<&Value>, path: &[String]) -> Result<String, String> {
  let found = parameters.and_then(|all| path.iter().try_fold(all, |value, part| value.get(part)));
  match found {
    Some(Value::String(text)) => Ok(text.clone()),
    Some(Value::Number(number)) => Ok(number.to_string()),
    Some(Value::Bool(flag)) => Ok(flag.to_string()),
    Some(_) => Err(format!("params.{} is no text, number or boolean", path.join("."))),
    None => Err(format!("params.{} is missing", path.join("."))),
  }
}

#[cfg(test)]
mod tests {
  use proptest::prelude::*;
  use serde_json::json;

  use super::*;

  #[test]
  fn values_come_from_the_parameters() {
    let parameters = json!({"customer": "acme", "a": {"b": 7}, "list": [1]});
    for (template, value) in [
      ("{{ params.customer }}", Ok("acme")),
      ("x-{{params.customer}}/{{ params.a.b }}", Ok("x-acme/7")),
      ("plain", Ok("plain")),
      ("{{ params.gone }}", Err("params.gone is missing")),
      ("{{ params.list }}", Err("params.list is no text, number or boolean")),
    ] {
      let rendered = KeyTemplate::parse(template).expect(template).render(Some(&parameters));
      assert_eq!(rendered.as_deref().map_err(String::as_str), value, "{template}");
    }
  }

  #[test]
  fn nothing_but_parameters_is_read() {
    for bad in ["", "{{ params }}", "{{ job.name }}", "{{ params.a", "}}", "{% if x %}", "{{}}"] {
      assert!(KeyTemplate::parse(bad).is_err(), "{bad}");
    }
  }

  proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}", value in "\\PC{0,20}") {
      if let Ok(template) = KeyTemplate::parse(&text) {
        let rendered = template.render(Some(&json!({"x": value})));
        prop_assert!(rendered.map_or(true, |key| key.chars().count() <= LIMIT_KEY_CHARS_MAX));
      }
    }
  }
}
