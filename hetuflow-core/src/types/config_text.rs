//! Settings from a TOML text and the environment, read key by key so that every problem is told
//! at once, each with its place and a valid example. No I/O: callers bring the text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::duration_text::{format_duration, parse_duration, parse_size};

/// Environment variables with this prefix override keys: `HETUFLOW__SERVER__BIND_ADDRESS`.
pub const ENVIRONMENT_PREFIX: &str = "HETUFLOW__";

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
  /// Where: `file:line:column`, a variable's name, or the key alone.
  pub place: String,
  /// The key.
  pub key: String,
  /// What is wrong.
  pub message: String,
  /// A valid example.
  pub hint: Option<String>,
}

impl fmt::Display for Problem {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}: {}: {}", self.place, self.key, self.message)?;
    match &self.hint {
      Some(hint) => write!(f, " (help: {hint})"),
      None => Ok(()),
    }
  }
}

/// One effective setting, for `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
  /// The key.
  pub key: String,
  /// The value as text; secrets are masked.
  pub value: String,
  /// Where it comes from.
  pub origin: String,
}

#[derive(Debug, Clone)]
enum Raw {
  Text(String),
  Number(String),
  Flag(bool),
  List(Vec<String>),
  Other,
}

/// Settings that are being read.
#[derive(Debug, Default)]
pub struct ConfigText {
  file: String,
  values: BTreeMap<String, (Raw, String)>,
  known: BTreeSet<String>,
  open: Vec<String>,
  settings: Vec<Setting>,
  problems: Vec<Problem>,
}

