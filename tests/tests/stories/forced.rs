//! Starts that somebody forces, what a task waits for in lists, and many requests as one task, as
//! people at a terminal meet them.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, output, submit, task, text, wait_status, well};

both_engines!(
  a_task_goes_past_its_time_and_its_retry,
  a_task_goes_past_a_limit_and_is_counted,
  a_run_goes_beside_an_earlier_one,
  requests_from_a_terminal_become_one_task,
  the_reason_of_an_end_is_kept,
);

/// The code of the error that a forced start is answered with.
async fn refused(api: &Api, id: &str) -> Result<Value> {
  let (status, told) = api.post(&format!("/tasks/{id}/force"), &json!({})).await?;
  ensure!(status.as_u16() == 409, "{status}: {told}");
  Ok(told["errors"][0]["code"].clone())
}

/// The events of a kind, whole.
async fn events(cluster: &Cluster, kind: &str) -> Result<Vec<Value>> {
  let told = well(cluster, &["events", "--type", kind, "--from-seq", "0", "-o", "jsonl"]).await?;
  told.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// What the list says of a task.
async fn listed(cluster: &Cluster, id: &str) -> Result<String> {
  let told = well(cluster, &["task", "list"]).await?;
  let short: String = well(cluster, &["task", "get", id, "-o", "name"]).await?;
  let short = short.trim().trim_start_matches("task/").to_owned();
  let line = told.lines().find(|line| line.contains(&short));
  Ok(line.with_context(|| format!("no {short} in {told}"))?.to_owned())
}

/// Waits until the list says this of a task.
async fn until_listed(cluster: &Cluster, id: &str, words: &str) -> Result<()> {
  wait::until_ok(&format!("the list to say {words}"), LIMIT, || async {
    let line = listed(cluster, id).await.map_err(|error| format!("{error:#}"))?;
    if line.contains(words) { Ok(()) } else { Err(line) }
  })
  .await
}

async fn a_task_goes_past_its_time_and_its_retry(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let later = json!({ "config": { "command": "true" }, "scheduled_at": "2099-01-01T00:00:00Z" });
  let later = submit(&api, &later).await?;
  until_listed(&cluster, &later, "due in").await?;
  let args = ["task", "force", &later, "--reason", "cannot wait: ticket 9", "-o", "json"];
  let told: Value = serde_json::from_str(&well(&cluster, &args).await?)?;
  assert_eq!(told["scheduled_at"], "2099-01-01T00:00:00Z", "the planned instant stays: {told}");
  wait_status(&api, &later, &["succeeded"]).await?;
  assert_eq!(refused(&api, &later).await?, "attempt.terminal");

  let again = json!({ "command": "[ $HETUFLOW_ATTEMPT -gt 1 ]", "max_retries": 1,
    "retry": { "strategy": "fixed", "base_secs": 3600 } });
  let again = submit(&api, &json!({ "config": again })).await?;
  wait_status(&api, &again, &["waiting_retry"]).await?;
  until_listed(&cluster, &again, "retry in").await?;
  well(&cluster, &["task", "force", &again]).await?;
  let done = wait_status(&api, &again, &["succeeded"]).await?;
  assert_eq!((&done["attempt"], attempts(&api, &again).await?.len()), (&json!(2), 2));

  // What only an agent keeps waiting, and what an agent has, cannot be forced.
  let moon = json!({ "config": { "command": "true", "selector": "zone=moon" } });
  assert_eq!(refused(&api, &submit(&api, &moon).await?).await?, "force.not_held");
  let runs = submit(&api, &json!({ "config": { "command": "sleep 600" } })).await?;
  wait_status(&api, &runs, &["running"]).await?;
  assert_eq!(refused(&api, &runs).await?, "force.on_agent");

  let told = events(&cluster, "task.forced").await?;
  let past: Vec<&Value> = told.iter().map(|event| &event["data"]["past"]).collect();
  assert_eq!(past, [&json!(["time"]), &json!(["retry"])], "{told:?}");
  assert_eq!(told[0]["data"]["reason"], "cannot wait: ticket 9");
  ensure!(told[0]["data"]["by"].is_string(), "{told:?}");
  cluster.finish()
}

/// A forced task takes its slot although there is none: others are counted against it.
async fn a_task_goes_past_a_limit_and_is_counted(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let api = cluster.api();
  well(&cluster, &["semaphore", "set", "tapes", "--slots", "1"]).await?;
  let dir = cluster.dir().to_owned();
  let command =
    format!("until [ -e '{}/'$HETUFLOW_PARAM_GATE ]; do sleep 0.05; done", dir.display());
  let job = json!({ "name": "backup", "config": {
    "command": command, "semaphores": [{ "name": "tapes" }] } });
  api.post_ok("/jobs", &job).await?;
  let mut ids = Vec::new();
  for gate in ["a", "b", "c"] {
    let run = json!({ "job": "backup", "parameters": { "gate": gate } });
    ids.push(submit(&api, &run).await?);
    if gate == "a" {
      wait_status(&api, &ids[0], &["running"]).await?;
    }
  }
  let (first, second, third) = (&ids[0], &ids[1], &ids[2]);
  until_listed(&cluster, second, "held by semaphore tapes").await?;
  let held = task(&api, second).await?;
  assert_eq!(held["held_by"][0]["limit"], "semaphore:default/tapes", "{held}");
  well(&cluster, &["task", "force", second]).await?;
  let runs = wait_status(&api, second, &["running"]).await?;
  ensure!(runs["held_by"].is_null(), "{runs}");
  let usage = api.get_ok("/semaphores/tapes/usage").await?;
  assert_eq!((&usage["semaphore"]["slots"], &usage["taken"]), (&json!(1), &json!(2)), "{usage}");
  // One of the two ends: the other one still has all that there is.
  std::fs::write(dir.join("a"), "")?;
  wait_status(&api, first, &["succeeded"]).await?;
  let why = wait::until("the admission to have looked", LIMIT, || async {
    let why = api.get_ok(&format!("/tasks/{third}/why")).await.ok()?;
    why["text"].as_str()?.contains("1 of 1 taken").then_some(why)
  })
  .await?;
  assert_eq!(why["limits"][0]["holders"][0]["task_id"], json!(second), "{why}");
  assert_eq!(task(&api, third).await?["status"], "pending");
  std::fs::write(dir.join("b"), "")?;
  wait_status(&api, second, &["succeeded"]).await?;
  wait_status(&api, third, &["running"]).await?;
  std::fs::write(dir.join("c"), "")?;
  wait_status(&api, third, &["succeeded"]).await?;
  let usage = api.get_ok("/semaphores/tapes/usage").await?;
  assert_eq!(usage["taken"], 0, "nothing stays taken: {usage}");
  cluster.finish()
}

async fn a_run_goes_beside_an_earlier_one(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).slots(8).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
  let schedule = |name: &str| json!([{ "name": name, "interval_secs": 864_000, "overlap_policy": "buffer_all" }]);
  let job = json!({ "name": "sync", "config": { "script": truth.payload(&hold) },
    "schedules": schedule("sync") });
  api.post_ok("/jobs", &job).await?;
  let trigger = async |name: &str| -> Result<String> {
    let told = api.post_ok(&format!("/schedules/{name}/trigger"), &json!({})).await?;
    text(&told["task"], "id")
  };
  let first = trigger("sync").await?;
  wait_status(&api, &first, &["running"]).await?;
  let second = trigger("sync").await?;
  assert_eq!(task(&api, &second).await?["status"], "blocked");
  until_listed(&cluster, &second, "blocked by an earlier run").await?;
  well(&cluster, &["task", "force", &second, "--reason", "both are needed"]).await?;
  wait_status(&api, &second, &["running"]).await?;
  wait::until("both starts", LIMIT, || async { (truth.starts().ok()?.len() == 2).then_some(()) })
    .await?;
  // The next one waits for both.
  let third = trigger("sync").await?;
  assert_eq!(task(&api, &third).await?["status"], "blocked");
  api.post_ok(&format!("/tasks/{first}/cancel"), &json!({})).await?;
  wait_status(&api, &first, &["cancelled"]).await?;
  assert_eq!(task(&api, &third).await?["status"], "blocked", "the forced one is alive");
  std::fs::write(&gate, "")?;
  for id in [&second, &third] {
    wait_status(&api, id, &["succeeded"]).await?;
  }
  assert_eq!(truth.started_twice()?, []);

  // Two runs of an exclusive job are never alive together, whoever wishes it.
  let config = json!({ "command": "true", "selector": "zone=moon", "delivery": "exclusive",
    "disconnect": { "stop_after": 45 } });
  let job = json!({ "name": "alone", "config": config, "schedules": schedule("alone") });
  api.post_ok("/jobs", &job).await?;
  trigger("alone").await?;
  assert_eq!(refused(&api, &trigger("alone").await?).await?, "force.exclusive");
  cluster.finish()
}

