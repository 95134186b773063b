//! Carries stored stops to the agents connected here, again and again until they are done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{TaskControl, TaskControlKind, TaskInstanceId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Roster;
use crate::infra::bmc::hot;
use crate::infra::db::DbError;
use crate::service::Store;

/// How long a stop may go unanswered before it is sent again.
const RESEND_AFTER: Duration = Duration::from_secs(5);
/// Time between looks while stops are open, and while none is.
const LOOK_OPEN: Duration = Duration::from_secs(1);
const LOOK_IDLE: Duration = Duration::from_secs(10);

/// Carries stops.
pub struct StopRouter {
  store: Store,
  roster: Arc<Roster>,
  sent: HashMap<TaskInstanceId, Instant>,
}

impl StopRouter {
  /// A router over the agents connected here.
  pub fn new(store: Store, roster: Arc<Roster>) -> Self {
    Self { store, roster, sent: HashMap::new() }
  }

  /// Carries stops until stopped itself.
  pub async fn run(mut self, stop: CancellationToken) {
    let mut wait = Duration::ZERO;
    loop {
      tokio::select! {
        () = self.store.bus.control.notified() => {}
        () = tokio::time::sleep(wait) => {}
        () = stop.cancelled() => return,
      }
      wait = match self.turn().await {
        Ok(0) => LOOK_IDLE,
        Ok(_) => LOOK_OPEN,
        Err(error) => {
          tracing::warn!(error = &error as &dyn std::error::Error, "cannot read stops");
          LOOK_OPEN
        }
      };
    }
  }

  async fn turn(&mut self) -> Result<usize, DbError> {
    let mut conn = self.store.db.read().await?;
    let stops = hot::pending_stops(&mut conn).await?;
    drop(conn);
    self.sent.retain(|id, _| stops.iter().any(|stop| stop.instance_id == *id));
    let now = Instant::now();
    for stop in &stops {
      let recent = self.sent.get(&stop.instance_id).is_some_and(|at| now - *at < RESEND_AFTER);
      let Some(member) = self.roster.get(&stop.agent_id).filter(|_| !recent) else { continue };
      let kind = stop.stop_kind.as_deref().and_then(|kind| kind.parse().ok());
      let control_type = kind.unwrap_or(TaskControlKind::Stop);
      let control = TaskControl {
        task_id: stop.task_id,
        instance_id: stop.instance_id,
        control_type,
        reason: stop.stop_reason.clone(),
        force: control_type == TaskControlKind::Kill,
        signal: None,
        grace_secs: stop.stop_grace_ms.map(|ms| ms as f64 / 1000.0),
        fence: stop.fence,
      };
      if member.link.control(control) {
        self.sent.insert(stop.instance_id, now);
      }
    }
    Ok(stops.len())
  }
}
