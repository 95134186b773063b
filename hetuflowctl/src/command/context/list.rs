//! `context list` and `context current`.

use serde::Serialize;

use crate::client::{Config, ContextEntry, CtlError};
use crate::command::names::expand;
use crate::command::session::Session;
use crate::output::{Cell, Column, Outcome, TableRow, View};

#[derive(Serialize)]
struct Row {
  name: String,
  current: bool,
  #[serde(flatten)]
  entry: ContextEntry,
}

impl TableRow for Row {
  const KIND: &'static str = "context";
  const COLUMNS: &'static [Column] = &[
    Column::new("CURRENT"),
    Column::new("NAME"),
    Column::new("SERVER"),
    Column::new("NAMESPACE"),
    Column::new("PROTECT"),
    Column::wide("TOKEN-FILE"),
  ];
  fn reference(&self) -> String {
    self.name.clone()
  }
  fn cells(&self) -> Vec<Cell> {
    let entry = &self.entry;
    vec![
      Cell::text(if self.current { "*" } else { "" }),
      Cell::text(&self.name),
      Cell::maybe(entry.server.as_deref(), Cell::text),
      Cell::maybe(entry.namespace.as_deref(), Cell::text),
      Cell::text(match (entry.read_only, entry.protected) {
        (true, _) => "read-only",
        (false, true) => "protected",
        (false, false) => "",
      }),
      Cell::maybe(entry.token_file.as_ref(), |path| Cell::text(path.display().to_string())),
    ]
  }
}

/// Lists contexts.
///
/// # Errors
/// When the config is broken.
pub fn run(session: &Session) -> Result<Outcome, CtlError> {
  let config = Config::load(&session.origin()?.config)?;
  let rows: Vec<Row> = config
    .contexts
    .into_iter()
    .map(|(name, entry)| Row { current: config.current.as_ref() == Some(&name), name, entry })
    .collect();
  if rows.is_empty() && !session.look.json() {
    return Ok(
      Outcome::from(View::Nothing).note("no contexts; hetuflowctl login URL, or hetuflowctl dev"),
    );
  }
  Ok(View::List(crate::output::Rows::ready(&rows)).into())
}

/// Shows contexts by name.
///
/// # Errors
/// When one is not there.
pub fn get(session: &Session, names: &[String]) -> Result<Outcome, CtlError> {
  let config = Config::load(&session.origin()?.config)?;
  let mut rows = Vec::new();
  for name in expand(names)? {
    let entry = config.entry(&name)?.clone();
    rows.push(Row { current: config.current.as_ref() == Some(&name), name, entry });
  }
  Ok(View::things(&rows).into())
}

/// Shows the context that is used now.
///
/// # Errors
/// When the config is broken.
pub fn current(session: &Session) -> Result<Outcome, CtlError> {
  let place = session.place()?;
  let value = serde_json::json!({
    "context": place.context, "server": place.server, "namespace": place.namespace, "read_only": place.read_only,
  });
  let text = place
    .context
    .clone()
    .unwrap_or_else(|| format!("no context; {} by {}", place.server, place.server_origin));
  let names = place.context.map(|name| format!("context/{name}")).into_iter().collect();
  Ok(View::Text { text, value, names }.into())
}
