//! Disks that are full, have no room for another file, or fail: of the database, of the server, of the
//! agent. Nothing that was acknowledged is lost, nothing starts twice, and with a good disk everything
//! runs again.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hetuflow_tests::api::Api;
use hetuflow_tests::bad_disk::BadDisk;
use hetuflow_tests::cluster::{Cluster, Engine};
use hetuflow_tests::postgres;
use hetuflow_tests::tmpfs::Tmpfs;
use hetuflow_tests::truth::TruthLog;
use hetuflow_tests::wait;
use serde_json::{Value, json};

use crate::support::{
  LIMIT, all, attempts, output, submit, submit_all, text, wait_all_succeeded, wait_status,
};

both_engines!(no_room_for_another_file, a_server_without_room_for_a_file,);

/// A script that waits for a file and then writes 20,000 lines.
fn gated(truth: &TruthLog, gate: &Path) -> Value {
  let body =
    format!("echo before; until [ -e '{}' ]; do sleep 0.1; done; seq 1 20000", gate.display());
  json!({ "config": { "script": truth.payload(&body) } })
}

async fn running(api: &Api, task: &Value, count: usize) -> Result<Vec<String>> {
  let ids = submit_all(api, &vec![task.clone(); count]).await?;
  for id in &ids {
    wait_status(api, id, &["running"]).await?;
  }
  Ok(ids)
}

/// All have succeeded, started once, and their output is whole.
async fn whole(api: &Api, truth: &TruthLog, ids: &[String]) -> Result<()> {
  wait_all_succeeded(api, ids).await?;
  let lines: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
  for id in ids {
    assert_eq!(output(api, id, "").await?, format!("before\n{lines}").as_bytes());
    assert_eq!(attempts(api, id).await?.len(), 1);
  }
  assert_eq!((truth.starts()?.len(), truth.started_twice()?), (ids.len(), Vec::new()));
  Ok(())
}

async fn runs_again(api: &Api) -> Result<()> {
  wait::until_ok("a task that runs", LIMIT, || async {
    let script = json!({ "config": { "script": "echo script" } });
    let id = submit(api, &script).await.map_err(|error| format!("{error:#}"))?;
    let end = wait_status(api, &id, &["succeeded", "failed"]).await;
    let end = end.map_err(|error| format!("{error:#}"))?;
    if end["status"] == "succeeded" { Ok(()) } else { Err(end.to_string()) }
  })
  .await
}

/// D06: the disk of PostgreSQL is full. A tablespace of its own, so that other tests keep their room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_postgres_holds_everything_back() -> Result<()> {
  let admin = postgres::shared()?;
  let dir = tempfile::Builder::new().prefix("hetuflow-space-").tempdir_in("/tmp")?;
  let disk = Tmpfs::over(dir.path(), 64 << 20)?;
  let space = admin.tablespace(dir.path()).await?;
  let database = space.create_database().await?;
  let cluster = Cluster::builder().database_url(database.url()).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let ids = running(&api, &gated(&truth, &gate), 3).await?;
  let later = jiff::Timestamp::now() + std::time::Duration::from_secs(86_400);
  let waits = json!({ "config": { "command": "true" }, "scheduled_at": later.to_string() });
  disk.fill()?;
  // What PostgreSQL has in its files already is used up first.
  let mut refused = None;
  let mut made = 0;
  for _ in 0..60 {
    let items = json!({ "items": vec![waits.clone(); 500] });
    let (status, answer) = api.post("/tasks/bulk", &items).await?;
    if !status.is_success() {
      refused = Some((status, answer));
      break;
    }
    made += 500;
  }
  let Some((status, answer)) = refused else { bail!("a full disk has refused nothing") };
  ensure!(status.is_server_error() && answer["trace_id"].is_string(), "{status} {answer}");
  // What is there can be read.
  assert_eq!(api.get_ok(&format!("/tasks/{}", ids[0])).await?["status"], "running");
  std::fs::write(&gate, "")?;
  wait::until("the ends", LIMIT, || async { (truth.ends().ok()?.len() == 3).then_some(()) })
    .await?;
  disk.empty()?;
  whole(&api, &truth, &ids).await?;
  assert_eq!(all(&api, "/tasks?status=pending").await?.len(), made, "what was answered is there");
  runs_again(&api).await?;
  cluster.finish()?;
  drop((database, space));
  drop(disk);
  Ok(())
}

