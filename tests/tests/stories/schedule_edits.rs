//! Edits of schedules take back what was planned; runs that overlap are stopped or killed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, all, text};

both_engines!(an_edit_takes_back_what_was_planned, a_newer_fire_ends_the_older_run);

/// Ids and instants of the schedule's tasks that wait.
async fn planned(api: &Api, schedule: &str) -> Result<BTreeSet<(String, String)>> {
  let rows = all(api, &format!("/tasks?schedule_id={schedule}&status=pending")).await?;
  rows.iter().map(|row| Ok((text(row, "scheduled_at")?, text(row, "id")?))).collect()
}

/// Waits until so many are planned.
async fn wait_planned(api: &Api, id: &str, count: usize) -> Result<BTreeSet<(String, String)>> {
  wait::until_ok("planned tasks", LIMIT, || async {
    let planned = planned(api, id).await.map_err(|error| format!("{error:#}"))?;
    if planned.len() >= count { Ok(planned) } else { Err(format!("{planned:?}")) }
  })
  .await
}

/// None of these is there any more: no row, no history.
async fn all_gone(api: &Api, schedule: &str, old: &BTreeSet<(String, String)>) -> Result<()> {
  let now = planned(api, schedule).await?;
  ensure!(now.is_disjoint(old), "{now:?} of {old:?}");
  for (_, id) in old {
    let (status, task) = api.get(&format!("/tasks/{id}")).await?;
    ensure!(status.as_u16() == 404, "{task}");
  }
  let fires = api.get_ok(&format!("/schedules/{schedule}/fires?limit=1000")).await?;
  for fire in fires["data"].as_array().context("fires")? {
    ensure!(!old.iter().any(|(_, id)| fire["task_id"] == id.as_str()), "{fire}");
  }
  Ok(())
}

async fn an_edit_takes_back_what_was_planned(engine: Engine) -> Result<()> {
  let builder = Cluster::builder().engine(engine).agents(0);
  let cluster = builder.server_settings("[scheduler]\nplan_ahead = '15m'").start().await?;
  let api = cluster.api();
  let job = json!({ "name": "tick", "config": { "command": "true" } });
  let job = text(&api.post_ok("/jobs", &job).await?, "id")?;
  let rule = json!({ "job_id": job, "interval_secs": 90, "overlap_policy": "allow_all" });
  let id = text(&api.post_ok("/schedules", &rule).await?, "id")?;
  let path = format!("/schedules/{id}");
  let first = wait_planned(&api, &id, 9).await?;

  // Another rhythm: the old instants go, the new ones come.
  let (status, row) = api.patch(&path, &json!({ "interval_secs": 200 })).await?;
  ensure!(status.is_success(), "{row}");
  all_gone(&api, &id, &first).await?;
  let second = wait_planned(&api, &id, 4).await?;
  ensure!(second.len() <= 5, "{second:?}");

  // A change of what is not timing leaves the plan alone.
  let (status, row) = api.patch(&path, &json!({ "description": "slower" })).await?;
  ensure!(status.is_success(), "{row}");
  ensure!(planned(&api, &id).await?.is_superset(&second));

  // Paused: nothing waits; resumed: everything anew, and nothing twice.
  api.post_ok(&format!("{path}/pause"), &json!({})).await?;
  all_gone(&api, &id, &second).await?;
  ensure!(planned(&api, &id).await?.is_empty());
  api.post_ok(&format!("{path}/resume"), &json!({})).await?;
  let third = wait_planned(&api, &id, 4).await?;
  let instants: BTreeSet<&String> = third.iter().map(|(at, _)| at).collect();
  assert_eq!(instants.len(), third.len(), "an instant twice: {third:?}");

  // Gone: so is what it planned.
  ensure!(api.delete(&path).await?.0.is_success());
  for (_, task) in &third {
    assert_eq!(api.get(&format!("/tasks/{task}")).await?.0.as_u16(), 404);
  }
  ensure!(all(&api, "/tasks").await?.is_empty());
  cluster.finish()
}

/// The schedule's tasks, oldest first.
async fn runs(api: &Api, schedule: &str) -> Result<Vec<Value>> {
  let mut rows = all(api, &format!("/tasks?schedule_id={schedule}")).await?;
  rows.sort_by_key(|row| row["scheduled_at"].to_string());
  Ok(rows)
}

async fn a_newer_fire_ends_the_older_run(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  // One ends when it is asked to, the other only when it is killed.
  let jobs = [
    ("asked", "cancel_other", "exec sleep 1234567", 15),
    ("killed", "terminate_other", "trap '' TERM; while :; do sleep 1234567 & wait; done", 9),
  ];
  let mut ids = Vec::new();
  for (name, policy, command, _) in jobs {
    let job = json!({
      "name": name, "config": { "command": command, "stop_grace_secs": 60 },
      "schedules": [{ "interval_secs": 2, "overlap_policy": policy }],
    });
    api.post_ok("/jobs", &job).await?;
    ids.push(text(&api.get_ok(&format!("/schedules/{name}")).await?, "id")?);
  }
  for (id, (name, _, _, signal)) in ids.iter().zip(jobs) {
    let seen = wait::until_ok("three runs", LIMIT, || async {
      let runs = runs(&api, id).await.map_err(|error| format!("{error:#}"))?;
      let third = runs.get(2).is_some_and(|run| run["status"] == "running");
      if third { Ok(runs) } else { Err(format!("{runs:?}")) }
    })
    .await?;
    for run in &seen[..2] {
      ensure!(run["status"] == "cancelled" && run["signal"] == signal, "{name}: {run}");
    }
    // Never two at a time.
    for pair in seen[..3].windows(2) {
      let (ended, began) = (text(&pair[0], "completed_at")?, text(&pair[1], "started_at")?);
      let order = ended.parse::<jiff::Timestamp>()? <= began.parse::<jiff::Timestamp>()?;
      ensure!(order, "{name}: {ended} after {began}");
    }
    api.post_ok(&format!("/schedules/{id}/pause"), &json!({})).await?;
  }
  for id in &ids {
    for run in runs(&api, id).await? {
      let body = json!({ "force": true });
      // What is over is not cancelled again.
      let _over = api.post(&format!("/tasks/{}/cancel", text(&run, "id")?), &body).await?;
    }
  }
  cluster.finish()
}
