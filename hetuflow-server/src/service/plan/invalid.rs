//! A schedule that cannot be read any more: switched off, told, and in nobody's way.

use hetuflow_core::{Change, ScheduleId, ScheduleStatus, Subject, Topic, Ts};
use serde_json::json;

use super::PlanSvc;
use crate::infra::bmc::event_bmc::{self, Journal};
use crate::infra::bmc::plan_bmc;
use crate::infra::db::{Conn, DbError};

impl PlanSvc {
  /// Switches a schedule off and says so, once.
  pub(super) async fn mark_broken(
    &self,
    id: ScheduleId,
    why: &str,
    now: Ts,
  ) -> Result<(), DbError> {
    tracing::error!(schedule.id = %id, %why, "schedule cannot be read and is switched off");
    let mut tx = self.store.db.begin().await?;
    let outcome = mark_in(&mut tx, id, (why, now)).await;
    tx.end::<_, DbError>(outcome).await?;
    self.store.bus.events.notify_one();
    Ok(())
  }
}

async fn mark_in(tx: &mut Conn, id: ScheduleId, (why, now): (&str, Ts)) -> Result<(), DbError> {
  let reason = format!("invalid: {why}");
  let Some((namespace, name)) = plan_bmc::mark_broken(tx, id, &reason).await? else {
    return Ok(());
  };
  let subject = Subject { kind: Topic::Schedule, id: id.to_string() };
  let data = json!({ "name": name, "status": ScheduleStatus::Disabled, "reason": why });
  let mut journal = Journal::default();
  let event_type = "schedule.invalid".to_owned();
  journal.push(&namespace, Change { at: now, subject, event_type, data });
  event_bmc::append(tx, &journal, now).await
}