impl ConfigText {
  /// Reads a file's text (empty for none) and the environment's overrides.
  pub fn new(
    file: &str,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
  ) -> Self {
    let mut config = Self { file: file.to_owned(), ..Self::default() };
    match DeTable::parse(text) {
      Ok(table) => config.flatten("", table.get_ref(), text),
      Err(error) => {
        let place = config.place(text, error.span().map_or(0, |span| span.start));
        config.problems.push(Problem {
          place,
          key: "toml".to_owned(),
          message: error.message().to_owned(),
          hint: None,
        });
      }
    }
    for (name, value) in environment {
      if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
        let key = key.to_ascii_lowercase().replace("__", ".");
        config.values.insert(key, (Raw::Text(value), format!("environment variable {name}")));
      }
    }
    config
  }

  /// Puts a value over whatever the file says, as from a flag or a well-known variable.
  pub fn set(&mut self, key: &str, value: impl Into<String>, origin: &str) {
    self.values.insert(key.to_owned(), (Raw::Text(value.into()), origin.to_owned()));
  }

  fn flatten(&mut self, prefix: &str, table: &DeTable<'_>, text: &str) {
    for (name, value) in table {
      let key = if prefix.is_empty() {
        name.get_ref().to_string()
      } else {
        format!("{prefix}.{}", name.get_ref())
      };
      let raw = match value.get_ref() {
        DeValue::Table(inner) => {
          self.flatten(&key, inner, text);
          continue;
        }
        DeValue::String(value) => Raw::Text(value.to_string()),
        DeValue::Integer(value) => Raw::Number(value.to_string()),
        DeValue::Float(value) => Raw::Number(value.to_string()),
        DeValue::Boolean(value) => Raw::Flag(*value),
        DeValue::Datetime(_) => Raw::Other,
        DeValue::Array(items) => Raw::List(
          items
            .iter()
            .map(|item| match item.get_ref() {
              DeValue::String(value) => value.to_string(),
              DeValue::Integer(value) => value.to_string(),
              _ => String::new(),
            })
            .collect(),
        ),
      };
      let place = self.place(text, value.span().start);
      self.values.insert(key, (raw, place));
    }
  }

  fn place(&self, text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{}:{line}:{column}", self.file)
  }

  /// Notes a problem with a key, at the place where its value came from.
  pub fn problem(&mut self, key: &str, message: impl Into<String>, hint: Option<&str>) {
    let place = self.values.get(key).map_or_else(
      || if self.file.is_empty() { "defaults".to_owned() } else { self.file.clone() },
      |(_, place)| place.clone(),
    );
    self.problems.push(Problem {
      place,
      key: key.to_owned(),
      message: message.into(),
      hint: hint.map(str::to_owned),
    });
  }

  fn take(&mut self, key: &str) -> Option<Raw> {
    self.known.insert(key.to_owned());
    self.values.get(key).map(|(raw, _)| raw.clone())
  }

  fn note(&mut self, key: &str, value: &str) {
    let origin = self.values.get(key).map_or("default", |(_, place)| place).to_owned();
    let secret = ["password", "token", "secret"].iter().any(|word| key.ends_with(word));
    let value = if secret && !value.is_empty() { "***".to_owned() } else { mask_url(value) };
    self.settings.push(Setting { key: key.to_owned(), value, origin });
  }

  /// A text; absent is the default.
  pub fn text(&mut self, key: &str, default: &str) -> String {
    let value = self.optional_text(key);
    if value.is_none() {
      self.note(key, default);
    }
    value.unwrap_or_else(|| default.to_owned())
  }

  /// A text that may be absent.
  pub fn optional_text(&mut self, key: &str) -> Option<String> {
    let value = match self.take(key)? {
      Raw::Text(text) | Raw::Number(text) => text,
      Raw::Flag(flag) => flag.to_string(),
      Raw::List(_) | Raw::Other => {
        self.problem(key, "is not a text", Some("\"text\""));
        return None;
      }
    };
    self.note(key, &value);
    Some(value)
  }

  /// Anything that reads itself from text: an address, an enum.
  pub fn parsed<T: FromStr + fmt::Display>(&mut self, key: &str, default: T, example: &str) -> T
  where
    T::Err: fmt::Display,
  {
    let Some(text) = self.optional_text(key) else {
      self.note(key, &default.to_string());
      return default;
    };
    match text.parse() {
      Ok(value) => value,
      Err(error) => {
        self.problem(key, format!("\"{text}\" is refused: {error}"), Some(example));
        default
      }
    }
  }

  /// A whole number within bounds.
  pub fn integer(&mut self, key: &str, default: i64, bounds: RangeInclusive<i64>) -> i64 {
    let example = format!("a whole number, {} to {}", bounds.start(), bounds.end());
    let value = match self.take(key) {
      None => default,
      Some(Raw::Number(text) | Raw::Text(text)) => match text.replace('_', "").parse() {
        Ok(value) => value,
        Err(_) => {
          self.problem(key, format!("\"{text}\" is not a whole number"), Some(&example));
          default
        }
      },
      Some(_) => {
        self.problem(key, "is not a number", Some(&example));
        default
      }
    };
    if !bounds.contains(&value) {
      self.problem(key, format!("{value} is out of range"), Some(&example));
      return default;
    }
    self.note(key, &value.to_string());
    value
  }

  /// A switch.
  pub fn flag(&mut self, key: &str, default: bool) -> bool {
    let value = match self.take(key) {
      None => default,
      Some(Raw::Flag(flag)) => flag,
      Some(Raw::Text(text)) if text == "true" || text == "1" => true,
      Some(Raw::Text(text)) if text == "false" || text == "0" => false,
      Some(_) => {
        self.problem(key, "is not a switch", Some("true or false"));
        default
      }
    };
    self.note(key, &value.to_string());
    value
  }

  /// A time with a unit, within bounds.
  pub fn duration(
    &mut self,
    key: &str,
    default: Duration,
    bounds: RangeInclusive<Duration>,
  ) -> Duration {
    let (least, most) = (format_duration(*bounds.start()), format_duration(*bounds.end()));
    let example = format!("a time with a unit, {least} to {most}, as \"30s\"");
    let value = match self.take(key) {
      None => default,
      Some(Raw::Text(text)) => match parse_duration(&text) {
        Ok(value) => value,
        Err(error) => {
          self.problem(key, error.to_string(), Some(&example));
          default
        }
      },
      Some(_) => {
        self.problem(key, "is not a time: the unit is missing", Some(&example));
        default
      }
    };
    if !bounds.contains(&value) {
      self.problem(key, format!("{} is out of range", format_duration(value)), Some(&example));
      return default;
    }
    self.note(key, &format_duration(value));
    value
  }

  /// A size in bytes, with or without a unit.
  pub fn size(&mut self, key: &str, default: u64) -> u64 {
    let value = match self.take(key) {
      None => default,
      Some(Raw::Text(text) | Raw::Number(text)) => match parse_size(&text) {
        Ok(value) => value,
        Err(error) => {
          self.problem(key, error.to_string(), Some("\"64MiB\""));
          default
        }
      },
      Some(_) => {
        self.problem(key, "is not a size", Some("\"64MiB\""));
        default
      }
    };
    self.note(key, &value.to_string());
    value
  }

  /// A list of texts; in the environment separated by commas.
  pub fn list(&mut self, key: &str) -> Vec<String> {
    let value = match self.take(key) {
      None => Vec::new(),
      Some(Raw::List(items)) => items,
      Some(Raw::Text(text)) => {
        text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
      }
      Some(_) => {
        self.problem(key, "is not a list", Some("[\"a\", \"b\"]"));
        Vec::new()
      }
    };
    self.note(key, &value.join(","));
    value
  }

  /// A table of texts, as `[agent.labels]`.
  pub fn map(&mut self, key: &str) -> BTreeMap<String, String> {
    self.open.push(format!("{key}."));
    let prefix = format!("{key}.");
    let names: Vec<String> =
      self.values.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
    names
      .iter()
      .filter_map(|name| Some((name[prefix.len()..].to_owned(), self.optional_text(name)?)))
      .collect()
  }

  /// Ends the reading: the effective settings, or every problem.
  ///
  /// # Errors
  /// All problems, unknown keys among them with the nearest known one.
  pub fn finish(mut self) -> Result<Vec<Setting>, Vec<Problem>> {
    let unknown: Vec<String> = self
      .values
      .keys()
      .filter(|key| !self.known.contains(*key))
      .filter(|key| !self.open.iter().any(|open| key.starts_with(open)))
      .cloned()
      .collect();
    for key in unknown {
      let near = nearest(&key, self.known.iter().map(String::as_str));
      let hint = near.map(|near| format!("did you mean {near}?"));
      self.problem(&key, "unknown key", hint.as_deref());
    }
    if self.problems.is_empty() { Ok(self.settings) } else { Err(self.problems) }
  }
}

