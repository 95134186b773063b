//! The disk of the database is full: nothing can be stored, so nothing is acknowledged, nothing is lost,
//! and with room everything that waits is stored.

use anyhow::{Result, bail, ensure};
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::tmpfs::Tmpfs;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::json;

use crate::support::{LIMIT, output, submit, text, wait_all_succeeded, wait_status};

/// D06: of PostgreSQL, which other tests share, no disk can be taken away.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_database_holds_everything_back() -> Result<()> {
  let dir = tempfile::tempdir()?;
  let disk = Tmpfs::over(&dir.path().join("disk"), 24 << 20)?;
  let url = format!("sqlite:{}", dir.path().join("disk/hetuflow.db").display());
  let cluster = Cluster::builder().engine(Engine::Sqlite).database_url(&url).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let body =
    format!("echo before; until [ -e '{}' ]; do sleep 0.1; done; seq 1 20000", gate.display());
  let mut ids = Vec::new();
  for _ in 0..3 {
    ids.push(submit(&api, &json!({ "config": { "script": truth.payload(&body) } })).await?);
  }
  for id in &ids {
    wait_status(&api, id, &["running"]).await?;
  }
  let later = jiff::Timestamp::now() + std::time::Duration::from_secs(86_400);
  let waits = json!({ "config": { "command": "true" }, "scheduled_at": later.to_string() });
  disk.fill()?;
  // The journal of the store has its room in advance: it is used up first.
  let mut refused = None;
  for _ in 0..20_000 {
    let (status, answer) = api.post("/tasks", &waits).await?;
    if !status.is_success() {
      refused = Some((status, answer));
      break;
    }
  }
  let Some((status, answer)) = refused else { bail!("a full disk has refused nothing") };
  ensure!(status.is_server_error() && answer["trace_id"].is_string(), "{status} {answer}");
  std::fs::write(&gate, "")?;
  wait::until("the ends", LIMIT, || async { (truth.ends().ok()?.len() == 3).then_some(()) })
    .await?;
  disk.empty()?;
  wait_all_succeeded(&api, &ids).await?;
  let lines: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
  for id in &ids {
    assert_eq!(output(&api, id, "").await?, format!("before\n{lines}").as_bytes());
  }
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (3, Vec::new()));
  let next = api.post_ok("/tasks", &json!({ "config": { "command": "echo next" } })).await?;
  wait_status(&api, &text(&next, "id")?, &["succeeded"]).await?;
  cluster.finish()
}
