//! Things to show in tests: a small cluster with trouble in it.

use std::time::Duration;

use hetuflow_core::{Scope, TaskRow, Tick, Ts, WatchError, WatchFrame};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::keys::Keys;
use super::link::LinkNews;
use super::look::Look;
use super::model::{Model, Screen, Site};
use super::update::{Effect, Msg, update};

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
  let why = match status {
    "failed" => "OOM-killed, peak 4.0 of 4GiB",
    "waiting_retry" => "too many connections",
    _ => "",
  };
  let mut row = json!({
    "id": id(number), "namespace_id": "etl", "job_id": id(number % 5 + 9000), "job": job,
    "status": status, "attempt": 1 + number % 3, "attempts_max": 3, "trigger_source": "schedule",
    "priority": 5, "scheduled_at": before(60 + i64::from(number)),
    "agent_id": format!("worker-{:02}", number % 7 + 1), "wait_ms": 200 + number, "why": why,
  });
  if status == "pending" {
    row["agent_id"] = Value::Null;
    row["wait_ms"] = Value::Null;
  } else {
    row["started_at"] = json!(before(50 + i64::from(number) * 37));
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

const JOBS: [&str; 8] = [
  "etl-daily",
  "etl-load-pg",
  "etl-fetch-api",
  "etl-清洗-订单",
  "sync-hub",
  "thumbs",
  "ml-train",
  "report-weekly",
];
const STATES: [&str; 9] = [
  "failed",
  "waiting_retry",
  "running",
  "succeeded",
  "pending",
  "cancelled",
  "dispatched",
  "locked",
  "lost",
];

fn tasks() -> Vec<Value> {
  (0..24).map(|n| task_json(n, JOBS[n as usize % 8], STATES[n as usize % 9])).collect()
}

fn schedule(number: u32, kind: &str, text: &str) -> Value {
  json!({ "id": id(number + 500), "name": format!("s{number}"), "kind": kind, "text": text,
    "timezone": "Asia/Shanghai", "status": "enabled", "next_fire_at": before(-29 - i64::from(number) * 900) })
}

fn job_json(number: u32) -> Value {
  let runs: Vec<&str> = (0..16)
    .map(|n| if (n * 7 + number).is_multiple_of(5) { "failed" } else { "succeeded" })
    .collect();
  json!({
    "id": id(number + 9000), "namespace_id": "etl", "name": JOBS[number as usize % 8],
    "enabled": number != 7, "version": number + 1, "updated_at": before(1_036_800), "updated_by": "op1",
    "schedules": if number == 5 { json!([]) } else { json!([schedule(number, "cron", "*/3 * * * *")]) },
    "next_fire_at": before(-29 - i64::from(number) * 900), "last_runs": runs,
    "duration": { "n": 16, "p50": 11_000.0, "p95": 14_000.0, "p99": 39_000.0, "max": 41_000.0 },
    "live": number,
  })
}

const AGENTS: [&str; 7] =
  ["worker-01", "worker-02", "worker-03", "gpu-01", "gpu-02", "gpu-04", "edge-cn-1"];

fn agent_json(number: u32) -> Value {
  let lost = number == 5;
  json!({
    "id": AGENTS[number as usize],
    "status": if lost { "offline" } else { "online" }, "cordoned": number == 4, "running": number * 6, "slots": 40,
    "cpu_percent": if lost { Value::Null } else { json!(11.0 + f64::from(number) * 14.0) },
    "memory_percent": if lost { Value::Null } else { json!(64.0) },
    "last_heartbeat_at": before(if lost { 48 } else { 4 }), "labels": { "zone": "a", "region": "北京" },
    "version": "0.4.1", "hostname": "w1", "os_info": "linux", "task_types": ["bash", "python"],
    "clock_offset_ms": 3.0, "connections": 1, "why": if lost { "no heartbeat for 48s" } else { "" },
  })
}

fn event_json(number: u32) -> Value {
  let kind = ["task.failed", "agent.lost", "job.updated", "task.succeeded"][number as usize % 4];
  json!({
    "seq": 918_204 - i64::from(number), "index": 0, "namespace_id": "etl",
    "name": "etl-daily/7qk2m9xa", "detail": "exit 137 OOM", "at": before(i64::from(number)),
    "subject": { "kind": "task", "id": id(number) }, "type": kind, "data": { "attempt": 3 },
  })
}

fn server_json(number: u32) -> Value {
  let figures =
    if number == 0 { json!({ "db_pool_used": 11.0, "tick_ms": 4.25 }) } else { json!({}) };
  json!({
    "id": format!("s{}", number + 1), "address": "10.0.1.5:8080",
    "status": if number == 1 { "inactive" } else { "active" }, "version": "0.4.1",
    "started_at": before(1_036_800), "last_heartbeat_at": before(2), "agents": 5, "figures": figures,
  })
}

fn fire_json(number: u32) -> Value {
  json!({ "at": before(-29 - i64::from(number) * 900), "schedule_id": id(number + 500),
    "schedule": format!("s{number}"), "job": JOBS[number as usize % 8], "namespace_id": "etl" })
}

fn overview_json(empty: bool) -> Value {
  let rates: Vec<u32> = (0..180).map(|n| 2000 + n % 9 * 20).collect();
  let q = json!({ "n": 900, "p50": 120.0, "p95": 900.0, "p99": 2400.0, "max": 3100.0 });
  let none = json!({ "n": 0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0 });
  let attention: Vec<Value> = [
    ("job_failing", "error", "job", "etl-daily", "8 of last 10 runs failed, exit 137 (OOM)", 120),
    ("agent_lost", "error", "agent", "gpu-04", "no heartbeat for 48s (limit 30s)", 48),
    ("fires_late", "warning", "schedule", "hourly-s3", "1 fire was 41s late", 3720),
  ]
  .iter()
  .enumerate()
  .map(|(n, (code, severity, kind, name, message, age))| {
    json!({ "code": code, "severity": severity, "subject": { "kind": kind, "id": id(n as u32) },
      "name": name, "message": message, "since": before(*age), "at_risk": 6 - n })
  })
  .collect();
  let some = |list: Vec<Value>| if empty { json!([]) } else { json!(list) };
  json!({
    "counts": if empty { json!({}) } else { json!({ "pending": 1204, "locked": 12, "dispatched": 96, "running": 135, "waiting_retry": 18 }) },
    "oldest_pending_at": if empty { Value::Null } else { json!(before(3)) },
    "slots_used": if empty { 0 } else { 135 }, "slots": if empty { 0 } else { 250 },
    "rates": { "started": rates, "done": rates, "failed": [0, 1, 0, 9, 6], "retried": [1, 0, 2] },
    "fire_late": if empty { none.clone() } else { q.clone() }, "wait": if empty { none.clone() } else { q.clone() },
    "run": if empty { none } else { q }, "today": { "succeeded": 18_400_000, "failed": 40_211 },
    "attention": some(attention),
    "running": some((0..6).map(|n| task_json(n * 9 + 2, JOBS[n as usize], "running")).collect()),
    "agents": some((0..7).map(agent_json).collect()), "fires": some((0..6).map(fire_json).collect()),
    "events": some((0..5).map(event_json).collect()), "servers_up": 2, "servers": 3,
    "jobs": { "enabled": 187, "disabled": 27 },
  })
}

fn detail_json() -> Value {
  let attempt = |n: i64| {
    json!({ "id": id(700 + n as u32), "attempt": n, "status": if n == 3 { "running" } else { "failed" },
      "agent_id": format!("worker-0{n}"), "dispatched_at": before(4000 - n * 1000),
      "started_at": before(3999 - n * 1000),
      "completed_at": if n == 3 { Value::Null } else { json!(before(3987 - n * 1000)) },
      "exit_code": if n == 3 { Value::Null } else { json!(137) }, "log_bytes": 96_000 })
  };
  json!({
    "task": task_json(2, "etl-daily", "running"), "job_version": 7,
    "config": { "command": "uv", "args": ["run", "load.py"] },
    "attempts": [attempt(1), attempt(2), attempt(3)], "created_at": before(4100),
  })
}

fn job_detail_json() -> Value {
  let days: Vec<Value> = (0..30).map(|n| json!({ "done": 10, "failed": n / 5 })).collect();
  json!({ "job": job_json(0), "description": "Loads the day", "config": { "command": "uv run load.py" },
    "fires": (0..5).map(fire_json).collect::<Vec<_>>(), "tasks": [], "days": days })
}

/// What a model in a test shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
  /// Connected, nothing received.
  Loading,
  /// A cluster with nothing in it.
  Empty,
  /// A cluster at work.
  Full,
  /// Questions that the server refuses.
  Error,
  /// The link is down for 42 seconds.
  Offline,
}