/// Hides the password of a URL.
pub fn mask_url(text: &str) -> String {
  let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
  let Some((login, host)) = rest.rsplit_once('@') else { return text.to_owned() };
  match login.split_once(':') {
    Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
    None => text.to_owned(),
  }
}

/// The known name that is nearest to a misspelt one, if any is near at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
  let limit = (name.chars().count() / 3).clamp(1, 3);
  known
    .into_iter()
    .map(|candidate| (edit_distance(name, candidate), candidate))
    .filter(|(distance, _)| *distance <= limit)
    .min_by_key(|(distance, _)| *distance)
    .map(|(_, candidate)| candidate)
}

/// Edits between two texts: insert, delete, replace, swap of neighbours.
fn edit_distance(a: &str, b: &str) -> usize {
  let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
  let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
  for (i, row) in rows.iter_mut().enumerate() {
    row[0] = i;
  }
  for (j, cell) in rows[0].iter_mut().enumerate() {
    *cell = j;
  }
  for i in 1..=a.len() {
    for j in 1..=b.len() {
      let change = usize::from(a[i - 1] != b[j - 1]);
      let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
      if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
        best = best.min(rows[i - 2][j - 2] + 1);
      }
      rows[i][j] = best;
    }
  }
  rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn every_problem_is_told_at_once_with_its_place() {
    let text = "[server]\nbind_adress = \"x\"\nworkers = \"many\"\n[agents]\nttl = 5\n";
    let environment = [("HETUFLOW__SERVER__PORT".to_owned(), "70000".to_owned())];
    let mut config = ConfigText::new("app.toml", text, environment);
    config.text("server.bind_address", "127.0.0.1:8080");
    config.integer("server.workers", 2, 1..=64);
    config.integer("server.port", 8080, 0..=65535);
    config.duration(
      "agents.ttl",
      Duration::from_secs(60),
      Duration::from_secs(1)..=Duration::from_secs(3600),
    );
    let problems = config.finish().expect_err("four problems");
    let shown: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(
      shown,
      [
        "app.toml:3:11: server.workers: \"many\" is not a whole number (help: a whole number, 1 to 64)",
        "environment variable HETUFLOW__SERVER__PORT: server.port: 70000 is out of range (help: a whole number, 0 to 65535)",
        "app.toml:5:7: agents.ttl: is not a time: the unit is missing (help: a time with a unit, 1s to 1h, as \"30s\")",
        "app.toml:2:15: server.bind_adress: unknown key (help: did you mean server.bind_address?)",
      ]
    );
  }

  #[test]
  fn broken_toml_says_where() {
    let problems = ConfigText::new("a.toml", "[server\n", []).finish().expect_err("broken");
    assert!(problems[0].place.starts_with("a.toml:1:"), "{problems:?}");
  }

  #[test]
  fn passwords_are_masked() {
    assert_eq!(mask_url("postgres://u:p@h/d"), "postgres://u:***@h/d");
    let mut config = ConfigText::new("", "", []);
    config.set("database.password", "hunter2", "flag");
    config.text("database.password", "");
    assert_eq!(config.finish().expect("fine")[0].value, "***");
  }
}
