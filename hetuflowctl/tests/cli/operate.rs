//! `doctor`, `repair` and `install-service`.

use std::io::{BufRead as _, BufReader};

use hetuflow_core::Ts;
use serde_json::{Value, json};

use super::*;

const EMPTY: &str = r#"{"data":[],"page":{"page_size":50}}"#;

fn agent(status: &str, heartbeat: &str) -> String {
  let version = env!("CARGO_PKG_VERSION");
  let one = json!({
    "id": "agent-1", "description": "", "status": status, "capabilities": {}, "labels": {}, "namespaces": [],
    "statistics": null, "hostname": "h", "os_info": "linux", "version": version, "boot_id": "b",
    "agent_epoch": 1, "connection_epoch": 1, "server_id": null, "acked_seq": 0, "clock_offset_ms": 1.0,
    "cordoned": false, "last_heartbeat_at": heartbeat, "created_at": heartbeat, "updated_at": heartbeat,
  });
  json!({ "data": [one], "page": { "page_size": 50 } }).to_string()
}

fn healthy() -> Fake {
  let version = json!({ "version": env!("CARGO_PKG_VERSION"), "protocol_version": hetuflow_core::PROTOCOL_VERSION });
  let info = json!({ "database": { "engine": "sqlite" }, "timestamp": Ts::now() });
  let now = Ts::now().to_string();
  Fake::default()
    .json("GET /system/version", 200, &version.to_string())
    .json("GET /auth/me", 200, r#"{"name":"op","role":"admin"}"#)
    .json("GET /system/ready", 200, r#"{"status":"ready"}"#)
    .json("GET /system/info", 200, &info.to_string())
    .json("GET /servers", 200, EMPTY)
    .json("GET /agents", 200, &agent("idle", &now))
    .json("GET /tasks", 200, EMPTY)
    .json("GET /schedules", 200, EMPTY)
    .json("GET /jobs", 200, EMPTY)
}

fn checks(run: &Run, args: &[&str], exit: i32) -> Vec<(String, String)> {
  let output = run.run(&[&["doctor", "-o", "json"], args].concat());
  assert_eq!(output.status.code(), Some(exit), "{}{}", text(&output.stdout), text(&output.stderr));
  let list: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
  let word = |one: &Value, name: &str| one[name].as_str().expect("text").to_owned();
  for one in &list {
    assert_eq!(one["status"] == "ok", one["fix"].is_null(), "{one}");
  }
  list.iter().map(|one| (word(one, "id"), word(one, "status"))).collect()
}

fn bad(checks: &[(String, String)]) -> Vec<(&str, &str)> {
  let bad = checks.iter().filter(|(_, status)| status != "ok");
  bad.map(|(id, status)| (id.as_str(), status.as_str())).collect()
}

#[test]
fn a_healthy_system() {
  let run = Run::against(&healthy());
  std::fs::write(run.home.path().join("token"), "hf_x").expect("written");
  std::fs::set_permissions(
    run.home.path().join("token"),
    std::os::unix::fs::PermissionsExt::from_mode(0o600),
  )
  .expect("set");
  let all = checks(&run, &["--token-file", "token"], 0);
  assert_eq!(bad(&all).iter().filter(|(id, _)| *id != "programs").count(), 0, "{all:?}");
  assert!(all.len() >= 10, "{all:?}");
  assert!(!text(&run.run(&["doctor"]).stdout).contains("\u{1b}"));
}

#[test]
fn what_is_broken_is_named() {
  let find = |all: &[(String, String)], id: &str| {
    all.iter().find(|(one, _)| one == id).map(|(_, status)| status.clone())
  };
  let none =
    Run { home: tempfile::tempdir().expect("a folder"), server: Some("http://127.0.0.1:1".into()) };
  assert_eq!(find(&checks(&none, &[], 1), "server.address").as_deref(), Some("fail"));
  let refused = Run::against(
    &Fake::default()
      .json("GET /system/version", 200, r#"{"version":"9.9.9","protocol_version":1}"#)
      .json("GET /auth/me", 401, &error("unauthorized", 401, "bad")),
  );
  let all = checks(&refused, &[], 1);
  assert_eq!(find(&all, "server.version").as_deref(), Some("warn"));
  assert_eq!(find(&all, "token").as_deref(), Some("fail"));
  let offline = healthy();
  offline.routes.lock().expect("not poisoned").insert(
    "GET /agents".into(),
    vec![(200, "application/json", agent("offline", "2025-11-21T14:00:00Z").into_bytes())],
  );
  let all = checks(&Run::against(&offline), &[], 1);
  assert_eq!(find(&all, "agents").as_deref(), Some("fail"));
  let local = Run::alone();
  std::fs::create_dir_all(local.home.path().join(".config/hetuflow")).expect("made");
  std::fs::write(local.home.path().join(".config/hetuflow/ctl.toml"), "x = ").expect("written");
  assert_eq!(find(&checks(&local, &["--local"], 1), "config").as_deref(), Some("fail"));
}

fn stuck() -> Fake {
  let task = task("dispatched", "");
  let fake = healthy().json(&format!("GET /tasks/{TASK}"), 200, &task).json(
    &format!("POST /tasks/{TASK}/cancel"),
    200,
    "{}",
  );
  let page = format!(r#"{{"data":[{task}],"page":{{"page_size":50}}}}"#);
  let mut routes = fake.routes.lock().expect("not poisoned");
  routes.insert("GET /tasks".into(), vec![(200, "application/json", page.into_bytes())]);
  drop(routes);
  fake
}

/// A bundle has what was seen and no secret; what the server did not give is named.
#[test]
fn a_bundle_for_whoever_helps() {
  let secret = task("running", "").replace(
    r#""parameters":null,"environment":null"#,
    r#""parameters":{"a":"hunter2"},"environment":{"PASSWORD":"hunter2"}"#,
  );
  assert!(secret.contains("hunter2"));
  let fake = healthy();
  let page = format!(r#"{{"data":[{secret}],"page":{{"page_size":50}}}}"#);
  let mut routes = fake.routes.lock().expect("not poisoned");
  routes.insert("GET /tasks".into(), vec![(200, "application/json", page.into_bytes())]);
  drop(routes);
  let run = Run::against(&fake);
  let mut command = run.command(&["doctor", "--bundle", "b.tar", "--strict"]);
  let output = command.env("HETUFLOW_TOKEN", "hf_hunter2").output().expect("it runs");
  let file = run.home.path().join("b.tar");
  let bytes = text(&std::fs::read(&file).unwrap_or_else(|_| panic!("{}", text(&output.stderr))));
  for part in ["doctor.json", "client.json", "server/tasks-not-ended.json", "missing.txt"] {
    assert!(bytes.contains(&format!("hetuflow-bundle/{part}")), "{part}");
  }
  assert!(bytes.contains("server/namespaces.json: no /namespaces"), "what is missing is named");
  assert!(bytes.contains("HETUFLOW_TOKEN") && !bytes.contains("hunter2"), "no secrets");
  let mode =
    std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("there").permissions());
  assert_eq!(mode & 0o777, 0o600);
  assert_eq!(run.code(&["doctor", "--bundle", "b.zip"]), 2);
}

#[test]
fn codes_that_nobody_looks_for_say_why() {
  let run = Run::alone();
  for code in ["R002", "R003", "R004", "R006", "R011"] {
    assert!(text(&run.run(&["repair", "explain", code]).stdout).contains("change"), "{code}");
  }
  for code in ["R001", "R005", "R007", "R008", "R009", "R010"] {
    let output = run.run(&["repair", "explain", code]);
    assert_eq!(output.status.code(), Some(3), "{code}");
    assert!(text(&output.stderr).contains("is not looked for"), "{}", text(&output.stderr));
  }
}

#[test]
fn a_repair_goes_by_its_plan() {
  let fake = stuck();
  let run = Run::against(&fake);
  let output = run.run(&["repair", "check", "-o", "json"]);
  assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
  let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
  assert_eq!(
    (&found[0]["code"], &found[0]["object"]),
    (&json!("R003"), &json!(format!("task/{TASK}")))
  );
  assert_eq!(run.code(&["repair", "plan", "--out", "plan.json"]), 0);
  assert_eq!(run.code(&["repair", "apply", "plan.json"]), 2, "nobody said yes");
  let posts = |fake: &Fake| fake.requests().iter().filter(|one| one.starts_with("POST")).count();
  assert_eq!(posts(&fake), 0);
  assert_eq!(run.code(&["repair", "apply", "plan.json", "--yes"]), 0);
  assert_eq!(posts(&fake), 1);

  // The task moved on: nothing is done.
  let route = format!("GET /tasks/{TASK}");
  let moved = task("succeeded", "").into_bytes();
  fake.routes.lock().expect("not poisoned").insert(route, vec![(200, "application/json", moved)]);
  let output = run.run(&["repair", "apply", "plan.json", "--yes"]);
  assert_eq!(output.status.code(), Some(6));
  assert!(text(&output.stderr).contains("nothing was done"), "{}", text(&output.stderr));
  assert_eq!(posts(&fake), 1);
  assert_eq!(Run::against(&healthy()).code(&["repair", "check"]), 0);
}

#[test]
fn codes_are_explained() {
  let run = Run::alone();
  assert!(text(&run.run(&["repair", "explain", "r006"]).stdout).starts_with("R006  the next fire"));
  assert_eq!(run.code(&["repair", "explain", "R999"]), 3);
  std::fs::write(run.home.path().join("bad.json"), "{}").expect("written");
  assert_eq!(run.code(&["repair", "apply", "bad.json"]), 8);
}

#[test]
fn services_of_a_user() {
  let run = Run::alone();
  let bin = run.home.path().join("bin");
  std::fs::create_dir(&bin).expect("made");
  for name in ["hetuflow-server", "hetuflow-agent"] {
    std::fs::write(bin.join(name), "").expect("written");
  }
  let install = |args: &[&str]| {
    let mut command = run.command(&[&["install-service", "agent", "--user"], args].concat());
    command.env("PATH", &bin).output().expect("it runs")
  };
  let dry = install(&["--dry-run"]);
  assert!(text(&dry.stdout).contains("Type=exec\n"), "{}", text(&dry.stdout));
  let path = run.home.path().join(".config/systemd/user/hetuflow-agent.service");
  assert!(!path.exists());
  let done = install(&[]);
  assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
  assert_eq!(std::fs::read_to_string(&path).expect("written"), text(&dry.stdout));
  assert!(text(&done.stderr).contains("systemctl --user enable --now hetuflow-agent"));
  assert_eq!(install(&[]).status.code(), Some(0), "the same again");
  std::fs::write(&path, "mine").expect("written");
  assert_eq!(install(&[]).status.code(), Some(6), "a changed unit is left alone");
}

/// `status -w` goes on; off a terminal each look is one line of JSON. A server that goes away is
/// told, and waited for.
#[test]
fn a_status_that_goes_on() {
  let health = r#"{"status":"healthy","version":"0.1.0"}"#;
  let run = Run::against(&healthy().json("GET /system/health", 200, health));
  let mut child = run.command(&["status", "-w"]).spawn().expect("it runs");
  let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
  for _ in 0..2 {
    let line = lines.next().expect("a line").expect("text");
    let value: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&value["status"], &value["agents"]["online"]), (&json!("healthy"), &json!(1)));
  }
  child.kill().expect("killed");
  child.wait().expect("ended");
  assert_eq!(run.code(&["status", "-w", "--exit-code"]), 2);
  assert_eq!(Run::alone().code(&["status", "-w", "--server", "http://127.0.0.1:1"]), 7);
}
