//! Rows of what fires next.

use std::time::Duration;

use hetuflow_core::{FireRow, NamespaceId, ScheduleEntity, Ts};

use super::answer::Found;
use super::hub::WatchSvc;
use super::question::Question;
use crate::infra::bmc::watch_schedules;
use crate::infra::db::Conn;
use crate::service::SvcResult;
use crate::service::calendar_cache::CalendarBook;
use crate::service::schedule_cursor::Rhythm;

/// Fires further away are shown only where a schedule has none before.
const HORIZON: Duration = Duration::from_secs(24 * 3600);
/// Fires that the list holds in all.
const FIRES_MAX: usize = 2000;

/// A window of fires, soonest first: those of the next 24 hours, and the next one of each schedule
/// that has none in them.
///
/// # Errors
/// Any database error.
pub(super) async fn find(
  hub: &WatchSvc,
  conn: &mut Conn,
  question: &Question,
  now: Ts,
) -> SvcResult<Found> {
  let fires = next_fires(hub, conn, question.namespace.as_ref(), (now, FIRES_MAX)).await?;
  let total = fires.len() as u64;
  Ok(Found::rows(&question.cut(fires)).counted(total, total).ageing())
}

/// The next fires of all schedules, soonest first.
///
/// # Errors
/// Any database error.
pub(super) async fn next_fires(
  hub: &WatchSvc,
  conn: &mut Conn,
  namespace: Option<&NamespaceId>,
  (now, most): (Ts, usize),
) -> SvcResult<Vec<FireRow>> {
  let firing = watch_schedules::firing(conn, namespace, now).await?;
  let schedules = firing.iter().map(|one| &one.schedule);
  let book = hub.store.calendars.book(conn, schedules).await?;
  let mut fires: Vec<FireRow> = Vec::new();
  for one in &firing {
    let named = (one.job_name.as_str(), &one.schedule.namespace_id);
    fires.extend(of_schedule((&one.schedule, &book), named, (now, most)));
    // Keeps the soonest; what is cut here could not be shown.
    if fires.len() > most * 4 {
      fires.sort_by_key(|fire| fire.at);
      fires.truncate(most);
    }
  }
  fires.sort_by(|a, b| (a.at, &a.schedule).cmp(&(b.at, &b.schedule)));
  fires.truncate(most);
  Ok(fires)
}

/// The next fires of one schedule: those of the next 24 hours, at least one. What calendars leave out is
/// none.
pub(super) fn of_schedule(
  (schedule, book): (&ScheduleEntity, &CalendarBook),
  (job, namespace): (&str, &NamespaceId),
  (now, most): (Ts, usize),
) -> Vec<FireRow> {
  let left = schedule.max_count.map(|count| count.saturating_sub(schedule.run_count).max(0));
  let most = left.map_or(most, |left| most.min(usize::try_from(left).unwrap_or(0)));
  let (Ok(rhythm), Ok(closings)) = (Rhythm::of(schedule), book.closings(schedule)) else {
    return Vec::new();
  };
  let (horizon, mut after) = (now.plus(HORIZON), now);
  let mut fires = Vec::new();
  while fires.len() < most {
    let Some((at, note)) = closings.next_open(&rhythm, after) else { break };
    if at > horizon && !fires.is_empty() {
      break;
    }
    after = at;
    fires.push(FireRow {
      at,
      schedule_id: schedule.id,
      schedule: schedule.name.clone(),
      job: job.to_owned(),
      namespace_id: namespace.clone(),
      note: note.map(|note| note.to_string()).unwrap_or_default(),
    });
  }
  fires
}
