//! Rows of jobs, and one job with all that its screen shows.

use std::collections::HashMap;
use std::time::Duration;

use hetuflow_core::{
  DayCount, FilterScope, FireRow, JobDetail, JobEntity, JobId, JobRow, JobStatus, ScheduleBrief,
  ScheduleEntity, ScheduleKind, ScheduleStatus, TaskRow, Ts, format_duration,
};

use super::answer::Found;
use super::fires;
use super::hub::WatchSvc;
use super::quantiles::{millis, quantiles};
use super::question::Question;
use super::tasks::{narrow, task_row};
use crate::infra::bmc::watch_jobs::{self, RecentRun};
use crate::infra::bmc::watch_tasks;
use crate::infra::db::Conn;
use crate::service::calendar_cache::CalendarBook;
use crate::service::row_match::Wanted;
use crate::service::schedule_cursor::{Rhythm, first_after};
use crate::service::task_svc::find_job;
use crate::service::{SvcError, SvcResult, filtered};

/// Newest runs that durations come from.
const RUNS: u64 = 32;
/// Newest runs that a row shows.
const RUNS_SHOWN: usize = 16;
/// Next fires and newest tasks of one job.
const FIRES: usize = 10;
const TASKS: u64 = 50;
/// Days of history of one job.
const DAYS: i64 = 30;

/// A window of jobs.
///
/// # Errors
/// What is wrong with the filter, or any database error.
pub(super) async fn find(
  hub: &WatchSvc,
  conn: &mut Conn,
  question: &Question,
  now: Ts,
) -> SvcResult<Found> {
  let wanted = Wanted::read(&question.filter, &question.sort, FilterScope::Jobs)?;
  let window = question.window(now);
  let listed = filtered::jobs(conn, &window, &wanted).await?;
  let total = watch_jobs::total(conn, window.namespace).await?;
  let total = total.max(listed.matched.unwrap_or(0));
  let matched = match listed.matched {
    Some(matched) => matched,
    None if wanted.filter.is_empty() => total,
    None => filtered::count_jobs(conn, &window, &wanted).await?,
  };
  let rows = job_rows(hub, conn, listed.rows, now).await?;
  // Next fires pass.
  Ok(Found::rows(&rows).counted(matched, total).ageing())
}

/// The rows that lists show.
///
/// # Errors
/// Any database error.
pub(super) async fn job_rows(
  hub: &WatchSvc,
  conn: &mut Conn,
  jobs: Vec<JobEntity>,
  now: Ts,
) -> SvcResult<Vec<JobRow>> {
  if jobs.is_empty() {
    return Ok(Vec::new());
  }
  let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
  let mut schedules: HashMap<JobId, Vec<ScheduleEntity>> = HashMap::new();
  let all = watch_jobs::schedules(conn, &ids).await?;
  let book = hub.store.calendars.book(conn, &all).await?;
  for schedule in all {
    schedules.entry(schedule.job_id).or_default().push(schedule);
  }
  let live: HashMap<JobId, i64> = watch_jobs::live(conn, &ids).await?.into_iter().collect();
  let mut runs: HashMap<JobId, Vec<RecentRun>> = HashMap::new();
  for run in watch_jobs::recent(conn, &ids, (now, RUNS)).await? {
    runs.entry(run.job_id).or_default().push(run);
  }
  let rows = jobs.into_iter().map(|job| {
    let schedules = schedules.remove(&job.id).unwrap_or_default();
    let runs = runs.remove(&job.id).unwrap_or_default();
    let live = live.get(&job.id).copied().unwrap_or(0).unsigned_abs();
    job_row(job, (&schedules, &book), (runs, live), now)
  });
  Ok(rows.collect())
}

fn job_row(
  job: JobEntity,
  (schedules, book): (&[ScheduleEntity], &CalendarBook),
  (runs, live): (Vec<RecentRun>, u64),
  now: Ts,
) -> JobRow {
  let enabled = job.status == JobStatus::Enabled;
  let schedules: Vec<ScheduleBrief> =
    schedules.iter().map(|schedule| brief((schedule, book), enabled, now)).collect();
  let next_fire_at = schedules.iter().filter_map(|schedule| schedule.next_fire_at).min();
  let took = runs.iter().filter_map(|run| Some(millis(run.started_at?, run.completed_at?)));
  let duration = quantiles(took.collect());
  let mut last_runs: Vec<_> = runs.iter().take(RUNS_SHOWN).map(|run| run.status).collect();
  last_runs.reverse();
  JobRow {
    id: job.id,
    namespace_id: job.namespace_id,
    name: job.name,
    enabled,
    version: narrow(job.version),
    updated_at: job.updated_at,
    updated_by: job.updated_by.or(job.created_by),
    schedules,
    next_fire_at,
    last_runs,
    duration,
    live,
  }
}

