//! Intervals that are counted from the end of a run: the next instant is set when the run has ended,
//! from what is stored of that end, so that a restart in between loses nothing.

use hetuflow_core::{Rhythm, ScheduleId, ScheduleStatus};

use super::PlanSvc;
use crate::infra::bmc::plan_bmc;
use crate::infra::db::{Conn, DbError};

/// Schedules looked at in one turn.
const SCHEDULES_MAX: i64 = 1000;

impl PlanSvc {
  /// Gives each schedule whose run has ended its next instant.
  pub(super) async fn go_on_after_ends(&self) -> Result<(), DbError> {
    let mut conn = self.store.db.read().await?;
    let schedules = plan_bmc::waiting_for_end(&mut conn, SCHEDULES_MAX).await?;
    drop(conn);
    for id in schedules {
      let mut tx = self.store.db.begin().await?;
      let outcome = go_on(&mut tx, id).await;
      match tx.end::<_, DbError>(outcome).await {
        Ok(None) => {}
        Ok(Some(why)) => {
          let mut conn = self.store.db.read().await?;
          let now = conn.now().await?;
          drop(conn);
          self.mark_broken(id, &why, now).await?;
        }
        Err(error) => tracing::warn!(schedule.id = %id, error = &error as &dyn std::error::Error,
          "cannot plan schedule {id} after its run"),
      }
    }
    Ok(())
  }
}

/// Why it cannot be read, where it cannot.
async fn go_on(tx: &mut Conn, id: ScheduleId) -> Result<Option<String>, DbError> {
  let Some(schedule) = plan_bmc::lock_one(tx, id).await? else { return Ok(None) };
  if !plan_bmc::live_tasks(tx, id).await?.is_empty() {
    return Ok(None);
  }
  let rhythm = match Rhythm::of(&schedule) {
    Ok(rhythm) => rhythm,
    Err(error) => return Ok(Some(error.to_string())),
  };
  let end = match plan_bmc::last_end(tx, id).await? {
    Some(end) => end,
    // Its task is gone, as after a clean-up: as if it had ended now.
    None => tx.now().await?,
  };
  let next = rhythm.next(end).map(|(at, _)| at);
  let status = if next.is_some() { ScheduleStatus::Enabled } else { ScheduleStatus::Expired };
  plan_bmc::set_next_if_none(tx, id, (status.as_str(), next)).await?;
  Ok(None)
}