impl Stage {
  /// All of them.
  pub const ALL: [Self; 5] = [Self::Loading, Self::Empty, Self::Full, Self::Error, Self::Offline];
}

/// The full answer to a question of a stage.
pub fn answer(id: &str, scope: Scope, stage: Stage, seq: i64) -> WatchFrame {
  let mut frame = WatchFrame {
    id: id.to_owned(),
    epoch: "42".into(),
    prev_seq: 0,
    seq,
    at: now(),
    full: true,
    merged: 1,
    matched: None,
    total: None,
    put: Vec::new(),
    order: None,
    causes: None,
    object: None,
    error: None,
  };
  if stage == Stage::Error && !matches!(scope, Scope::Overview) {
    frame.error = Some(WatchError {
      code: "filter.field".into(),
      message: "tasks have no field \"jub\"".into(),
      column: Some(13),
      hint: "did you mean job?".into(),
    });
    return frame;
  }
  let empty = stage == Stage::Empty;
  let rows = match scope {
    Scope::Overview => {
      frame.object = Some(overview_json(empty));
      return frame;
    }
    Scope::Task => {
      frame.object = Some(detail_json());
      return frame;
    }
    Scope::Job => {
      frame.object = Some(job_detail_json());
      return frame;
    }
    Scope::Tasks => tasks(),
    Scope::Jobs => (0..8).map(job_json).collect(),
    Scope::Agents => (0..7).map(agent_json).collect(),
    Scope::Events => (0..12).map(event_json).collect(),
    Scope::Servers => (0..3).map(server_json).collect(),
    Scope::Fires => (0..6).map(fire_json).collect(),
  };
  let rows = if empty { Vec::new() } else { rows };
  let key = |row: &Value| match scope {
    Scope::Events => format!("{}.{}", row["seq"], row["index"]),
    _ => row["id"].as_str().unwrap_or_default().to_owned(),
  };
  frame.order = Some(rows.iter().map(key).collect());
  (frame.matched, frame.total) = (Some(rows.len() as u64), Some(if empty { 0 } else { 1930 }));
  frame.put = rows;
  if scope == Scope::Tasks && !empty {
    frame.causes = Some(serde_json::from_value(json!([
      { "text": "too many connections", "tasks": 24, "jobs": ["etl-load-pg"], "first_at": before(273), "last_at": before(1), "spark": [0, 0, 1, 2, 5, 7, 9, 12] },
      { "text": "OOM-killed", "tasks": 7, "jobs": ["etl-daily", "etl-清洗-订单"], "first_at": before(689), "last_at": before(0), "spark": [0, 0, 0, 0, 1, 1, 2, 3] },
    ])).expect("causes"));
  }
  frame
}

