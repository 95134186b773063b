//! `schedule set`.

use hetuflow_core::{ScheduleEntity, ScheduleForUpdate, Seconds};

use super::exclude;
use crate::cli::ScheduleSet;
use crate::client::{Call, CtlError};
use crate::command::object::{Kind, get};
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Changes a schedule.
///
/// # Errors
/// When it is not there, or the change is refused.
pub async fn run(session: &Session, args: &ScheduleSet) -> Result<Outcome, CtlError> {
  let timing = &args.timing;
  let (exclude, left_out) = exclude::rules(timing)?;
  let change = ScheduleForUpdate {
    cron_expression: timing.cron.clone(),
    interval_secs: timing.every.map(Seconds),
    interval_from: timing.from,
    timezone: timing.tz.clone(),
    dst_gap: timing.dst_gap,
    dst_overlap: timing.dst_overlap,
    jitter_secs: timing.jitter.map(Seconds),
    include: (args.no_include || !timing.include.is_empty()).then(|| timing.include.clone()),
    exclude: (args.no_exclude || !exclude.is_empty()).then_some(exclude),
    overlap_policy: timing.overlap,
    queue_max: timing.queue_max,
    misfire_policy: timing.misfire,
    misfire_grace_secs: timing.grace.map(Seconds),
    catchup_max: timing.catchup_max,
    max_count: timing.max_count,
    priority: timing.prio,
    ..ScheduleForUpdate::default()
  };
  if change == ScheduleForUpdate::default() {
    return Err(CtlError::usage("nothing to change").help(
      "give --cron, --every, --tz, --include, --exclude, --overlap, --misfire, --prio or another of --help",
    ));
  }
  let schedule = get::schedule(session, &args.name).await?;
  let call = Call::patch(Kind::Schedule.path_of(&schedule.id.to_string())).json(&change);
  let changed: ScheduleEntity = session.client()?.fetch(call).await?;
  let outcome = Outcome::from(View::thing(&changed));
  Ok(match exclude::note(&left_out) {
    Some(note) => outcome.note(note),
    None => outcome,
  })
}