/// D07: the folders of the agent have no room for another file. What needs one is refused, what runs
/// goes on and is told.
async fn no_room_for_another_file(engine: Engine) -> Result<()> {
  let mut cluster = Cluster::builder().engine(engine).start().await?;
  cluster.stop_agent(0)?;
  let state = cluster.agent(0).state_dir().to_owned();
  let disk = Tmpfs::of_files(&state, 200)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let ids = running(&api, &gated(&truth, &gate), 3).await?;
  disk.use_up_files()?;
  let waits = submit(&api, &json!({ "config": { "script": "echo now" } })).await?;
  wait_status(&api, &waits, &["waiting_retry"]).await?;
  let first = attempts(&api, &waits).await?.remove(0);
  assert_eq!(first["reason"], "not_started(disk)");
  let why = text(&first, "error_message")?;
  ensure!(why.contains("ENOSPC"), "{why}");
  let plain = submit(&api, &json!({ "config": { "command": "echo plain" } })).await?;
  wait_status(&api, &plain, &["succeeded"]).await?;
  // The agent itself may die and return meanwhile.
  cluster.kill9_agent(0)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  std::fs::write(&gate, "")?;
  whole(&api, &truth, &ids).await?;
  disk.empty()?;
  wait_status(&api, &waits, &["succeeded"]).await?;
  runs_again(&api).await?;
  cluster.stop_agent(0)?;
  drop(disk);
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  runs_again(&api).await?;
  cluster.finish()
}

/// D06, D07: neither the server's own folder nor that of its database (SQLite) has room for another
/// file.
async fn a_server_without_room_for_a_file(engine: Engine) -> Result<()> {
  let guard = tempfile::tempdir()?;
  let below = Tmpfs::of_files(&guard.path().join("disk"), 60)?;
  let url = format!("sqlite:{}/hetuflow.db", below.dir().display());
  let builder = Cluster::builder().engine(engine);
  let builder = if engine == Engine::Sqlite { builder.database_url(&url) } else { builder };
  let mut cluster = builder.start().await?;
  let data = cluster.server(0).data_dir().to_owned();
  cluster.stop_server(0)?;
  let kept = guard.path().join("kept");
  std::process::Command::new("cp").arg("-a").args([&data, &kept]).status()?;
  let own = Tmpfs::of_files(&data, 60)?;
  std::process::Command::new("cp").arg("-aT").args([&kept, &data]).status()?;
  cluster.restart_server(0).await?;
  cluster.wait_agent(0).await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let ids = running(&api, &gated(&truth, &gate), 3).await?;
  own.use_up_files()?;
  below.use_up_files()?;
  runs_again(&api).await?;
  std::fs::write(&gate, "")?;
  whole(&api, &truth, &ids).await?;
  own.empty()?;
  below.empty()?;
  cluster.kill9_server(0)?;
  cluster.restart_server(0).await?;
  runs_again(&api).await?;
  cluster.stop_server(0)?;
  drop(own);
  cluster.restart_server(0).await?;
  cluster.wait_agent(0).await?;
  runs_again(&api).await?;
  cluster.finish()
}

