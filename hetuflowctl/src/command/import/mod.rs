//! `import`: the work of another scheduler as manifests, with a proof: its next fires by its own
//! rules beside ours, and every difference.

mod calendar;
mod cron_rule;
mod cronicle;
mod cronjob;
mod crontab;
mod found;
mod proof;
mod report;
mod source;
mod spell;
mod systemd;
mod unit_file;
mod wall;

use hetuflow_core::{JobStatus, NamespaceId, Ts, parse_time_zone};
use jiff::tz::TimeZone;

use crate::cli::{ImportHow, ImportVerb, read_from};
use crate::client::{CtlError, Exit};
use crate::command::apply;
use crate::command::session::Session;
use crate::output::Outcome;
use found::Found;
use report::Report;

/// Imports.
///
/// # Errors
/// When a source cannot be read, or the server refuses the jobs.
pub async fn run(session: &Session, verb: &ImportVerb) -> Result<Outcome, CtlError> {
  let how = verb.how();
  let (zone_name, zone) = zone_of(how)?;
  let mut found = Found::default();
  let source = source::read(verb, (&zone_name, &zone), &mut found)?;
  found.settle(source);
  for one in &mut found.jobs {
    if how.disabled {
      one.job.status = Some(JobStatus::Disabled);
    }
    if let Some(namespace) = &session.global.namespace {
      one.job.namespace_id = NamespaceId::new(namespace).ok();
    }
  }
  leave_broken(&mut found);
  let from = match &how.from {
    Some(text) => {
      read_from(text, &zone).map_err(|error| CtlError::usage(format!("--from: {error}")))?
    }
    None => Ts::now(),
  };
  if let Some(folder) = &how.write {
    source::write(&found, folder)?;
  }
  let mut notes = Vec::new();
  if how.apply && !found.jobs.is_empty() {
    let texts =
      found.jobs.iter().map(|one| Ok((one.place.clone(), source::yaml(&one.manifest())?)));
    let texts: Result<Vec<(String, String)>, CtlError> = texts.collect();
    match apply::apply_with_consent(session, &texts?).await? {
      Some(done) => found.applied = done.changes,
      None => notes.push("nothing was applied".to_owned()),
    }
  } else if how.write.is_none() && !how.apply {
    notes.push("nothing was stored: --write DIR keeps the manifests, --apply applies them".into());
  }
  let report = Report::of(&found, (from.instant(), how.count as usize));
  let mut outcome = report.outcome(session, &found);
  outcome.notes.extend(notes);
  Ok(outcome)
}

/// The zone of the other scheduler: as given, or this machine's.
fn zone_of(how: &ImportHow) -> Result<(String, TimeZone), CtlError> {
  let name = match &how.tz {
    Some(name) => name.clone(),
    None => {
      let own = TimeZone::system();
      own.iana_name().map_or_else(|| "UTC".to_owned(), str::to_owned)
    }
  };
  match parse_time_zone(&name) {
    Ok(zone) => Ok((name, zone)),
    // This machine's name may be an old one that our database does not hold.
    Err(_) if how.tz.is_none() => Ok(("UTC".to_owned(), TimeZone::UTC)),
    Err(error) => {
      let told = CtlError::new(Exit::Invalid, error.message);
      Err(told.help(error.hint.unwrap_or_default()))
    }
  }
}

/// What our own rules refuse stays behind, with the rule.
fn leave_broken(found: &mut Found) {
  let mut good = Vec::new();
  for mut one in std::mem::take(&mut found.jobs) {
    let mut errors = Vec::new();
    one.job.check(&mut errors);
    match errors.first() {
      None => good.push(one),
      Some(error) => found.leave(one.place.clone(), format!("{}: {}", error.field, error.message)),
    }
  }
  found.jobs = good;
}
