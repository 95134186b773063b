//! `logs --verify`: what is stored is what was captured, or it says what is wrong.

use std::process::Output;

use anyhow::{Context, Result, bail, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{LIMIT, output, runs_again, sql, submit, task, text, wait_status};

both_engines!(
  a_log_is_proved_after_two_kills_of_the_agent,
  a_small_log_is_proved_in_its_row,
  what_nobody_can_prove_is_said_plainly,
);

/// Runs `logs NAME --verify` in both forms; the exit code, the line and the document.
async fn verify(cluster: &Cluster, id: &str) -> Result<(i32, String, Value)> {
  let Output { status, stdout, stderr } = cluster.ctl(&["logs", id, "--verify"]).await?;
  let json = cluster.ctl(&["logs", id, "--verify", "-o", "json"]).await?;
  assert_eq!(status.code(), json.status.code(), "{}", String::from_utf8_lossy(&stderr));
  let words = if stdout.is_empty() { stderr } else { stdout };
  let words = String::from_utf8_lossy(&words).into_owned();
  let document = serde_json::from_slice(&json.stdout)
    .with_context(|| String::from_utf8_lossy(&json.stdout).into_owned())?;
  Ok((status.code().context("an exit code")?, words, document))
}

fn sha256(bytes: &[u8]) -> String {
  Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn a_log_is_proved_after_two_kills_of_the_agent(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let body = "for i in $(seq 1 60); do echo line $i; echo err $i >&2; sleep 0.1; done; exit 7";
  let id = submit(&api, &json!({ "config": { "script": body } })).await?;
  // Well packed, and more than one chunk.
  let flood = "head -c 3000000 /dev/zero | tr '\\0' x; sleep 3; head -c 1000000 /dev/zero";
  let flood = submit(&api, &json!({ "config": { "command": flood } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  for _ in 0..2 {
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    cluster.kill9_agent(0)?;
    cluster.restart_agent(0)?;
    cluster.wait_agent(0).await?;
  }
  wait_status(&api, &id, &["failed"]).await?;
  wait_status(&api, &flood, &["succeeded"]).await?;
  let bytes = output(&api, &id, "").await?;
  let (exit, line, document) = verify(&cluster, &id).await?;
  let expected = format!("verified: {} bytes, sha256 {}\n", bytes.len(), sha256(&bytes));
  assert_eq!((exit, line.as_str()), (0, expected.as_str()), "{document}");
  assert_eq!((&document["verdict"], &document["bytes"]), (&json!("verified"), &json!(bytes.len())));
  let (exit, line, _) = verify(&cluster, &flood).await?;
  ensure!(exit == 0 && line.starts_with("verified: 4,000,000 bytes, sha256 "), "{exit} {line}");
  let both = cluster.ctl(&["logs", id.as_str(), flood.as_str(), "--verify"]).await?;
  let both = (both.status.code(), String::from_utf8_lossy(&both.stdout).lines().count());
  assert_eq!(both, (Some(0), 2));

  // One stored byte, of a plain chunk and of packed ones.
  let flip = match engine {
    Engine::Sqlite => {
      "update sched_log_chunk set data = cast('X' || substr(data, 2) as blob) \
        where codec = 0 and log_offset = 0"
    }
    Engine::Postgres => {
      "update sched_log_chunk set data = overlay(data placing 'X'::bytea from 1) \
        where codec = 0 and log_offset = 0"
    }
  };
  assert_eq!(sql(&cluster, flip).await?, 1);
  let (exit, words, document) = verify(&cluster, &id).await?;
  ensure!(exit == 10 && words.contains("is not what was captured"), "{exit} {words}");
  assert_eq!(document["verdict"], "differs");
  ensure!(document["sha256"] != document["captured_sha256"], "{document}");
  let cut = "update sched_log_chunk set data = substr(data, 1, length(data) - 1) where codec = 1";
  ensure!(sql(&cluster, cut).await? > 0, "no packed chunk");
  let (exit, words, document) = verify(&cluster, &flood).await?;
  ensure!(exit == 10 && words.contains("cannot be read"), "{exit} {words}");
  ensure!(!document["damaged"].as_array().context("damaged")?.is_empty(), "{document}");

  // A chunk that is gone.
  ensure!(sql(&cluster, "delete from sched_log_chunk where log_offset = 0").await? == 2, "two");
  let (exit, words, document) = verify(&cluster, &id).await?;
  ensure!(exit == 13 && words.contains("are not stored"), "{exit} {words}");
  assert_eq!(document["missing"][0]["from"], 0);
  let both = cluster.ctl(&["logs", id.as_str(), flood.as_str(), "--verify"]).await?;
  assert_eq!(both.status.code(), Some(11));
  runs_again(&cluster).await?;
  cluster.finish()
}

/// Submits a task until the output of one stands in its row, as that of `rows` tasks does then.
/// One that a busy machine keeps from its end for a moment sends its output in chunks.
async fn submit_until_small(cluster: &Cluster, config: &Value, rows: u64) -> Result<String> {
  let small = "update sched_task_instance set output_index = output_index \
    where output_index is not null";
  for _ in 0..100 {
    let id = submit(&cluster.api(), &json!({ "config": config })).await?;
    wait_status(&cluster.api(), &id, &["succeeded"]).await?;
    if sql(cluster, small).await? == rows {
      return Ok(id);
    }
  }
  bail!("none of a hundred had its output in its row: {config}")
}

async fn a_small_log_is_proved_in_its_row(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let both = json!({ "command": "echo out; echo err >&2" });
  let id = submit_until_small(&cluster, &both, 1).await?;
  let silent = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  let absent = json!({ "config": { "command": "x", "working_directory": "/nowhere" } });
  let absent = submit(&api, &absent).await?;
  for (id, end) in [(&silent, "succeeded"), (&absent, "failed")] {
    wait_status(&api, id, &[end]).await?;
  }
  let cut = json!({ "command": "echo 1234567890", "max_output_size": 4 });
  let cut = submit_until_small(&cluster, &cut, 2).await?;
  assert_eq!(verify(&cluster, &id).await?.0, 0);
  for id in [&silent, &absent] {
    let (exit, line, _) = verify(&cluster, id).await?;
    ensure!(exit == 0 && line.starts_with("verified: 0 bytes, sha256 e3b0c442"), "{exit} {line}");
  }
  // What was dropped on purpose is named, and is no fault.
  let (exit, line, document) = verify(&cluster, &cut).await?;
  ensure!(exit == 0 && line.contains(" bytes, 7 dropped and declared, sha256 "), "{exit} {line}");
  assert_eq!(document["gaps"], json!([{"at": 4, "bytes": 7, "reason": "max_output_size is 4"}]));
  let instance = text(&task(&api, &cut).await?, "instance_id")?;
  let attempt = api.get_ok(&format!("/task-instances/{instance}")).await?;
  assert_eq!(attempt["log_dropped"], 7, "{attempt}");

  let flip = match engine {
    Engine::Sqlite => {
      "update sched_task_instance set output_tail = cast('X' || substr(output_tail, 2) as blob) \
        where output_index is not null"
    }
    Engine::Postgres => {
      "update sched_task_instance set output_tail = overlay(output_tail placing 'X'::bytea from 1) \
        where output_index is not null"
    }
  };
  assert_eq!(sql(&cluster, flip).await?, 2);
  assert_eq!(verify(&cluster, &id).await?.0, 10);
  assert_eq!(verify(&cluster, &silent).await?.0, 0);
  // A byte that is said to be of another stream. Which of them was read first is not said.
  let move_one = "update sched_task_instance set output_index = \
    case output_index when 'o4e4' then 'o5e3' else 'e5o3' end where output_index in ('o4e4', 'e4o4')";
  let back = match engine {
    Engine::Sqlite => {
      "update sched_task_instance set output_tail = \
        cast(substr(output_index, 1, 1) || substr(output_tail, 2) as blob) \
        where output_index in ('o5e3', 'e5o3')"
    }
    Engine::Postgres => {
      "update sched_task_instance set output_tail = \
        overlay(output_tail placing substr(output_index, 1, 1)::bytea from 1) \
        where output_index in ('o5e3', 'e5o3')"
    }
  };
  assert_eq!((sql(&cluster, move_one).await?, sql(&cluster, back).await?), (1, 1));
  let (exit, _, document) = verify(&cluster, &id).await?;
  assert_eq!((exit, &document["sha256"]), (10, &document["captured_sha256"]), "{document}");
  runs_again(&cluster).await?;
  cluster.finish()
}

/// While it runs, and after the death of the executor, which alone has seen all of it.
async fn what_nobody_can_prove_is_said_plainly(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let id =
    submit(&api, &json!({ "config": { "command": "echo said; exec sleep 1234567" } })).await?;
  wait_status(&api, &id, &["running"]).await?;
  wait::until_ok("what it has said", LIMIT, || async {
    let said = output(&api, &id, "").await.map_err(|error| format!("{error:#}"))?;
    if said == b"said\n" { Ok(()) } else { Err(format!("{said:?}")) }
  })
  .await?;
  let (exit, words, document) = verify(&cluster, &id).await?;
  ensure!(
    exit == 1 && words.contains("still runs") && words.contains("hetuflowctl wait"),
    "{words}"
  );
  assert_eq!((&document["verdict"], &document["bytes"]), (&json!("running"), &json!(5)));
  cluster.agent(0).kill9_executor()?;
  api.post_ok(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  wait_status(&api, &id, &["cancelled", "failed"]).await?;
  let (exit, words, document) = verify(&cluster, &id).await?;
  ensure!(exit == 1 && words.contains("no digest is known"), "{exit} {words}");
  assert_eq!(document["verdict"], "unknown");
  // After healing everything is proved again.
  let next = submit(&api, &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &next, &["succeeded"]).await?;
  assert_eq!(verify(&cluster, &next).await?.0, 0);
  runs_again(&cluster).await?;
  cluster.finish()
}
