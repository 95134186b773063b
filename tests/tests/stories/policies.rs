//! What a job says about its attempts: which ends are tried again, for how long, and what happens
//! when it fails again and again or takes long.

use anyhow::{Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, submit, text, wait_status};

both_engines!(
  only_the_named_ends_are_tried_again,
  ends_that_the_process_did_not_choose,
  a_lost_agent_is_an_end_of_its_own,
  a_whole_time_bounds_all_attempts,
  an_expired_task_says_what_held_it,
  failures_in_a_row_pause_the_schedule,
  a_long_run_is_told_once,
  a_mark_stands_beside_the_end,
);

/// A config whose retries follow each other at once.
fn retrying(command: &str, lists: Value) -> Value {
  let mut retry = json!({ "strategy": "fixed", "base_secs": 0.05 });
  for (key, list) in lists.as_object().into_iter().flatten() {
    retry[key] = list.clone();
  }
  json!({ "command": command, "max_retries": 2, "retry": retry })
}

async fn only_the_named_ends_are_tried_again(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let mut runs = Vec::new();
  for (command, lists, wanted) in [
    ("exit 7", json!({ "retry_on": ["exit_code(5-9)"] }), 3),
    ("exit 4", json!({ "retry_on": ["exit_code(5-9)"] }), 1),
    ("exit 4", json!({ "no_retry_on": ["exit_code(4)"] }), 1),
    ("kill -9 $$", json!({ "retry_on": ["signal(KILL)"] }), 3),
    ("kill -9 $$", json!({ "no_retry_on": ["process_killed"] }), 1),
    ("exit 1", json!({ "retry_on": ["timeout", "agent_lost"] }), 1),
  ] {
    let id = submit(&api, &json!({ "config": retrying(command, lists.clone()) })).await?;
    runs.push((id, command, lists, wanted));
  }
  for (id, command, lists, wanted) in runs {
    wait_status(&api, &id, &["failed"]).await?;
    assert_eq!(attempts(&api, &id).await?.len(), wanted, "{command} {lists}");
  }
  let odd = json!({ "config": retrying("true", json!({ "retry_on": ["exit_code(1"] })) });
  let (status, told) = api.post("/tasks", &odd).await?;
  assert_eq!((status.as_u16(), &told["errors"][0]["code"]), (422, &json!("retry.condition")));
  cluster.finish()
}

/// The ends that are no exit of the process's own: each list names one of them, and another one that
/// must not be taken for it.
async fn ends_that_the_process_did_not_choose(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let retry = |lists: Value| retrying("", lists)["retry"].clone();
  let over = json!({ "command": "sleep 600", "timeout": 0.3, "stop_grace_secs": 0 });
  let absent = json!({ "cmd": "exec", "args": ["/no/such/program"] });
  let big = json!({ "command": "exec head -c 3000000 /dev/zero > \"$HETUFLOW_OUTPUT.big\"",
    "resource_limits": { "max_file_mb": 1 } });
  let hungry = json!({ "cmd": "python", "script": "import time\nx = b\"x\" * (300 << 20)\ntime.sleep(600)",
    "resource_limits": { "max_memory_mb": 64 } });
  let ends = [
    (over, "timeout", "agent_lost"),
    (absent, "spawn_error", "exit_code"),
    (big, "limit(file_size)", "timeout"),
    (hungry, "oom", "timeout"),
  ];
  let mut runs = Vec::new();
  for (config, own, other) in ends {
    for (lists, wanted) in [
      (json!({ "retry_on": [own] }), 2),
      (json!({ "no_retry_on": [own] }), 1),
      (json!({ "retry_on": [other] }), 1),
    ] {
      let mut config = config.clone();
      (config["max_retries"], config["retry"]) = (json!(1), retry(lists.clone()));
      let id = submit(&api, &json!({ "config": config })).await?;
      runs.push((id, own, lists, wanted));
    }
  }
  for (id, own, lists, wanted) in runs {
    let task = wait_status(&api, &id, &["failed"]).await?;
    let all = attempts(&api, &id).await?;
    assert_eq!(all.len(), wanted, "{own} {lists} {}: {all:?}", task["reason"]);
  }
  cluster.finish()
}