/// D08: the disk of the agent's memory fails. A flush that failed is never taken for a good one because
/// the next one says so: nothing is started that is not written down.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_the_agent_that_fails() -> Result<()> {
  let settings = "[agent.process]\njournal_sync = true";
  let builder = Cluster::builder().engine(Engine::Sqlite).agent_settings(settings);
  let mut cluster = builder.start().await?;
  cluster.stop_agent(0)?;
  let state = cluster.agent(0).state_dir().to_owned();
  let disk = BadDisk::over(&state)?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let ids = running(&api, &gated(&truth, &gate), 2).await?;
  disk.fail()?;
  let tried = TruthLog::new(cluster.dir().join("tried.log"));
  let small = json!({ "config": { "command": tried.payload("true") } });
  let mut refused = Vec::new();
  for _ in 0..400 {
    let id = submit(&api, &small).await?;
    let end = wait_status(&api, &id, &["succeeded", "failed"]).await?;
    if end["status"] == "failed" {
      refused.push(id);
    }
    if refused.len() >= 5 {
      break;
    }
  }
  ensure!(!refused.is_empty(), "a disk that fails has refused nothing");
  for id in &refused {
    let attempt = attempts(&api, id).await?.pop().context("an attempt")?;
    assert_eq!(attempt["status"], "not_started", "{attempt}");
    let why = text(&attempt, "error_message")?;
    ensure!(why.contains("cannot be written down"), "{why}");
    ensure!(!tried.starts()?.keys().any(|(one, _)| one == id), "started and not written down");
  }
  std::fs::write(&gate, "")?;
  whole(&api, &truth, &ids).await?;
  disk.heal()?;
  runs_again(&api).await?;
  // Both processes die: whoever reads the journal now must not start anything again.
  cluster.kill9_agent(0)?;
  cluster.agent(0).kill9_executor()?;
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  runs_again(&api).await?;
  assert_eq!((tried.started_twice()?, truth.started_twice()?), (Vec::new(), Vec::new()));
  cluster.stop_agent(0)?;
  drop(disk);
  cluster.restart_agent(0)?;
  cluster.wait_agent(0).await?;
  cluster.finish()
}

/// D08: the disk of the database fails (SQLite; what PostgreSQL does then is its own promise). Nothing
/// is acknowledged that is not there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_the_database_that_fails() -> Result<()> {
  let guard = tempfile::tempdir()?;
  let disk = BadDisk::over(&guard.path().join("disk"))?;
  let url = format!("sqlite:{}", guard.path().join("disk/hetuflow.db").display());
  let mut cluster = Cluster::builder().engine(Engine::Sqlite).database_url(&url).start().await?;
  let (api, truth) = (cluster.api(), TruthLog::new(cluster.dir().join("truth.log")));
  let gate = cluster.dir().join("gate");
  let ids = running(&api, &gated(&truth, &gate), 2).await?;
  let later = jiff::Timestamp::now() + std::time::Duration::from_secs(86_400);
  let waits = json!({ "config": { "command": "true" }, "scheduled_at": later.to_string() });
  disk.fail()?;
  let (mut made, mut refused) = (Vec::new(), 0);
  for _ in 0..3000 {
    let (status, answer) = api.post("/tasks", &waits).await?;
    if status.is_success() {
      made.push(text(&answer, "id")?);
    } else {
      ensure!(status.is_server_error() && answer["trace_id"].is_string(), "{status} {answer}");
      refused += 1;
    }
    if refused == 5 {
      break;
    }
  }
  ensure!(refused == 5, "a disk that fails has refused {refused}");
  std::fs::write(&gate, "")?;
  wait::until("the ends", LIMIT, || async { (truth.ends().ok()?.len() == 2).then_some(()) })
    .await?;
  disk.heal()?;
  whole(&api, &truth, &ids).await?;
  cluster.kill9_server(0)?;
  cluster.restart_server(0).await?;
  let stored = all(&api, "/tasks?status=pending").await?;
  let stored: Vec<&str> = stored.iter().filter_map(|task| task["id"].as_str()).collect();
  for id in &made {
    ensure!(stored.contains(&id.as_str()), "{id} was acknowledged and is not there");
  }
  ensure!(stored.len() <= made.len() + refused, "{} stored, {} made", stored.len(), made.len());
  runs_again(&api).await?;
  cluster.finish()
}
