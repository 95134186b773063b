//! A task that waits says why.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, submit, wait_status};

both_engines!(a_task_that_waits_says_why, what_nobody_can_run_needs_a_person);

async fn why(api: &Api, id: &str) -> Result<Value> {
  api.get_ok(&format!("/tasks/{id}/why")).await
}

fn said(why: &Value) -> (&str, &str) {
  (why["reason"].as_str().unwrap_or_default(), why["text"].as_str().unwrap_or_default())
}

async fn a_task_that_waits_says_why(engine: Engine) -> Result<()> {
  let settings =
    "[agent.labels]\nzone = \"eu\"\n[agent.task_types.mail]\ncmd = \"true\"\nargs = []\n";
  let cluster = Cluster::builder().engine(engine).slots(1).agent_settings(settings).start().await?;
  let api = cluster.api();
  let later = json!({ "config": { "command": "true" }, "scheduled_at": "2099-01-01T00:00:00Z" });
  let later = why(&api, &submit(&api, &later).await?).await?;
  assert_eq!((said(&later).0, &later["waiting"]), ("not_due", &json!(true)));
  assert_eq!(
    (&later["eligible_at"], &later["agents"]),
    (&json!("2099-01-01T00:00:00Z"), &json!([]))
  );

  let us = json!({ "config": { "command": "true", "selector": { "zone": "us" } } });
  let waits = submit(&api, &us).await?;
  let us = why(&api, &waits).await?;
  assert_eq!(said(&us).0, "no_agent_fits");
  ensure!(said(&us).1.contains("1 does not meet zone=us: its zone is eu"), "{us}");
  let agent = &us["agents"][0];
  assert_eq!((&agent["rule"], &agent["fits"]), (&json!("selector"), &json!(false)));
  assert_eq!(agent["text"], "does not meet zone=us: its zone is eu");
  assert_eq!(us["agents_total"], 1);
  let rules = agent["rules"].as_array().context("rules")?;
  let no: Vec<&Value> = rules.iter().filter(|rule| rule["fits"] == false).collect();
  ensure!(no.len() == 1 && rules.len() >= 5, "{us}");
  // The command that is offered is given, and the task starts.
  let step = &us["changes"][0]["steps"][0];
  assert_eq!(step["text"], "label agent-0 zone=us");
  let words = cluster.ctl(&["task", "why", &waits]).await?;
  let words = String::from_utf8_lossy(&words.stdout).into_owned();
  ensure!(words.contains("x does not meet zone=us") && words.contains("agent-0"), "{words}");
  let command = step["command"].as_str().context("a command")?;
  let args: Vec<&str> = command.split(' ').skip(1).collect();
  let output = cluster.ctl(&args).await?;
  ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
  wait_status(&api, &waits, &["succeeded"]).await?;

  let fax = json!({ "config": { "cmd": "handler", "task_type": "fax" } });
  let fax = why(&api, &submit(&api, &fax).await?).await?;
  assert_eq!(fax["agents"][0]["rule"], "task_type", "{fax}");

  // More than the agent takes in hand: the last ones wait for a slot, behind the others.
  let items = vec![json!({ "config": { "command": "sleep 600" } }); 200];
  let made = api.post_ok("/tasks/bulk", &json!({ "items": items })).await?;
  let ids: Vec<String> = made["results"]
    .as_array()
    .context("results")?
    .iter()
    .filter_map(|result| result["id"].as_str().map(str::to_owned))
    .collect();
  let last = ids.last().context("a task")?;
  let full = wait::until_ok("the agent to be full", LIMIT, || async {
    let now = why(&api, last).await.map_err(|error| format!("{error:#}"))?;
    if now["reason"] == "no_free_slot" { Ok(now) } else { Err(now.to_string()) }
  })
  .await?;
  assert_eq!(
    (&full["agents"][0]["rule"], &full["agents"][0]["fits"]),
    (&json!("no_free_slot"), &json!(true))
  );
  let held = wait::until_ok("one of them to run", LIMIT, || async {
    let all = futures_util::future::try_join_all(ids.iter().map(|id| why(&api, id))).await;
    let all = all.map_err(|error| format!("{error:#}"))?;
    let on_agent = all.iter().filter(|one| one["reason"] == "on_agent").count();
    if on_agent == 1 { Ok(all) } else { Err(format!("{on_agent} run")) }
  })
  .await?;
  ensure!(held.iter().any(|one| one["ahead"].as_i64() > Some(0)), "nobody is behind anybody");

  let cancel = json!({ "action": "cancel", "ids": ids });
  api.post_ok("/tasks/actions", &cancel).await?;
  wait_status(&api, last, &["cancelled"]).await?;
  let over = why(&api, last).await?;
  assert_eq!((said(&over).0, &over["waiting"]), ("ended", &json!(false)));
  ensure!(said(&over).1.starts_with("it is cancelled: asked for by"), "{over}");
  let failed = json!({ "config": { "command": "exit 3" } });
  let failed = submit(&api, &failed).await?;
  wait_status(&api, &failed, &["failed"]).await?;
  let failed = why(&api, &failed).await?;
  ensure!(said(&failed).1.contains("exit code 3"), "{failed}");
  assert_eq!(failed["knob"], "max_retries (now 0)");
  ensure!(failed["facts"][0].as_str().unwrap_or_default().contains("agent-0"), "{failed}");

  api.post_ok("/agents/agent-0/cordon", &json!({})).await?;
  // What is on its way already still arrives.
  wait::until_ok("the cordon to hold", LIMIT, || async {
    let told =
      async { why(&api, &submit(&api, &json!({ "config": { "command": "true" } })).await?).await };
    let told = told.await.map_err(|error: anyhow::Error| format!("{error:#}"))?;
    let cordoned = told["reason"] == "no_agent_fits" && told["agents"][0]["rule"] == "cordoned";
    if cordoned { Ok(()) } else { Err(told.to_string()) }
  })
  .await?;
  cluster.finish()
}

/// What has waited for long, and no agent fits, is on the first screen with the rule.
async fn what_nobody_can_run_needs_a_person(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).start().await?;
  let api = cluster.api();
  let task = json!({ "config": { "command": "true", "selector": { "gpu": "*" } },
    "scheduled_at": "2026-01-01T00:00:00Z" });
  submit(&api, &task).await?;
  let told = wait::until_ok("the first screen to tell", LIMIT, || async {
    let seen = api.get_ok("/events/snapshot?scope=overview").await;
    let seen = seen.map_err(|error| format!("{error:#}"))?;
    let all = seen["object"]["attention"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|one| one["code"] == "queue_stuck").ok_or_else(|| seen.to_string())
  })
  .await?;
  let message = told["message"].as_str().context("a message")?;
  ensure!(message.contains("1 does not meet gpu: it has no label gpu"), "{message}");
  cluster.finish()
}
