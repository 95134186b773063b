//! One task that writes much text: from its start until a follower has read every byte.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hetuflow_core::{ExecuteCommand, JobForCreate, TaskConfig, TaskForCreate, Ts};
use reqwest::Method;
use sha2::{Digest, Sha256};

use super::args::Options;
use super::payload::Lines;
use super::report::{Bar, Report};
use super::rig::{Rig, Setup};
use super::target::Target;
use super::{baselines, payload};
use crate::wait;

/// How long the task may take to get its first attempt.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long the follower waits for the next bytes.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Measures output, end to end.
///
/// # Errors
/// When something does not start or answer.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  baselines::output(report)?;
  let bytes = options.megabytes.unwrap_or(200) * 1_000_000;
  let setup = Setup { agents: 1, slots: 4, agent_settings: "" };
  let mut rig = Rig::start(target, setup).await?;
  let program = std::env::current_exe().context("find the running executable")?;
  let args = vec![program.to_string_lossy().into_owned(), "lines".to_owned(), bytes.to_string()];
  let config = TaskConfig { cmd: Some(ExecuteCommand::Exec), args, ..TaskConfig::default() };
  let job = JobForCreate { name: "lines".to_owned(), config, ..JobForCreate::default() };
  let job = rig.create_job(&job).await?;

  let cpu = rig.cpu_us()?;
  let task = TaskForCreate { job_id: Some(job), ..TaskForCreate::default() };
  let submitted = Instant::now();
  let made = rig.api().post_ok("/tasks", &serde_json::to_value(task)?).await?;
  let id = made["id"].as_str().with_context(|| format!("a task without id: {made}"))?;
  let instance = first_attempt(&rig, id).await?;
  let followed = follow(&rig, &instance, bytes, report).await?;
  let wall = submitted.elapsed().as_secs_f64();
  let megabytes = bytes as f64 / 1e6;
  rig.report_cpu(&cpu, (bytes / 1_000_000, "µs/MB"), report)?;

  let task = rig.api().get_ok(&format!("/tasks/{id}?wait_secs=60")).await?;
  if task["status"] != "succeeded" {
    report.problem(format!("the task did not succeed: {task}"));
  }
  let started_at: Ts = serde_json::from_value(task["started_at"].clone())?;
  let span = (followed.ended_ns / 1000 - i128::from(started_at.micros())) as f64 / 1e6;
  let (bar, goal) = (Bar::AtLeast(40.0), Some(Bar::AtLeast(100.0)));
  report.barred("task start to last byte read", megabytes / span, "MB/s", bar, goal);
  report.value("task start to last byte read", span, "s");
  report.value("submit to last byte read", wall, "s");
  report.note(format!("{bytes} bytes of text on standard output"));
  check(&followed.text, bytes, report);
  rig.check(job, 1, report).await?;
  rig.finish(report);
  Ok(())
}

/// Waits until the task has an attempt; gives its id.
async fn first_attempt(rig: &Rig, task: &str) -> Result<String> {
  let path = format!("/tasks/{task}");
  wait::until_ok("the first attempt", START_LIMIT, || async {
    let task = rig.api().get_ok(&path).await.map_err(|error| format!("{error:#}"))?;
    task["instance_id"].as_str().map(str::to_owned).ok_or_else(|| task.to_string())
  })
  .await
}

/// What the follower has read.
struct Followed {
  text: Vec<u8>,
  ended_ns: i128,
}

/// Reads the output until the server says that this was all.
async fn follow(rig: &Rig, instance: &str, bytes: usize, report: &mut Report) -> Result<Followed> {
  let path = format!("/task-instances/{instance}/logs?follow=true");
  let mut response = rig.api().request(Method::GET, &path).send().await?.error_for_status()?;
  let mut text = Vec::with_capacity(bytes + (1 << 20));
  loop {
    // Nothing but copying here: whether the bytes are right is looked at after the clock stops.
    match tokio::time::timeout(SILENCE_LIMIT, response.chunk()).await {
      Ok(Ok(Some(piece))) => text.extend_from_slice(&piece),
      Ok(Ok(None)) => break,
      Ok(Err(error)) => {
        report.problem(format!("the follower broke after {} bytes: {error}", text.len()));
        break;
      }
      Err(_) => {
        report.problem(format!("no byte for {SILENCE_LIMIT:?} after {} bytes", text.len()));
        break;
      }
    }
  }
  Ok(Followed { text, ended_ns: payload::now_ns() })
}

/// Compares with what the payload's generator makes.
fn check(text: &[u8], bytes: usize, report: &mut Report) {
  let mut expected = Sha256::new();
  let (mut at, mut differs) = (0, None);
  for piece in Lines::new(bytes) {
    expected.update(&piece);
    let end = (at + piece.len()).min(text.len());
    let same = text.get(at..end) == Some(piece.as_slice());
    if !same && differs.is_none() {
      differs = Some(at);
    }
    at += piece.len();
  }
  let (read, expected) = (hex(&Sha256::digest(text)), hex(&expected.finalize()));
  if read != expected || text.len() != bytes {
    report.problem(format!(
      "{} bytes read, {bytes} written; sha256 {read}, not {expected}; the first piece of 64 KiB \
        that differs is at {differs:?}",
      text.len()
    ));
  }
}

/// Bytes as hexadecimal text.
fn hex(bytes: &[u8]) -> String {
  bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
