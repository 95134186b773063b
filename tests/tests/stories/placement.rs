//! Where tasks go: selectors, needs, preferences.

use anyhow::{Result, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::cluster::{Cluster, Engine};
use serde_json::{Value, json};

use crate::support::{submit, wait_status};

both_engines!(selectors_choose_agents);

async fn label(api: &Api, agent: &str, labels: Value) -> Result<()> {
  let (status, answer) =
    api.patch(&format!("/agents/{agent}"), &json!({ "labels": labels })).await?;
  ensure!(status.is_success(), "{status} {answer}");
  Ok(())
}

async fn ctl(cluster: &Cluster, args: &[&str]) -> Result<String> {
  let output = cluster.ctl(args).await?;
  ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
  Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
  ctl(&cluster, &run).await?;
  let list = ctl(&cluster, &["agent", "list", "-l", "cuda>=10", "-o", "name"]).await?;
  ensure!(list.contains("agent-0") && !list.contains("agent-1"), "{list}");
  let list = ctl(&cluster, &["agent", "list", "-l", "zone notin (eu-1)", "-o", "name"]).await?;
  ensure!(list.contains("agent-1") && !list.contains("agent-0"), "{list}");
  let output = cluster.ctl(&["run", "--cmd", "true", "-l", "zone=a, b=="]).await?;
  let words = String::from_utf8_lossy(&output.stderr).into_owned();
  ensure!(output.status.code() == Some(2) && words.contains("byte 10"), "{words}");
  cluster.finish()
}
