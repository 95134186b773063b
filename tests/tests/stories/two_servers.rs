//! Two servers on one PostgreSQL, two agents on each: nothing is claimed twice, and a cancel sent
//! to the server that does not hold the agent arrives all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::Cluster;
use hetuflow_tests::wait;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{LIMIT, alive, all, submit_all, text, wait_status};

const TASKS: usize = 10_000;
const AGENTS: usize = 4;
const SLOTS: u32 = 8;

/// Two servers with two agents each: agent `i` dials server `i % 2`.
async fn cluster() -> Result<Cluster> {
  Cluster::builder().postgres().servers(2).agents(AGENTS).slots(SLOTS).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers() -> Result<()> {
  let cluster = cluster().await?;
  let apis = [cluster.api_of(0), cluster.api_of(1)];
  let starts = cluster.dir().join("starts");
  // One short append is the whole task, so that what really started is known.
  let line = format!("echo $HETUFLOW_TASK_ID $HETUFLOW_ATTEMPT >>'{}'", starts.display());
  let item = json!({ "config": { "cmd": "exec", "args": ["/bin/sh", "-c", line] } });
  let thousand = vec![item; 1000];
  let mut ids = Vec::new();
  for part in 0..TASKS / 1000 {
    ids.extend(submit_all(&apis[part % 2], &thousand).await?);
  }

  wait::until_ok("all tasks to end", LIMIT * 2, || async {
    let open = "/tasks?limit=1000&status=pending,doing,waiting_retry";
    let page = apis[0].get_ok(open).await.map_err(|error| format!("{error:#}"))?;
    let left = page["data"].as_array().map(Vec::len);
    if left == Some(0) { Ok(()) } else { Err(format!("{left:?} or more are open")) }
  })
  .await?;

  let submitted: BTreeSet<String> = ids.iter().cloned().collect();
  assert_eq!(submitted.len(), TASKS);
  let tasks = all(&apis[1], "/tasks").await?;
  let not_green: Vec<&Value> = tasks.iter().filter(|task| task["status"] != "succeeded").collect();
  ensure!(not_green.is_empty(), "not succeeded: {not_green:?}");
  let listed = tasks.iter().map(|task| text(task, "id")).collect::<Result<BTreeSet<_>>>()?;
  assert_eq!(listed, submitted);

  let instances = all(&apis[0], "/task-instances").await?;
  let (mut owners, mut fences, mut agents) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
  for instance in &instances {
    assert_eq!((&instance["attempt"], &instance["status"]), (&json!(1), &json!("succeeded")));
    owners.insert(text(instance, "task_id")?);
    fences.insert(instance["fence"].as_i64().context("fence")?);
    *agents.entry(text(instance, "agent_id")?).or_insert(0) += 1;
  }
  assert_eq!((instances.len(), fences.len()), (TASKS, TASKS));
  assert_eq!(owners, submitted);
  ensure!(agents.len() == AGENTS, "not every agent had work: {agents:?}");

  let mut started = BTreeMap::new();
  for line in std::fs::read_to_string(&starts)?.lines() {
    *started.entry(line.to_owned()).or_insert(0) += 1;
  }
  let once: BTreeMap<String, i32> = ids.iter().map(|id| (format!("{id} 1"), 1)).collect();
  assert_eq!(started, once);
  cluster.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_sent_to_the_other_server_arrives() -> Result<()> {
  let cluster = cluster().await?;
  let apis = [cluster.api_of(0), cluster.api_of(1)];
  let item = json!({ "config": { "cmd": "exec", "args": ["sleep", "1234567"] } });
  let ids = submit_all(&apis[0], &vec![item; AGENTS * SLOTS as usize]).await?;
  let mut agents = BTreeMap::new();
  for id in &ids {
    let agent = text(&wait_status(&apis[0], id, &["running"]).await?, "agent_id")?;
    agents.entry(agent).or_insert_with(Vec::new).push(id.clone());
  }
  let full: Vec<usize> = agents.values().map(Vec::len).collect();
  assert_eq!(full, vec![SLOTS as usize; AGENTS]);

  for (agent, ids) in &agents {
    let holder = usize::from(agent == "agent-1" || agent == "agent-3");
    let other = &apis[1 - holder];
    for id in ids {
      let (status, task) = other.post(&format!("/tasks/{id}/cancel"), &json!({})).await?;
      ensure!(status == StatusCode::ACCEPTED || status == StatusCode::OK, "{status} {task}");
    }
  }
  let limit = Duration::from_secs(10);
  tokio::time::timeout(limit, async {
    for id in &ids {
      let task = wait_status(&apis[1], id, &["cancelled"]).await?;
      assert_eq!(wait_status(&apis[0], id, &["cancelled"]).await?["reason"], task["reason"]);
    }
    anyhow::Ok(())
  })
  .await
  .context("the cancels took longer than 10 s")??;
  // Cancelled is said when nothing is alive, not before.
  assert_eq!(alive(cluster.dir(), "1234567"), Vec::new());
  cluster.finish()
}
