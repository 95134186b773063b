//! What this program keeps and knows itself: config, aliases, plugins, completion, schemas.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn values_of_the_config_file() {
  let run = Run::alone();
  assert_eq!(run.code(&["config", "set", "contexts.a.b.server", "http://a.example"]), 0);
  assert_eq!(run.code(&["config", "set", "contexts.a.b.read_only", "true"]), 0);
  assert_eq!(run.code(&["config", "set", "current", "a.b"]), 0);
  assert_eq!(
    text(&run.run(&["config", "get", "contexts.a.b.server"]).stdout),
    "http://a.example\n"
  );
  for (args, exit) in [
    (&["config", "get", "contexts.a.b.namespace"][..], 3),
    (&["config", "set", "contexts.a.b.server", "ftp://x"], 2),
    (&["config", "set", "contexts.a.b.read_only", "perhaps"], 2),
    (&["config", "set", "colour", "red"], 2),
    (&["config", "unset", "contexts.a.b.read_only"], 0),
    (&["config", "unset", "contexts.a.b.read_only"], 3),
    (&["config", "edit"], 2),
  ] {
    assert_eq!(run.code(args), exit, "{args:?}");
  }
  let path = run.home.path().join(".config/hetuflow/ctl.toml");
  assert_eq!(text(&run.run(&["config", "path"]).stdout).trim(), path.display().to_string());
  let mode = std::fs::metadata(&path).expect("there").permissions().mode();
  assert_eq!(mode & 0o777, 0o600);
  std::fs::write(run.home.path().join(".hetuflow.toml"), "namespace = \"etl\"\n").expect("written");
  let told = text(&run.run(&["config", "view", "--show-origin"]).stdout);
  let line =
    |name: &str| told.lines().find(|line| line.starts_with(name)).expect("a line").to_owned();
  assert!(
    line("server").contains("http://a.example") && line("server").contains("context a.b in"),
    "{told}"
  );
  assert!(
    line("namespace").contains("etl") && line("namespace").contains(".hetuflow.toml"),
    "{told}"
  );
}

#[test]
fn a_protected_context_wants_its_name() {
  let fake = Fake::default().json("POST /jobs/a/disable", 200, "{}").json(
    "GET /jobs",
    200,
    r#"{"data":[],"page":{"page_size":1}}"#,
  );
  let url = fake.serve();
  let run = Run::alone();
  assert_eq!(
    run.code(&["context", "set", "prod", "--url", &url, "--protected", "--colour", "red"]),
    0
  );
  assert_eq!(run.code(&["job", "list"]), 0);
  for (args, exit) in [
    (&["job", "disable", "a"][..], 2),
    (&["job", "disable", "a", "--yes"], 2),
    (&["job", "disable", "a", "--confirm", "staging"], 2),
    (&["job", "disable", "a", "--confirm", "prod"], 0),
  ] {
    assert_eq!(run.code(args), exit, "{args:?}");
  }
  assert_eq!(fake.requests().iter().filter(|one| one.starts_with("POST")).count(), 1);
  assert!(text(&run.run(&["context", "list"]).stdout).contains("protected"));
  assert_eq!(run.code(&["context", "set", "prod", "--read-only"]), 0);
  assert_eq!(run.code(&["job", "disable", "a", "--confirm", "prod"]), 5);
}

#[test]
fn aliases_and_plugins() {
  let run = Run::alone();
  assert_eq!(
    run.code(&["alias", "set", "n", "schedule next '@daily' --count 1 --from 2026-01-01"]),
    0
  );
  assert!(text(&run.run(&["n", "--tz", "UTC"]).stdout).contains("2026-01-01 00:00:00"));
  for (args, exit) in [
    (&["alias", "set", "job", "task list"][..], 6),
    (&["alias", "set", "x", "nonsense"], 2),
    (&["alias", "unset", "x"], 3),
    (&["nobody-knows"], 2),
  ] {
    assert_eq!(run.code(args), exit, "{args:?}");
  }
  let plugin = run.home.path().join("hetuflowctl-greet");
  std::fs::write(&plugin, "#!/bin/sh\necho hello \"$1\"\nexit 9\n").expect("written");
  std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("set");
  let path = format!("{}:/bin:/usr/bin", run.home.path().display());
  let output = run.command(&["greet", "a b"]).env("PATH", &path).output().expect("it runs");
  assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(9), "hello a b\n"));
  let list = run.command(&["plugin", "list"]).env("PATH", &path).output().expect("it runs");
  assert!(text(&list.stdout).starts_with("greet "), "{}", text(&list.stdout));
}