/// An agent that does not come back, for a task that wants another attempt then and for one that
/// does not.
async fn a_lost_agent_is_an_end_of_its_own(engine: Engine) -> Result<()> {
  let quick = "[agents]\nagent_heartbeat_interval = '250ms'\nagent_heartbeat_ttl = '1500ms'\n\
     lost_after = '1500ms'";
  let mut cluster =
    Cluster::builder().engine(engine).agents(2).server_settings(quick).start().await?;
  let api = cluster.api();
  let command = "[ $HETUFLOW_ATTEMPT -gt 1 ] || exec sleep 600";
  let mut runs = Vec::new();
  for (lists, status) in [
    (json!({ "retry_on": ["agent_lost"] }), "succeeded"),
    (json!({ "no_retry_on": ["agent_lost"] }), "lost"),
    (json!({ "retry_on": ["exit_code", "timeout"] }), "lost"),
  ] {
    let mut config = retrying(command, lists);
    config["prefer"] = json!([{ "selector": "agent=agent-0", "weight": 100 }]);
    let id = submit(&api, &json!({ "config": config })).await?;
    let task = wait_status(&api, &id, &["running"]).await?;
    assert_eq!(task["agent_id"], "agent-0");
    runs.push((id, status));
  }
  cluster.kill9_agent(0)?;
  cluster.agent(0).kill9_executor()?;
  for (id, status) in runs {
    let task = wait_status(&api, &id, &[status]).await?;
    assert_eq!(task["attempt"], if status == "lost" { 1 } else { 2 }, "{task}");
  }
  cluster.finish()
}

async fn a_whole_time_bounds_all_attempts(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  // The second attempt is ended when the time of both is over.
  let mut config =
    retrying("sleep 0.5; [ $HETUFLOW_ATTEMPT -gt 1 ] && sleep 600; exit 1", json!({}));
  config["total_timeout_secs"] = json!(6);
  let id = submit(&api, &json!({ "config": config })).await?;
  let task = wait_status(&api, &id, &["failed"]).await?;
  let tries = attempts(&api, &id).await?;
  assert_eq!((tries.len(), &task["attempt"]), (2, &json!(2)), "{tries:?}");
  ensure!(tries.iter().any(|one| one["status"] == "timeout"), "{tries:?}");
  // With a longer wait than is left there is no other attempt, and it says so.
  let mut config = retrying("exit 1", json!({}));
  config["retry"]["base_secs"] = json!(60);
  config["total_timeout_secs"] = json!(30);
  let id = submit(&api, &json!({ "config": config })).await?;
  let task = wait_status(&api, &id, &["failed"]).await?;
  ensure!(text(&task, "error_message")?.contains("total_timeout_secs is 30s"), "{task}");
  cluster.finish()
}

async fn an_expired_task_says_what_held_it(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let config = json!({ "command": "true", "selector": "zone=moon", "start_deadline_secs": 1 });
  let id = submit(&api, &json!({ "config": config })).await?;
  let task = wait_status(&api, &id, &["expired"]).await?;
  assert_eq!(task["reason"], "start deadline passed");
  ensure!(text(&task, "error_message")?.contains("no agent may run it"), "{task}");
  cluster.finish()
}

async fn failures_in_a_row_pause_the_schedule(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let good = cluster.dir().join("good");
  let job = json!({ "name": "flaky", "config": {
      "command": format!("[ -e '{}' ]", good.display()), "pause_after_failures": 2 },
    "schedules": [{ "name": "often", "interval_secs": 1 }] });
  api.post_ok("/jobs", &job).await?;
  let paused = || async {
    let schedule = api.get_ok("/schedules/often").await.ok()?;
    (schedule["status"] == "paused").then_some(schedule)
  };
  let schedule = wait::until("the pause", LIMIT, paused).await?;
  assert_eq!(schedule["status_reason"], "2 tasks in a row failed");
  let failed = api.get_ok("/tasks?job=flaky&status=failed").await?;
  assert_eq!(failed["data"].as_array().map(Vec::len), Some(2), "{failed}");
  // Switched on again it has all its tries again, and goes on while it succeeds.
  std::fs::write(&good, "")?;
  api.post_ok("/schedules/often/enable", &json!({})).await?;
  wait::until("successes", LIMIT, || async {
    let fine = api.get_ok("/tasks?job=flaky&status=succeeded").await.ok()?;
    (fine["data"].as_array()?.len() >= 2).then_some(())
  })
  .await?;
  assert_eq!(api.get_ok("/schedules/often").await?["status"], "enabled");
  std::fs::remove_file(&good)?;
  wait::until("the second pause", LIMIT, paused).await?;
  cluster.finish()
}

