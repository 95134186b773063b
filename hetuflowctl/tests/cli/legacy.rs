//! `legacy`: the words of the first version come to the requests of the first version.

use serde_json::{Value, json};

use super::*;

const MADE: &str = r#"{"id":"019aa3e4-7c11-7c52-9d0e-000000000003","task_id":"019aa3e4-7c11-7c52-9d0e-000000000003",
  "name":"n","task_type":"resize","priority":"high","payload":{"a":1},"status":"pending","created_at":"2025-11-21T14:00:00Z"}"#;

/// The body of the newest request, and the line it begins with.
fn asked(fake: &Fake) -> (String, Value) {
  let all = fake.requests();
  let last = all.last().expect("a request");
  let (line, head) = last.split_once('\n').expect("a head");
  let (target, body) = line.split_at(line.match_indices(' ').nth(1).expect("two blanks").0);
  assert!(head.starts_with(target.split(' ').next().expect("a method")));
  (target.to_owned(), serde_json::from_str(body.trim()).unwrap_or(Value::Null))
}

#[test]
fn tasks_and_jobs_are_made() {
  let job = r#"{"id":"j1","job_id":"j1","schedule_id":"s1","next_run_at":"2025-11-21T14:00:00Z"}"#;
  let fake =
    Fake::default().json("POST /api/tasks", 201, MADE).json("POST /api/cron-jobs", 201, job);
  let run = Run::against(&fake);
  let create = ["legacy", "create-task", "--name", "n", "--task-type", "resize"];
  let more = ["--priority", "high", "--payload", r#"{"a":1}"#];
  let output = run.run(&[&create[..], &more].concat());
  assert_eq!(text(&output.stdout), format!("{TASK}\n"), "{}", text(&output.stderr));
  let body =
    json!({ "name": "n", "task_type": "resize", "priority": "high", "payload": { "a": 1 } });
  assert_eq!(asked(&fake), ("POST /api/tasks".to_owned(), body));
  run.run(&[&create[..], &["--priority", "-7"]].concat());
  assert_eq!(asked(&fake).1["priority"], -7);
  for bad in [["--priority", "urgent"], ["--payload", "{"]] {
    assert_eq!(run.code(&[&create[..], &bad].concat()), 2, "{bad:?}");
  }

  let dispatch = ["legacy", "dispatch-task", "--task-type", "resize", "--payload", "{}"];
  let output = run.run(&[&dispatch[..], &["--capabilities", "gpu", "python,big"]].concat());
  assert_eq!(text(&output.stdout), format!("{TASK}\n"), "{}", text(&output.stderr));
  assert_eq!(asked(&fake).1["capabilities"], json!(["gpu", "python", "big"]));
  run.run(&[&dispatch[..], &["--capabilities", "gpu", "--capabilities", "big"]].concat());
  assert_eq!(asked(&fake).1["capabilities"], json!(["gpu", "big"]));
  assert_eq!(run.code(&dispatch), 2, "capabilities are needed");

  let cron = ["legacy", "create-cron-job", "--name", "n", "--task-type", "resize"];
  let more = ["--cron-expression", "0 4 * * *", "--disabled", "--timezone", "Europe/Berlin"];
  assert_eq!(text(&run.run(&[&cron[..], &more].concat()).stdout), "j1\n");
  let (target, body) = asked(&fake);
  assert_eq!(target, "POST /api/cron-jobs");
  assert_eq!((&body["enabled"], &body["timezone"]), (&json!(false), &json!("Europe/Berlin")));
}

#[test]
fn a_dispatched_task_is_waited_for() {
  let fake = Fake::default().json("POST /api/tasks", 201, MADE).json(
    &format!("GET /tasks/{TASK}"),
    200,
    &task("failed", ",\"exit_code\":3"),
  );
  let run = Run::against(&fake);
  let dispatch = ["legacy", "dispatch-task", "--task-type", "resize", "--capabilities", "gpu"];
  assert_eq!(run.code(&[&dispatch[..], &["--wait"]].concat()), 12);
}

#[test]
fn lists_are_tables() {
  let agents = r#"[{"id":"a1","name":"a1","status":"active","capabilities":["gpu","x"],"last_heartbeat":"2025-11-21T14:00:00Z"}]"#;
  let fake = Fake::default().json("GET /api/tasks", 200, &format!("[{MADE}]")).json(
    "GET /api/agents",
    200,
    agents,
  );
  let run = Run::against(&fake);
  let output = run.run(&["legacy", "list-tasks", "--status", "pending", "--limit", "5"]);
  let shown = text(&output.stdout);
  assert!(shown.contains("resize") && shown.contains("high"), "{shown}{}", text(&output.stderr));
  assert_eq!(asked(&fake).0, "GET /api/tasks?limit=5&status=pending");
  let shown = text(&run.run(&["legacy", "list-agents", "--online"]).stdout);
  assert!(shown.contains("active") && shown.contains("gpu,x"), "{shown}");
  assert_eq!(asked(&fake).0, "GET /api/agents?online=true");
  let shown = run.run(&["legacy", "list-agents", "-o", "json"]).stdout;
  let shown: Value = serde_json::from_slice(&shown).expect("JSON");
  assert_eq!(shown["items"][0]["capabilities"], json!(["gpu", "x"]));
}