#[test]
fn names_complete_and_failures_are_silent() {
  let jobs = r#"{"data":[{"name":"etl-daily"},{"name":"etl\u001b-evil"},{"name":"other"}],"page":{"page_size":9}}"#;
  let run = Run::against(&Fake::default().json("GET /jobs", 200, jobs));
  for (words, expected) in [
    (&["job", "run", "et"][..], "etl-daily\n"),
    (&["run", "o"], "other\n"),
    (&["logs", "etl"], "etl-daily@latest\n"),
    (&["get", "job", "e"], "etl-daily\n"),
    (&["get", "job/o"], "job/other\n"),
    (&["sched"], "schedule\n"),
    (&["job", "list", "--stat"], "--status\n"),
  ] {
    let output = run.run(&[&["__complete", "--"], words].concat());
    assert_eq!(text(&output.stdout), expected, "{words:?}");
  }
  // Nobody, and somebody who listens and never says a word: neither is waited for.
  let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
  let silent_place = format!("http://{}", silent.local_addr().expect("bound"));
  for server in ["http://127.0.0.1:1".to_owned(), silent_place] {
    let nobody = Run { home: tempfile::tempdir().expect("a folder"), server: Some(server) };
    let begin = Instant::now();
    let output = nobody.run(&["__complete", "--", "job", "run", "x"]);
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
  }
}

#[test]
fn manual_pages_and_schemas() {
  let run = Run::alone();
  assert_eq!(run.code(&["man", "--dir", "man"]), 0);
  let page = std::fs::read_to_string(run.home.path().join("man/hetuflowctl-schedule-next.1"));
  assert!(page.expect("a page").contains("next fires"), "the page of a verb");
  assert!(text(&run.run(&["man"]).stdout).contains(".TH"));

  let document = r##"{"components":{"schemas":{
    "TaskEntity":{"type":"object","properties":{"exit_code":{"type":["integer","null"],"description":"How it ended"}}},
    "JobForCreate":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"owner":{"type":"string","description":"Who"}}}}}}"##;
  let run = Run::against(&Fake::default().json("GET /docs/openapi.json", 200, document));
  assert_eq!(
    text(&run.run(&["explain", "task.exit_code"]).stdout),
    "task.exit_code  integer\n  How it ended\n"
  );
  assert_eq!(
    text(&run.run(&["explain", "job.spec.owner"]).stdout),
    "job.spec.owner  string\n  Who\n"
  );
  let missing = run.run(&["explain", "task.exit_cod"]);
  assert_eq!(missing.status.code(), Some(3));
  assert!(text(&missing.stderr).contains("did you mean  exit_code"), "{}", text(&missing.stderr));
  let schema = run.run(&["schema", "job", "-o", "json"]);
  let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("JSON");
  assert_eq!(schema["properties"]["kind"]["const"], "Job");
  assert_eq!(run.code(&["openapi"]), 0);
}

#[test]
fn the_api_page_by_page() {
  let fake = Fake::default()
    .json("GET /jobs", 200, r#"{"data":[{"name":"a"}],"page":{"page_size":1,"next_cursor":"c"}}"#)
    .json("GET /jobs", 200, r#"{"data":[{"name":"b"}],"page":{"page_size":1}}"#);
  let output =
    Run::against(&fake).run(&["api", "GET", "/jobs?limit=1", "--paginate", "-o", "json"]);
  assert_eq!(text(&output.stdout), "{\"data\":[{\"name\":\"a\"},{\"name\":\"b\"}]}\n");
  assert!(fake.requests()[1].contains("cursor=c"), "{:?}", fake.requests());
}
