//! `events`: the event log, read or followed; a hole is told, never hidden.

mod line;
mod reader;

use std::collections::VecDeque;

use futures_util::stream;
use serde_json::{Value, json};

use super::object::{Kind, get};
use super::session::Session;
use crate::cli::EventsArgs;
use crate::client::CtlError;
use crate::output::{Outcome, Page, Record, Rows, TableRow as _, View};
use line::Line;
use reader::Reader;

/// The newest events that the server still has, of the namespaces that lists show.
///
/// # Errors
/// What the server says.
pub async fn newest(session: &Session, count: usize) -> Result<Vec<Value>, CtlError> {
  let args = EventsArgs { from_seq: Some(0), ..EventsArgs::default() };
  let mut reader = Reader::new(session, &args)?;
  let mut kept = VecDeque::new();
  loop {
    let lines = reader.next().await?;
    if lines.is_empty() {
      return Ok(kept.into());
    }
    kept.extend(lines.iter().map(|line| json!(line)));
    kept.drain(..kept.len().saturating_sub(count));
  }
}

/// Reads or follows.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, args: &EventsArgs) -> Result<Outcome, CtlError> {
  let mut reader = Reader::new(session, args)?;
  if let Some(text) = &args.object {
    reader.object = Some(object_id(session, text).await?);
  }
  let pages = stream::try_unfold(reader, |mut reader| async move {
    let lines = reader.next().await?;
    if lines.is_empty() {
      return if args_strict(&reader) { Err(reader.incomplete()) } else { Ok(None) };
    }
    let rows = lines.iter().map(Record::of).collect();
    Ok(Some((Page { rows, next: None }, reader)))
  });
  Ok(View::List(Rows::paged::<CtlError>(Line::COLUMNS, pages)).into())
}

fn args_strict(reader: &Reader) -> bool {
  reader.args.strict && reader.gone > 0
}

/// The id of `job/NAME`, `task/ID`, `agent/ID` …
async fn object_id(session: &Session, text: &str) -> Result<String, CtlError> {
  let Some((kind, name)) = text.split_once('/') else {
    return Err(
      CtlError::usage(format!("--object: \"{}\" has no kind", text.escape_debug()))
        .help("write  --object job/etl-daily"),
    );
  };
  Ok(match Kind::read(kind)? {
    Kind::Job => get::job(session, name).await?.id.to_string(),
    Kind::Schedule => get::schedule(session, name).await?.id.to_string(),
    Kind::Task => get::task(session, name).await?.id.to_string(),
    _ => name.to_owned(),
  })
}
