//! What is known to hold back the instants of a schedule to come: its own pause, a freeze, its job;
//! and the calendars that leave some of them out.

use std::collections::BTreeSet;
use std::time::Duration;

use hetuflow_core::{
  Closings, FieldError, FreezeEntity, JobId, JobStatus, ScheduleEntity, ScheduleStatus, Ts,
};

use super::calendar_cache::{CalendarBook, CalendarCache};
use super::{SvcError, SvcResult};
use crate::infra::bmc::{freeze_bmc, job_bmc};
use crate::infra::db::Conn;

const MICRO: Duration = Duration::from_micros(1);

/// Somebody holds all instants back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hold {
  /// Who, and why.
  pub reason: String,
  /// Until when; nobody knows where nothing is said.
  pub until: Option<Ts>,
}

/// What is known about the instants of a schedule to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Outlook {
  /// Calendars.
  pub closings: Closings,
  /// Everything that holds all of them, the longest first.
  pub holds: Vec<Hold>,
}

impl Outlook {
  /// With calendars alone.
  pub(super) fn of_calendars(closings: Closings) -> Self {
    Self { closings, holds: Vec::new() }
  }

  /// As it stands for a schedule.
  pub(super) fn new(
    (schedule, job): (&ScheduleEntity, Option<JobStatus>),
    (book, freezes): (&CalendarBook, &[FreezeEntity]),
    now: Ts,
  ) -> SvcResult<Self> {
    let closings = book.closings(schedule).map_err(refused)?;
    Ok(Self { closings, holds: holds(schedule, job, (freezes, now)) })
  }

  /// Reads what is known about one.
  ///
  /// # Errors
  /// When the database fails; 422 for a calendar that cannot be asked.
  pub(super) async fn read(
    conn: &mut Conn,
    cache: &CalendarCache,
    schedule: &ScheduleEntity,
    now: Ts,
  ) -> SvcResult<Self> {
    let book = cache.book(conn, [schedule]).await?;
    let freezes = freeze_bmc::list(conn).await?;
    let job = job_bmc::get(conn, schedule.job_id).await?;
    Self::new((schedule, job.map(|job| job.status)), (&book, &freezes), now)
  }

  /// Reads what is known about each of many, in their order. One whose calendars cannot be asked has
  /// none.
  ///
  /// # Errors
  /// When the database fails.
  pub(super) async fn read_many(
    conn: &mut Conn,
    cache: &CalendarCache,
    schedules: &[ScheduleEntity],
    now: Ts,
  ) -> SvcResult<Vec<Option<Self>>> {
    let book = cache.book(conn, schedules).await?;
    let freezes = freeze_bmc::list(conn).await?;
    let ids: BTreeSet<JobId> = schedules.iter().map(|schedule| schedule.job_id).collect();
    let jobs = job_bmc::get_many(conn, ids).await?;
    let status = |id: JobId| jobs.iter().find(|job| job.id == id).map(|job| job.status);
    let known = (&book, freezes.as_slice());
    let one = |schedule| Self::new((schedule, status(schedule.job_id)), known, now).ok();
    Ok(schedules.iter().map(one).collect())
  }

  /// The hold that nobody knows the end of.
  pub(super) fn endless(&self) -> Option<&Hold> {
    self.holds.iter().find(|hold| hold.until.is_none())
  }

  /// Up to when everything is held, as far as it is known.
  pub(super) fn held_until(&self) -> Option<Ts> {
    self.holds.iter().filter_map(|hold| hold.until).max()
  }

  /// Why an instant will not fire, as far as it is known, and up to when the same is true.
  pub(super) fn stretch(&self, at: Ts) -> Option<(String, Ts)> {
    let held = |hold: &Hold| hold.until.filter(|until| at <= *until);
    let hold = self.holds.iter().find_map(|hold| Some((hold.reason.clone(), held(hold)?)));
    // What ends at an instant has held that instant.
    hold.map(|(why, until)| (why, until.plus(MICRO))).or_else(|| self.closings.stretch(at))
  }
}

fn holds(
  schedule: &ScheduleEntity,
  job: Option<JobStatus>,
  (freezes, now): (&[FreezeEntity], Ts),
) -> Vec<Hold> {
  let mut all = Vec::new();
  if let Some(status) = job.filter(|status| *status != JobStatus::Enabled) {
    all.push(Hold { reason: format!("the job is {status}"), until: None });
  }
  match schedule.status {
    ScheduleStatus::Enabled => {}
    ScheduleStatus::Paused => {
      let reason = schedule.status_reason.clone();
      let reason = reason.unwrap_or_else(|| "the schedule is paused".to_owned());
      all.push(Hold { reason, until: schedule.paused_until });
    }
    status => {
      let why = schedule.status_reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
      all.push(Hold { reason: format!("the schedule is {status}{why}"), until: None });
    }
  }
  for freeze in freezes.iter().filter(|freeze| freeze.holds(&schedule.namespace_id, now)) {
    all.push(Hold { reason: freeze.told(), until: freeze.until });
  }
  all.sort_by_key(|hold| std::cmp::Reverse(hold.until.map_or(i64::MAX, Ts::micros)));
  all
}

/// A calendar that cannot be asked, as a broken rule.
pub(super) fn refused(why: String) -> SvcError {
  SvcError::invalid(vec![FieldError::new("calendar.unknown", "/exclude", why)])
}
