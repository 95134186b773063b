//! The calendars that a schedule names, when it is saved: each is there, and stays there; and they
//! leave it some instant.

use std::collections::BTreeSet;

use hetuflow_core::{CalendarItem, FieldError, Rhythm, ScheduleEntity, ScheduleStatus};

use super::store::Work;
use super::{SvcError, SvcResult};
use crate::infra::bmc::calendar_bmc;

/// Checks a row that is about to be written, or was written in this transaction. Nobody deletes its
/// calendars before the transaction ends.
///
/// # Errors
/// `calendar.unknown` for each that is not there; `calendar.never_open` where they leave nothing.
pub(super) async fn check_calendars(work: &mut Work, row: &ScheduleEntity) -> SvcResult<()> {
  let names: BTreeSet<&str> = row.calendar_names().collect();
  if names.is_empty() {
    return Ok(());
  }
  let known = calendar_bmc::hold(&mut work.tx, &row.namespace_id, &names).await?;
  let mut errors = Vec::new();
  for (field, items) in [("include", &row.include), ("exclude", &row.exclude)] {
    for (index, name) in items.iter().map(CalendarItem::name).enumerate() {
      let Some(name) = name.filter(|name| !known.iter().any(|one| one == name)) else { continue };
      let message = format!("there is no calendar {name} in {}", row.namespace_id);
      let rule = FieldError::new("calendar.unknown", format!("/{field}/{index}"), message);
      let hint = format!(
        "hetuflowctl calendar set {name} --rule 12-25; or write a rule, as 12-25, SAT-SUN or 22:00-06:00"
      );
      errors.push(rule.with_hint(hint));
    }
  }
  SvcError::check(errors)?;
  refuse_never_open(work, row).await
}

/// A schedule that is on, and whose calendars leave out all that comes, is a mistake.
async fn refuse_never_open(work: &mut Work, row: &ScheduleEntity) -> SvcResult<()> {
  let (ScheduleStatus::Enabled, Ok(rhythm)) = (row.status, Rhythm::of(row)) else { return Ok(()) };
  let book = work.calendars.book(&mut work.tx, [row]).await?;
  let field = if row.include.is_empty() { "/exclude" } else { "/include" };
  let message = match book.closings(row).map(|all| all.without_blackouts()) {
    Err(why) => why,
    Ok(closings) if closings.next_open(&rhythm, work.now).is_some() => return Ok(()),
    Ok(closings) => match rhythm.next(work.now).and_then(|(at, _)| closings.reason(at)) {
      Some(reason) => format!("no instant of the coming years is left: {reason}"),
      None => return Ok(()),
    },
  };
  let rule = FieldError::new("calendar.never_open", field, message);
  let hint =
    format!("see  hetuflowctl calendar get {}", row.calendar_names().next().unwrap_or("NAME"));
  Err(SvcError::invalid(vec![rule.with_hint(hint)]))
}
