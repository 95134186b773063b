//! Things to show in tests: a small cluster with trouble in it.

use hetuflow_core::{TaskRow, Ts};
use serde_json::{Value, json};

/// The server's clock in tests: 2025-11-21 14:02:31 UTC.
pub fn now() -> Ts {
  "2025-11-21T14:02:31Z".parse().expect("an instant")
}

fn before(secs: i64) -> String {
  Ts::from_millis(now().millis() - secs * 1000).to_string()
}

/// The id of a number; ids of higher numbers are newer.
pub fn id(number: u32) -> String {
  format!("019aa3e4-7c11-7c52-9d0e-{:012x}", 0x5f0e_3d9c_0000_u64 + u64::from(number) * 7919)
}

/// A task as JSON.
pub fn task_json(number: u32, job: &str, status: &str) -> Value {
  let ended = matches!(status, "failed" | "succeeded" | "lost" | "cancelled");
  let mut row = json!({
    "id": id(number), "namespace_id": "etl", "job_id": id(number % 5 + 9000), "job": job,
    "status": status, "attempt": 1 + number % 3, "attempts_max": 3, "trigger_source": "schedule",
    "priority": 5, "scheduled_at": before(60 + i64::from(number)),
    "agent_id": format!("worker-{:02}", number % 7 + 1), "wait_ms": 200 + number,
    "why": match status { "failed" => "OOM-killed, peak 4.0 of 4GiB", "waiting_retry" => "too many connections", _ => "" },
  });
  if status != "pending" {
    row["started_at"] = json!(before(50 + i64::from(number)));
  }
  if ended {
    row["run_ms"] = json!(12_100);
    row["exit_code"] = json!(if status == "succeeded" { 0 } else { 137 });
  }
  if status == "waiting_retry" {
    row["eligible_at"] = json!(before(-14));
  }
  row
}

/// A task.
pub fn task(number: u32, job: &str, status: &str) -> TaskRow {
  serde_json::from_value(task_json(number, job, status)).expect("a task")
}
