//! Tasks on the command line: exit codes, output, signals.

use std::process::Command;
use std::time::{Duration, Instant};

use hetuflow_core::{Codec, OutputFrame, Stream, TaskInstanceId, Ts};

use super::*;

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

pub fn finished(status: &str, more: &str) -> Fake {
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

/// Many tasks are cancelled with one request; what the server refused for one is told.
#[test]
fn many_are_done_together() {
  let other = TASK.replace("000000000003", "000000000005");
  let results = format!(
    r#"{{"done":1,"failed":1,"results":[{{"id":"{TASK}","ok":true,"task_id":"{TASK}","status":"cancelling"}},
    {{"id":"{other}","ok":false,"code":"task.final","message":"it has ended"}}]}}"#
  );
  let rows = format!(r#"{{"data":[{}],"page":{{"page_size":1000}}}}"#, task("cancelling", ""));
  let fake = finished("running", "")
    .json(&format!("GET /tasks/{other}"), 200, &task("running", "").replace(TASK, &other))
    .json("POST /tasks/actions", 200, &results)
    .json("GET /tasks", 200, &rows);
  let run = Run::against(&fake);
  let output = run.run(&["cancel", TASK, &other, "--yes", "--reason", "wrong"]);
  assert_eq!(output.status.code(), Some(11), "{}", text(&output.stderr));
  assert!(text(&output.stderr).contains("not asked to stop: it has ended"));
  assert!(text(&output.stdout).contains("asked to stop"));
  let posts: Vec<String> =
    fake.requests().into_iter().filter(|one| one.starts_with("POST")).collect();
  assert_eq!(posts.len(), 1, "one request for all");
  assert!(posts[0].contains(r#""action":"cancel""#) && posts[0].contains(r#""reason":"wrong""#));
}

#[test]
fn many_are_killed() {
  let other = TASK.replace("000000000003", "000000000005");
  let waiting =
    task("pending", "").replace(TASK, &other).replace(&format!("\"{INSTANCE}\""), "null");
  let fake = finished("running", "").json(&format!("GET /tasks/{other}"), 200, &waiting).json(
    &format!("POST /task-instances/{INSTANCE}/control"),
    200,
    "{}",
  );
  let run = Run::against(&fake);
  let output = run.run(&["task", "kill", TASK, &other]);
  assert_eq!(output.status.code(), Some(11), "{}", text(&output.stderr));
  assert!(text(&output.stderr).contains("has no attempt, it is pending"));
  assert_eq!(run.code(&["task", "signal", TASK, "--signal", "HUP"]), 0);
  assert!(fake.requests().iter().any(|one| one.contains(r#""control_type":"signal""#)));
  assert_eq!(run.code(&["task", "kill", &other]), 6);
}
