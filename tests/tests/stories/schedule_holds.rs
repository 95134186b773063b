//! Runs that wait for each other, and schedules that are held, as somebody at a terminal sees them.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, all, ctl, text, well};

both_engines!(triggered_runs_wait_in_a_queue, what_is_held_says_who_and_why);

/// A job whose runs end when somebody says so, and a schedule that is due once a year.
async fn set_up(api: &Api, policy: &str, queue_max: i64) -> Result<()> {
  let job = json!({
    "name": "turn", "config": { "command": "exec sleep 1234567" },
    "schedules": [{
      "name": "yearly", "cron_expression": "@yearly", "overlap_policy": policy,
      "queue_max": queue_max,
    }],
  });
  api.post_ok("/jobs", &job).await.map(drop)
}

/// The runs of the job that are not over, in the order in which they were made.
async fn alive(api: &Api) -> Result<Vec<(String, String)>> {
  let mut rows = all(api, "/tasks?status=pending,blocked,doing").await?;
  rows.sort_by_key(|row| row["id"].to_string());
  rows.iter().map(|row| Ok((text(row, "id")?, text(row, "status")?))).collect()
}

async fn until_first_runs(api: &Api, count: usize) -> Result<Vec<(String, String)>> {
  wait::until_ok("a run at a time", LIMIT, || async {
    let runs = alive(api).await.map_err(|error| format!("{error:#}"))?;
    let first = runs.first().is_some_and(|run| run.1 == "running");
    if first && runs.len() == count { Ok(runs) } else { Err(format!("{runs:?}")) }
  })
  .await
}

async fn triggered_runs_wait_in_a_queue(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(4).start().await?;
  let api = cluster.api();
  set_up(&api, "buffer_all", 2).await?;
  let told = well(&cluster, &["schedule", "trigger", "yearly", "-p", "day=monday"]).await?;
  ensure!(told.starts_with("yearly: fired, task "), "{told}");
  until_first_runs(&api, 1).await?;
  for _ in 0..2 {
    let told = well(&cluster, &["schedule", "trigger", "yearly"]).await?;
    ensure!(told.contains("waits for an earlier run (buffer_all)"), "{told}");
  }
  let told = ctl(&cluster, &["schedule", "trigger", "yearly"]).await?;
  let (exit, told) = (told.exit, told.all());
  ensure!(exit == 6 && told.contains("skipped_overlap, the queue is full"), "{exit}: {told}");
  for left in (1..=3).rev() {
    let runs = until_first_runs(&api, left).await?;
    ensure!(runs[1..].iter().all(|run| run.1 == "blocked"), "{runs:?}");
    api.post_ok(&format!("/tasks/{}/cancel", runs[0].0), &json!({ "force": true })).await?;
  }
  wait::until_ok("an empty queue", LIMIT, || async {
    let runs = alive(&api).await.map_err(|error| format!("{error:#}"))?;
    if runs.is_empty() { Ok(()) } else { Err(format!("{runs:?}")) }
  })
  .await?;
  cluster.finish()
}

async fn what_is_held_says_who_and_why(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  set_up(&api, "skip", 1000).await?;
  let pause = ["schedule", "pause", "yearly", "--reason", "disk is full", "--until", "+2h"];
  well(&cluster, &pause).await?;
  let row = api.get_ok("/schedules/yearly").await?;
  ensure!(row["paused_reason"] == "disk is full" && row["paused_until"].is_string(), "{row}");
  ensure!(row["next_fire_at"].is_string(), "it will go on: {row}");
  let why = well(&cluster, &["job", "why", "turn"]).await?;
  ensure!(why.contains("disk is full"), "{why}");
  well(&cluster, &["schedule", "resume", "yearly", "--missed", "fire_last"]).await?;
  well(&cluster, &["schedule", "skip-next", "yearly", "2", "--reason", "moving"]).await?;
  let next = api.get_ok("/schedules/yearly/next?count=3").await?;
  let notes: Vec<&Value> = next["next"].as_array().context("instants")?.iter().collect();
  ensure!(notes[1]["skipped"].as_str().is_some_and(|told| told.contains("moving")), "{next}");
  ensure!(notes[2]["skipped"].is_null(), "{next}");

  well(&cluster, &["cluster", "pause", "--reason", "new switch"]).await?;
  let row = api.get_ok("/schedules/yearly").await?;
  ensure!(row["next_fire_at"].is_null() && row["next_run_at"].is_string(), "nobody knows: {row}");
  for args in [&["cluster", "paused"][..], &["status"], &["job", "why", "turn"]] {
    let told = well(&cluster, args).await?;
    ensure!(told.contains("the cluster was paused by"), "{args:?}: {told}");
    ensure!(told.contains("new switch"), "{args:?}: {told}");
  }
  let told = ctl(&cluster, &["schedule", "trigger", "yearly"]).await?;
  let (exit, told) = (told.exit, told.all());
  ensure!(exit == 6 && told.contains("skipped_paused"), "{exit}: {told}");
  // What people start themselves runs.
  well(&cluster, &["run", "--wait", "--cmd", "true"]).await?;
  well(&cluster, &["cluster", "resume"]).await?;
  let told = ctl(&cluster, &["cluster", "resume"]).await?;
  ensure!(told.exit == 6, "nothing is paused");
  well(&cluster, &["namespace", "pause", "default", "--reason", "audit"]).await?;
  let told = well(&cluster, &["cluster", "paused"]).await?;
  ensure!(told.starts_with("namespace default was paused by"), "{told}");
  well(&cluster, &["namespace", "resume", "default"]).await?;
  ensure!(well(&cluster, &["cluster", "paused"]).await?.trim() == "nothing is paused");
  cluster.finish()
}
