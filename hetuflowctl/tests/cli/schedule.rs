//! `schedule` without a server: batches on stdin, and checks.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use super::*;

fn ask(args: &[&str], questions: &str) -> Vec<Value> {
  let run = Run::alone();
  let mut command = run.command(args);
  let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
  child.stdin.take().expect("piped").write_all(questions.as_bytes()).expect("written");
  let output = child.wait_with_output().expect("it ends");
  assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
  let told = text(&output.stdout);
  told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn batches_of_next() {
  let questions = r#"{"expr":"30 2 * * *","tz":"Europe/Berlin","from":"2026-03-28T00:00:00Z","count":3}
{"expr":"0 25 * * *"}

{"expr":"@daily","tz":"Mars/Base"}
{"expr":"@daily","count":0}
{"expr":"@daily","from":"2026-01-01"}"#;
  let answers = ask(&["schedule", "next", "--stdin", "--count", "2"], questions);
  let next = json!({ "next": [
      "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"
    ] });
  assert_eq!(answers[0], next);
  let codes: Vec<&Value> = answers[1..5].iter().map(|one| &one["error"]["code"]).collect();
  assert_eq!(codes, ["cron.out_of_range", "json.invalid", "tz.unknown", "number.range"]);
  assert_eq!(
    answers[5],
    json!({ "next": ["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"] })
  );
  assert_eq!(answers.len(), 6);
}

/// Somebody who waits for each answer gets it before stdin ends.
#[test]
fn each_answer_comes_at_once() {
  let run = Run::alone();
  let mut command = run.command(&["schedule", "next", "--stdin", "--count", "1"]);
  let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
  let mut stdin = child.stdin.take().expect("piped");
  let mut reader = BufReader::new(child.stdout.take().expect("piped"));
  for _ in 0..3 {
    stdin.write_all(b"{\"expr\":\"@daily\"}\n").expect("written");
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("{\"next\":["), "{line}");
  }
  drop(stdin);
  assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn batches_of_explain_and_check() {
  let questions = "{\"expr\":\"0 9 * * 1-5\"}\n{\"expr\":\"0 0 31 2 *\"}\n";
  let answers = ask(&["schedule", "explain", "--stdin"], questions);
  assert_eq!(answers[0]["fields"]["weekday"], "1-5");
  assert_eq!(answers[1]["error"]["code"], "cron.never_fires");
  let answers = ask(&["schedule", "check", "--stdin", "--tz", "UTC"], questions);
  assert_eq!(answers[0], json!({ "ok": true, "warnings": [] }));
  assert_eq!(answers[1]["error"]["code"], "cron.never_fires");
}

#[test]
fn checks() {
  let run = Run::alone();
  assert_eq!(run.code(&["schedule", "check", "0 9 * * *"]), 0);
  assert_eq!(run.code(&["schedule", "check", "0 0 31 2 *"]), 8);
  assert_eq!(
    run.code(&["schedule", "check", "30 2 * * *", "--tz", "Europe/Berlin", "--strict"]),
    1
  );
  let manifest = |name: &str| {
    format!(
      "apiVersion: hetuflow/v1\nkind: Job\nmetadata: {{ name: {name} }}\nspec: {{ config: {{ command: x }}, schedules: [{{ cron: \"0 2 * * *\" }}] }}\n---\n"
    )
  };
  std::fs::write(run.home.path().join("a.yaml"), manifest("a") + &manifest("b") + &manifest("c"))
    .expect("written");
  let output = run.run(&["schedule", "check", "-f", "a.yaml", "--herd", "3"]);
  assert_eq!(
    text(&output.stdout),
    "warning: 3 schedules start at 02:00 UTC: a, b, c\n3 schedule(s) checked, 1 finding(s)\n"
  );
}

#[test]
fn the_schedules_of_a_server_are_checked() {
  let schedule = |name: &str, cron: &str, zone: &str| {
    format!(
      r#"{{"id":"{TASK}","job_id":"{TASK}","namespace_id":"default","name":"{name}","description":"","schedule_kind":"cron",
      "cron_expression":"{cron}","interval_secs":null,"timezone":"{zone}","start_time":null,"end_time":null,"max_count":null,
      "status":"enabled","status_reason":null,"dst_gap":"auto","dst_overlap":"auto","jitter_secs":0,"overlap_policy":"skip","misfire_policy":"fire_last","misfire_grace_secs":3600,
      "catchup_max":10,"parameters":null,"environment":{{}},"priority":0,"anchor_at":"2025-11-21T14:00:00Z","next_run_at":null,
      "last_run_at":null,"run_count":0,"rev":1,"created_by":null,"created_at":"2025-11-21T14:00:00Z","updated_by":null,
      "updated_at":"2025-11-21T14:00:00Z"}}"#
    )
  };
  let rows = [schedule("a", "@daily", "Mars/Base"), schedule("b", "@daily", "UTC")].join(",");
  let page = format!(r#"{{"data":[{rows}],"page":{{"page_size":50}}}}"#);
  let fake = Fake::default().json("GET /schedules", 200, &page);
  let output = Run::against(&fake).run(&["schedule", "check"]);
  assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
  assert!(
    text(&output.stdout).starts_with("error: a: unknown time zone"),
    "{}",
    text(&output.stdout)
  );
}
