//! What the fake server shows: tasks that change, and a few things around them.

use std::collections::BTreeMap;

use hetuflow_core::{Scope, Ts, Watch, WatchFrame};
use serde_json::{Value, json};
use uuid::Uuid;

/// Rows, and when each changed last.
#[derive(Debug, Default)]
pub struct World {
  epoch: u32,
  seq: i64,
  tasks: Vec<(i64, Value)>,
  /// The list of tasks changed its order or length.
  order_changed: i64,
  next_touched: usize,
  made: u128,
}

impl World {
  /// So many tasks in all states, some agents, jobs and servers.
  pub fn usual(tasks: usize) -> Self {
    let mut world = Self { epoch: 1, seq: 100, ..Self::default() };
    for number in 0..tasks {
      let status = ["running", "failed", "waiting_retry", "succeeded", "pending"][number % 5];
      world.add_task(&format!("etl-job-{number:03}"), status);
    }
    world
  }

  /// The newest number.
  pub fn seq(&self) -> i64 {
    self.seq
  }

  /// How many tasks there are.
  pub fn tasks(&self) -> usize {
    self.tasks.len()
  }

  /// A new task, first in the list; gives its id.
  pub fn add_task(&mut self, job: &str, status: &str) -> String {
    self.seq += 1;
    self.made += 1;
    let id = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + self.made).to_string();
    let instance = Uuid::from_u128(0x0199_0000_0001_7000_8000_0000_0000_0000 + self.made);
    let mut row = json!({
      "id": id, "namespace_id": "default", "job_id": Uuid::from_u128(7), "job": job,
      "status": status, "attempt": 1, "attempts_max": 3, "instance_id": instance,
      "agent_id": "worker-01", "trigger_source": "manual", "priority": 5,
      "scheduled_at": Ts::now(), "started_at": Ts::now(), "wait_ms": 12, "why": "",
    });
    if status == "failed" {
      row["exit_code"] = json!(137);
      row["why"] = json!("OOM-killed");
    }
    self.tasks.insert(0, (self.seq, row));
    self.order_changed = self.seq;
    id
  }

  /// Changes fields of a task.
  pub fn set_task(&mut self, id: &str, fields: &Value) {
    self.seq += 1;
    let found = self.tasks.iter_mut().find(|(_, row)| row["id"] == id);
    if let (Some((changed, row)), Some(fields)) = (found, fields.as_object()) {
      *changed = self.seq;
      fields.iter().for_each(|(name, value)| row[name] = value.clone());
    }
  }

  /// One change of some task, another one each time.
  pub fn touch_next(&mut self) {
    self.seq += 1;
    self.next_touched = (self.next_touched + 1) % self.tasks.len().max(1);
    if let Some((changed, row)) = self.tasks.get_mut(self.next_touched) {
      *changed = self.seq;
      row["run_ms"] = json!(self.seq % 100_000);
      row["status"] = json!(if self.seq % 2 == 0 { "running" } else { "succeeded" });
    }
  }

  /// The journal begins anew; its numbers mean nothing to those who had the old ones.
  pub fn new_epoch(&mut self) {
    self.epoch += 1;
    self.seq = 1;
    self.order_changed = 1;
    self.tasks.iter_mut().for_each(|(changed, _)| *changed = 1);
  }

  /// The journal's name.
  pub fn epoch(&self) -> String {
    format!("epoch-{}", self.epoch)
  }

  /// The frame for a reader that knows everything up to `covered` (0: nothing).
  pub fn frame(&self, watch: &Watch, covered: i64) -> WatchFrame {
    let full = covered == 0;
    let mut frame = WatchFrame {
      id: watch.id.clone(),
      epoch: self.epoch(),
      prev_seq: covered,
      seq: self.seq,
      at: Ts::now(),
      full,
      merged: u32::try_from(self.seq - covered).unwrap_or(u32::MAX),
      matched: None,
      total: None,
      put: Vec::new(),
      order: None,
      causes: None,
      object: None,
      error: None,
    };
    match watch.scope {
      Scope::Tasks => self.put_tasks(watch, covered, &mut frame),
      Scope::Overview => frame.object = Some(self.overview()),
      Scope::Task => frame.object = watch.target.as_deref().and_then(|id| self.detail(id)),
      Scope::Agents if full => rows(&mut frame, vec![agent()], "id"),
      Scope::Servers if full => rows(&mut frame, vec![server()], "id"),
      Scope::Jobs | Scope::Events | Scope::Fires | Scope::Job if full => {
        rows(&mut frame, Vec::new(), "id");
      }
      _ => {}
    }
    frame
  }

  fn put_tasks(&self, watch: &Watch, covered: i64, frame: &mut WatchFrame) {
    let len = if watch.len == 0 { 100 } else { watch.len as usize };
    let from = usize::try_from(watch.from).unwrap_or(usize::MAX).min(self.tasks.len());
    let window = &self.tasks[from..(from + len).min(self.tasks.len())];
    frame.put =
      window.iter().filter(|(seq, _)| *seq > covered).map(|(_, row)| row.clone()).collect();
    if frame.full || self.order_changed > covered {
      frame.order = Some(window.iter().map(|(_, row)| text(&row["id"])).collect());
      frame.matched = Some(self.tasks.len() as u64);
      frame.total = Some(self.tasks.len() as u64);
    }
  }

  fn overview(&self) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (_, row) in &self.tasks {
      *counts.entry(text(&row["status"])).or_default() += 1;
    }
    let none = json!({ "n": 0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0 });
    json!({
      "counts": counts, "slots_used": 12, "slots": 40,
      "rates": { "until": Ts::now(), "started": [1, 2], "done": [1, 2], "failed": [0, 0], "retried": [0, 0] },
      "fire_late": none, "wait": none, "run": none, "today": {}, "attention": [],
      "running": self.tasks.iter().take(5).map(|(_, row)| row.clone()).collect::<Vec<_>>(),
      "agents": [agent()], "fires": [], "events": [], "servers_up": 1, "servers": 1,
      "jobs": { "enabled": 3 },
    })
  }

  fn detail(&self, id: &str) -> Option<Value> {
    let (_, row) = self.tasks.iter().find(|(_, row)| row["id"] == id)?;
    let attempt = json!({
      "id": row["instance_id"], "attempt": 1, "status": "running", "agent_id": "worker-01",
      "dispatched_at": row["started_at"], "started_at": row["started_at"], "log_bytes": 0,
    });
    Some(json!({
      "task": row, "config": { "command": "true" }, "attempts": [attempt],
      "created_at": row["scheduled_at"],
    }))
  }
}

