//! Where tasks go: selectors, needs, preferences.

use anyhow::{Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, attempts, submit, task, text, wait_status, well};

both_engines!(
  selectors_choose_agents,
  needs_are_kept_to,
  some_agents_are_liked_more,
  broadcasts_reach_every_agent,
);

async fn label(api: &Api, agent: &str, labels: Value) -> Result<()> {
  let (status, answer) =
    api.patch(&format!("/agents/{agent}"), &json!({ "labels": labels })).await?;
  ensure!(status.is_success(), "{status} {answer}");
  Ok(())
}

async fn selectors_choose_agents(engine: Engine) -> Result<()> {
  let cluster = Cluster::builder().engine(engine).agents(2).start().await?;
  let api = cluster.api();
  label(&api, "agent-0", json!({ "cuda": "12.4", "zone": "eu-1" })).await?;
  label(&api, "agent-1", json!({ "cuda": "v9.1-rc2", "zone": "us-1", "spot": "yes" })).await?;
  for (selector, agent) in [
    (json!("cuda>=12.2, cuda<13"), "agent-0"),
    (json!("cuda < 10"), "agent-1"),
    (json!("zone in (us-1, us-2), spot"), "agent-1"),
    (json!("zone notin (us-1, us-2)"), "agent-0"),
    (json!({ "zone": ["us-1", "us-2"] }), "agent-1"),
    (json!([{ "key": "spot", "operator": "DoesNotExist" }, "zone"]), "agent-0"),
  ] {
    let task = json!({ "config": { "command": "true", "selector": selector } });
    let done = wait_status(&api, &submit(&api, &task).await?, &["succeeded"]).await?;
    assert_eq!(done["agent_id"], agent, "{selector}");
  }
  let run = ["run", "--cmd", "true", "-l", "!spot, cuda>=12", "--wait"];
  well(&cluster, &run).await?;
  let list = well(&cluster, &["agent", "list", "-l", "cuda>=10", "-o", "name"]).await?;
  ensure!(list.contains("agent-0") && !list.contains("agent-1"), "{list}");
  let list = well(&cluster, &["agent", "list", "-l", "zone notin (eu-1)", "-o", "name"]).await?;
  ensure!(list.contains("agent-1") && !list.contains("agent-0"), "{list}");
  let output = cluster.ctl(&["run", "--cmd", "true", "-l", "zone=a, b=="]).await?;
  let words = String::from_utf8_lossy(&output.stderr).into_owned();
  ensure!(output.status.code() == Some(2) && words.contains("byte 10"), "{words}");
  cluster.finish()
}

async fn running(api: &Api, ids: &[String]) -> Result<usize> {
  let mut count = 0;
  for id in ids {
    count += usize::from(task(api, id).await?["status"] == "running");
  }
  Ok(count)
}

async fn wait_running(api: &Api, ids: &[String], wanted: usize) -> Result<()> {
  wait::until_ok(&format!("{wanted} to run"), LIMIT, || async {
    let count = running(api, ids).await.map_err(|error| format!("{error:#}"))?;
    if count == wanted { Ok(()) } else { Err(format!("{count} run")) }
  })
  .await
}

