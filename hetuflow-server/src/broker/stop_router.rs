//! Carries stored stops, holds and signals to the agents connected here; all but signals again and
//! again until they are done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::{TaskControl, TaskControlKind, TaskInstanceId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Member, Roster};
use crate::infra::bmc::hot::{self, StopIntent};
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
  /// What was asked for last, and when.
  sent: HashMap<TaskInstanceId, (Option<String>, Instant)>,
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
      let sent = self.sent.get(&stop.instance_id);
      let recent =
        sent.is_some_and(|(kind, at)| *kind == stop.stop_kind && now - *at < RESEND_AFTER);
      let Some(member) = self.roster.get(&stop.agent_id).filter(|_| !recent) else { continue };
      if stop.signal().is_some() {
        self.send_signal(stop, &member).await?;
      } else if member.link.control(control_of(stop)) {
        self.sent.insert(stop.instance_id, (stop.stop_kind.clone(), now));
      }
    }
    Ok(stops.len())
  }

  /// A signal is no state that could be asked for twice: it is taken first, then sent.
  async fn send_signal(&self, intent: &StopIntent, member: &Member) -> Result<(), DbError> {
    let mut tx = self.store.db.begin().await?;
    let outcome = hot::take_signal(&mut tx, intent).await;
    if tx.end::<_, DbError>(outcome).await? && !member.link.control(control_of(intent)) {
      let task = intent.task_id;
      tracing::warn!(task.id = %task, "the agent of task {task} took no signal");
    }
    Ok(())
  }
}

/// What the agent is told.
fn control_of(intent: &StopIntent) -> TaskControl {
  let kind = intent.stop_kind.as_deref().and_then(|kind| kind.parse().ok());
  let signal = intent.signal().map(str::to_owned);
  let control_type = match &signal {
    Some(_) => TaskControlKind::Signal,
    None => kind.unwrap_or(TaskControlKind::Stop),
  };
  TaskControl {
    task_id: intent.task_id,
    instance_id: intent.instance_id,
    control_type,
    reason: intent.stop_reason.clone(),
    force: control_type == TaskControlKind::Kill,
    signal,
    grace_secs: intent.stop_grace_ms.map(|ms| ms as f64 / 1000.0),
    fence: intent.fence,
  }
}