fn rows(frame: &mut WatchFrame, rows: Vec<Value>, key: &str) {
  frame.order = Some(rows.iter().map(|row| text(&row[key])).collect());
  (frame.matched, frame.total) = (Some(rows.len() as u64), Some(rows.len() as u64));
  frame.put = rows;
}

fn text(value: &Value) -> String {
  value.as_str().unwrap_or_default().to_owned()
}

fn agent() -> Value {
  json!({
    "id": "worker-01", "status": "online", "cordoned": false, "running": 3, "slots": 8,
    "last_heartbeat_at": Ts::now(), "labels": {}, "version": "0.1.0", "hostname": "h",
    "os_info": "Linux", "task_types": [], "connections": 1,
  })
}

fn server() -> Value {
  json!({
    "id": Uuid::from_u128(9), "address": "http://127.0.0.1:1", "status": "active",
    "version": "0.1.0", "started_at": Ts::now(), "last_heartbeat_at": Ts::now(), "agents": 1,
  })
}

#[cfg(test)]
mod tests {
  use hetuflow_core::{AgentRow, Overview, ServerRow, TaskDetail, TaskRow};

  use super::*;

  fn watch(scope: Scope) -> Watch {
    serde_json::from_value(json!({ "id": "w", "scope": scope.as_str() })).unwrap()
  }

  #[test]
  fn its_rows_are_those_of_the_protocol() {
    let mut world = World::usual(7);
    let frame = world.frame(&watch(Scope::Tasks), 0);
    for row in &frame.put {
      serde_json::from_value::<TaskRow>(row.clone()).unwrap();
    }
    assert_eq!((frame.put.len(), frame.total), (7, Some(7)));
    serde_json::from_value::<Overview>(world.overview()).unwrap();
    serde_json::from_value::<AgentRow>(agent()).unwrap();
    serde_json::from_value::<ServerRow>(server()).unwrap();
    let id = world.add_task("new", "failed");
    serde_json::from_value::<TaskDetail>(world.detail(&id).unwrap()).unwrap();
    let next = world.frame(&watch(Scope::Tasks), frame.seq);
    assert_eq!((next.put.len(), next.order.map(|order| order.len())), (1, Some(8)));
    world.touch_next();
    let last = world.frame(&watch(Scope::Tasks), next.seq);
    assert_eq!((last.put.len(), last.order, last.full), (1, None, false));
  }
}