async fn requests_from_a_terminal_become_one_task(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "command": "echo $HETUFLOW_PARAM_WHO $HETUFLOW_PARAM_N" });
  api.post_ok("/jobs", &json!({ "name": "mail", "config": config })).await?;
  let run = async |args: &[&str]| -> Result<String> {
    let told = well(&cluster, &[&["run"], args, &["-o", "json"]].concat()).await?;
    text(&serde_json::from_str(&told)?, "id")
  };
  let key = "{{ params.who }}";
  let throttled = async |who: &str| {
    run(&["mail", "--throttle", "10m", "--dedup-key", key, "-p", who, "-p", "n=1"]).await
  };
  let first = throttled("who=acme").await?;
  assert_eq!(throttled("who=acme").await?, first, "the first one's task");
  ensure!(throttled("who=other").await? != first, "another key is another task");
  wait_status(&api, &first, &["succeeded"]).await?;
  assert_eq!(throttled("who=acme").await?, first, "whatever has become of it");

  // A debounced one waits for the last word, and can be let go before.
  let debounced = async |n: &str| {
    run(&["mail", "--debounce", "10m", "--max-wait", "30m", "-p", "who=x", "-p", n]).await
  };
  let waits = debounced("n=1").await?;
  assert_eq!(debounced("n=2").await?, waits);
  until_listed(&cluster, &waits, "debounced,").await?;
  well(&cluster, &["task", "force", &waits]).await?;
  wait_status(&api, &waits, &["succeeded"]).await?;
  assert_eq!(output(&api, &waits, "stdout").await?, b"x 2\n", "the last word counts");
  ensure!(debounced("n=3").await? != waits, "it has gone: the next one begins anew");

  // What the job itself says holds for a terminal too, which sends a key with each request.
  let config = json!({ "command": "true", "dedup": { "mode": "throttle", "window_secs": 600 } });
  api.post_ok("/jobs", &json!({ "name": "quiet", "config": config })).await?;
  let once = run(&["quiet"]).await?;
  assert_eq!(run(&["quiet"]).await?, once);
  // A known key is answered with its own task, also when the window is over for others.
  let keyed = json!({ "job": "mail", "idempotency_key": "k1" });
  let own = submit(&api, &keyed).await?;
  assert_eq!(submit(&api, &keyed).await?, own);

  for args in [
    &["run", "mail", "--dedup-key", "x"][..],
    &["run", "mail", "--throttle", "1m", "--idempotency-key", "k"],
    &["run", "mail", "--debounce", "1m", "--in", "5m"],
    &["run", "--cmd", "true", "--throttle", "1m"],
  ] {
    let out = cluster.ctl(args).await?;
    ensure!(!out.status.success(), "{args:?}");
  }
  cluster.finish()
}

/// Of tasks that wait as of tasks that run: the reason of the request, and who asked.
async fn the_reason_of_an_end_is_kept(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let moon = json!({ "config": { "command": "true", "selector": "zone=moon" } });
  for (verb, status) in [("cancel", "cancelled"), ("skip", "skipped")] {
    let id = submit(&api, &moon).await?;
    well(&cluster, &["task", verb, &id, "--reason", "not\u{1b}[31m today", "--yes"]).await?;
    let task = wait_status(&api, &id, &[status]).await?;
    assert_eq!(task["reason"], format!("{status}(not[31m today)"), "{task}");
    let told = events(&cluster, &format!("task.{status}")).await?;
    ensure!(told.iter().any(|event| event["data"]["by"].is_string()), "{told:?}");
  }
  let id = submit(&api, &moon).await?;
  api.post_ok(&format!("/tasks/{id}/cancel"), &json!({})).await?;
  let task = task(&api, &id).await?;
  ensure!(text(&task, "reason")?.starts_with("cancelled("), "{task}");
  cluster.finish()
}
