//! The real program against a server of a few lines: exit codes, streams, errors.

#[path = "cli/apply.rs"]
mod apply;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/fake.rs"]
mod fake;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/legacy.rs"]
mod legacy;
#[path = "cli/list.rs"]
mod list;
#[path = "cli/operate.rs"]
mod operate;
#[path = "cli/own.rs"]
mod own;
#[path = "cli/schedule.rs"]
mod schedule;
#[path = "cli/tasks.rs"]
mod tasks;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use fake::*;

/// RELIABILITY B076, B077, B080, B082, B087: usage is exit 2, on stderr, with nothing on stdout.
#[test]
fn words_that_make_no_sense() {
  let run = Run::alone();
  let rows: &[(&[&str], &str)] = &[
    (&[], "Usage"),
    (&["jbo"], "job"),
    (&["job", "list", "--nope"], "--nope"),
    (&["job", "list", "--limit"], "--limit"),
    (&["job", "list", "--limit", "-1"], "-1"),
    (&["--server", "foo", "status"], "invalid --server"),
    (&["--server", "ftp://x", "status"], "invalid --server"),
    (&["--server", "http://", "status"], "invalid --server"),
    (&["--server", "http://h:70000", "status"], "invalid --server"),
    (&["--server", "http://u:p@h", "status"], "invalid --server"),
    (&["job", "list", "-o", "yamll"], "did you mean yaml?"),
    (&["job", "list", "-o", "jsonpath="], "nothing follows"),
    (&["job", "list", "-o", "jsonpath=$.["], "jsonpath"),
    (&["version", "-F", "state=failed"], "-F is for lists"),
    (&["whoami", "--sort", "name"], "--sort is for lists"),
    (&["task", "list", "-l", "a b"], "at byte 2"),
    (&["cancel"], "nothing is named"),
    (&["logs", "x", "--grep", "("], "--grep is refused"),
    (&["logs", "x", "-i"], "--grep"),
    (&["schedule", "list", "--watch"], "unexpected argument"),
    (&["ls", "schedules", "-w"], "cannot be watched"),
    (&["wait", "x", "--for", "nonsense"], "an expression"),
    (&["run", "x", "--cancel-on-interrupt"], "--wait"),
    (&["events", "--object", "x"], "has no kind"),
    (&["run", "x", "--in", "5x"], "is not a duration"),
    (&["run"], "required"),
    (&["task", "list", "--state", "runing"], "running"),
    (&["job", "delete", "x"], "--yes"),
    (&["get", "jbo", "x"], "did you mean  job ?"),
    (&["login"], "--token-stdin"),
    (&["help", "nonsense"], "topics"),
  ];
  for (args, words) in rows {
    let output = run.run(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
    assert!(text(&output.stderr).contains(words), "{args:?}: {}", text(&output.stderr));
    assert!(output.stdout.is_empty(), "{args:?}");
  }
}

#[test]
fn non_utf8_words_are_refused() {
  use std::os::unix::ffi::OsStrExt as _;
  let run = Run::alone();
  let mut command = run.command(&["run"]);
  let output = command.arg(std::ffi::OsStr::from_bytes(b"\xff\xfe")).output().expect("it runs");
  assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_needs_no_server_needs_none() {
  let run = Run::alone();
  for args in [
    &["--version"][..],
    &["version"],
    &["help", "exit-codes"],
    &["help", "schedule", "next"],
    &["completions", "bash"],
    &["schedule", "next", "30 2 * * *", "--tz", "Europe/Berlin"],
    &["schedule", "explain", "@daily"],
    &["context", "list"],
  ] {
    let output = run.run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
  }
  let output = run.run(&["schedule", "next", "0 25 * * *", "-o", "jsonl"]);
  assert_eq!(output.status.code(), Some(8));
  assert!(text(&output.stdout).starts_with("{\"error\":"), "{}", text(&output.stdout));
}

#[test]
fn server_answers_have_their_exit_codes() {
  for (status, code, exit) in [
    (404, "not_found", 3),
    (401, "unauthorized", 4),
    (403, "forbidden", 5),
    (409, "conflict", 6),
    (422, "validation_error", 8),
    (400, "bad_request", 8),
    (500, "internal_error", 1),
  ] {
    let fake = Fake::default().json("GET /agents/x", status, &error(code, status, "words"));
    let run = Run::against(&fake);
    let output = run.run(&["agent", "get", "x", "-o", "json"]);
    assert_eq!(output.status.code(), Some(exit), "{code}");
    let told: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one JSON object");
    assert_eq!(told["error"]["exit"], exit);
    assert!(output.stdout.is_empty());
  }
}

#[test]
fn an_overloaded_server_is_asked_again() {
  let busy = error("unavailable", 503, "busy");
  let fake = Fake::default().json("GET /agents/x", 503, &busy);
  let run = Run::against(&fake);
  assert_eq!(run.code(&["agent", "get", "x"]), 9);
  assert_eq!(fake.requests().len(), 4);
}

/// RELIABILITY B078: nobody there, and a proxy's page that is not shown.
#[test]
fn no_server() {
  let mut run = Run::alone();
  run.server = Some("http://127.0.0.1:1".to_owned());
  let output = run.run(&["job", "list"]);
  assert_eq!(output.status.code(), Some(7));
  assert!(text(&output.stderr).contains("http://127.0.0.1:1"), "{}", text(&output.stderr));
  let fake = Fake::default().bytes("GET /jobs", 404, "text/html", b"<html>secret page</html>");
  let output = Run::against(&fake).run(&["job", "list"]);
  assert_eq!(output.status.code(), Some(7));
  assert!(!text(&output.stderr).contains("secret page"));
}

/// RELIABILITY B079.
#[test]
fn tokens() {
  let fake = Fake::default().json("GET /auth/me", 200, r#"{"name":"op1","role":"admin"}"#);
  let run = Run::against(&fake);
  let file = run.home.path().join("token");
  let with = |run: &Run| run.run(&["whoami", "--token-file", file.to_str().expect("text")]);
  assert_eq!(with(&run).status.code(), Some(4));
  for bad in [&b""[..], b"\n", b"\xff\xff"] {
    std::fs::write(&file, bad).expect("written");
    assert_eq!(with(&run).status.code(), Some(4));
  }
  std::fs::write(&file, "hf_good\n").expect("written");
  std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644))
    .expect("set");
  let output = with(&run);
  assert_eq!(output.status.code(), Some(0));
  assert!(text(&output.stderr).contains("chmod 600"), "{}", text(&output.stderr));
  assert!(fake.requests()[0].to_lowercase().contains("authorization: bearer hf_good"));
}

#[test]
fn login_keeps_what_the_server_accepts() {
  let fake = Fake::default().json("GET /auth/me", 200, r#"{"name":"op1","role":"admin"}"#);
  let mut run = Run::against(&fake);
  let server = run.server.take().expect("a server");
  let mut child = run
    .command(&["login", &server, "--token-stdin"])
    .stdin(Stdio::piped())
    .spawn()
    .expect("it runs");
  child.stdin.take().expect("piped").write_all(b"hf_abc\n").expect("written");
  let output = child.wait_with_output().expect("it ends");
  assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
  assert_eq!(run.code(&["whoami"]), 0);
  assert_eq!(run.code(&["logout"]), 0);
  let tokens: PathBuf = run.home.path().join(".config/hetuflow/tokens");
  assert_eq!(std::fs::read_dir(tokens).expect("a folder").count(), 0);
}

/// RELIABILITY B081.
#[test]
fn manifests_that_are_none() {
  let fake = Fake::default();
  let run = Run::against(&fake);
  std::fs::create_dir(run.home.path().join("folder")).expect("made");
  std::fs::write(run.home.path().join("long.yaml"), vec![b' '; 2 << 20]).expect("written");
  std::fs::write(run.home.path().join("bad.yaml"), "kind: Jbo\n").expect("written");
  for (file, exit) in
    [("missing.yaml", 3), ("folder", 8), ("-", 8), ("long.yaml", 8), ("bad.yaml", 8)]
  {
    for command in [&["job", "create", "-f"][..], &["apply", "-f"]] {
      let args = [command, &[file]].concat();
      assert_eq!(run.code(&args), exit, "{args:?}");
    }
  }
  assert!(fake.requests().is_empty(), "nothing is sent for a bad manifest");
}

#[test]
fn off_a_terminal_apply_needs_a_yes() {
  let plan = |action: &str, applied: bool| {
    format!(
      r#"{{"applied":{applied},"changes":[{{"index":0,"action":"{action}","namespace_id":"default","name":"a","fields":["config.timeout"],"version":2}}]}}"#
    )
  };
  let manifest =
    "apiVersion: hetuflow/v1\nkind: Job\nmetadata: { name: a }\nspec: { config: { command: x } }\n";
  // A server without plans of fires is asked for one first.
  for (action, args, exit, requests) in [
    ("create", &["apply", "-f", "a.yaml"][..], 2, 1),
    ("create", &["apply", "-f", "a.yaml", "--yes"], 0, 2),
    ("delete", &["apply", "-f", "a.yaml"], 2, 1),
    ("unchanged", &["apply", "-f", "a.yaml"], 0, 1),
    ("update", &["apply", "-f", "a.yaml"], 2, 1),
    ("update", &["apply", "-f", "a.yaml", "-y"], 0, 2),
    ("update", &["apply", "-f", "a.yaml", "--dry-run"], 0, 2),
    ("update", &["apply", "-f", "a.yaml", "--dry-run", "--exit-code"], 10, 2),
    ("unchanged", &["apply", "-f", "a.yaml", "--dry-run", "--exit-code"], 0, 2),
  ] {
    let fake = Fake::default().json("POST /jobs/apply", 200, &plan(action, false));
    let run = Run::against(&fake);
    std::fs::write(run.home.path().join("a.yaml"), manifest).expect("written");
    assert_eq!(run.code(args), exit, "{action} {args:?}");
    assert_eq!(fake.requests().len(), requests, "{action} {args:?}");
  }
}

#[test]
fn not_found_names_the_nearest() {
  let jobs = r#"{"data":[{"name":"etl-daily"},{"name":"heartbeat"}],"page":{"page_size":1000}}"#;
  let fake = Fake::default().json("GET /jobs", 200, jobs);
  let run = Run::against(&fake);
  for args in
    [&["job", "get", "etl-dialy"][..], &["logs", "etl-dialy@latest"], &["run", "etl-dialy"]]
  {
    let output = run.run(args);
    assert_eq!(output.status.code(), Some(3), "{args:?}");
    assert!(
      text(&output.stderr).contains("did you mean  etl-daily ?"),
      "{args:?}: {}",
      text(&output.stderr)
    );
  }
}

#[test]
fn read_only_refuses_changes() {
  let fake = Fake::default();
  let run = Run::against(&fake);
  assert_eq!(run.code(&["--read-only", "run", "--cmd", "x"]), 5);
  assert_eq!(run.code(&["--read-only", "job", "delete", "x", "-y"]), 5);
  assert!(fake.requests().is_empty());
}

/// RELIABILITY B083: a reader that goes away is no error.
#[test]
fn a_closed_pipe_is_quiet() {
  let run = Run::alone();
  for args in [&["completions", "bash"][..], &["schedule", "next", "* * * * *", "--count", "1000"]]
  {
    let mut child = run.command(args).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    assert!(output.stderr.is_empty(), "{args:?}: {}", text(&output.stderr));
  }
}