async fn a_long_run_is_told_once(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let gate = cluster.dir().join("gate");
  let command = format!("until [ -e '{}' ]; do sleep 0.05; done", gate.display());
  let job = json!({ "name": "long", "config": { "command": command, "warn_after_secs": 1 } });
  api.post_ok("/jobs", &job).await?;
  let told = async |id: &str| -> Result<usize> {
    let out =
      cluster.ctl(&["events", "--type", "task.overdue", "--from-seq", "0", "-o", "jsonl"]).await?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().filter(|line| line.contains(id)).count())
  };
  let until_told = async |id: &str| {
    wait::until("the word of it", LIMIT, || async { (told(id).await.ok()? > 0).then_some(()) })
      .await
  };
  let id = submit(&api, &json!({ "job": "long" })).await?;
  until_told(&id).await?;
  // When a second one is told of, the first one was looked at again.
  let second = submit(&api, &json!({ "job": "long" })).await?;
  until_told(&second).await?;
  assert_eq!((told(&id).await?, told(&second).await?), (1, 1));
  assert_eq!(
    api.get_ok(&format!("/tasks/{id}")).await?["status"],
    "running",
    "nothing is done to it"
  );
  std::fs::write(&gate, "")?;
  for id in [&id, &second] {
    wait_status(&api, id, &["succeeded"]).await?;
  }
  cluster.finish()
}

async fn a_mark_stands_beside_the_end(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let failed = submit(&api, &json!({ "config": { "command": "exit 3" } })).await?;
  wait_status(&api, &failed, &["failed"]).await?;
  let mark = |word: &'static str, id: String| {
    let cluster = &cluster;
    async move {
      cluster.ctl(&["task", "mark", &id, word, "--reason", "done by hand: ticket 7", "--yes"]).await
    }
  };
  ensure!(mark("--succeeded", failed.clone()).await?.status.success());
  let task = api.get_ok(&format!("/tasks/{failed}")).await?;
  assert_eq!(
    (&task["status"], &task["exit_code"]),
    (&json!("failed"), &json!(3)),
    "final is final"
  );
  assert_eq!(
    (&task["mark"]["status"], &task["mark"]["reason"]),
    (&json!("succeeded"), &json!("done by hand: ticket 7"))
  );
  ensure!(task["mark"]["by"].is_string() && task["mark"]["at"].is_string(), "{task}");
  // One that waits is ended by a lawful move first; one that runs must be stopped before.
  let config = json!({ "command": "true", "selector": "zone=moon" });
  let waits = submit(&api, &json!({ "config": config })).await?;
  ensure!(mark("--succeeded", waits.clone()).await?.status.success());
  let task = api.get_ok(&format!("/tasks/{waits}")).await?;
  assert_eq!((&task["status"], &task["mark"]["status"]), (&json!("skipped"), &json!("succeeded")));
  let runs = submit(&api, &json!({ "config": { "command": "sleep 600" } })).await?;
  wait_status(&api, &runs, &["running"]).await?;
  let (status, told) =
    api.post(&format!("/tasks/{runs}/mark"), &json!({ "status": "failed", "reason": "x" })).await?;
  assert_eq!((status.as_u16(), &told["errors"][0]["code"]), (409, &json!("mark.running")));
  let (status, told) = api
    .post(&format!("/tasks/{failed}/mark"), &json!({ "status": "failed", "reason": " " }))
    .await?;
  assert_eq!((status.as_u16(), &told["errors"][0]["code"]), (422, &json!("mark.reason")));
  let out = cluster.ctl(&["task", "skip", &runs, "--reason", "not today", "--yes"]).await?;
  ensure!(out.status.success(), "{out:?}");
  wait_status(&api, &runs, &["skipped"]).await?;
  let out =
    cluster.ctl(&["events", "--type", "task.marked", "--from-seq", "0", "-o", "jsonl"]).await?;
  ensure!(String::from_utf8_lossy(&out.stdout).contains("ticket 7"), "{out:?}");
  cluster.finish()
}
