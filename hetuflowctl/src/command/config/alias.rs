//! `alias`: words with a name.

use hetuflow_core::split_words;
use serde_json::json;

use crate::cli::{AliasVerb, is_command};
use crate::client::{Config, CtlError, Exit};
use crate::command::session::Session;
use crate::output::{Outcome, View, visible};

/// Does a verb.
///
/// # Errors
/// Usage, where the name is a command already or the words are none.
pub fn run(session: &Session, verb: &AliasVerb) -> Result<Outcome, CtlError> {
  let path = session.origin()?.config;
  let mut config = Config::load(&path)?;
  match verb {
    AliasVerb::List => {
      let lines: String = config
        .aliases
        .iter()
        .map(|(name, words)| format!("{name:<16} {}\n", visible(words)))
        .collect();
      let names = config.aliases.keys().cloned().collect();
      Ok(View::Text { text: lines, value: json!(config.aliases), names }.into())
    }
    AliasVerb::Set { name, words: text } => {
      let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
      if is_command(name) {
        return Err(CtlError::new(Exit::Conflict, format!("{name} is a command already")));
      }
      if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err(CtlError::usage("the name of an alias is letters, digits, - and _"));
      }
      let first = split_words(text)
        .map_err(|error| CtlError::usage(format!("the alias {error}")))?
        .into_iter()
        .find(|word| !word.starts_with('-'));
      if !first.as_deref().is_some_and(is_command) {
        return Err(
          CtlError::usage("the words of an alias begin with a command").help("hetuflowctl help"),
        );
      }
      config.aliases.insert(name.clone(), text.clone());
      config.save(&path)?;
      let told = format!("hetuflowctl {name} is now: hetuflowctl {}", visible(text));
      Ok(View::text(told, json!({ "alias": name, "words": text })).into())
    }
    AliasVerb::Unset { name } => {
      if config.aliases.remove(name).is_none() {
        return Err(
          CtlError::new(Exit::NotFound, format!("no alias \"{}\"", visible(name)))
            .help("hetuflowctl alias list"),
        );
      }
      config.save(&path)?;
      Ok(View::text(format!("alias {name} is gone"), json!({ "alias": name })).into())
    }
  }
}
