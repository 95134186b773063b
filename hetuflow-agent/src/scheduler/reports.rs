//! The final report of an attempt. Pure.

use hetuflow_core::{TaskInstanceStatus, TaskInstanceUpdate, TaskMetrics};
use serde_json::Value;

use crate::executor::{Cause, Ended, Exit, Progress, StopWhy};

/// Says how an attempt ended: status, machine-readable reason, and the facts.
pub fn fill_end(update: &mut TaskInstanceUpdate, ended: Ended, stop: Option<&StopWhy>) {
  match ended.exit {
    Some(Exit::Code(code)) => update.exit_code = Some(code),
    Some(Exit::Signal(signal)) => update.signal = Some(signal),
    None => {}
  }
  if ended.log_bytes > 0 {
    update.log_bytes = Some(ended.log_bytes);
  }
  update.log_hash = ended.log.digest;
  update.log_dropped = Some(ended.log.dropped).filter(|bytes| *bytes > 0);
  if let Some(output) = ended.output {
    update.output_index = output.index;
    update.set_output(output.bytes);
  }
  update.outputs = ended.said.outputs.map(Value::Object);
  update.artifacts = ended.said.artifacts;
  update.artifacts_keep_secs = ended.said.artifacts_keep_secs;
  if let Some(Progress { share, note }) = ended.said.progress {
    (update.progress, update.progress_note) = (Some(share), note);
  }
  update.metrics = ended.metrics.map(|metrics| TaskMetrics {
    start_time: update.started_at_us.unwrap_or(0) / 1000,
    end_time: Some(update.timestamp),
    custom: ended.said.metrics,
    ..metrics
  });
  let (status, reason) = match (ended.cause, ended.exit) {
    (Cause::NotStarted { reason, message }, _) => {
      update.error_message = Some(message);
      (TaskInstanceStatus::NotStarted, Some(reason))
    }
    (Cause::OverLimit { reason, message }, _) => {
      update.error_message = Some(message);
      (TaskInstanceStatus::Failed, Some(reason))
    }
    (Cause::Unseen, _) => {
      let words = "its executor was killed, or failed, while it ran: how it ended, and the output \
        that was not sent yet, are lost";
      update.error_message = Some(words.to_owned());
      (TaskInstanceStatus::Failed, Some("exit_unknown".to_owned()))
    }
    (Cause::TimedOut, _) => (TaskInstanceStatus::Timeout, Some("timed_out".to_owned())),
    (Cause::Stopped, _) => match stop {
      Some(why) => (why.status, Some(why.reason.clone())),
      None => (TaskInstanceStatus::Cancelled, Some("cancelled(agent)".to_owned())),
    },
    (Cause::Itself, Some(Exit::Code(0))) => (TaskInstanceStatus::Succeeded, None),
    (Cause::Itself, Some(Exit::Code(code))) => {
      (TaskInstanceStatus::Failed, Some(format!("exit_code({code})")))
    }
    (Cause::Itself, Some(Exit::Signal(signal))) => {
      (TaskInstanceStatus::Failed, Some(format!("signal({signal})")))
    }
    (Cause::Itself, None) => (TaskInstanceStatus::Failed, Some("exit_unknown".to_owned())),
  };
  update.status = status;
  update.reason = reason;
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{TaskId, TaskInstanceId, Ts};

  use super::*;
  use crate::executor::{LogEnd, Said};

  fn end(cause: Cause, exit: Option<Exit>) -> (TaskInstanceStatus, String) {
    let id = TaskInstanceId::generate();
    let mut update =
      TaskInstanceUpdate::new(id, TaskId::generate(), TaskInstanceStatus::Failed, Ts::now());
    let (started, output, log, said) = (None, None, LogEnd::default(), Said::default());
    let metrics = Some(TaskMetrics { cpu_time: 0.5, ..TaskMetrics::default() });
    let ended = Ended {
      instance_id: id,
      cause,
      started,
      exit,
      at_us: 0,
      output,
      log_bytes: 0,
      log,
      said,
      metrics,
    };
    update.started_at_us = Some(5_000);
    update.timestamp = 9;
    let why = StopWhy { status: TaskInstanceStatus::Skipped, reason: "skipped(bob)".to_owned() };
    fill_end(&mut update, ended, Some(&why));
    let metrics = update.metrics.expect("told");
    assert_eq!((metrics.start_time, metrics.end_time, metrics.cpu_time), (5, Some(9), 0.5));
    (update.status, update.reason.unwrap_or_default())
  }

  #[test]
  fn every_end_has_its_name() {
    use TaskInstanceStatus as S;
    let refused =
      Cause::NotStarted { reason: "not_started(refused)".to_owned(), message: String::new() };
    let over =
      Cause::OverLimit { reason: "limit(memory)".to_owned(), message: "64 MiB".to_owned() };
    for (cause, exit, status, reason) in [
      (over, Some(Exit::Signal(9)), S::Failed, "limit(memory)"),
      (Cause::Itself, Some(Exit::Code(0)), S::Succeeded, ""),
      (Cause::Itself, Some(Exit::Code(42)), S::Failed, "exit_code(42)"),
      (Cause::Itself, Some(Exit::Signal(11)), S::Failed, "signal(11)"),
      (Cause::TimedOut, Some(Exit::Signal(9)), S::Timeout, "timed_out"),
      (Cause::Stopped, Some(Exit::Code(0)), S::Skipped, "skipped(bob)"),
      (refused, None, S::NotStarted, "not_started(refused)"),
    ] {
      assert_eq!(end(cause, exit), (status, reason.to_owned()));
    }
  }
}
