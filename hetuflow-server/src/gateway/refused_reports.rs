//! Reports that changed nothing: what the agent hears of them, and how often the log does.

use std::time::{Duration, Instant};

use hetuflow_core::{Envelope, MessageKind};

use crate::service::RefusedReport;

/// Least time between two lines in the log about one connection.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Counts between two lines in the log.
#[derive(Debug, Default)]
pub(super) struct RefusedLog {
  last: Option<Instant>,
  since: u64,
}

impl RefusedLog {
  /// Counts more; gives the sum where it is time for a line.
  pub(super) fn count(&mut self, more: u64) -> Option<u64> {
    self.since += more;
    if self.last.is_some_and(|last| last.elapsed() < LOG_EVERY) {
      return None;
    }
    self.last = Some(Instant::now());
    Some(std::mem::take(&mut self.since))
  }
}

/// The answer to a report that changed nothing.
pub(super) fn refused_report(report: &RefusedReport) -> Envelope<serde_json::Value> {
  let why = match report.code {
    "foreign" => "the attempt is on another agent",
    "transition" => "its state does not follow from the one before",
    _ => "the attempt is over or not known, or a newer one has begun",
  };
  Envelope::new(
    MessageKind::Error,
    serde_json::json!({
      "err_code": 409, "code": report.code,
      "err_msg": format!("a report on attempt {} changed nothing: {why}", report.instance_id),
      "details": {
        "instance_id": report.instance_id, "task_id": report.task_id, "fence": report.fence,
      },
    }),
  )
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_log_hears_of_a_flood_once() {
    let mut log = RefusedLog::default();
    assert_eq!(log.count(3), Some(3));
    assert_eq!((log.count(1), log.count(5)), (None, None));
    log.last = Instant::now().checked_sub(LOG_EVERY);
    assert_eq!(log.count(1), Some(7));
  }
}
