//! Reports that changed nothing, on their way back to the connection that brought them.

use std::sync::{Mutex, PoisonError};

use hetuflow_core::{TaskId, TaskInstanceId};
use tokio::sync::Notify;

/// Refused reports that one answer shows.
const SHOWN_MAX: usize = 20;

/// A report that changed nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedReport {
  /// `stale`, `foreign` or `transition`.
  pub code: &'static str,
  /// The attempt that it speaks of.
  pub instance_id: TaskInstanceId,
  /// Its task.
  pub task_id: TaskId,
  /// Under which fence.
  pub fence: i64,
}

/// Some reports that changed nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RefusedReports {
  /// How many.
  pub total: u64,
  /// The first of them, 20 at most.
  pub shown: Vec<RefusedReport>,
}

impl RefusedReports {
  /// One more.
  pub fn push(&mut self, report: RefusedReport) {
    self.total += 1;
    if self.shown.len() < SHOWN_MAX {
      self.shown.push(report);
    }
  }
}

/// What waits for a connection: all of it is counted, and a bounded part is kept, however slow the
/// connection is.
#[derive(Debug, Default)]
pub struct RefusedInbox {
  waiting: Mutex<RefusedReports>,
  wake: Notify,
}

impl RefusedInbox {
  /// Adds to what waits.
  pub fn add(&self, more: RefusedReports) {
    let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.total += more.total;
    let room = SHOWN_MAX - waiting.shown.len().min(SHOWN_MAX);
    waiting.shown.extend(more.shown.into_iter().take(room));
    drop(waiting);
    self.wake.notify_one();
  }

  /// All that waits, as soon as anything does. Dropping it loses nothing.
  pub async fn take(&self) -> RefusedReports {
    loop {
      let wake = self.wake.notified();
      let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
      if taken.total > 0 {
        return taken;
      }
      wake.await;
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[tokio::test]
  async fn a_flood_is_counted_and_only_its_beginning_is_kept() {
    let inbox = RefusedInbox::default();
    for _ in 0..50 {
      let mut some = RefusedReports::default();
      for fence in 0..30 {
        let (instance_id, task_id) = (TaskInstanceId::generate(), TaskId::generate());
        some.push(RefusedReport { code: "stale", instance_id, task_id, fence });
      }
      inbox.add(some);
    }
    let taken = inbox.take().await;
    assert_eq!((taken.total, taken.shown.len()), (1500, SHOWN_MAX));
    let again = tokio::time::timeout(std::time::Duration::from_millis(10), inbox.take()).await;
    assert!(again.is_err(), "nothing is told twice");
  }
}