fn brief(
  (schedule, book): (&ScheduleEntity, &CalendarBook),
  enabled: bool,
  now: Ts,
) -> ScheduleBrief {
  let fires = enabled && schedule.status == ScheduleStatus::Enabled;
  let text = match (schedule.schedule_kind, schedule.interval_secs) {
    (ScheduleKind::Interval, Some(secs)) => {
      format_duration(Duration::from_secs(secs.unsigned_abs()))
    }
    _ => schedule.cron_expression.clone().unwrap_or_default(),
  };
  ScheduleBrief {
    id: schedule.id,
    name: schedule.name.clone(),
    kind: schedule.schedule_kind.to_string(),
    text,
    timezone: schedule.timezone.clone(),
    status: schedule.status.to_string(),
    next_fire_at: if fires { first_open(schedule, book, now) } else { None },
    problem: problem(schedule, now),
  }
}

/// The first instant that no calendar leaves out.
fn first_open(schedule: &ScheduleEntity, book: &CalendarBook, now: Ts) -> Option<Ts> {
  let first = first_after(schedule, now)?;
  let closings = book.closings(schedule).ok()?;
  if !closings.is_closed(first) {
    return Some(first);
  }
  closings.next_open(&Rhythm::of(schedule).ok()?, first).map(|(at, _)| at)
}

/// Why a schedule does not fire, where it should.
pub(super) fn problem(schedule: &ScheduleEntity, now: Ts) -> String {
  if let Some(reason) = &schedule.status_reason {
    return reason.clone();
  }
  if schedule.status != ScheduleStatus::Enabled {
    return String::new();
  }
  match Rhythm::of(schedule) {
    Err(error) => format!("invalid: {error}"),
    Ok(rhythm) if schedule.schedule_kind == ScheduleKind::Cron && rhythm.next(now).is_none() => {
      "never fires again".to_owned()
    }
    Ok(_) => String::new(),
  }
}

/// The job that the question names.
///
/// # Errors
/// 404 for a job that is not there or not for the asker.
pub(super) async fn find_one(
  hub: &WatchSvc,
  conn: &mut Conn,
  question: &Question,
  now: Ts,
) -> SvcResult<Found> {
  let job = find_job(conn, &question.home(), &question.target).await?;
  let (id, name) = (job.id, job.name.clone());
  let namespace = job.namespace_id.clone();
  let description = job.description.clone();
  let config = serde_json::to_value(&job.config).unwrap_or_default();
  let enabled = job.status == JobStatus::Enabled;
  let row = job_rows(hub, conn, vec![job], now).await?.into_iter().next();
  let row = row.ok_or_else(|| SvcError::not_found("job", &question.target))?;
  let schedules = watch_jobs::schedules(conn, &[id]).await?;
  let book = hub.store.calendars.book(conn, &schedules).await?;
  let firing = schedules.iter().filter(|one| enabled && one.status == ScheduleStatus::Enabled);
  let mut fires: Vec<FireRow> = Vec::new();
  for schedule in firing {
    fires.extend(fires::of_schedule((schedule, &book), (&name, &namespace), (now, FIRES)));
  }
  fires.sort_by_key(|fire| fire.at);
  fires.truncate(FIRES);
  let tasks = watch_tasks::of_job(conn, id, (now, TASKS)).await?;
  let tasks: Vec<TaskRow> = tasks.into_iter().map(task_row).collect();
  let days = days(conn, id, now).await?;
  Ok(Found::object(&JobDetail { job: row, description, config, fires, tasks, days }).ageing())
}

async fn days(conn: &mut Conn, job: JobId, now: Ts) -> SvcResult<Vec<DayCount>> {
  let day = 24 * 3600 * 1_000_000;
  let today = now.micros().div_euclid(day);
  let first = today - (DAYS - 1);
  let since = Ts::from_micros(first * day);
  let mut days = vec![DayCount { done: 0, failed: 0 }; DAYS as usize];
  for (day, done, failed) in watch_jobs::days(conn, job, since).await? {
    if let Some(slot) = usize::try_from(day - first).ok().and_then(|index| days.get_mut(index)) {
      *slot = DayCount { done: done.unsigned_abs(), failed: failed.unsigned_abs() };
    }
  }
  Ok(days)
}
