//! Lists whose YAML `apply` takes again.

use serde_json::{Value, json};

use super::*;

const JOB: &str = "019aa3e4-7c11-7c52-9d0e-0000000000";

fn job(number: usize) -> Value {
  json!({
    "id": format!("{JOB}{number:02}"), "namespace_id": "default", "name": format!("job-{number:02}"),
    "description": "", "environment": {}, "config": { "command": "true" }, "status": "enabled",
    "labels": {}, "owner": "", "version": 1, "created_by": null,
    "created_at": "2025-11-21T14:00:00Z", "updated_at": "2025-11-21T14:00:00Z",
  })
}

fn schedule(number: usize) -> Value {
  json!({
    "id": format!("019aa3e4-7c11-7c52-9d0e-1000000000{number:02}"), "job_id": format!("{JOB}{number:02}"),
    "namespace_id": "default", "name": format!("every-{number:02}"), "description": "",
    "schedule_kind": "cron", "cron_expression": "0 4 * * *", "interval_secs": null, "timezone": "UTC",
    "start_time": null, "end_time": null, "max_count": null, "status": "enabled",
    "dst_gap": "auto", "dst_overlap": "auto", "jitter_secs": 0, "overlap_policy": "skip", "misfire_policy": "fire_last", "misfire_grace_secs": 300,
    "catchup_max": 10, "priority": 0, "parameters": null, "environment": {}, "run_count": 0, "status_reason": null,
    "anchor_at": "2025-11-21T14:00:00Z", "created_by": null, "updated_by": null, "next_run_at": null, "last_run_at": null, "rev": 1,
    "created_at": "2025-11-21T14:00:00Z", "updated_at": "2025-11-21T14:00:00Z",
  })
}

fn page(rows: &[Value]) -> String {
  json!({ "data": rows, "page": { "page_size": 1000 } }).to_string()
}

/// Few jobs are asked for their schedules one by one, many through their namespace; every job has
/// its own in the YAML, so that an apply of it drops none.
#[test]
fn the_yaml_of_a_list_has_the_schedules() {
  for count in [1, 20] {
    let jobs: Vec<Value> = (1..=count).map(job).collect();
    let schedules: Vec<Value> = (1..=count).map(schedule).collect();
    let fake = Fake::default().json("GET /jobs", 200, &page(&jobs)).json(
      "GET /schedules",
      200,
      &page(&schedules),
    );
    let run = Run::against(&fake);
    for args in [&["job", "list", "-o", "yaml"][..], &["ls", "jobs", "-o", "yaml"]] {
      let output = run.run(args);
      assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
      let yaml = text(&output.stdout);
      assert_eq!(yaml.matches("kind: Job").count(), count);
      for number in 1..=count {
        assert_eq!(yaml.matches(&format!("name: every-{number:02}")).count(), 1, "{yaml}");
      }
      std::fs::write(run.home.path().join("all.yaml"), &yaml).expect("written");
      assert_eq!(run.code(&["apply", "-f", "all.yaml", "--dry-run=client"]), 0);
    }
    let asked =
      fake.requests().iter().filter(|one| one.starts_with("GET /api/v1/schedules")).count();
    assert_eq!(asked, 2, "one request for each list");
  }
}

#[test]
fn a_context_by_name() {
  let run = Run::alone();
  let set = ["context", "set", "prod", "--url", "http://127.0.0.1:1", "--read-only"];
  assert_eq!(run.code(&set), 0);
  let shown = text(&run.run(&["context", "get", "prod", "-o", "json"]).stdout);
  let shown: Value = serde_json::from_str(&shown).expect("JSON");
  assert_eq!((&shown["name"], &shown["read_only"]), (&json!("prod"), &json!(true)));
  assert_eq!(run.code(&["job", "disable", "x"]), 5);
  assert_eq!(run.code(&["context", "set", "prod", "--read-only=false"]), 0);
  assert_eq!(run.code(&["job", "disable", "x"]), 7);
  assert_eq!(run.code(&["--read-only", "job", "disable", "x"]), 5);
  assert_eq!(run.code(&["context", "get", "staging"]), 3);
}
