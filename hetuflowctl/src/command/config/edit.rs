//! Single values of the config file. Every change is read back as a config before it is kept.

use std::path::Path;

use serde_json::json;
use toml::{Table, Value};

use crate::client::{Config, CtlError, Exit, write_private};
use crate::command::editor;
use crate::command::session::Session;
use crate::output::{Outcome, View, visible};

const KEYS: &str = "keys: current, contexts.NAME.server|namespace|token_file|read_only|protected|colour, aliases.NAME";

fn load(path: &Path) -> Result<Table, CtlError> {
  Config::load(path)?;
  match std::fs::read_to_string(path) {
    Ok(text) => {
      text.parse().map_err(|_| CtlError::usage(format!("{} is not TOML", path.display())))
    }
    Err(_) => Ok(Table::new()),
  }
}

fn segments(key: &str) -> Result<Vec<&str>, CtlError> {
  let all: Vec<&str> = key.split('.').collect();
  // A context's name may have dots of its own: the last part is the field.
  let parts = match all.as_slice() {
    ["current"] => vec!["current"],
    ["contexts", middle @ .., field] if !middle.is_empty() => {
      let name = &key["contexts.".len()..key.len() - field.len() - 1];
      vec!["contexts", name, field]
    }
    ["aliases", _, ..] => vec!["aliases", &key["aliases.".len()..]],
    _ => Vec::new(),
  };
  if parts.is_empty() || parts.iter().any(|part| part.is_empty()) {
    return Err(CtlError::usage(format!("\"{}\" is no key", visible(key))).help(KEYS));
  }
  Ok(parts)
}

/// One value.
///
/// # Errors
/// Not found, where it is not set.
pub fn get(session: &Session, key: &str) -> Result<Outcome, CtlError> {
  let path = session.origin()?.config;
  let table = load(&path)?;
  let mut here = &Value::Table(table);
  for part in segments(key)? {
    here = here.get(part).ok_or_else(|| {
      CtlError::new(Exit::NotFound, format!("{} is not set in {}", visible(key), path.display()))
    })?;
  }
  let text = here.as_str().map_or_else(|| here.to_string(), str::to_owned);
  Ok(View::text(visible(&text), json!({ "key": key, "value": here })).into())
}

/// Changes one value.
///
/// # Errors
/// Usage, where the file would not be a config any more; then it stays as it was.
pub fn set(session: &Session, key: &str, text: &str) -> Result<Outcome, CtlError> {
  let path = session.origin()?.config;
  let mut table = load(&path)?;
  let parts = segments(key)?;
  let (last, folders) = parts.split_last().expect("a key has a part");
  let mut here = &mut table;
  for part in folders {
    let next = here.entry(*part).or_insert_with(|| Value::Table(Table::new()));
    here = next
      .as_table_mut()
      .ok_or_else(|| CtlError::usage(format!("{part} holds a value")).help(KEYS))?;
  }
  let value = match text {
    "true" | "false" if !matches!(*last, "server" | "namespace") && parts[0] != "aliases" => {
      Value::Boolean(text == "true")
    }
    _ => Value::String(text.to_owned()),
  };
  if *last == "server" {
    crate::cli::read_server(text).map_err(CtlError::usage)?;
  }
  here.insert((*last).to_owned(), value);
  keep(&path, &table)?;
  let told = format!("{} = {}", visible(key), visible(text));
  Ok(View::text(told, json!({ "key": key, "value": text })).into())
}

/// Takes one value out.
///
/// # Errors
/// Not found, where it is not set.
pub fn unset(session: &Session, key: &str) -> Result<Outcome, CtlError> {
  let path = session.origin()?.config;
  let mut table = load(&path)?;
  let parts = segments(key)?;
  let (last, folders) = parts.split_last().expect("a key has a part");
  let mut here = Some(&mut table);
  for part in folders {
    here = here.and_then(|table| table.get_mut(*part)?.as_table_mut());
  }
  if here.and_then(|table| table.remove(*last)).is_none() {
    let message = format!("{} is not set in {}", visible(key), path.display());
    return Err(CtlError::new(Exit::NotFound, message));
  }
  keep(&path, &table)?;
  Ok(
    View::text(format!("{} is no longer set", visible(key)), json!({ "key": key, "value": null }))
      .into(),
  )
}

fn keep(path: &Path, table: &Table) -> Result<(), CtlError> {
  let text = toml::to_string_pretty(table).map_err(|error| CtlError::failure(error.to_string()))?;
  check(&text)?;
  write_private(path, text.as_bytes())
}

fn check(text: &str) -> Result<(), CtlError> {
  toml::from_str::<Config>(text).map(drop).map_err(|error| {
    let mut wrong = CtlError::usage("that is no config, the file stays as it was");
    wrong.facts = error.to_string().trim_end().lines().map(str::to_owned).collect();
    wrong.help(KEYS)
  })
}

/// Opens the file in an editor.
///
/// # Errors
/// Usage, where nobody sits here or the text is no config; then the file stays as it was.
pub fn edit(session: &Session) -> Result<Outcome, CtlError> {
  let path = session.origin()?.config;
  let before = std::fs::read_to_string(&path).unwrap_or_default();
  let after =
    editor::edit(session, &before, ".toml").map_err(|error| match error.help.is_empty() {
      true if error.exit == Exit::Usage as u8 => error.help("hetuflowctl config set KEY VALUE"),
      _ => error,
    })?;
  let Some(after) = after else {
    return Ok(Outcome::from(View::Nothing).note("nothing was changed"));
  };
  check(&after)?;
  write_private(&path, after.as_bytes())?;
  Ok(Outcome::from(View::Nothing).note(format!("{} was changed", path.display())))
}