/// What tasks ask for is taken from what the agent has, also while the agent is killed; slots are
/// counted on the agent too, beside tasks that ask for nothing.
async fn needs_are_kept_to(engine: Engine) -> Result<()> {
  let settings = "[agent.resources]\ncpu = 3\nmemory_mb = 1000";
  let mut cluster = Cluster::builder().engine(engine).agent_settings(settings).start().await?;
  let api = cluster.api();
  let gate = |name: &str| cluster.dir().join(name);
  let hold = |name: &str| format!("until [ -e '{}' ]; do sleep 0.1; done", gate(name).display());
  let mut ids = Vec::new();
  for index in 0..4 {
    let config = json!({ "command": hold(&format!("g{index}")), "requests": { "cpu": 1.5, "memory_mb": 100 } });
    ids.push(submit(&api, &json!({ "config": config })).await?);
  }
  wait_running(&api, &ids, 2).await?;
  for (requests, words) in
    [(json!({ "cpu": 4 }), "cpu"), (json!({ "memory_mb": 2000 }), "memory_mb")]
  {
    let never = json!({ "config": { "command": "true", "requests": requests } });
    let never = submit(&api, &never).await?;
    let why = api.get_ok(&format!("/tasks/{never}/why")).await?;
    assert_eq!(
      (&why["reason"], &why["agents"][0]["rule"]),
      (&json!("no_agent_fits"), &json!("needs"))
    );
    ensure!(why["text"].as_str().unwrap_or_default().contains(words), "{why}");
    api.post_ok(&format!("/tasks/{never}/cancel"), &json!({})).await?;
  }
  // What asks for nothing goes on meanwhile.
  let free = submit(&api, &json!({ "config": { "command": "true" } })).await?;
  wait_status(&api, &free, &["succeeded"]).await?;
  // The room of a task on an agent that is dead is not given away.
  let waits = ids[2..].to_vec();
  let (two, paths) = (running(&api, &ids).await?, [gate("g0"), gate("g1"), gate("g2"), gate("g3")]);
  assert_eq!(two, 2);
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  assert_eq!(running(&api, &waits).await?, 0);
  std::fs::write(&paths[0], "")?;
  wait_status(&api, &ids[0], &["succeeded"]).await?;
  wait_running(&api, &waits, 1).await?;
  for path in &paths[1..] {
    std::fs::write(path, "")?;
  }
  for id in &ids {
    wait_status(&api, id, &["succeeded"]).await?;
  }

  // Four slots: one task for three, then two that ask for nothing; one of them has no slot.
  let three = json!({ "config": { "command": hold_of(&paths, "s3"), "requests": { "slots": 3 } } });
  let three = submit(&api, &three).await?;
  wait_status(&api, &three, &["running"]).await?;
  let mut plain = Vec::new();
  for name in ["p0", "p1"] {
    let config = json!({ "config": { "command": hold_of(&paths, name) } });
    plain.push(submit(&api, &config).await?);
  }
  wait_running(&api, &plain, 1).await?;
  // The other one waits, on the agent or still at the server.
  let mut statuses = Vec::new();
  for id in &plain {
    statuses.push(text(&task(&api, id).await?, "status")?);
  }
  let runs = |status: &&String| *status == "running";
  ensure!(statuses.iter().filter(runs).count() == 1, "{statuses:?}");
  let last = usize::from(statuses[0] == "running");
  std::fs::write(cluster.dir().join(["p1", "p0"][last]), "")?;
  wait_status(&api, &plain[1 - last], &["succeeded"]).await?;
  wait_status(&api, &plain[last], &["running"]).await?;
  for name in ["p0", "p1", "s3"] {
    std::fs::write(cluster.dir().join(name), "")?;
  }
  wait_status(&api, &plain[last], &["succeeded"]).await?;
  wait_status(&api, &three, &["succeeded"]).await?;
  cluster.finish()
}

fn hold_of(paths: &[std::path::PathBuf], name: &str) -> String {
  format!("until [ -e '{}' ]; do sleep 0.1; done", paths[0].with_file_name(name).display())
}

async fn agents_of(api: &Api, ids: &[String]) -> Result<Vec<String>> {
  let mut agents = Vec::new();
  for id in ids {
    let done = wait_status(api, id, &["succeeded"]).await?;
    agents.push(done["agent_id"].as_str().unwrap_or_default().to_owned());
  }
  Ok(agents)
}

async fn some_agents_are_liked_more(engine: Engine) -> Result<()> {
  let settings = "[scheduler]\nagent_choice = \"round_robin\"\nprefer_hold = \"300ms\"";
  let cluster =
    Cluster::builder().engine(engine).agents(2).slots(1).server_settings(settings).start().await?;
  let api = cluster.api();
  label(&api, "agent-1", json!({ "zone": "eu" })).await?;
  let mut ids = Vec::new();
  for _ in 0..4 {
    ids.push(submit(&api, &json!({ "config": { "command": "true" } })).await?);
    wait_status(&api, &ids[ids.len() - 1], &["succeeded"]).await?;
  }
  let turns = agents_of(&api, &ids).await?;
  ensure!(turns[0] != turns[1] && turns[..2] == turns[2..], "{turns:?}");

  let pinned = json!({ "config": { "command": "true", "pin": "agent-0" } });
  let liked = json!({ "config": { "command": "true",
    "prefer": [{ "selector": "zone=eu", "weight": 50 }] } });
  let stuck = json!({ "config": { "command": "true", "pin": "agent-9" } });
  let stuck = submit(&api, &stuck).await?;
  for (task, agent) in [(&pinned, "agent-0"), (&liked, "agent-1")] {
    let mut ids = Vec::new();
    for _ in 0..3 {
      ids.push(submit(&api, task).await?);
      wait_status(&api, &ids[ids.len() - 1], &["succeeded"]).await?;
    }
    assert_eq!(agents_of(&api, &ids).await?, [agent; 3], "{task}");
  }
  // The liked one is full: after a short wait the other does it.
  let gate = cluster.dir().join("gate");
  let hold = format!("until [ -e '{}' ]; do sleep 0.1; done", gate.display());
  let blocker = json!({ "config": { "command": hold, "pin": "agent-1" } });
  let blocker = submit(&api, &blocker).await?;
  wait_status(&api, &blocker, &["running"]).await?;
  let elsewhere = submit(&api, &liked).await?;
  assert_eq!(agents_of(&api, std::slice::from_ref(&elsewhere)).await?, ["agent-0"]);
  std::fs::write(&gate, "")?;
  wait_status(&api, &blocker, &["succeeded"]).await?;

  // A job goes back to where it ran last.
  let job = json!({ "name": "warm", "config": { "command": "true", "sticky": "job" } });
  api.post_ok("/jobs", &job).await?;
  let mut ids = Vec::new();
  for _ in 0..4 {
    ids.push(submit(&api, &json!({ "job": "warm" })).await?);
    wait_status(&api, &ids[ids.len() - 1], &["succeeded"]).await?;
  }
  let agents = agents_of(&api, &ids).await?;
  ensure!(agents.iter().all(|agent| *agent == agents[0]), "{agents:?}");
  let why = api.get_ok(&format!("/tasks/{stuck}/why")).await?;
  assert_eq!((&why["reason"], &why["agents"][0]["rule"]), (&json!("no_agent_fits"), &json!("pin")));
  assert_eq!(attempts(&api, &stuck).await?.len(), 0);
  cluster.finish()
}

