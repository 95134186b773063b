//! Output is bytes: whatever a task writes is kept exactly, and does no harm on a terminal.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::binaries::Binaries;
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{LIMIT, attempts, output, runs_again, submit, text, wait_status};

both_engines!(odd_bytes_are_kept, ten_megabytes_are_kept, output_is_harmless_on_a_terminal);

/// Bytes without a pattern that compresses well, the same each time.
fn noise(count: usize) -> Vec<u8> {
  let mut state = 0x9e37_79b9_7f4a_7c15_u64;
  let step = |_| {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    (state >> 32) as u8
  };
  (0..count).map(step).collect()
}

/// What is hard to keep, by name.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
  vec![
    ("nothing", Vec::new()),
    ("a NUL byte", b"a\0b\n\0".to_vec()),
    ("every byte", (0..=255).collect()),
    ("no UTF-8", b"\xff\xfe caf\xe9 \xc3\n\xf0\x9f\x92".to_vec()),
    ("a long line", [vec![b'x'; 1 << 20], b"\nend".to_vec()].concat()),
    ("escapes", b"\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\x1bc\x9b31m\r\x08\n".to_vec()),
    ("line ends", b"a\r\nb\rc\n\n\n".to_vec()),
    ("many lines", (0..50_000).flat_map(|n| format!("{n}\n").into_bytes()).collect()),
  ]
}

/// Writes a file whose content a task then prints.
fn file(cluster: &Cluster, name: &str, bytes: &[u8]) -> Result<PathBuf> {
  let path = cluster.dir().join(name);
  std::fs::write(&path, bytes)?;
  Ok(path)
}

/// Runs `cat` of a file into a stream, and gives the task.
async fn print(cluster: &Cluster, path: &Path, stream: &str) -> Result<String> {
  let redirect = if stream == "stderr" { " >&2" } else { "" };
  let command = format!("cat '{}'{redirect}", path.display());
  let id = submit(&cluster.api(), &json!({ "config": { "command": command } })).await?;
  wait_status(&cluster.api(), &id, &["succeeded"]).await?;
  Ok(id)
}

async fn odd_bytes_are_kept(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  for (name, bytes) in samples() {
    let path = file(&cluster, "sample", &bytes)?;
    for (stream, other) in [("stdout", "stderr"), ("stderr", "stdout")] {
      let id = print(&cluster, &path, stream).await?;
      for (which, wanted) in [("", &bytes), (stream, &bytes), (other, &Vec::new())] {
        let got = output(&api, &id, which).await?;
        ensure!(got == *wanted, "{name} as {stream}, read as {which:?}: {} bytes", got.len());
      }
      let attempt = attempts(&api, &id).await?.remove(0);
      assert_eq!(attempt["log_bytes"], bytes.len(), "{name}");
      let logs = format!("/task-instances/{}/logs", text(&attempt, "id")?);
      let middle = bytes.len() / 2;
      let from = api.bytes(&format!("{logs}?from_offset={middle}")).await?.1;
      ensure!(from == bytes[middle..], "{name} from {middle}: {} bytes", from.len());
      let tail = api.bytes(&format!("{logs}?tail_bytes=3")).await?.1;
      assert_eq!(tail, bytes[bytes.len().saturating_sub(3)..], "{name}");
    }
  }
  runs_again(&cluster).await?;
  cluster.finish()
}

