//! Verbs for many things: what is meant, one question, one result for each.

use futures_util::stream::{self, StreamExt as _};

use super::names;
use super::session::Session;
use crate::cli::BulkOptions;
use crate::client::{Call, CtlError, Exit};
use crate::output::{Failure, Outcome, Record, View, ask};

/// Requests on the way at the same time.
const AT_ONCE: usize = 8;
/// Failed items that the line of help names.
const AGAIN_MAX: usize = 20;

/// What a bulk verb is about to do.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
  /// The verb, as `cancel`.
  pub verb: &'a str,
  /// The command that does it again, as `task cancel`.
  pub command: &'a str,
  /// What it is done to, as `task`.
  pub what: &'a str,
  /// What is said of those that it was done to, as `cancelled`.
  pub done: &'a str,
}

/// One item of many.
#[derive(Debug, Clone)]
pub struct Item {
  /// How people name it.
  pub name: String,
  /// The request.
  pub call: Call,
}

/// One item that went wrong.
#[derive(Debug, Clone)]
pub struct Failed {
  /// How people name it.
  pub name: String,
  /// Why.
  pub error: CtlError,
}

impl Failed {
  /// For programs.
  pub fn value(&self) -> serde_json::Value {
    serde_json::json!({
      "name": self.name,
      "ok": false,
      "error": { "code": self.error.code, "message": self.error.message },
    })
  }
}

/// Whether things were chosen by something else than their names, so that a person must see how
/// many there are.
pub fn chosen_unseen(session: &Session, given: &[String]) -> Result<bool, CtlError> {
  Ok(session.filter()?.is_some() || given.iter().any(|name| name == "-"))
}

/// Says how many there are and asks once. `Some` is the end: a dry run, nothing found, or no.
///
/// # Errors
/// Usage, where nobody can be asked.
pub fn agree(
  session: &Session,
  deed: Deed<'_>,
  (unseen, options): (bool, BulkOptions),
  found: &[Record],
) -> Result<Option<Outcome>, CtlError> {
  let count = found.len();
  if count == 0 {
    return Ok(Some(Outcome::from(View::Nothing).note("nothing found")));
  }
  let many = if count == 1 { deed.what.to_owned() } else { format!("{}s", deed.what) };
  if options.dry_run {
    let names: Vec<String> = found.iter().map(|record| record.name.clone()).collect();
    let text: String =
      names.iter().map(|name| format!("{name} would be {}\n", deed.done)).collect();
    let values = found.iter().map(|record| record.value.clone()).collect();
    let view = View::Text { text, value: serde_json::Value::Array(values), names };
    let note = format!("dry run: {count} {many} would be {}, nothing was done", deed.done);
    return Ok(Some(Outcome::from(view).note(note)));
  }
  let place = session.client()?.place.title();
  let verb = capital(deed.verb);
  if unseen && !ask(&session.look, &format!("{verb} {count} {many} on {place}"))? {
    return Ok(Some(Outcome::from(View::Nothing).note("nothing was done")));
  }
  if unseen {
    session.look.say(format!("{count} {many}"));
  }
  Ok(None)
}

fn capital(word: &str) -> String {
  let mut chars = word.chars();
  chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Sends one request per item, some at a time; what each answered, in the order of the items.
///
/// # Errors
/// When there is no client.
pub async fn send(
  session: &Session,
  deed: Deed<'_>,
  items: Vec<Item>,
) -> Result<Vec<(String, Result<Vec<u8>, CtlError>)>, CtlError> {
  let client = session.client()?;
  let total = items.len();
  let words = format!("{} {total} {}s", deed.verb, deed.what);
  let sent = stream::iter(items)
    .map(|item| async move { (item.name, client.bytes(item.call).await) })
    .buffered(AT_ONCE)
    .collect();
  Ok(session.progress().during(&words, sent).await)
}

/// What is told where some failed: exit 11, each with its reason, and the command for those again.
pub fn some_failed(deed: Deed<'_>, total: usize, failed: &[Failed]) -> Failure {
  let words = format!("{} {} of {total}", deed.done, total - failed.len());
  let mut error = CtlError::new(Exit::SomeFailed, words);
  for one in failed {
    error.facts.push(format!("{}  not {}: {}", one.name, deed.done, one.error.message));
  }
  let again: Vec<&str> = failed.iter().take(AGAIN_MAX).map(|one| one.name.as_str()).collect();
  error.help(format!("those again:  hetuflowctl {} {}", deed.command, again.join(" "))).into()
}

/// The names that are meant: given, from stdin, or found by the filter.
///
/// # Errors
/// Usage, where nothing is named.
pub fn given(session: &Session, names: &[String]) -> Result<Vec<String>, CtlError> {
  if names.is_empty() && session.filter()?.is_some() {
    return Ok(Vec::new());
  }
  if !names.is_empty() && session.filter()?.is_some() {
    return Err(CtlError::usage("give names or a filter, not both"));
  }
  names::expand(names)
}
