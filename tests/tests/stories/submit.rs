//! The ways in: idempotency keys, bulk, and the terminal tool's `run`.

use std::collections::BTreeSet;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use hetuflow_tests::cluster::{Cluster, Engine};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{all, attempts, text, wait_all_succeeded, wait_status};

both_engines!(
  run_hands_back_output_and_exit_code,
  a_million_lines_come_back_exactly,
  an_idempotency_key_makes_one_task,
  a_runs_own_config_means_one_thing_everywhere,
  a_bulk_answers_for_each_item,
);

/// Both streams as text, for a failure.
fn shown(output: &Output) -> String {
  let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
  format!("{}\nstdout: {}\nstderr: {}", output.status, text(&output.stdout), text(&output.stderr))
}

async fn run_hands_back_output_and_exit_code(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let script = "echo out; echo err >&2; exit 42";
  let output = cluster.ctl(&["run", "--cmd", script, "--wait", "--logs"]).await?;
  assert_eq!(output.status.code(), Some(42), "{}", shown(&output));
  // Both streams are the data that was asked for; which line is first is the pipes' race.
  let mut lines: Vec<_> = output.stdout.split_inclusive(|byte| *byte == b'\n').collect();
  lines.sort_unstable();
  assert_eq!(lines, [b"err\n", b"out\n"], "{}", shown(&output));
  ensure!(shown(&output).contains("exit 42"), "{}", shown(&output));
  let output = cluster.ctl(&["run", "--cmd", "true", "--wait"]).await?;
  assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
  cluster.finish()
}

async fn a_million_lines_come_back_exactly(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let output = cluster.ctl(&["run", "--cmd", "seq 1 1000000", "-o", "name"]).await?;
  ensure!(output.status.success(), "{}", shown(&output));
  let name = String::from_utf8(output.stdout)?.trim().to_owned();
  let output = cluster.ctl(&["logs", "-f", &name]).await?;
  ensure!(output.status.success(), "logs -f {name}: {}", output.status);
  let expected: String = (1..=1_000_000).map(|n| format!("{n}\n")).collect();
  assert_eq!(output.stdout.len(), expected.len());
  assert_eq!(Sha256::digest(&output.stdout), Sha256::digest(&expected));
  cluster.finish()
}

async fn an_idempotency_key_makes_one_task(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let task = json!({ "config": { "cmd": "exec", "args": ["true"] } });
  let post = |key: &'static str| {
    let request = api.request(Method::POST, "/tasks").header("Idempotency-Key", key).json(&task);
    async move {
      let response = request.send().await?;
      let status = response.status();
      let bytes = response.bytes().await?;
      anyhow::Ok((status, serde_json::from_slice::<Value>(&bytes)?))
    }
  };
  // All at once: one is made, the others find it.
  let answers = try_join_all((0..20).map(|_| post("one"))).await?;
  let ids = answers.iter().map(|(_, one)| text(one, "id")).collect::<Result<BTreeSet<_>>>()?;
  let made = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
  let found = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
  assert_eq!((ids.len(), made, found), (1, 1, 19), "{answers:?}");
  let id = ids.into_iter().next().context("an id")?;
  wait_all_succeeded(&api, std::slice::from_ref(&id)).await?;
  // After its end as well; and the key in the body is the same key.
  let (status, again) = post("one").await?;
  assert_eq!((status, text(&again, "id")?), (StatusCode::OK, id.clone()));
  let mut inside = task.clone();
  inside["idempotency_key"] = json!("one");
  assert_eq!(text(&api.post_ok("/tasks", &inside).await?, "id")?, id);
  let other = post("two").await?;
  assert_eq!(other.0, StatusCode::CREATED);
  assert_eq!(all(&api, "/tasks").await?.len(), 2);

  let items = json!({ "items": [inside, task] });
  let bulk = api.post_ok("/tasks/bulk", &items).await?;
  assert_eq!(text(&bulk["results"][0], "id")?, id);
  assert_eq!((&bulk["results"][0]["duplicate"], &bulk["created"]), (&json!(true), &json!(1)));
  assert_eq!(all(&api, "/tasks").await?.len(), 3);
  cluster.finish()
}

async fn a_bulk_answers_for_each_item(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let api = cluster.api();
  let good = json!({ "config": { "cmd": "exec", "args": ["true"] } });
  let mut items = vec![good.clone(); 1000];
  let bad = [(10, json!({}), "task.job"), (500, json!({ "job": "no-such-job" }), "job")];
  for (index, item, _) in &bad {
    items[*index] = item.clone();
  }
  let answer = api.post_ok("/tasks/bulk", &json!({ "items": items })).await?;
  assert_eq!((&answer["created"], &answer["failed"]), (&json!(998), &json!(2)));
  let results = answer["results"].as_array().context("results")?;
  assert_eq!(results.len(), 1000);
  let mut ids = BTreeSet::new();
  for (index, result) in results.iter().enumerate() {
    assert_eq!(result["index"], index);
    match bad.iter().find(|(bad, ..)| *bad == index) {
      Some((_, _, word)) => {
        ensure!(result["id"].is_null(), "{result}");
        ensure!(result["error"].to_string().contains(word), "{result} says nothing of {word}");
      }
      None => drop(ids.insert(text(result, "id")?)),
    }
  }
  assert_eq!(ids.len(), 998);
  wait_all_succeeded(&api, &ids.iter().cloned().collect::<Vec<_>>()).await?;
  assert_eq!(all(&api, "/tasks").await?.len(), 998);

  let (status, error) = api.post("/tasks/bulk", &json!({ "items": vec![good; 1001] })).await?;
  ensure!(status.is_client_error(), "1,001 items: {status} {error}");
  assert_eq!(all(&api, "/tasks").await?.len(), 998);
  cluster.finish()
}

/// Whether a run's config replaces the job's or is laid over it: agent and server must agree.
async fn a_runs_own_config_means_one_thing_everywhere(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "command": "true", "timeout": 1, "max_retries": 1, "retry_interval": 0.1 });
  api.post_ok("/jobs", &json!({ "name": "strict", "config": config })).await?;
  let own = json!({ "config": { "command": "sleep 2; exit 3" } });
  let id = text(&api.post_ok("/jobs/strict/run", &own).await?, "id")?;
  let task = wait_status(&api, &id, &["failed"]).await?;
  let ended = (text(&task, "reason")?, attempts(&api, &id).await?.len());
  let replaced = ("exit_code(3)".to_owned(), 1);
  let laid_over = ("timed_out".to_owned(), 2);
  ensure!(ended == replaced || ended == laid_over, "neither one nor the other: {ended:?}");
  cluster.finish()
}
