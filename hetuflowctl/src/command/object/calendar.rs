//! Calendars by name: listed, shown, set, deleted.

use hetuflow_core::{CalendarEntity, CalendarForPut, JobPlan};

use super::kind::{Kind, bare};
use super::{delete, get, list};
use crate::cli::{CalendarSet, CalendarVerb, Watching};
use crate::client::{Call, CtlError};
use crate::command::apply::fires_text;
use crate::command::input_file::{INPUT_BYTES_MAX, read_text};
use crate::command::schedule::left_out_note;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Does what is asked of calendars.
///
/// # Errors
/// What the server says.
pub async fn run(session: &Session, verb: &CalendarVerb) -> Result<Outcome, CtlError> {
  let kind = Kind::Calendar;
  match verb {
    CalendarVerb::List(paging) => list::of_kind(session, kind, (*paging, &Watching::default())),
    CalendarVerb::Get(args) => get::run(session, kind, &args.names).await,
    CalendarVerb::Set(args) => set(session, args).await,
    CalendarVerb::Delete(args) => delete::run(session, kind, args).await,
  }
}

/// Makes one, or sets what it is; what is not said stays.
async fn set(session: &Session, args: &CalendarSet) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let path = Kind::Calendar.path_of(bare(Kind::Calendar, &args.name));
  let read = Call::get(path.clone()).query("namespace_id", &client.place.namespace);
  let before: Option<CalendarEntity> = match client.fetch(read).await {
    Ok(before) => Some(before),
    Err(error) if error.is_not_found() => None,
    Err(error) => return Err(error),
  };
  let before = before.as_ref();
  let ics = args.ics.as_deref().map(|path| read_text(path, INPUT_BYTES_MAX)).transpose()?;
  let rules = match before {
    Some(before) if args.rules.is_empty() && ics.is_none() => before.rules.clone(),
    _ => args.rules.clone(),
  };
  let was = before.is_some_and(|before| before.blackout);
  let put = CalendarForPut {
    description: (args.description.clone())
      .or(before.map(|before| before.description.clone()))
      .unwrap_or_default(),
    timezone: args.tz.clone().or(before.map(|before| before.timezone.clone())),
    rules,
    ics,
    blackout: args.blackout || (was && !args.no_blackout),
  };
  if args.dry_run {
    let call = Call::post(format!("{path}/plan")).query("namespace_id", &client.place.namespace);
    let plan: JobPlan = client.fetch(call.json(&put).harmless()).await?;
    let outcome = Outcome::from(View::text(fires_text(&plan), serde_json::json!(plan)));
    return Ok(outcome.note("dry run: nothing was changed"));
  }
  let call = Call::put(path).query("namespace_id", &client.place.namespace).json(&put);
  let calendar: CalendarEntity = client.fetch(call).await?;
  let outcome = Outcome::from(View::thing(&calendar));
  Ok(match left_out_note(&calendar.left_out) {
    Some(note) => outcome.note(note),
    None => outcome,
  })
}
