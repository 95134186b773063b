//! A task says more than there is room for, while no server is there.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{LIMIT, output, runs_again, submit, wait_status};

both_engines!(a_task_waits_or_its_output_has_declared_gaps);

const SMALL: &str = "[agent.process]\noutput_buffer = '1MiB'";
/// Bytes of one task.
const FLOOD: u64 = 16_000_000;

async fn a_task_waits_or_its_output_has_declared_gaps(engine: Engine) -> Result<()> {
  let mut cluster =
    Cluster::builder().engine(engine).agent_settings(SMALL).slots(4).start().await?;
  let api = cluster.api();
  let gate = cluster.dir().join("gate");
  let truths = ["block", "head_tail", "drop"]
    .map(|policy| (policy, TruthLog::new(cluster.dir().join(format!("{policy}.log")))));
  let mut ids = Vec::new();
  for (policy, truth) in &truths {
    // Hardly any of it can be packed.
    let body = format!(
      "echo begin; until [ -e '{}' ]; do sleep 0.1; done; \
       head -c {} /dev/urandom; \
       echo; echo the end",
      gate.display(),
      FLOOD
    );
    let config = json!({ "script": truth.payload(&body), "log_policy": policy });
    ids.push(submit(&api, &json!({ "config": config })).await?);
  }
  for id in &ids {
    wait_status(&api, id, &["running"]).await?;
  }
  cluster.kill9_server(0)?;
  std::fs::write(&gate, "")?;
  // Without a server, those that need not wait come to their end.
  for (policy, truth) in &truths[1..] {
    wait::until_ok(&format!("{policy} to end"), LIMIT, || async {
      let ends = truth.ends().map_or(0, |ends| ends.len());
      if ends == 1 { Ok(()) } else { Err(ends.to_string()) }
    })
    .await?;
  }
  assert_eq!(truths[0].1.ends()?.len(), 0, "block: it waits");
  cluster.restart_server(0).await?;
  let api = cluster.api();
  let said = FLOOD + "begin\n\nthe end\n".len() as u64;
  for (id, (policy, _)) in ids.iter().zip(&truths) {
    wait_status(&api, id, &["succeeded"]).await?;
    let proof = cluster.ctl(&["logs", id, "--verify", "-o", "json"]).await?;
    ensure!(proof.status.success(), "{policy}: {}", String::from_utf8_lossy(&proof.stderr));
    let proof: Value = serde_json::from_slice(&proof.stdout)?;
    let dropped = proof["dropped_bytes"].as_u64().context("dropped_bytes")?;
    let bytes = output(&api, id, "stdout").await?;
    assert_eq!(bytes.len() as u64 + dropped, said, "{policy}: {proof}");
    assert_eq!(dropped == 0, *policy == "block", "{policy}: {proof}");
    ensure!(bytes.starts_with(b"begin\n"), "{policy}: the begin");
    ensure!(*policy == "drop" || bytes.ends_with(b"\nthe end\n"), "{policy}: the end");
    let shown = cluster.ctl(&["logs", "--stream", "both", id]).await?;
    let words = String::from_utf8_lossy(&shown.stderr).into_owned();
    let told = words.contains(" bytes dropped, no room was left in the output buffer");
    assert_eq!(told, dropped > 0, "{policy}: {words}");
  }
  runs_again(&cluster).await?;
  cluster.finish()
}
