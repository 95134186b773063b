//! The real program against a server of a few lines: exit codes, streams, errors.

#[path = "cli/apply.rs"]
mod apply;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/operate.rs"]
mod operate;
#[path = "cli/own.rs"]
mod own;
#[path = "cli/schedule.rs"]
mod schedule;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hetuflow_core::{Codec, OutputFrame, Stream, TaskInstanceId, Ts};

const TASK: &str = "019aa3e4-7c11-7c52-9d0e-000000000003";
const INSTANCE: &str = "019aa3e4-7c11-7c52-9d0e-000000000004";

/// An answer: status, content type, body.
type Answer = (u16, &'static str, Vec<u8>);

/// Routes by `METHOD /path`; each answer is given once, the last one for ever.
#[derive(Clone, Default)]
struct Fake {
  routes: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
  seen: Arc<Mutex<Vec<String>>>,
}

impl Fake {
  fn json(self, route: &str, status: u16, body: &str) -> Self {
    self.bytes(route, status, "application/json", body.as_bytes())
  }

  fn bytes(self, route: &str, status: u16, kind: &'static str, body: &[u8]) -> Self {
    let mut routes = self.routes.lock().expect("not poisoned");
    routes.entry(route.to_owned()).or_default().push((status, kind, body.to_vec()));
    drop(routes);
    self
  }

  /// Serves until the test ends; the address.
  fn serve(&self) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let fake = self.clone();
    std::thread::spawn(move || {
      for stream in listener.incoming().flatten() {
        let fake = fake.clone();
        std::thread::spawn(move || fake.answer(stream));
      }
    });
    url
  }

  fn answer(&self, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let length = head.lines().find_map(|line| {
      line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
      return;
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = target.split('?').next().unwrap_or("").trim_start_matches("/api/v1");
    self
      .seen
      .lock()
      .expect("not poisoned")
      .push(format!("{method} {target} {}\n{head}", String::from_utf8_lossy(&body)));
    let mut routes = self.routes.lock().expect("not poisoned");
    let answer = match routes.get_mut(&format!("{method} {path}")) {
      Some(answers) if answers.len() > 1 => answers.remove(0),
      Some(answers) => answers[0].clone(),
      None => {
        (404, "application/json", error("not_found", 404, &format!("no {path}")).into_bytes())
      }
    };
    drop(routes);
    let (status, kind, body) = answer;
    let head = format!(
      "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
      body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
  }

  fn requests(&self) -> Vec<String> {
    self.seen.lock().expect("not poisoned").clone()
  }
}

fn error(code: &str, number: u16, message: &str) -> String {
  format!(
    r#"{{"err_code":{number},"code":"{code}","err_msg":"{message}","timestamp":"2025-11-21T14:00:00Z"}}"#
  )
}

fn task(status: &str, more: &str) -> String {
  format!(
    r#"{{"id":"{TASK}","job_id":"{TASK}","job_name":"adhoc","job_version":1,"namespace_id":"default",
    "status":"{status}","priority":0,"schedule_id":null,"scheduled_at":"2025-11-21T14:00:00Z","eligible_at":null,
    "trigger_source":"manual","parameters":null,"environment":null,"config":null,"idempotency_key":null,
    "attempt":1,"instance_id":"{INSTANCE}","fence":1,"agent_id":"agent-1","started_at":"2025-11-21T14:00:00Z",
    "completed_at":"2025-11-21T14:00:01Z","exit_code":null,"signal":null,"reason":null,"error_message":null,
    "unreachable_since":null,"created_by":null,"created_at":"2025-11-21T14:00:00Z"}}"#
  )
  .replace(r#""exit_code":null"#, &given(more, "exit_code"))
  .replace(r#""signal":null"#, &given(more, "signal"))
  .replace(r#""reason":null"#, &given(more, "reason"))
}

/// A field that `more` gives stands once, where serde expects it.
fn given(more: &str, name: &str) -> String {
  let found = more.split(",\"").find_map(|part| {
    let (key, value) = part.split_once("\":")?;
    (key.trim_start_matches('"') == name).then(|| value.to_owned())
  });
  format!("\"{name}\":{}", found.unwrap_or_else(|| "null".to_owned()))
}

fn frame(offset: u64, stream: Stream, raw: &[u8]) -> Vec<u8> {
  let (codec, data) = OutputFrame::pack(raw);
  assert!(codec == Codec::Plain || codec == Codec::Zstd);
  let frame = OutputFrame {
    instance_id: INSTANCE.parse::<TaskInstanceId>().expect("an id"),
    fence: 1,
    seq: 1,
    offset,
    stream_offset: 0,
    at: Ts::from_millis(0),
    raw_len: u32::try_from(raw.len()).expect("small"),
    stream,
    codec,
    data,
  }
  .encode();
  [u32::try_from(frame.len()).expect("small").to_le_bytes().to_vec(), frame].concat()
}

const END: &[u8] = &[0; 4];
const OUTPUT: &str = "application/vnd.hetuflow.output";

struct Run {
  home: tempfile::TempDir,
  server: Option<String>,
}

impl Run {
  fn against(fake: &Fake) -> Self {
    Self { home: tempfile::tempdir().expect("a folder"), server: Some(fake.serve()) }
  }

  fn alone() -> Self {
    Self { home: tempfile::tempdir().expect("a folder"), server: None }
  }

  fn command(&self, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hetuflowctl"));
    command.args(args).env_clear().env("HOME", self.home.path()).current_dir(self.home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(server) = &self.server {
      command.env("HETUFLOW_SERVER", server);
    }
    command
  }

  fn run(&self, args: &[&str]) -> Output {
    self.command(args).output().expect("it runs")
  }

  fn code(&self, args: &[&str]) -> i32 {
    let output = self.run(args);
    output.status.code().unwrap_or_else(|| panic!("{args:?} was killed"))
  }
}

fn text(bytes: &[u8]) -> String {
  String::from_utf8_lossy(bytes).into_owned()
}

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
    (&["task", "list", "-l", "a b"], "no label"),
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
fn a_change_needs_a_yes_and_new_jobs_do_not() {
  let plan = |action: &str, applied: bool| {
    format!(
      r#"{{"applied":{applied},"changes":[{{"index":0,"action":"{action}","namespace_id":"default","name":"a","fields":["config.timeout"],"version":2}}]}}"#
    )
  };
  let manifest =
    "apiVersion: hetuflow/v1\nkind: Job\nmetadata: { name: a }\nspec: { config: { command: x } }\n";
  for (action, args, exit, requests) in [
    ("create", &["apply", "-f", "a.yaml"][..], 0, 2),
    ("unchanged", &["apply", "-f", "a.yaml"], 0, 1),
    ("update", &["apply", "-f", "a.yaml"], 2, 1),
    ("update", &["apply", "-f", "a.yaml", "-y"], 0, 2),
    ("update", &["apply", "-f", "a.yaml", "--dry-run"], 0, 1),
    ("update", &["apply", "-f", "a.yaml", "--dry-run", "--exit-code"], 10, 1),
    ("unchanged", &["apply", "-f", "a.yaml", "--dry-run", "--exit-code"], 0, 1),
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

fn finished(status: &str, more: &str) -> Fake {
  Fake::default()
    .json("POST /tasks", 201, &task("pending", "").replace(&format!("\"{INSTANCE}\""), "null"))
    .json(&format!("GET /tasks/{TASK}"), 200, &task(status, more))
}

#[test]
fn run_hands_back_the_tasks_exit_code() {
  for (status, more, exit) in [
    ("succeeded", ",\"exit_code\":0", 0),
    ("failed", ",\"exit_code\":42,\"reason\":\"exit_code(42)\"", 42),
    ("failed", ",\"signal\":9,\"reason\":\"signal(9)\"", 137),
    ("failed", ",\"signal\":15,\"reason\":\"timeout\"", 123),
    ("lost", "", 122),
    ("cancelled", "", 121),
  ] {
    let run = Run::against(&finished(status, more));
    assert_eq!(run.code(&["run", "--cmd", "x", "--wait"]), exit, "{status} {more}");
    let simple = run.code(&["run", "--cmd", "x", "--wait", "--exit-status", "simple"]);
    assert_eq!(simple, if exit == 0 { 0 } else { 12 });
  }
  // Ours, where the task's was wanted.
  let fake = Fake::default().json("POST /tasks", 403, &error("forbidden", 403, "no"));
  assert_eq!(Run::against(&fake).code(&["run", "--cmd", "x", "--wait"]), 125);
  assert_eq!(Run::against(&fake).code(&["run", "--cmd", "x"]), 5);
  let run = Run::against(&finished("running", ""));
  assert_eq!(run.code(&["run", "--cmd", "x", "--wait", "--timeout", "300ms"]), 124);
}

#[test]
fn output_is_exact_and_a_break_is_taken_up() {
  let out = b"out\n\0\xff\x1b[2J";
  let first = [frame(0, Stream::Stdout, out), frame(10, Stream::Stderr, b"err\n")].concat();
  // The second connection begins inside a chunk that was read in part, and repeats bytes.
  let again =
    [frame(0, Stream::Stdout, out), frame(10, Stream::Stderr, b"err\nmore\n"), END.to_vec()]
      .concat();
  let fake = finished("failed", ",\"exit_code\":42")
    .bytes(&format!("GET /task-instances/{INSTANCE}/logs"), 200, OUTPUT, &first)
    .bytes(&format!("GET /task-instances/{INSTANCE}/logs"), 200, OUTPUT, &again);
  let run = Run::against(&fake);
  let output = run.run(&["run", "--cmd", "x", "--wait", "--logs"]);
  assert_eq!(output.stdout, b"out\n\0\xff\x1b[2Jerr\nmore\n");
  assert_eq!(output.status.code(), Some(42), "{}", text(&output.stderr));
  assert!(text(&output.stderr).contains("link was down"), "{}", text(&output.stderr));
  assert!(text(&output.stderr).contains("exit 42"));
  assert!(fake.requests().iter().any(|request| request.contains("from_offset=14")));
}

#[test]
fn one_stream_alone() {
  let body =
    [frame(0, Stream::Stdout, b"out\n"), frame(4, Stream::Stderr, b"err\n"), END.to_vec()].concat();
  let fake = finished("succeeded", "").bytes(
    &format!("GET /task-instances/{INSTANCE}/logs"),
    200,
    OUTPUT,
    &body,
  );
  let run = Run::against(&fake);
  for (stream, expected) in [("out", "out\n"), ("err", "err\n"), ("both", "out\nerr\n")] {
    assert_eq!(text(&run.run(&["logs", TASK, "--stream", stream]).stdout), expected);
  }
}

#[test]
fn signals_have_their_codes() {
  for (signal, code) in [("INT", 130), ("TERM", 143)] {
    let fake = finished("running", "").bytes("GET /events", 200, "text/event-stream", b"");
    let run = Run::against(&fake);
    let child = run.command(&["wait", TASK]).spawn().expect("it runs");
    let begin = Instant::now();
    // The first request is sent after the signals are ours.
    while fake.requests().is_empty() {
      assert!(begin.elapsed() < Duration::from_secs(5), "no request came");
      std::thread::yield_now();
    }
    let killed = Command::new("kill")
      .args([&format!("-{signal}"), &child.id().to_string()])
      .status()
      .expect("kill");
    assert!(killed.success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    assert!(begin.elapsed() < Duration::from_secs(5));
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

/// RELIABILITY B082: an argument with @ is text.
#[test]
fn at_signs_are_text() {
  let fake = finished("succeeded", "");
  let run = Run::against(&fake);
  assert_eq!(
    run.code(&["run", "--cmd", "@/etc/passwd", "-p", "a=@/etc/passwd", "--env", "B=@/etc/passwd"]),
    0
  );
  let request = &fake.requests()[0];
  assert_eq!(request.matches("\"@/etc/passwd\"").count(), 3, "{request}");
  assert!(request.to_lowercase().contains("idempotency-key: ctl-"), "{request}");
}