async fn ten_megabytes_are_kept(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let bytes = noise(10 << 20);
  let path = file(&cluster, "noise", &bytes)?;
  let id = print(&cluster, &path, "stdout").await?;
  let got = output(&api, &id, "").await?;
  assert_eq!((got.len(), Sha256::digest(&got)), (bytes.len(), Sha256::digest(&bytes)));

  // Followed while it is written, from a gate in its middle.
  let gate = cluster.dir().join("gate");
  let script = format!(
    "cat '{0}'; until [ -e '{1}' ]; do sleep 0.05; done; cat '{0}'",
    path.display(),
    gate.display()
  );
  let id = submit(&api, &json!({ "config": { "script": script } })).await?;
  let task = wait_status(&api, &id, &["running"]).await?;
  let logs = format!("/task-instances/{}/logs?follow=true", text(&task, "instance_id")?);
  let mut response = api.request(reqwest::Method::GET, &logs).send().await?;
  let mut got = Vec::new();
  while got.len() < bytes.len() {
    let chunk = tokio::time::timeout(LIMIT, response.chunk()).await.context("no output came")??;
    got.extend_from_slice(&chunk.context("the output ended early")?);
  }
  std::fs::write(&gate, "")?;
  while let Some(chunk) =
    tokio::time::timeout(LIMIT, response.chunk()).await.context("no end")??
  {
    got.extend_from_slice(&chunk);
  }
  let twice = bytes.repeat(2);
  assert_eq!((got.len(), Sha256::digest(&got)), (twice.len(), Sha256::digest(&twice)));
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Runs hetuflowctl on a terminal of its own and gives what the terminal got.
async fn on_a_terminal(cluster: &mut Cluster, args: &str) -> Result<Vec<u8>> {
  let line = format!("'{}' {args}", Binaries::find()?.ctl.display());
  let mut command = tokio::process::Command::new("script");
  command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm-256color");
  command.env("HETUFLOW_SERVER", cluster.server(0).url()).env("HOME", cluster.dir());
  command.env("HETUFLOW_TOKEN_FILE", cluster.dir().join("admin.token"));
  command.stdin(Stdio::null()).kill_on_drop(true);
  let output = tokio::time::timeout(LIMIT, command.output()).await.context("script hangs")??;
  ensure!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stdout));
  Ok(output.stdout)
}

/// The first control byte or sequence that does more than colour text or end a line.
fn harm(shown: &[u8]) -> Option<String> {
  let text = String::from_utf8_lossy(shown).into_owned();
  let mut rest = text.as_str();
  while let Some(at) = rest.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
    let from = &rest[at..];
    let colour = from.strip_prefix("\x1b[").and_then(|code| {
      let end = code.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':'))?;
      code[end..].strip_prefix('m')
    });
    match colour {
      Some(after) => rest = after,
      None => return Some(from.chars().take(20).flat_map(char::escape_default).collect()),
    }
  }
  None
}

async fn output_is_harmless_on_a_terminal(engine: Engine) -> Result<()> {
  assert_eq!(harm(b"a\x1b[1;31mred\x1b[0m\r\n"), None);
  assert!(harm(b"\x1b[2J").is_some() && harm("\u{9b}2J".as_bytes()).is_some());
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let mut all = b"first line\n".to_vec();
  all.extend(samples().into_iter().flat_map(|(_, bytes)| bytes));
  all.extend("\n\u{9b}2J\u{202e}abc\u{200b}\nlast line\n".as_bytes());
  let path = file(&cluster, "sample", &all)?;
  let id = print(&cluster, &path, "stdout").await?;
  for args in [format!("logs {id}"), format!("logs -f {id}"), format!("logs --tail 20 {id}")] {
    let shown = on_a_terminal(&mut cluster, &args).await?;
    assert_eq!(harm(&shown), None, "{args}");
    ensure!(shown.windows(9).any(|part| part == b"last line"), "{args}: the last line is missing");
  }
  let raw = cluster.ctl(&["logs", "--raw", &id]).await?;
  ensure!(raw.stdout == all, "--raw: {} of {} bytes", raw.stdout.len(), all.len());

  // Names and words of others are no way in either.
  let words = json!({ "config": { "command": "exit 3" }, "environment": { "X": "\u{1b}[2Jx" },
    "parameters": { "p": "\u{1b}]0;title\u{7}" } });
  let id = submit(&cluster.api(), &words).await?;
  wait_status(&cluster.api(), &id, &["failed"]).await?;
  for args in
    [format!("describe task {id} --no-pager"), "ls tasks".to_owned(), "ls tasks -o wide".to_owned()]
  {
    assert_eq!(harm(&on_a_terminal(&mut cluster, &args).await?), None, "{args}");
  }
  runs_again(&cluster).await?;
  cluster.finish()
}
