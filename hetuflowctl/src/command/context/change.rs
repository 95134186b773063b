//! Changes of the config file.

use std::path::PathBuf;

use hetuflow_core::NamespaceEntity;
use serde_json::json;

use crate::cli::ContextSet;
use crate::client::{Config, CtlError, Exit, token_file};
use crate::command::object::{Kind, create::namespace_id, get};
use crate::command::session::Session;
use crate::output::{Outcome, View};

fn load(session: &Session) -> Result<(PathBuf, Config), CtlError> {
  let path = session.origin()?.config;
  let config = Config::load(&path)?;
  Ok((path, config))
}

fn told(text: impl Into<String>, name: &str) -> Outcome {
  let text = text.into();
  let value = json!({ "context": name, "message": text });
  View::Text { text, value, names: vec![format!("context/{name}")] }.into()
}

/// Checks the name of a context: it is also a file's name.
///
/// # Errors
/// Usage, with the pattern.
pub fn check_name(name: &str) -> Result<(), CtlError> {
  match hetuflow_core::check_name(name, "name") {
    Ok(_) => Ok(()),
    Err(error) => Err(CtlError::usage(error.message).help(error.hint.unwrap_or_default())),
  }
}

/// Makes a context the current one.
///
/// # Errors
/// When it is not there.
pub fn use_context(session: &Session, name: &str) -> Result<Outcome, CtlError> {
  let (path, mut config) = load(session)?;
  config.entry(name)?;
  config.current = Some(name.to_owned());
  config.save(&path)?;
  Ok(told(format!("now using {name}"), name))
}

/// Makes or changes a context.
///
/// # Errors
/// When the name is none.
pub fn set(session: &Session, args: &ContextSet) -> Result<Outcome, CtlError> {
  check_name(&args.name)?;
  let (path, mut config) = load(session)?;
  let known = config.contexts.contains_key(&args.name);
  if !known && args.url.is_none() {
    return Err(
      CtlError::usage(format!("{} is a new context: where is its server?", args.name))
        .help("give --url URL"),
    );
  }
  let entry = config.contexts.entry(args.name.clone()).or_default();
  if let Some(url) = &args.url {
    entry.server = Some(url.to_string());
  }
  if let Some(namespace) = &args.default_namespace {
    entry.namespace = Some(namespace_id(namespace)?.to_string());
  }
  if let Some(token) = &args.token {
    entry.token_file = Some(std::path::absolute(token)?);
  }
  // The flag of every command is kept here; its variable is about one shell.
  if let Some(read_only) = session.global.read_only
    && std::env::var_os("HETUFLOW_READ_ONLY").is_none()
  {
    entry.read_only = read_only;
  }
  if let Some(protected) = args.protected {
    entry.protected = protected;
  }
  if let Some(colour) = &args.colour {
    entry.colour = Some(colour.clone()).filter(|colour| colour != "none");
  }
  config.current.get_or_insert_with(|| args.name.clone());
  config.save(&path)?;
  Ok(told(format!("context {} {}", args.name, if known { "changed" } else { "made" }), &args.name))
}

/// Gives a context another name.
///
/// # Errors
/// When it is not there, or the new name is taken.
pub fn rename(session: &Session, from: &str, to: &str) -> Result<Outcome, CtlError> {
  check_name(to)?;
  let (path, mut config) = load(session)?;
  let mut entry = config.entry(from)?.clone();
  if config.contexts.contains_key(to) {
    return Err(CtlError::new(Exit::Conflict, format!("there is a context \"{to}\" already")));
  }
  let (old, new) = (token_file(&path, from), token_file(&path, to));
  if entry.token_file.as_ref() == Some(&old) && old.exists() {
    std::fs::rename(&old, &new)?;
    entry.token_file = Some(new);
  }
  config.contexts.remove(from);
  config.contexts.insert(to.to_owned(), entry);
  if config.current.as_deref() == Some(from) {
    config.current = Some(to.to_owned());
  }
  config.save(&path)?;
  Ok(told(format!("{from} is now {to}"), to))
}

/// Deletes a context and the token that was stored for it.
///
/// # Errors
/// When it is not there.
pub fn delete(session: &Session, name: &str) -> Result<Outcome, CtlError> {
  let (path, mut config) = load(session)?;
  config.entry(name)?;
  config.contexts.remove(name);
  if config.current.as_deref() == Some(name) {
    config.current = None;
  }
  config.save(&path)?;
  // Only our own copy: a token file that somebody pointed us at is theirs.
  let _ = std::fs::remove_file(token_file(&path, name));
  Ok(told(format!("context {name} deleted"), name))
}

/// Works in a namespace from now on.
///
/// # Errors
/// When there is no such namespace, or no context to keep it in.
pub async fn use_namespace(session: &Session, name: &str) -> Result<Outcome, CtlError> {
  let namespace: NamespaceEntity = get::one(session, Kind::Namespace, name).await?;
  let (path, mut config) = load(session)?;
  let Some(context) = session.place()?.context else {
    return Err(CtlError::usage("there is no context to keep it in").help("hetuflowctl login URL"));
  };
  let entry = config.contexts.entry(context.clone()).or_default();
  entry.namespace = Some(namespace.id.to_string());
  config.save(&path)?;
  Ok(told(format!("now working in namespace {} of {context}", namespace.id), &context))
}