/// One task per agent that fits and is there; the whole ends by its rule; what is asked of the whole
/// is asked of its tasks.
async fn broadcasts_reach_every_agent(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).agents(3).start().await?;
  let api = cluster.api();
  for agent in ["agent-0", "agent-1"] {
    label(&api, agent, json!({ "site": "a" })).await?;
  }
  let here = "echo $HETUFLOW_TASK_ID";
  let all = json!({ "config": { "command": here, "broadcast": "all", "selector": "site=a" } });
  let whole = submit(&api, &all).await?;
  let done = wait_status(&api, &whole, &["succeeded"]).await?;
  let agents = json!({ "agent-0": "succeeded", "agent-1": "succeeded" });
  assert_eq!((&done["outputs"]["agents"], &done["outputs"]["total"]), (&agents, &json!(2)));
  let tasks = crate::support::all(&api, &format!("/tasks?parent_id={whole}")).await?;
  assert_eq!(tasks.len(), 2);
  for one in &tasks {
    assert_eq!((&one["parent_id"], &one["status"]), (&json!(whole), &json!("succeeded")));
  }
  let tree = well(&cluster, &["task", "tree", &whole]).await?;
  ensure!(tree.contains("on agent-0") && tree.contains("on agent-1"), "{tree}");

  // Rules: one of the two fails.
  for (success, status) in [("all", "failed"), ("any", "succeeded"), ("quorum", "failed")] {
    let broadcast = json!({ "agents": "all", "success": success });
    let gate = cluster.dir().join(format!("once-{success}"));
    // The first one to make the folder succeeds.
    let command = format!("mkdir '{}'", gate.display());
    let config = json!({ "command": command, "broadcast": broadcast, "selector": "site=a" });
    let id = submit(&api, &json!({ "config": config })).await?;
    let ended = wait_status(&api, &id, &[status]).await?;
    assert_eq!(ended["outputs"]["succeeded"], 1, "{ended}");
    if status == "failed" {
      let why = api.get_ok(&format!("/tasks/{id}/why")).await?;
      ensure!(why["text"].as_str().unwrap_or_default().contains("1 of 2 succeeded"), "{why}");
    }
  }

  // A number of agents, one after the other; more than there are waits for them.
  let args = ["run", "--cmd", "true", "--broadcast", "2", "--stagger", "1s", "--wait"];
  well(&cluster, &args).await?;
  let many = json!({ "config": { "command": "true", "broadcast": 4 } });
  let many = submit(&api, &many).await?;

  // A stop of the whole stops its tasks, and is over when they are.
  let config = json!({ "command": "sleep 600", "broadcast": "all", "selector": "site=a" });
  let stopped = submit(&api, &json!({ "config": config })).await?;
  wait_status(&api, &stopped, &["running"]).await?;
  let tasks = crate::support::all(&api, &format!("/tasks?parent_id={stopped}")).await?;
  for one in &tasks {
    wait_status(&api, one["id"].as_str().unwrap_or_default(), &["running"]).await?;
  }
  let why = api.get_ok(&format!("/tasks/{stopped}/why")).await?;
  ensure!(
    why["text"].as_str().unwrap_or_default().contains("2 tasks, of which 0 are over"),
    "{why}"
  );
  api.post_ok(&format!("/tasks/{stopped}/cancel"), &json!({ "reason": "enough" })).await?;
  let ended = wait_status(&api, &stopped, &["cancelled"]).await?;
  assert_eq!(ended["reason"], "cancelled(enough)");
  for one in &tasks {
    assert_eq!(task(&api, one["id"].as_str().unwrap_or_default()).await?["status"], "cancelled");
  }
  assert_eq!(task(&api, &many).await?["status"], "pending");
  api.post_ok(&format!("/tasks/{many}/cancel"), &json!({})).await?;

  // One that is away is left out, and named.
  cluster.kill9_agent(1)?;
  wait::until_ok("agent-1 to be away", LIMIT, || async {
    let agent = api.get_ok("/agents/agent-1").await.map_err(|error| format!("{error:#}"))?;
    if agent["status"] == "offline" { Ok(()) } else { Err(agent.to_string()) }
  })
  .await?;
  let whole = submit(&api, &all).await?;
  let done = wait_status(&api, &whole, &["succeeded"]).await?;
  assert_eq!(
    (&done["outputs"]["away"], &done["outputs"]["total"]),
    (&json!(["agent-1"]), &json!(1))
  );
  cluster.finish()
}
