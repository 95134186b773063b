//! `schedule create`.

use hetuflow_core::{ScheduleEntity, ScheduleForCreate, Seconds};

use super::exclude;
use crate::cli::ScheduleCreate;
use crate::client::{Call, CtlError};
use crate::command::object::get;
use crate::command::session::Session;
use crate::output::{Outcome, View};

/// Makes a schedule.
///
/// # Errors
/// When the job is not there, or the schedule is refused.
pub async fn run(session: &Session, args: &ScheduleCreate) -> Result<Outcome, CtlError> {
  let timing = &args.timing;
  let at = args.at.or(args.after.map(|after| session.look.now.plus(after)));
  if timing.cron.is_none() && timing.every.is_none() && at.is_none() {
    let help = "give --cron EXPR, --every DUR, --at TIME or --in DUR";
    return Err(CtlError::usage("when?").help(help));
  }
  let (exclude, left_out) = exclude::rules(timing)?;
  let job = get::job(session, &args.job).await?;
  let new = ScheduleForCreate {
    job_id: Some(job.id),
    name: args.name.clone(),
    cron_expression: timing.cron.clone(),
    interval_secs: timing.every.map(Seconds),
    interval_from: timing.from,
    timezone: timing.tz.clone(),
    dst_gap: timing.dst_gap,
    dst_overlap: timing.dst_overlap,
    jitter_secs: timing.jitter.map(Seconds),
    include: timing.include.clone(),
    exclude,
    at,
    overlap_policy: timing.overlap,
    queue_max: timing.queue_max,
    misfire_policy: timing.misfire,
    misfire_grace_secs: timing.grace.map(Seconds),
    catchup_max: timing.catchup_max,
    max_count: timing.max_count,
    priority: timing.prio,
    ..ScheduleForCreate::default()
  };
  let made: ScheduleEntity = session.client()?.fetch(Call::post("/schedules").json(&new)).await?;
  let outcome = Outcome::from(View::thing(&made));
  Ok(match exclude::note(&left_out) {
    Some(note) => outcome.note(note),
    None => outcome,
  })
}
