//! `config view` and `config path`.

use serde_json::{Value, json};

use crate::client::{Config, CtlError, Place, TokenSource};
use crate::command::session::Session;
use crate::output::{Outcome, View, visible};

/// What is in force, and where it comes from.
///
/// # Errors
/// When a file is broken or the context is not there.
pub fn view(session: &Session, show_origin: bool) -> Result<Outcome, CtlError> {
  let origin = session.origin()?;
  let place = Place::settle(&origin)?;
  let config = Config::load(&origin.config)?;
  let global = &session.global;
  let typed = |given: bool, variable: &str| {
    let set = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    given.then(|| {
      if set { format!("the variable {variable}, or its flag") } else { "a flag".to_owned() }
    })
  };
  let named = |what: &str| match &place.context {
    Some(name) => format!("context {name}{what}"),
    None => "the default".to_owned(),
  };
  let (project, of_project) = match Place::project()? {
    Some((path, context, namespace)) => (path.display().to_string(), (context, namespace)),
    None => (String::new(), (None, None)),
  };
  let context_origin = typed(global.context.is_some(), "HETUFLOW_CONTEXT")
    .or_else(|| of_project.0.as_ref().map(|_| project.clone()))
    .unwrap_or_else(|| {
      if config.current.is_some() {
        origin.config.display().to_string()
      } else {
        "the default".into()
      }
    });
  let own = place.context.as_ref().and_then(|name| config.contexts.get(name));
  let namespace_origin = typed(global.namespace.is_some(), "HETUFLOW_NAMESPACE")
    .or_else(|| of_project.1.as_ref().map(|_| project.clone()))
    .or_else(|| own.and_then(|entry| entry.namespace.as_ref()).map(|_| named("")))
    .unwrap_or_else(|| "the default".to_owned());
  let (token, token_origin) = match &place.token {
    TokenSource::File(path) => (
      json!(path),
      typed(global.token_file.is_some(), "HETUFLOW_TOKEN_FILE").unwrap_or_else(|| named("")),
    ),
    TokenSource::Variable => (json!("***"), "the variable HETUFLOW_TOKEN".to_owned()),
    TokenSource::None => (Value::Null, "the default".to_owned()),
  };
  let read_only_origin = typed(global.read_only == Some(true), "HETUFLOW_READ_ONLY")
    .unwrap_or_else(|| if place.read_only { named("") } else { "the default".to_owned() });
  let rows = [
    ("context", json!(place.context), context_origin),
    ("server", json!(place.server), place.server_origin.clone()),
    ("namespace", json!(place.namespace), namespace_origin),
    ("token_file", token, token_origin),
    ("read_only", json!(place.read_only), read_only_origin),
    ("protected", json!(place.protected), named("")),
  ];
  let mut text = String::new();
  let mut value = serde_json::Map::new();
  for (name, one, from) in rows {
    let shown = match &one {
      Value::String(text) => visible(text),
      Value::Null => "-".to_owned(),
      other => other.to_string(),
    };
    if show_origin {
      text.push_str(&format!("{name:<11} {shown:<40} {}\n", visible(&from)));
      value.insert(name.to_owned(), json!({ "value": one, "origin": from }));
    } else {
      text.push_str(&format!("{name:<11} {shown}\n"));
      value.insert(name.to_owned(), one);
    }
  }
  Ok(View::text(text, Value::Object(value)).into())
}

/// Where the file is.
///
/// # Errors
/// When there is no home folder.
pub fn path(session: &Session) -> Result<Outcome, CtlError> {
  let path = session.origin()?.config;
  Ok(View::text(path.display().to_string(), json!({ "path": path })).into())
}
