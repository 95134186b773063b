//! `schedule pause`, `resume` and `skip-next`.

use hetuflow_core::{
  MisfirePolicy, PauseRequest, ResumeRequest, Rhythm, ScheduleEntity, ScheduleStatus,
  SkipNextRequest, Ts,
};

use crate::cli::{PauseArgs, ResumeArgs, SkipNextArgs};
use crate::client::{Call, CtlError};
use crate::command::missed;
use crate::command::names::expand;
use crate::command::object::{Kind, act, get};
use crate::command::session::Session;
use crate::output::{Outcome, View, relative};

/// Schedules that are looked at before the question.
const ASKED_MAX: usize = 100;

/// Holds schedules.
///
/// # Errors
/// What the server says.
pub async fn pause(session: &Session, args: &PauseArgs) -> Result<Outcome, CtlError> {
  let request = PauseRequest { reason: args.hold.reason.clone(), until: args.hold.until };
  act::on_many(session, Kind::Schedule, ("pause", "paused"), &args.many, |path| {
    Call::post(format!("{path}/pause")).json(&request)
  })
  .await
}

/// Lets schedules go on. At a terminal it asks what becomes of what they have missed.
///
/// # Errors
/// What the server says.
pub async fn resume(session: &Session, args: &ResumeArgs) -> Result<Outcome, CtlError> {
  let mut missed = args.go_on.missed;
  if missed.is_none() && session.filter()?.is_none() && session.look.interactive() {
    missed = asked(session, &args.many.names.names).await?;
  }
  let request = ResumeRequest { missed };
  act::on_many(session, Kind::Schedule, ("resume", "resumed"), &args.many, |path| {
    Call::post(format!("{path}/resume")).json(&request)
  })
  .await
}

/// The answer; nothing was held back where nobody is asked.
async fn asked(session: &Session, names: &[String]) -> Result<Option<MisfirePolicy>, CtlError> {
  if session.look.yes || names.iter().any(|name| name == "-") {
    return Ok(None);
  }
  let names = expand(names)?;
  let (mut held, mut newest) = (0, None);
  for name in names.iter().take(ASKED_MAX) {
    let schedule = get::schedule(session, name).await?;
    if let Some((count, last)) = held_back(&schedule, session.look.now) {
      held += count;
      newest = newest.max(Some(last));
    }
  }
  let Some(newest) = newest else { return Ok(None) };
  let when = relative(newest, session.look.now);
  let what = if held == 1 {
    format!("1 instant was held back, {when}. What becomes of it?")
  } else {
    format!("{held} instants were held back, the newest {when}. What becomes of them?")
  };
  missed::of_schedules(session, &what).map(Some)
}

/// How many instants a pause holds back, and the newest of them.
fn held_back(schedule: &ScheduleEntity, now: Ts) -> Option<(u64, Ts)> {
  let first = schedule.next_run_at.filter(|at| *at <= now)?;
  if schedule.status != ScheduleStatus::Paused {
    return None;
  }
  let rhythm = Rhythm::of(schedule).ok()?;
  Some((rhythm.count(first, now), rhythm.previous(now).unwrap_or(first)))
}

/// Leaves the next instants of a schedule out.
///
/// # Errors
/// What the server says.
pub async fn skip_next(session: &Session, args: &SkipNextArgs) -> Result<Outcome, CtlError> {
  let schedule = get::schedule(session, &args.name).await?;
  let request = SkipNextRequest { count: Some(args.count), reason: args.reason.clone() };
  let path = format!("{}/skip-next", Kind::Schedule.path_of(&schedule.id.to_string()));
  let row: ScheduleEntity = session.client()?.fetch(Call::post(path).json(&request)).await?;
  Ok(View::thing(&row).into())
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_a_pause_holds_back_is_counted() {
    let mut schedule = crate::command::sample::schedule();
    schedule.cron_expression = Some("0 * * * *".into());
    let first: Ts = "2026-03-01T00:00:00Z".parse().expect("an instant");
    let now: Ts = "2026-03-01T05:30:00Z".parse().expect("an instant");
    schedule.next_run_at = Some(first);
    assert_eq!(held_back(&schedule, now), None, "it is not paused");
    schedule.status = ScheduleStatus::Paused;
    let newest: Ts = "2026-03-01T05:00:00Z".parse().expect("an instant");
    assert_eq!(held_back(&schedule, now), Some((6, newest)));
    assert_eq!(held_back(&schedule, "2026-02-28T23:00:00Z".parse().expect("an instant")), None);
  }
}