/// Answers every question that the effects ask, as a server would at once.
pub fn serve(model: &mut Model, effects: Vec<Effect>, stage: Stage, at: Duration) {
  let mut open = effects;
  for round in 0..6 {
    let asked: Vec<_> = open
      .drain(..)
      .filter_map(|effect| match effect {
        Effect::Watch(watch) => Some(watch),
        _ => None,
      })
      .collect();
    if asked.is_empty() {
      return;
    }
    for watch in asked {
      let frame = answer(&watch.id, watch.scope, stage, 900 + round);
      open.extend(update(model, Msg::Link(LinkNews::Frame(Box::new(frame))), at));
    }
  }
}

/// A model on a screen at a stage.
pub fn model(screen: Screen, stage: Stage) -> Model {
  let site = Site {
    title: "prod".into(),
    namespace: Some("etl".into()),
    contexts: vec!["prod".into(), "local".into()],
    ..Site::default()
  };
  let mut model = Model::new(Look::default(), Keys::default(), site, now());
  model.zone = TimeZone::UTC;
  model.screen = screen;
  let at = Duration::from_millis(10);
  if let Some(list) = model.list_mut().filter(|_| stage == Stage::Error) {
    list.set_filter("state=failed jub~^etl");
  }
  update(&mut model, Msg::Resize(160, 48), at);
  let effects = update(&mut model, Msg::Link(LinkNews::Up), at);
  update(&mut model, Msg::Link(LinkNews::Rtt(14.0)), at);
  if stage != Stage::Loading {
    serve(&mut model, effects, stage, at);
  }
  let tick = Tick { epoch: "42".into(), seq: 918_204, at: now() };
  update(&mut model, Msg::Link(LinkNews::Tick(tick)), at);
  if stage == Stage::Offline {
    let down = LinkNews::Down { error: "connection refused".into(), retry_ms: Some(3000) };
    update(&mut model, Msg::Link(down), at + Duration::from_secs(42));
  }
  model
}
