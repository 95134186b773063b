//! What held something back ends by itself: freezes and pauses whose time is over.

use hetuflow_core::{FreezeEntity, MisfirePolicy, Ts};

use super::PlanSvc;
use crate::infra::bmc::{freeze_bmc, plan_bmc};
use crate::infra::db::Conn;
use crate::service::freeze_svc::tell_end;
use crate::service::schedule_hold::resume_in;
use crate::service::{SvcError, SvcResult};

/// Pauses ended in one turn.
const PAUSES_MAX: i64 = 1000;
/// Who ends what is over.
const NOBODY: &str = "its time";

impl PlanSvc {
  /// Ends what is over, and returns the freezes as they are.
  pub(super) async fn thaw(&self, conn: &mut Conn, now: Ts) -> SvcResult<Vec<FreezeEntity>> {
    let mut freezes = freeze_bmc::list(conn).await?;
    for freeze in &mut freezes {
      let Some(until) = freeze.until.filter(|until| *until <= now) else { continue };
      if freeze.ended_at.is_some() {
        continue;
      }
      freeze.ended_at = Some(until);
      let mut work = self.store.work().await?;
      let outcome = match freeze_bmc::end(&mut work.tx, &freeze.scope, (until, None, None)).await {
        Ok(true) => {
          tell_end(&mut work, freeze);
          Ok(())
        }
        Ok(false) => Ok(()),
        Err(error) => Err(SvcError::from(error)),
      };
      work.end(outcome).await?;
    }
    let ids = plan_bmc::pauses_over(conn, now, PAUSES_MAX).await?;
    for id in ids {
      let mut work = self.store.work().await?;
      let outcome = async {
        let Some(row) = plan_bmc::lock_one(&mut work.tx, id).await? else { return Ok(()) };
        if row.paused_until.is_none_or(|until| until > work.now) {
          return Ok(());
        }
        resume_in(&mut work, &row, (MisfirePolicy::Skip, NOBODY)).await.map(drop)
      }
      .await;
      if let Err(error) = work.end(outcome).await {
        tracing::warn!(schedule.id = %id, error = &error as &dyn std::error::Error,
          "cannot end the pause of schedule {id}");
      }
    }
    Ok(freezes)
  }
}
