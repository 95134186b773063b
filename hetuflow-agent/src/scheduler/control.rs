//! Orders about single attempts, and the agent's own leave.

use std::time::Duration;

use hetuflow_core::{
  Reconcile, ReconcileAction, TaskControl, TaskControlKind, TaskInstanceId, TaskInstanceStatus,
  signal_number,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::Report;
use super::room::Scheduler;
use crate::executor::{Command, StopOrder, StopWhy};

/// Grace of attempts that are still alive when the agent's own grace is over.
const LEAVE_GRACE: Duration = Duration::from_millis(1500);
/// Longest reason that is taken over from an order.
const REASON_CHARS_MAX: usize = 200;

impl Scheduler {
  /// Does what a server asks for one attempt; what cannot be followed is answered.
  pub(super) fn control(&mut self, message_id: Uuid, control: TaskControl) {
    let instance_id = control.instance_id;
    let refused = |code, message: String| Report::Refused { message_id, code, message };
    let Some(attempt) = self.attempts.get(&instance_id) else {
      let message = format!("attempt {instance_id} is not in hand");
      return (self.reports)(refused("unknown", message));
    };
    if attempt.fence != control.fence {
      let (ours, theirs) = (attempt.fence, control.fence);
      tracing::warn!(instance.id = %instance_id, ours, theirs, "an order for another fence is ignored");
      let message = format!("attempt {instance_id} has fence {ours}, not {theirs}");
      return (self.reports)(refused("stale", message));
    }
    let queued = attempt.is_queued();
    match control.control_type {
      TaskControlKind::Stop
      | TaskControlKind::Restart
      | TaskControlKind::Kill
      | TaskControlKind::Skip => self.stop(instance_id, &stop_why(&control), stop_order(&control)),
      TaskControlKind::Signal if !queued => match control.signal.as_deref().and_then(read_signal) {
        Some(signal) => self.command(Command::Signal(instance_id, signal)),
        None => (self.reports)(refused("invalid", "the signal is not known".to_owned())),
      },
      TaskControlKind::Pause if !queued => self.command(Command::Pause(instance_id)),
      TaskControlKind::Resume if !queued => self.command(Command::Resume(instance_id)),
      kind => {
        let message = format!("{kind}: attempt {instance_id} has no process yet");
        (self.reports)(refused("invalid", message));
      }
    }
  }

  /// Ends an attempt: at once where it waits, through the executor where it lives.
  pub(super) fn stop(&mut self, instance_id: TaskInstanceId, why: &StopWhy, mut order: StopOrder) {
    let Some(attempt) = self.attempts.get_mut(&instance_id) else { return };
    if attempt.is_queued() {
      let now = self.server_time(self.clock.now_us());
      let reason = why.reason.clone();
      self.end_queued(instance_id, why.status, now, |update| update.reason = Some(reason));
      return;
    }
    order.why = Some(attempt.stop.get_or_insert_with(|| why.clone()).clone());
    self.command(Command::Stop(instance_id, order));
  }

  /// Follows the server's verdict on an attempt that was in hand at a reconnect.
  pub(super) fn reconcile(&mut self, verdict: &Reconcile) {
    let why =
      StopWhy { status: TaskInstanceStatus::Cancelled, reason: "cancelled(reconcile)".to_owned() };
    match verdict.action {
      ReconcileAction::Keep | ReconcileAction::Adopt => {}
      ReconcileAction::Stop => self.stop(verdict.instance_id, &why, StopOrder::default()),
      ReconcileAction::Forget => {
        if let Some(attempt) = self.attempts.get_mut(&verdict.instance_id) {
          attempt.forgotten = true;
          self.stop(verdict.instance_id, &why, StopOrder::default());
        }
      }
    }
  }

  /// Takes nothing new and gives back what waits. What runs is left to the executor, or gets its
  /// grace.
  pub(super) fn leave(&mut self, grace: Option<Duration>) {
    self.draining = true;
    self.leaving = true;
    self.leaves_tasks = grace.is_none();
    self.leave_at = grace.map(|grace| Instant::now() + grace);
    self.give_back("not_started(agent_shutdown)");
  }

  /// Gives back what waits for its instant or a slot.
  pub(super) fn give_back(&mut self, reason: &str) {
    let now = self.server_time(self.clock.now_us());
    let queued = self.attempts.iter().filter(|(_, attempt)| attempt.is_queued());
    let queued: Vec<_> = queued.map(|(id, _)| *id).collect();
    for instance_id in queued {
      self.end_queued(instance_id, TaskInstanceStatus::NotStarted, now, |update| {
        update.reason = Some(reason.to_owned());
      });
    }
    self.agenda.clear();
    self.waiting.clear();
  }

  /// The grace is over.
  pub(super) fn stop_the_rest(&mut self) {
    self.leave_at = None;
    let why = StopWhy {
      status: TaskInstanceStatus::Cancelled,
      reason: "cancelled(agent_shutdown)".to_owned(),
    };
    let order = StopOrder { grace: Some(LEAVE_GRACE), ..StopOrder::default() };
    let all: Vec<_> = self.attempts.keys().copied().collect();
    all.into_iter().for_each(|id| self.stop(id, &why, order.clone()));
  }

  pub(super) fn command(&self, command: Command) {
    let _executor_gone = self.commands.send(command);
  }
}

fn stop_why(control: &TaskControl) -> StopWhy {
  let status = match control.control_type {
    TaskControlKind::Skip => TaskInstanceStatus::Skipped,
    _ => TaskInstanceStatus::Cancelled,
  };
  let given = control.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
  let given = given.unwrap_or(match control.control_type {
    TaskControlKind::Restart => "restart",
    TaskControlKind::Kill => "kill",
    _ => "requested",
  });
  let plain = given.chars().map(|c| if c.is_control() { ' ' } else { c });
  let reason = format!("{status}({})", plain.take(REASON_CHARS_MAX).collect::<String>());
  StopWhy { status, reason }
}

fn stop_order(control: &TaskControl) -> StopOrder {
  let grace = control.grace_secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
  StopOrder {
    signal: control.signal.as_deref().and_then(read_signal),
    grace,
    force: control.force || control.control_type == TaskControlKind::Kill,
    why: None,
  }
}

/// A signal by name or number.
fn read_signal(text: &str) -> Option<i32> {
  signal_number(text).or_else(|| text.parse().ok().filter(|number| (1..=31).contains(number)))
}
