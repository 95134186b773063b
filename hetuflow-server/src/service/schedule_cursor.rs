//! Where a schedule's planning stands: its next instant, and how a change makes it start anew.
//!
//! A change never fires for the past and never twice: the cursor restarts at the instant of the
//! change, what was planned and not claimed is taken back, and the unique fire key decides the
//! rest.

use std::time::Duration;

use hetuflow_core::cron::CronFire;
use hetuflow_core::{
  CronError, CronExpression, DEFAULT_TIMEZONE, FireDecision, FireEntity, FireId, JobEntity,
  ScheduleEntity, ScheduleId, ScheduleKind, ScheduleStatus, Ts, format_duration, next_interval,
  parse_time_zone,
};
use jiff::tz::TimeZone;

use super::SvcResult;
use super::store::Work;
use crate::infra::bmc::schedule_bmc::ScheduleCursor;
use crate::infra::bmc::{fire_bmc, schedule_bmc};

/// Instants that one summary row counts one by one; a longer pause says "at least".
const COUNTED_MAX: i64 = 100_000;

/// The seed of `H` and `~` in a schedule's expression: FNV-1a over the bytes of its id, the same on
/// every server and in every release.
pub fn cron_seed(id: ScheduleId) -> u64 {
  id.0.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
  })
}

/// The first instant of a schedule strictly after `after`, with a note where a clock change moved
/// it; inside its window of `start_time` and `end_time`. `None`: there is none any more.
///
/// # Errors
/// When the stored expression or zone cannot be read.
pub fn next_instant(
  schedule: &ScheduleEntity,
  after: Ts,
) -> Result<Option<(Ts, Option<String>)>, CronError> {
  Ok(Rhythm::of(schedule)?.next(after))
}

enum Beat {
  Cron(Box<CronExpression>, TimeZone),
  Interval(Ts, i64),
  None,
}

/// A schedule's rule, read once and asked many times.
pub(super) struct Rhythm {
  beat: Beat,
  start: Option<Ts>,
  end: Option<Ts>,
}

impl Rhythm {
  /// Reads the rule.
  ///
  /// # Errors
  /// When the expression or the zone cannot be read.
  pub(super) fn of(schedule: &ScheduleEntity) -> Result<Self, CronError> {
    let beat = match (schedule.schedule_kind, &schedule.cron_expression, schedule.interval_secs) {
      (ScheduleKind::Cron, Some(text), _) => {
        let expression = CronExpression::parse(text, cron_seed(schedule.id))?;
        Beat::Cron(Box::new(expression), parse_time_zone(&schedule.timezone)?)
      }
      (ScheduleKind::Interval, _, Some(secs)) => Beat::Interval(schedule.anchor_at, secs),
      _ => Beat::None,
    };
    Ok(Self { beat, start: schedule.start_time, end: schedule.end_time })
  }

  /// The first instant strictly after `after`, inside the window.
  pub(super) fn next(&self, after: Ts) -> Option<(Ts, Option<String>)> {
    // The start itself may fire.
    let before_start = self.start.map(|start| start.minus(Duration::from_micros(1)));
    let after = before_start.map_or(after, |start| start.max(after)).instant();
    let (at, note) = match &self.beat {
      Beat::Cron(expression, zone) => {
        let CronFire { at, note } = expression.next_after(after, zone)?;
        (Ts::from(at), note)
      }
      Beat::Interval(anchor, secs) => {
        (Ts::from(next_interval(anchor.instant(), *secs, after)?), None)
      }
      Beat::None => return None,
    };
    self.end.is_none_or(|end| at <= end).then_some((at, note))
  }

  /// The rule in words.
  pub(super) fn describe(&self) -> String {
    match &self.beat {
      Beat::Cron(expression, _) => expression.describe(),
      Beat::Interval(_, secs) => {
        let secs = u64::try_from(*secs).unwrap_or(0);
        format!("every {}", format_duration(Duration::from_secs(secs)))
      }
      Beat::None => "never by itself".to_owned(),
    }
  }

