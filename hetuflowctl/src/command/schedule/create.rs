//! `schedule create`.

use hetuflow_core::{ScheduleEntity, ScheduleForCreate, Seconds};

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
  if timing.cron.is_none() && timing.every.is_none() {
    return Err(CtlError::usage("when?").help("give --cron EXPR or --every DUR"));
  }
  let job = get::job(session, &args.job).await?;
  let new = ScheduleForCreate {
    job_id: Some(job.id),
    name: args.name.clone(),
    cron_expression: timing.cron.clone(),
    interval_secs: timing.every.map(Seconds),
    timezone: timing.tz.clone(),
    overlap_policy: timing.overlap,
    misfire_policy: timing.misfire,
    max_count: timing.max_count,
    priority: timing.prio,
    ..ScheduleForCreate::default()
  };
  let made: ScheduleEntity = session.client()?.fetch(Call::post("/schedules").json(&new)).await?;
  Ok(View::thing(&made).into())
}
