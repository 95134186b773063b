//! `login`: a server and its token, kept in a context.

use std::io::Read as _;

use serde_json::{Value, json};

use super::change::check_name;
use crate::cli::{LoginArgs, read_server};
use crate::client::{
  Call, Client, Config, CtlError, DEFAULT_SERVER, Place, TokenSource, check_token, read_token,
  token_file, write_private,
};
use crate::command::session::Session;
use crate::output::{Outcome, View, read_secret};

/// Longest token.
const TOKEN_BYTES_MAX: u64 = 16 << 10;

/// Checks a token with the server and keeps it.
///
/// # Errors
/// When there is none, or the server does not accept it; then nothing is kept.
pub async fn run(session: &Session, args: &LoginArgs) -> Result<Outcome, CtlError> {
  let origin = session.origin()?;
  let mut config = Config::load(&origin.config)?;
  let (url, name) = match &args.place {
    Some(place) if place.contains("://") => {
      (Some(read_server(place).map_err(CtlError::usage)?), None)
    }
    Some(name) => (None, Some(name.clone())),
    None => (None, None),
  };
  let name = name.or(origin.context.clone()).or_else(|| match &url {
    // A new address is a new context; no address is the context in use.
    Some(url) => Some(name_of(url, &config)),
    None => config.current.clone(),
  });
  let name = name.unwrap_or_else(|| "default".to_owned());
  check_name(&name)?;
  let mut entry = config.contexts.get(&name).cloned().unwrap_or_default();
  let server = match (url.or(origin.server.clone()), &entry.server) {
    (Some(url), _) => url,
    (None, Some(text)) => read_server(text).map_err(CtlError::usage)?,
    (None, None) if args.place.is_none() => read_server(DEFAULT_SERVER).map_err(CtlError::usage)?,
    (None, None) => {
      config.entry(&name)?;
      return Err(
        CtlError::usage(format!("context {name} has no server"))
          .help(format!("hetuflowctl login URL -c {name}")),
      );
    }
  };
  let token = token(session, args)?;

  let place = Place {
    context: Some(name.clone()),
    server: server.clone(),
    server_origin: "the login".to_owned(),
    namespace: "default".to_owned(),
    token: TokenSource::None,
    read_only: false,
    protected: false,
    config: origin.config.clone(),
  };
  let client = Client::with_token(
    place,
    Some(token.clone()),
    session.global.request_timeout,
    session.global.verbose,
  )?;
  let me: Value = client.fetch(Call::get("/auth/me")).await?;

  let file = token_file(&origin.config, &name);
  write_private(&file, format!("{token}\n").as_bytes())?;
  entry.server = Some(server.to_string());
  entry.token_file = Some(file.clone());
  config.contexts.insert(name.clone(), entry);
  config.current = Some(name.clone());
  config.save(&origin.config)?;
  let who = me.get("name").and_then(Value::as_str).unwrap_or("?");
  let role = me.get("role").and_then(Value::as_str).unwrap_or("?");
  let text = format!("logged in to {server} as {who} ({role}); context {name} is the current one");
  let value = json!({ "context": name, "server": server, "token_file": file, "me": me });
  Ok(View::Text { text, value, names: vec![format!("context/{name}")] }.into())
}

fn token(session: &Session, args: &LoginArgs) -> Result<String, CtlError> {
  if args.token_stdin {
    let mut bytes = Vec::new();
    std::io::stdin().take(TOKEN_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    return check_token(&bytes, "stdin");
  }
  match &session.global.token_file {
    Some(path) => read_token(path),
    None => check_token(read_secret(&session.look, "Token")?.as_bytes(), "the line"),
  }
}

/// The context that has this address, or a name made of the host.
fn name_of(url: &url::Url, config: &Config) -> String {
  let known = config.contexts.iter().find(|(_, entry)| {
    entry.server.as_deref().and_then(|text| url::Url::parse(text).ok()).as_ref() == Some(url)
  });
  if let Some((name, _)) = known {
    return name.clone();
  }
  let host: String = url
    .host_str()
    .unwrap_or("default")
    .chars()
    .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' })
    .collect();
  let host = host.trim_matches('-').to_owned();
  match url.port() {
    Some(port) => format!("{host}-{port}"),
    None => host,
  }
}