  /// The zone that local times are shown in.
  pub(super) fn zone(&self, name: &str) -> TimeZone {
    match &self.beat {
      Beat::Cron(_, zone) => zone.clone(),
      _ => parse_time_zone(name).unwrap_or(TimeZone::UTC),
    }
  }
}

/// The zone of a schedule that names none.
pub(super) fn zone_name(given: Option<&str>) -> String {
  given.unwrap_or(DEFAULT_TIMEZONE).to_owned()
}

/// Where planning goes on after `after`, where the schedule may fire at all.
pub(super) fn first_after(schedule: &ScheduleEntity, after: Ts) -> Option<Ts> {
  let waits = matches!(schedule.status, ScheduleStatus::Enabled | ScheduleStatus::Paused);
  let used_up = schedule.max_count.is_some_and(|count| schedule.run_count >= count);
  if !waits || used_up {
    return None;
  }
  next_instant(schedule, after).ok().flatten().map(|(at, _)| at)
}

/// Takes back what is planned and not claimed, and plans from now on with the row as it is.
/// The row must have been written in this transaction, so that no planner is in between.
///
/// # Errors
/// When the database fails.
pub(super) async fn restart(work: &mut Work, schedule: &ScheduleEntity) -> SvcResult<u64> {
  let revoked = fire_bmc::revoke_planned(&mut work.tx, schedule.id, work.now).await?;
  let next = first_after(schedule, work.now);
  schedule_bmc::set_next(&mut work.tx, schedule.id, next).await?;
  work.replan();
  Ok(revoked)
}

/// The same for all schedules of a job, after it was switched on or off.
///
/// # Errors
/// When the database fails.
pub(super) async fn restart_all(work: &mut Work, job: &JobEntity) -> SvcResult<()> {
  for schedule in schedule_bmc::list_of_job(&mut work.tx, job.id).await? {
    // Locks the row before looking at what is planned.
    schedule_bmc::set_next(&mut work.tx, schedule.id, None).await?;
    restart(work, &schedule).await?;
  }
  Ok(())
}

/// Sets state and reason of a row that was just written in this transaction, and restarts it.
///
/// # Errors
/// When the database fails.
pub(super) async fn set_state(
  work: &mut Work,
  schedule: &ScheduleEntity,
  reason: Option<String>,
) -> SvcResult<u64> {
  let cursor = ScheduleCursor {
    status: schedule.status,
    status_reason: reason,
    next_run_at: schedule.next_run_at,
    last_run_at: schedule.last_run_at,
    run_count: schedule.run_count,
  };
  schedule_bmc::advance_if_at(&mut work.tx, schedule, &cursor).await?;
  restart(work, schedule).await
}

/// Leaves one row for all instants that a pause swallowed: no instant goes without a trace.
///
/// # Errors
/// When the database fails.
pub(super) async fn record_pause(work: &mut Work, schedule: &ScheduleEntity) -> SvcResult<()> {
  let (Some(first), Ok(rhythm)) = (schedule.next_run_at, Rhythm::of(schedule)) else {
    return Ok(());
  };
  if first > work.now {
    return Ok(());
  }
  let (mut count, mut last) = (1, first);
  while count < COUNTED_MAX {
    match rhythm.next(last) {
      Some((at, _)) if at <= work.now => (count, last) = (count + 1, at),
      _ => break,
    }
  }
  let reason = schedule.status_reason.clone();
  let fire = FireEntity {
    id: FireId::generate(),
    schedule_id: schedule.id,
    schedule_rev: schedule.rev,
    fire_at: first,
    decision: FireDecision::SkippedPaused,
    reason,
    task_id: None,
    count,
    from_at: Some(first),
    to_at: Some(if count < COUNTED_MAX { last } else { work.now }),
  };
  fire_bmc::create_once(&mut work.tx, &fire).await?;
  Ok(())
}
